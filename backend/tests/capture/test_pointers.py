"""LFS pointers read in the pack of the history: the same as the origin tells, or none are told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.capture.pack_front import PackFront
from snapshotter.capture.pointers import PointerSearch, find_pointers, told_pointers
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import FetchRequest, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.git import Origin
from tests.support.lfs import pointer_to
from tests.support.packs import entry, pack_of, varint
from tests.support.wires import NoCredentials


@pytest.fixture(params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Origin:
    return Origin(tmp_path / "x.git", object_format=request.param, filters=True)


def front_of(repo: Origin, wants: list[str], haves: list[str], *options: str) -> PackFront:
    """The front of the pack that git makes of a request."""
    asked = "\n".join([*wants, *(f"^{oid}" for oid in haves)]).encode() + b"\n"
    words = ["pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset", *options]
    return PackFront(repo.git(*words, data=asked), whole=True, request=FetchRequest(wants, haves))


def search_for(repo: Origin, front: PackFront, *, tips: bool = False) -> PointerSearch:
    assert front.request
    fmt = "sha256" if len(front.request.wants[0]) == 64 else "sha1"
    return PointerSearch(front.request.wants, front.request.haves, fmt, tips)


def files(noise: random.Random, number: int) -> dict[str, bytes]:
    """Some files with pointers among them; what is no pointer may look like one."""
    made = {}
    for n in range(12):
        lines = [b"call(%d, %d);" % (n, line) for line in range(noise.randrange(10, 200))]
        lines[noise.randrange(len(lines))] = b"changed(%d);" % number
        made[f"d{n % 3}/{n}.txt"] = b"\n".join(lines)
    made |= {f"p/{number}-{n}.bin": pointer_to(noise.randbytes(8)) for n in range(noise.randrange(4))}
    return made | {"almost": pointer_to(b"x") + b"more\n", "large": pointer_to(b"y") + b"z" * 2000}


@pytest.mark.parametrize("seed", range(4))
def test_what_a_pack_tells_is_what_its_origin_tells(repo: Origin, seed: int) -> None:
    noise, told, pointers = random.Random(seed), 0, 0
    transport = Connector(NoCredentials(), WireLimits())(parse(str(repo.path)), Cancel())
    old: list[str] = []
    for number in range(6):
        new = repo.commit(files=files(noise, number))
        front = front_of(repo, [new], old, "--thin")
        search = search_for(repo, front)
        read = told_pointers(front, search)
        asked = find_pointers(transport, search, Cancel())
        assert read is None or read == asked
        told += read is not None
        pointers += len(read.by_blob) if read else 0
        old = [new]
    transport.close()
    assert told > 3 and pointers


def test_a_pointer_that_is_a_delta_against_an_old_one_is_not_passed_over(repo: Origin) -> None:
    old = repo.commit(files={"a.bin": pointer_to(b"one")})
    new = repo.commit(files={"a.bin": pointer_to(b"two")})
    request = FetchRequest([new], [old])
    delta = varint(128) + varint(128) + b"\x91\0\x35" + b"\x40" + b"0" * 64 + b"\x91\x75\x0b"
    base = bytes.fromhex(repo.oid(f"{old}:a.bin"))
    if len(base) == 20:
        front = PackFront(pack_of(entry(7, delta, base=base)), whole=True, request=request)
        assert told_pointers(front, search_for(repo, front)) is None
        tree = varint(128) + varint(128) + b"\x14" + bytes(range(200, 220)) + b"\x91\0\x6c"
        front = PackFront(pack_of(entry(7, tree, base=base)), whole=True, request=request)
        found = told_pointers(front, search_for(repo, front))
        assert found is not None and not found.by_blob and not found.is_whole


def test_a_delta_against_a_delta_against_an_old_object_is_one_too(tmp_path: Path) -> None:
    tree = varint(128) + varint(128) + b"\x14" + bytes(range(200, 220)) + b"\x91\0\x6c"
    first = entry(7, tree, base=b"b" * 20)
    for later, told in ((tree, True), (varint(128) + varint(4) + b"\x04size", False)):
        second = entry(6, later, base=bytes([len(first)]))
        request = FetchRequest(["1" * 40], ["2" * 40])
        front = PackFront(pack_of(first, second), whole=True, request=request)
        found = told_pointers(front, PointerSearch(request.wants, request.haves, "sha1"))
        assert (found is not None) is told


def test_what_is_not_all_of_the_search_tells_nothing(repo: Origin) -> None:
    old, new = (
        repo.commit(files={"a.bin": pointer_to(b"one")}),
        repo.commit(files={"b.bin": pointer_to(b"two")}),
    )
    front = front_of(repo, [new], [])
    search = search_for(repo, front)
    found = told_pointers(front, search)
    assert found is not None and found.is_whole and len(found.by_blob) == 2
    assert told_pointers(PackFront(front.data, request=front.request), search) is None
    assert told_pointers(PackFront(front.data, whole=True), search) is None
    assert told_pointers(front, search_for(repo, front, tips=True)) is None
    other = PackFront(front.data, whole=True, request=FetchRequest([new], [old]))
    assert told_pointers(other, search) is None
    for data in (front.data[:-25], front.data[:40] + b"\xff" + front.data[41:], b"no pack"):
        assert told_pointers(PackFront(data, whole=True, request=front.request), search) is None
