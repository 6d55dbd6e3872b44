"""Packs read in memory: the same objects as git reads, and hostile ones refused within their limits."""

from __future__ import annotations

import hashlib
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.git import delta as delta_module
from snapshotter.git import pack as pack_module
from snapshotter.git.pack import Pack, PackObject, read_pack
from tests.support.git import Origin
from tests.support.packs import copy_all, entry, pack_of, varint

LIMIT = 8 * 1024 * 1024
OFS, REF = 6, 7
TraceFunction: TypeAlias = Callable[[FrameType, str, object], "TraceFunction | None"]


def read(pack: bytes, fmt: str = "sha1", limit: int = LIMIT) -> list[PackObject]:
    return list(read_pack(pack, fmt, max_bytes=limit))


@pytest.mark.parametrize("fmt", ["sha1", "sha256"])
@pytest.mark.parametrize("delta", ["--delta-base-offset", "--no-delta-base-offset", "--window=0"])
def test_packs_of_git_read_as_git_reads_them(tmp_path: Path, fmt: str, delta: str) -> None:
    repo = Origin(tmp_path / "x.git", object_format=fmt)
    noise = random.Random(1)
    lines = [b"%d" % noise.getrandbits(64) for _ in range(300)]
    tip = repo.commit_tree(ref="refs/heads/main", message="0", f=b"\n".join(lines))
    for n in range(12):
        lines[noise.randrange(len(lines))] = b"changed %d" % n
        tip = repo.commit_tree(tip, ref="refs/heads/main", message=str(n), f=b"\n".join(lines), empty=b"")
    repo.git("tag", "-a", "-m", "t", "v1")
    options = ["-c", "pack.depth=10"]
    words = ["pack-objects", "--revs", "--all", "--stdout", "-q"] + ([] if "no-delta" in delta else [delta])
    pack = repo.git(*options, *words)
    objects = read(pack, fmt)
    listed = repo.text("cat-file", "--batch-all-objects", "--batch-check").splitlines()
    assert sorted(f"{item.oid} {item.type} {len(item.data)}" for item in objects) == sorted(listed)
    reading = Pack(lambda at, size: pack[at : at + size], len(pack), len(objects), fmt, max_bytes=LIMIT)
    passed = list(reading.objects(pass_blobs=True))
    assert [item for item in passed if item.type != "blob"] == [
        item for item in objects if item.type != "blob"
    ]
    assert [item.type for item in passed] == [item.type for item in objects]
    kinds = {(pack_kind >> 4) & 7 for pack_kind in _first_bytes(repo, pack)}
    if delta == "--delta-base-offset":
        assert OFS in kinds
    elif delta == "--no-delta-base-offset":
        assert REF in kinds


def _first_bytes(repo: Origin, pack: bytes) -> Iterable[int]:
    """The first byte of every object in a pack, by git's own index."""
    repo.git("index-pack", "--stdin", data=pack)
    index = next(repo.path.glob("objects/pack/*.idx"))
    listed = repo.text(
        "show-index",
        f"--object-format={repo.text('rev-parse', '--show-object-format')}",
        data=index.read_bytes(),
    )
    return [pack[int(line.split()[0])] for line in listed.splitlines()]


def test_packs_made_by_hand_are_right() -> None:
    blob = entry(3, b"hello")
    oid = hashlib.sha1(b"blob 5\0hello").digest()
    delta = varint(5) + varint(10) + copy_all(5) + copy_all(5)
    objects = read(pack_of(blob, entry(REF, delta, base=oid), entry(3, b"")))
    assert [item.data for item in objects] == [b"hello", b"hellohello", b""]
    objects = read(pack_of(blob, entry(OFS, delta, base=bytes([len(blob)]))))
    assert objects[1].data == b"hellohello"


BLOB = entry(3, b"hello")
OID = hashlib.sha1(b"blob 5\0hello").digest()


