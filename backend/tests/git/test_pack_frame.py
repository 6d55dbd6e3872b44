"""A pack's frame: no cut, flipped or foreign stream passes for a pack."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.git.pack_frame import PackCheck, empty_pack
from tests.support.git import Origin


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


def checked(pack: bytes, fmt: str, size: int = 0) -> tuple[str, int]:
    check = PackCheck(fmt)
    for at in range(0, len(pack), size or len(pack) or 1):
        check.update(memoryview(pack)[at : at + (size or len(pack))])
    return check.finish(), check.objects


def test_a_whole_pack_passes_in_any_pieces(repo: Origin) -> None:
    fmt = repo.text("rev-parse", "--show-object-format")
    pack = pack_of(repo)
    trailer = hashlib.new(fmt, pack[: -hashlib.new(fmt).digest_size]).hexdigest()
    for size in (0, 1, 7, 11, 12, 13, 19, 20, 21, 31, 32, 33, len(pack) - 1):
        assert checked(pack, fmt, size) == (trailer, 7)
    assert checked(empty_pack(fmt), fmt)[1] == 0


def test_no_cut_pack_passes(repo: Origin) -> None:
    fmt = repo.text("rev-parse", "--show-object-format")
    pack = pack_of(repo)
    shortest = 12 + len(checked(pack, fmt)[0]) // 2
    for length in range(len(pack)):
        with pytest.raises(Unavailable) as raised:
            checked(pack[:length], fmt)
        assert raised.value.code == ("pack-short" if length < shortest else "pack-checksum")
    with pytest.raises(Unavailable):
        checked(pack + b"\0", fmt)


def test_no_flipped_pack_passes(repo: Origin) -> None:
    fmt = repo.text("rev-parse", "--show-object-format")
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


def test_a_pack_of_the_other_format_does_not_pass(repo: Origin) -> None:
    fmt = repo.text("rev-parse", "--show-object-format")
    with pytest.raises(Unavailable):
        checked(pack_of(repo), "sha256" if fmt == "sha1" else "sha1")
