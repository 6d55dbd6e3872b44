"""Segments on their way into a store: how their bytes lie in memory, and what becomes of one that cannot be put."""

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
from snapshotter.base.errors import AccessDenied
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store

KEY = RunKey("example.org__x", RunId("20261123T120000Z-0123abcd"))
HEADER = b"# v2 git bundle\n\n"


def pack_of(size: int) -> bytes:
    """What has a pack's frame and checksum."""
    body = struct.pack(">4sII", b"PACK", 2, 1) + bytes(index * 7 % 251 for index in range(size))
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def writer_to(store: Store) -> SegmentWriter:
    folder = RunFolder(store, KEY, "base")
    return SegmentWriter(folder, fmt="sha1", segment_bytes=MIN_SEGMENT, in_flight=2)


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
    writer = writer_to(store)
    writer.begin(HEADER)
    pack = memoryview(pack_of(5 * MIN_SEGMENT + 100))
    for at in range(0, len(pack), 10_000):
        writer.write(pack[at : at + 10_000])
    written = writer.finish()
    assert begins == [0] * 6
    stored = b"".join(store.get(artifact.key) for artifact in written.artifacts)
    assert stored == HEADER + pack


def test_a_segment_that_cannot_be_put_ends_the_writing_though_there_are_free_buffers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"file:{tmp_path}")
    put = store.put_new

    def refuse_the_first(key: str, data: bytes | memoryview, **named: object) -> None:
        if key.endswith("0000"):
            raise AccessDenied("no")
        put(key, data, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "put_new", refuse_the_first)
    writer, pack = writer_to(store), memoryview(pack_of(100 * MIN_SEGMENT))
    writer.begin(HEADER)
    with pytest.raises(AccessDenied, match="no"):
        writer.write(pack)
    writer.abort()
