"""Bundles: git reads the headers that we write, and we read git's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.git.bundle import DETACHED, header, listed, parse_header, prerequisites
from snapshotter.git.pack_frame import empty_pack
from snapshotter.git.refs import Ref, RefsLedger
from tests.git.test_refs import ledgers
from tests.support.git import Origin, git

A, B, C = "a" * 40, "b" * 40, "c" * 40


@given(
    st.one_of(ledgers(), ledgers(length=64)), st.sets(st.sampled_from("0123456789"), max_size=5), st.binary()
)
def test_a_header_survives_its_bytes(ledger: RefsLedger, digits: set[str], rest: bytes) -> None:
    fmt = ledger.object_format
    required = frozenset(digit * (40 if fmt == "sha1" else 64) for digit in digits)
    data = header(ledger, required)
    parsed = parse_header(data + rest)
    assert parsed is not None
    assert (parsed.object_format, parsed.prerequisites, parsed.length) == (fmt, required, len(data))
    assert parsed.matches(ledger)


@given(ledgers(), ledgers())
def test_a_header_matches_its_own_ledger_alone(one: RefsLedger, other: RefsLedger) -> None:
    parsed = parse_header(header(one, ()))
    assert parsed is not None
    assert parsed.matches(other) == (listed(one) in (listed(other), dict(other.oids)))


def test_a_header_is_read_once_all_of_it_is_there() -> None:
    ledger = RefsLedger.build([Ref(b"refs/heads/main", A)], None, B)
    data = header(ledger, {B})
    assert all(parse_header(data[:length]) is None for length in range(len(data)))
    for rest in (b"", b"P", b"the pack"):
        parsed = parse_header(data + rest)
        assert parsed is not None and parsed.matches(ledger)
        assert parsed.length == len(data)


def test_head_is_listed_where_it_resolves() -> None:
    main, tag = Ref(b"refs/heads/main", A), Ref(b"refs/tags/t", B)
    assert listed(RefsLedger.build([main], b"refs/heads/main")) == {b"HEAD": A, b"refs/heads/main": A}
    assert listed(RefsLedger.build([main], b"refs/heads/not-yet")) == {b"refs/heads/main": A}
    assert listed(RefsLedger.build([main, tag], None, B)) == {
        b"HEAD": B,
        **listed(RefsLedger.build([main, tag])),
    }
    assert listed(RefsLedger.build([main], None, B)) == {b"HEAD": B, b"refs/heads/main": A, DETACHED: B}


@pytest.mark.parametrize("name", [b"refs/snapshotter", b"refs/snapshotter/head", b"refs/snapshotter/a/b"])
def test_an_origins_own_ref_is_never_taken_for_a_detached_head(name: bytes) -> None:
    ledger = RefsLedger.build([Ref(name, A)], None, B)
    assert listed(ledger) == {b"HEAD": B, name: A}


def test_headers_of_schema_1_match_their_ledgers() -> None:
    for head in ((b"refs/heads/main", None), (None, B)):
        ledger = RefsLedger.build([Ref(b"refs/heads/main", A)], *head)
        lines = [b"# v2 git bundle", *(b"%b %b" % (oid.encode(), name) for name, oid in ledger.oids.items())]
        parsed = parse_header(b"\n".join(lines) + b"\n\n")
        assert parsed is not None and parsed.matches(ledger)
        assert not parsed.matches(RefsLedger.build([Ref(b"refs/heads/main", C)], *head))


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


def test_prerequisites_are_branches_that_hold_commits() -> None:
    refs = [
        Ref(b"refs/heads/a", A),
        Ref(b"refs/heads/tree", C),
        Ref(b"refs/tags/b", B),
        Ref(b"refs/notes/x", B),
    ]
    ledger = RefsLedger.build(refs, None, B)
    assert prerequisites(ledger, {A, B}) == {A}
    assert prerequisites(ledger, set()) == frozenset()


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Origin:
    repo = Origin(tmp_path_factory.mktemp("bundle") / "x.git", object_format=request.param)
    first = repo.commit_tree(ref="refs/heads/main", message="one", f=b"text " * 50)
    repo.commit_tree(first, ref="refs/heads/main", message="two", f=b"text " * 50 + b"more", g=b"g")
    return repo


def pack_of(repo: Origin) -> bytes:
    repo.git("repack", "-adq")
    (path,) = repo.path.glob("objects/pack/*.pack")
    return path.read_bytes()


def test_git_reads_our_bundles(repo: Origin, tmp_path: Path) -> None:
    fmt = repo.text("rev-parse", "--show-object-format")
    ledger = RefsLedger.build([Ref(name, oid) for name, oid in repo.refs().items()], b"refs/heads/main")
    bundle = tmp_path / "x.bundle"
    bundle.write_bytes(header(ledger, ()) + pack_of(repo))
    copy = Origin(tmp_path / "copy.git", object_format=fmt)
    copy.git("bundle", "verify", str(bundle))
    copy.git("fetch", "--quiet", "--prune", str(bundle), "+refs/*:refs/*")
    assert copy.refs() == repo.refs()
    copy.git("fsck", "--strict")
    empty = tmp_path / "empty.bundle"
    tip = repo.refs()[b"refs/heads/main"]
    refs = RefsLedger.build([*ledger, Ref(b"refs/heads/second", tip)])
    empty.write_bytes(header(refs, {tip}) + empty_pack(fmt))
    copy.git("fetch", "--quiet", "--prune", str(empty), "+refs/*:refs/*")
    assert set(copy.refs()) == {b"refs/heads/main", b"refs/heads/second"}


def test_we_read_gits_bundles(repo: Origin, tmp_path: Path) -> None:
    bundle = tmp_path / "x.bundle"
    repo.git("bundle", "create", str(bundle), "main")
    data = bundle.read_bytes()
    parsed = parse_header(data)
    assert parsed is not None
    assert parsed.refs == repo.refs()
    assert data[parsed.length : parsed.length + 4] == b"PACK"


def test_git_is_there() -> None:
    assert git(None, "--version").startswith(b"git version")
