"""Packs and deltas made by hand, right or wrong."""

from __future__ import annotations

import hashlib
import struct
import zlib

from snapshotter.capture.pack_front import NO_FRONT, AwaitedFront, PackFront


def pack_of(*objects: bytes, count: int | None = None) -> bytes:
    """A pack of these entries, whose header tells `count` of them."""
    body = struct.pack(">4sII", b"PACK", 2, len(objects) if count is None else count) + b"".join(objects)
    return body + hashlib.sha1(body).digest()


def entry(kind: int, data: bytes, *, size: int | None = None, base: bytes = b"", level: int = 6) -> bytes:
    """One entry of a pack: a head that states `size`, the base of a delta, the deflated data."""
    left = len(data) if size is None else size
    head, left = bytearray([(kind << 4) | (left & 15)]), left >> 4
    while left:
        head[-1] |= 0x80
        head.append(left & 0x7F)
        left >>= 7
    return bytes(head) + base + zlib.compress(data, level)


def varint(number: int) -> bytes:
    """A number as deltas write it."""
    out = bytearray([number & 0x7F])
    while number := number >> 7:
        out[-1] |= 0x80
        out.append(number & 0x7F)
    return bytes(out)


def copy_all(size: int) -> bytes:
    """Delta instructions that copy `size` bytes of the base."""
    out, at = b"", 0
    while at < size:
        step = min(0xFFFFFF, size - at)
        out += b"\xff" + struct.pack("<I", at) + struct.pack("<I", step)[:3]
        at += step
    return out


def came(front: PackFront = NO_FRONT) -> AwaitedFront:
    """A pack's front that is there."""
    awaited = AwaitedFront()
    awaited.set_result(front)
    return awaited
