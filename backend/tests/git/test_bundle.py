"""Bundles: the header that git reads, and the check that no cut or altered pack passes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.git.bundle import (
    PackCheck,
    empty_pack,
    header,
    object_format,
    parse_header,
    prerequisites,
    strip_header,
)
from snapshotter.git.refs import Ref, RefsLedger
from tests.git.test_refs import ledgers
from tests.origins import Repo, git

A, B = "a" * 40, "b" * 40


@given(
    st.one_of(ledgers(), ledgers(length=64)), st.sets(st.sampled_from("0123456789"), max_size=5), st.binary()
)
def test_a_header_survives_its_bytes(ledger: RefsLedger, digits: set[str], rest: bytes) -> None:
    fmt = object_format(ledger)
    required = frozenset(digit * (40 if fmt == "sha1" else 64) for digit in digits)
    data = header(ledger, required, fmt)
    parsed = parse_header(data + rest)
    assert parsed is not None
    assert (parsed.object_format, parsed.prerequisites, parsed.length) == (fmt, required, len(data))
    assert parsed.matches(ledger)


@given(ledgers(), ledgers())
def test_a_header_matches_its_own_ledger_alone(one: RefsLedger, other: RefsLedger) -> None:
    parsed = parse_header(header(one, (), "sha1"))
    assert parsed is not None
    assert parsed.matches(other) == (dict(one.oids) == dict(other.oids))


def test_a_header_is_read_in_any_pieces() -> None:
    ledger = RefsLedger.build([Ref(b"refs/heads/main", A)], None, B)
    data = header(ledger, {B}, "sha1")
    assert all(parse_header(data[:length]) is None for length in range(len(data)))
    for size in (1, 3, 1000):
        packed: list[bytes] = []
        take = strip_header(lambda view, packed=packed: packed.append(bytes(view)))
        whole = data + b"the pack"
        found = [take(memoryview(whole[at : at + size])) for at in range(0, len(whole), size)]
        assert found[-1] is not None and found[-1].matches(ledger)
        assert b"".join(packed) == b"the pack"


@pytest.mark.parametrize(
    "data",
    [
        b"PACK",
        b"#",
        b"# v4 git bundle\n\n",
        b"# v2 git bundle\nnonsense\n\n",
        b"\n\n",
        b"# v2 git bundle\n" + b"A" * 40 + b" refs/heads/a\n\n",
        b"# v2 git bundle\n@filter=x\n\n",
    ],
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    if data == b"#":
        assert parse_header(data) is None  # may yet become one
        return
    with pytest.raises(Unavailable):
        parse_header(data)


def test_prerequisites_are_branches_only() -> None:
    refs = [Ref(b"refs/heads/a", A), Ref(b"refs/tags/blob", B), Ref(b"refs/notes/x", B)]
    assert prerequisites(RefsLedger.build(refs, None, B)) == {A}


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    repo = Repo.create(tmp_path_factory.mktemp("bundle") / "x.git", object_format=request.param)
    first = repo.commit(ref="refs/heads/main", message="one", f=b"text " * 50)
    repo.commit(first, ref="refs/heads/main", message="two", f=b"text " * 50 + b"more", g=b"g")
    return repo


def pack_of(repo: Repo) -> bytes:
    repo.git("repack", "-adq")
    (path,) = repo.path.glob("objects/pack/*.pack")
    return path.read_bytes()


def test_git_reads_our_bundles(repo: Repo, tmp_path: Path) -> None:
    fmt = repo.git("rev-parse", "--show-object-format")
    ledger = RefsLedger.build([Ref(name, oid) for name, oid in repo.refs().items()], b"refs/heads/main")
    bundle = tmp_path / "x.bundle"
    bundle.write_bytes(header(ledger, (), fmt) + pack_of(repo))
    copy = Repo.create(tmp_path / "copy.git", object_format=fmt)
    copy.git("bundle", "verify", str(bundle))
    copy.git("fetch", "--quiet", "--prune", str(bundle), "+refs/*:refs/*")
    assert copy.refs() == repo.refs()
    copy.git("fsck", "--strict")
    empty = tmp_path / "empty.bundle"
    tip = repo.refs()[b"refs/heads/main"]
    refs = RefsLedger.build([*ledger, Ref(b"refs/heads/second", tip)])
    empty.write_bytes(header(refs, {tip}, fmt) + empty_pack(fmt))
    copy.git("fetch", "--quiet", "--prune", str(empty), "+refs/*:refs/*")
    assert set(copy.refs()) == {b"refs/heads/main", b"refs/heads/second"}


def test_we_read_gits_bundles(repo: Repo, tmp_path: Path) -> None:
    bundle = tmp_path / "x.bundle"
    repo.git("bundle", "create", str(bundle), "main")
    data = bundle.read_bytes()
    parsed = parse_header(data)
    assert parsed is not None
    assert parsed.refs == repo.refs()
    assert data[parsed.length : parsed.length + 4] == b"PACK"


def checked(pack: bytes, fmt: str, size: int = 0) -> tuple[str, int]:
    check = PackCheck(fmt)
    for at in range(0, len(pack), size or len(pack) or 1):
        check.update(memoryview(pack)[at : at + (size or len(pack))])
    return check.finish(), check.objects


def test_a_whole_pack_passes_in_any_pieces(repo: Repo) -> None:
    fmt = repo.git("rev-parse", "--show-object-format")
    pack = pack_of(repo)
    trailer = hashlib.new(fmt, pack[: -hashlib.new(fmt).digest_size]).hexdigest()
    for size in (0, 1, 7, 11, 12, 13, 19, 20, 21, 31, 32, 33, len(pack) - 1):
        assert checked(pack, fmt, size) == (trailer, 7)
    assert checked(empty_pack(fmt), fmt)[1] == 0


def test_no_cut_pack_passes(repo: Repo) -> None:
    fmt = repo.git("rev-parse", "--show-object-format")
    pack = pack_of(repo)
    shortest = 12 + len(checked(pack, fmt)[0]) // 2
    for length in range(len(pack)):
        with pytest.raises(Unavailable) as raised:
            checked(pack[:length], fmt)
        assert raised.value.code == ("pack-short" if length < shortest else "pack-checksum")
    with pytest.raises(Unavailable):
        checked(pack + b"\0", fmt)


def test_no_flipped_pack_passes(repo: Repo) -> None:
    fmt = repo.git("rev-parse", "--show-object-format")
    pack = pack_of(repo)
    for at in range(len(pack)):
        for bit in (0x01, 0x80):
            spoiled = bytearray(pack)
            spoiled[at] ^= bit
            with pytest.raises(Unavailable):
                checked(bytes(spoiled), fmt)


@given(st.binary(max_size=300), st.integers(1, 40))
def test_what_is_no_pack_never_passes(data: bytes, size: int) -> None:
    with pytest.raises(Unavailable):
        checked(data, "sha1", size)


def test_a_pack_of_the_other_format_does_not_pass(repo: Repo) -> None:
    fmt = repo.git("rev-parse", "--show-object-format")
    with pytest.raises(Unavailable):
        checked(pack_of(repo), "sha256" if fmt == "sha1" else "sha1")


def test_git_is_there() -> None:
    assert git("--version").startswith("git version")
