"""A pack's frame: its signature and object count, the head of each entry, its trailing checksum.

Source: git's gitformat-pack.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from msgspec import Struct

from snapshotter.base.errors import Unusable
from snapshotter.git.delta import bad_pack

DIGEST_BYTES = {"sha1": 20, "sha256": 32}
TYPES = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
MAX_ENTRY_HEAD = 64  # bytes: ten of a size, ten of an offset or 32 of an id, and some to spare
_OFS_DELTA, _REF_DELTA = 6, 7


def empty_pack(fmt: str) -> bytes:
    """A pack of no objects, for a snapshot in which only refs changed."""
    frame = struct.pack(">4sII", b"PACK", 2, 0)
    return frame + hashlib.new(fmt, frame).digest()


class PackCheck:
    """Checks a pack's frame as it streams by: signature, object count, trailing checksum.

    Feed it with `update` in order and close it with `finish`. It hashes what it is given at
    once, less the trailer, which it holds back because only the end tells where the end is.
    """

    def __init__(self, fmt: str) -> None:
        self._hash = hashlib.new(fmt, usedforsecurity=False)
        self._size = DIGEST_BYTES[fmt]
        self._tail = b""
        self._head = b""
        self.bytes = 0
        self.objects = 0

    def update(self, data: memoryview) -> None:
        """Take the next bytes. Raises Unusable if the stream does not begin as a pack."""
        if len(self._head) < 12:
            self._head += bytes(data[: 12 - len(self._head)])
            if len(self._head) == 12:
                self.objects = pack_objects(self._head)
        self.bytes += len(data)
        if len(data) >= self._size:
            self._hash.update(self._tail)
            self._hash.update(data[: -self._size])
            self._tail = bytes(data[-self._size :])
        else:
            joined = self._tail + bytes(data)
            self._hash.update(joined[: -self._size])
            self._tail = joined[-self._size :]

    def finish(self) -> str:
        """The pack's checksum in hex. Raises Unusable if the stream was short or altered."""
        if self.bytes < 12 + self._size:
            raise Unusable(
                f"the pack ended after {self.bytes} bytes",
                code="pack-short",
                hint="the origin or something before it cut the transfer; try again",
            )
        if self._hash.digest() != self._tail:
            raise Unusable(
                f"the pack's checksum is wrong after {self.bytes} bytes: it was cut or altered on its way",
                code="pack-checksum",
                hint="try again; if it stays, run `git fsck` at the origin and look for a proxy in between",
            )
        return self._tail.hex()


def pack_objects(head: bytes) -> int:
    """The object count in a pack's first 12 bytes. Raises Unusable if they are no pack's."""
    signature, version, count = struct.unpack(">4sII", head[:12].ljust(12, b"\0"))
    if signature != b"PACK" or version not in (2, 3):
        raise Unusable(
            "what the origin sent is not a pack",
            code="not-a-pack",
            hint="check the origin with `git clone`; a proxy may have answered instead",
        )
    return int(count)


class EntryHead(Struct, frozen=True):
    """What stands before an object's deflated bytes, which begin at `at`; `size` is that of the inflated bytes.

    `base` is the offset at which a delta's base begins: 0 without one, negative if no object before has the base's id.
    """

    kind: int
    size: int
    base: int
    at: int


def entry_head(window: bytes, start: int, by_oid: Mapping[bytes, int], width: int) -> EntryHead:
    """The head of the entry at offset `start`, from its first `MAX_ENTRY_HEAD` bytes (fewer at the pack's end).

    `by_oid` gives the offset of each object before it by its raw id of `width` bytes. Raises Unusable for a head
    that git does not write.
    """
    try:
        byte, at = window[0], 1
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            byte, at = window[at], at + 1
            size |= (byte & 0x7F) << shift
            shift += 7
        base = 0
        if kind == _OFS_DELTA:
            byte, at = window[at], at + 1
            offset = byte & 0x7F
            while byte & 0x80:
                byte, at = window[at], at + 1
                offset = ((offset + 1) << 7) | (byte & 0x7F)
            base = start - offset
    except IndexError:
        raise bad_pack("it ends early, or an object states an impossible size") from None
    if kind == _REF_DELTA:
        base = by_oid.get(window[at : at + width], -1)
        at += width
    elif kind not in TYPES and kind != _OFS_DELTA:
        raise bad_pack("it has an object of an unknown type")
    return EntryHead(kind, size, base, start + at)
