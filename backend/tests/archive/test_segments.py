"""Segments on their way into a store: how their bytes lie in memory."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import struct
from pathlib import Path

import pytest

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.segments import MIN_SEGMENT, SegmentWriter
from snapshotter.archive.transfer import RunFolder
from snapshotter.store.opening import open_store

KEY = RunKey("example.org__x", RunId("20261123T120000Z-0123abcd"))
HEADER = b"# v2 git bundle\n\n"


def pack_of(size: int) -> bytes:
    """What has a pack's frame and checksum."""
    body = struct.pack(">4sII", b"PACK", 2, 1) + bytes(index * 7 % 251 for index in range(size))
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def test_each_segment_begins_where_a_page_of_memory_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a write past the page cache wants it."""
    store = open_store(f"file:{tmp_path}")
    put, begins = store.put_new, list[int]()

    def noted(key: str, data: bytes | memoryview, **named: object) -> None:
        begins.append(ctypes.addressof(ctypes.c_char.from_buffer(data)) % mmap.PAGESIZE)
        put(key, data, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put_new", noted)
    writer = SegmentWriter(RunFolder(store, KEY, "base"), fmt="sha1", segment_bytes=MIN_SEGMENT, in_flight=2)
    writer.begin(HEADER)
    pack = memoryview(pack_of(5 * MIN_SEGMENT + 100))
    for at in range(0, len(pack), 10_000):
        writer.write(pack[at : at + 10_000])
    written = writer.finish()
    assert begins == [0] * 6
    stored = b"".join(store.get(artifact.key) for artifact in written.artifacts)
    assert stored == HEADER + pack
