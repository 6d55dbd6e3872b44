"""Reading a small pack in memory: commits-only packs for ancestry, trees and blobs for the scan.

Bounded by the caller's limits; never used for histories, which are streamed past. Source: git's
gitformat-pack.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from snapshotter.bundle import DIGEST_BYTES, PackCheck
from snapshotter.errors import Unavailable

TYPES = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFS_DELTA, _REF_DELTA = 6, 7


@dataclass(frozen=True)
class PackObject:
    """One object of a pack: its id in hex, its type, its content."""

    oid: str
    type: str
    data: bytes


def read_pack(data: bytes | bytearray, fmt: str, *, max_bytes: int) -> Iterator[PackObject]:
    """Every object of a self-contained pack.

    Raises Unavailable for a pack that is damaged, holds deltas against objects outside it, or
    whose objects together exceed `max_bytes` once inflated.
    """
    check = PackCheck(fmt)
    check.update(memoryview(data))
    check.finish()
    reader = _Reader(data, fmt, max_bytes)
    for _ in range(check.objects):
        yield reader.next()
    if reader.at != len(data) - DIGEST_BYTES[fmt]:
        raise _bad("it holds more than its header says")


class _Reader:
    def __init__(self, data: bytes | bytearray, fmt: str, max_bytes: int) -> None:
        self._data = memoryview(data)
        self._fmt = fmt
        self._left = max_bytes
        self._by_offset: dict[int, PackObject] = {}
        self._by_oid: dict[str, PackObject] = {}
        self.at = 12

    def next(self) -> PackObject:
        start = self.at
        kind, size = self._head()
        if kind in TYPES:
            made = self._object(TYPES[kind], self._inflate(size))
        elif kind in (_OFS_DELTA, _REF_DELTA):
            base = self._base(kind, start)
            target = apply_delta(base.data, self._inflate(size), self._left)
            self._left -= len(target)
            made = self._object(base.type, target)
        else:
            raise _bad("it has an object of no known type")
        self._by_offset[start] = self._by_oid[made.oid] = made
        return made

    def _head(self) -> tuple[int, int]:
        byte = self._byte()
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
            if shift > 60:
                raise _bad("an object's size is absurd")
        return kind, size

    def _base(self, kind: int, start: int) -> PackObject:
        if kind == _REF_DELTA:
            size = DIGEST_BYTES[self._fmt]
            oid = bytes(self._data[self.at : self.at + size]).hex()
            self.at += size
            found = self._by_oid.get(oid)
        else:
            byte = self._byte()
            offset = byte & 0x7F
            while byte & 0x80 and offset < len(self._data):
                byte = self._byte()
                offset = ((offset + 1) << 7) | (byte & 0x7F)
            found = self._by_offset.get(start - offset)
        if found is None:
            raise _bad("it holds a delta against an object that comes later or is elsewhere")
        return found

    def _inflate(self, size: int) -> bytes:
        if size > self._left:
            raise _bad("its objects exceed the limit once inflated", code="pack-too-large")
        stream, out = zlib.decompressobj(), b""
        # Fed in windows: handing over the whole rest would copy it for every object (unused_data).
        window = size + (size >> 10) + 64
        try:
            while not stream.eof and len(out) <= size and self.at < len(self._data):
                piece = self._data[self.at : self.at + window]
                out += stream.decompress(piece, size + 1 - len(out))
                self.at += len(piece) - len(stream.unused_data)
        except zlib.error:
            raise _bad("an object does not inflate") from None
        if len(out) != size or not stream.eof:
            raise _bad("an object's size is not what its header says")
        self._left -= size
        return out

    def _object(self, kind: str, content: bytes) -> PackObject:
        digest = hashlib.new(self._fmt, b"%b %d\0" % (kind.encode(), len(content)), usedforsecurity=False)
        digest.update(content)
        return PackObject(digest.hexdigest(), kind, content)

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise _bad("it ends early")
        self.at += 1
        return self._data[self.at - 1]


def apply_delta(base: bytes, delta: bytes, limit: int) -> bytes:
    """The target of a git delta. Raises Unavailable if the delta is damaged or its target exceeds `limit`."""
    try:
        source, at = _varint(delta, 0)
        target, at = _varint(delta, at)
        if source != len(base) or target > limit:
            raise _bad("a delta does not fit its base or exceeds the limit")
        out = bytearray()
        while at < len(delta):
            op, at = delta[at], at + 1
            if op & 0x80:
                offset, size, at = _copy_arguments(delta, op, at)
                out += base[offset : offset + size]
            elif op:
                out += delta[at : at + op]
                at += op
            else:
                raise _bad("a delta has an instruction that is none")
            if len(out) > target:
                break
    except IndexError:
        raise _bad("a delta ends early") from None
    if len(out) != target:
        raise _bad("a delta's target has another size than it says")
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 60:
            raise _bad("a delta's size is absurd")


def _copy_arguments(delta: bytes, op: int, at: int) -> tuple[int, int, int]:
    offset = size = 0
    for bit in range(4):
        if op & (1 << bit):
            offset |= delta[at] << (8 * bit)
            at += 1
    for bit in range(3):
        if op & (0x10 << bit):
            size |= delta[at] << (8 * bit)
            at += 1
    return offset, size or 0x10000, at


def _bad(what: str, code: str = "bad-pack") -> Unavailable:
    return Unavailable(f"the pack cannot be read: {what}", code=code, hint="check the origin with `git fsck`")