@pytest.mark.parametrize(
    "pack",
    [
        pack_of(entry(0, b"x")),
        pack_of(entry(5, b"x")),
        pack_of(entry(3, b"x", size=2)),
        pack_of(entry(3, b"xyz", size=2)),
        pack_of(entry(3, b"x", size=0)),
        pack_of(entry(3, b"x", size=1 << 50)),
        pack_of(b"\xbf" + b"\xff" * 20 + b"\x01"),
        pack_of(b"\xb1notzlib!"),
        pack_of(b"\xb1" + zlib.compress(b"x")[:-5]),
        pack_of(b""),
        pack_of(BLOB, count=2),
        pack_of(BLOB, BLOB, count=1),
        pack_of(BLOB, count=0xFFFFFFFF),
        pack_of(BLOB + b"trailing", count=1),
        pack_of(entry(REF, varint(0) + varint(0), base=bytes(20))),
        pack_of(entry(REF, b"", base=b"")),
        pack_of(BLOB, entry(OFS, varint(5) + varint(0), base=b"\x00")),
        pack_of(BLOB, entry(OFS, varint(5) + varint(0), base=b"\x01")),
        pack_of(BLOB, entry(OFS, varint(5) + varint(0), base=b"\xff\xff\xff\xff\xff\x7f")),
        pack_of(BLOB, entry(OFS, varint(5) + varint(0), base=b"\xff" * 40)),
        pack_of(BLOB, entry(REF, varint(4) + varint(0), base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(9) + copy_all(5), base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(9) + copy_all(9), base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(4) + copy_all(5), base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(5) + b"\x00", base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(5) + b"\x05ab", base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + varint(5) + b"\xff\x00", base=OID)),
        pack_of(BLOB, entry(REF, varint(5) + b"\xff", base=OID)),
        pack_of(BLOB, entry(REF, b"", base=OID)),
    ],
)
def test_broken_packs_are_refused(pack: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        read(pack)
    assert raised.value.hint


def test_every_cut_and_flip_is_refused() -> None:
    pack = pack_of(BLOB, entry(REF, varint(5) + varint(5) + copy_all(5), base=OID))
    for at in range(len(pack)):
        flipped = bytearray(pack)
        flipped[at] ^= 0x10
        for spoiled in (pack[:at], bytes(flipped)):
            with pytest.raises(Unavailable):
                read(spoiled)


def bombs() -> dict[str, bytes]:
    million = bytes(1_000_000)
    base, oid = entry(3, million, level=9), hashlib.sha1(b"blob 1000000\0" + million).digest()
    double = varint(1_000_000) + varint(2_000_000) + copy_all(1_000_000) * 2
    huge = varint(1_000_000) + varint(1 << 40) + copy_all(1_000_000) * 50
    absurd = (b"\xff" * 400_000) + b"\x01"
    return {
        "one object": pack_of(entry(3, bytes(64_000_000), level=9)),
        "many objects": pack_of(*[entry(3, b"%d" % n + million, level=9) for n in range(60)]),
        "many deltas": pack_of(base, *[entry(REF, double, base=oid)] * 60),
        "one delta": pack_of(base, entry(REF, huge, base=oid)),
        "a size without end": pack_of(base, entry(REF, absurd, base=oid)),
        "a lie about the size": pack_of(entry(3, bytes(64_000_000), size=100, level=9)),
    }


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of our readers `work` runs: their time, whatever machine they run on."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename in (pack_module.__file__, delta_module.__file__) else None

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_defused_within_the_limit(name: str) -> None:
    pack = bombs()[name]
    assert len(pack) < 200_000 or name == "a size without end"

    def refused() -> None:
        with pytest.raises(Unavailable):
            read(pack)

    tracemalloc.start()
    try:
        refused()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * LIMIT
    assert 0 < lines_run(refused) < 1000


def test_the_limit_is_of_all_objects_together() -> None:
    pack = pack_of(*[entry(3, b"%d" % n * 100) for n in range(10)])
    assert len(read(pack, limit=1000)) == 10
    with pytest.raises(Unavailable) as raised:
        read(pack, limit=999)
    assert raised.value.code == "pack-too-large"
