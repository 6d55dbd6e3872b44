"""Reading a pack object by object: commits-only packs for ancestry, trees and blobs for the scan.

Never used for histories, which are streamed past. Memory holds one object, a few bases of deltas, and
some hundred bytes for each object, whatever the pack weighs. Source: git's gitformat-pack.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import Struct

from snapshotter.base.errors import Unusable
from snapshotter.git.delta import apply_delta, bad_pack, delta_inserts, delta_target, large_pack
from snapshotter.git.pack_frame import (
    DIGEST_BYTES,
    MAX_ENTRY_HEAD,
    TYPES,
    EntryHead,
    PackCheck,
    entry_head,
    pack_objects,
)

_BASES = 32 * 1024 * 1024  # bytes of objects that are kept at hand as bases of deltas
_LARGEST_BASE = 64 * 1024 * 1024  # bytes of an object that is made whole only as a base of deltas
_PIECE = 1024 * 1024

Read = Callable[[int, int], bytes | memoryview]
"""Up to `size` bytes of the pack from `at`: fewer only at its end."""


class PackObject(Struct, frozen=True):
    """One object of a pack: its id in hex, its type, its size in bytes, its content.

    `whole` is False for an object over the limit of one object: its content was hashed but not kept. A blob
    that was passed over has no id either.
    """

    oid: str
    type: str
    data: bytes
    size: int
    whole: bool = True


class OutsideDelta(Struct, frozen=True):
    """An object that a thin pack holds as a delta against one outside: its size in bytes, and those of its bytes that
    the delta brings."""

    size: int
    inserts: bytes


def read_pack(data: bytes | bytearray, fmt: str, *, max_bytes: int) -> Iterator[PackObject]:
    """Every object of a self-contained pack in memory.

    Raises Unusable for a pack that is damaged, holds deltas against objects outside it, or
    whose objects together exceed `max_bytes` once inflated.
    """
    check = PackCheck(fmt)
    check.update(memoryview(data))
    check.finish()
    view = memoryview(data)
    return Pack(
        lambda at, size: view[at : at + size], len(data), check.objects, fmt, max_bytes=max_bytes
    ).objects()


def leading_objects(head: bytes, fmt: str, *, max_bytes: int) -> Iterator[PackObject]:
    """The objects that a pack begins with, as far as `head`, its first bytes, holds them whole.

    It ends, without an error, where `head` ends or is no pack, at a delta against an object outside, and at `max_bytes`
    of inflated objects. Whether the pack is sound is for whoever has all of it.
    """
    view = memoryview(head)
    reader = _Reader(lambda at, size: view[at : at + size], len(head), fmt, max_bytes, None)
    with suppress(Unusable):
        for _ in range(pack_objects(head)):
            item = reader.next()
            if item is not None:
                yield item


def thin_objects(data: bytes, fmt: str, *, max_bytes: int) -> Iterator[PackObject | OutsideDelta]:
    """Every object of a thin pack, whose checksum is for somebody else to check.

    Raises Unusable for a pack that is damaged, or whose objects together exceed `max_bytes` once inflated.
    """
    view = memoryview(data)
    end = len(data) - DIGEST_BYTES[fmt]
    reader = _Reader(lambda at, size: view[at : at + size], end, fmt, max_bytes, None)
    for _ in range(pack_objects(data)):
        yield reader.next_of_thin()
    if reader.at != end:
        raise bad_pack("it holds more than its header says")


class Pack(Struct, frozen=True):
    """A self-contained pack of `size` bytes and `count` objects, whose checksum was checked before.

    Its objects may have `max_bytes` together once inflated; and one of more than `max_object` bytes is not kept whole.
    """

    read: Read
    size: int
    count: int
    fmt: str
    max_bytes: int
    max_object: int | None = None

    def objects(self, *, pass_blobs: bool = False) -> Iterator[PackObject]:
        """Every object in the pack's order. May be called again, and reads all of it again.

        Raises as `read_pack` does. With `pass_blobs` blobs are passed over: neither made of their deltas nor
        hashed, in a third of the time.
        """
        end = self.size - DIGEST_BYTES[self.fmt]
        reader = _Reader(self.read, end, self.fmt, self.max_bytes, self.max_object)
        reader.pass_blobs = pass_blobs
        for _ in range(self.count):
            item = reader.next()
            if item is not None:
                yield item
        if reader.at != end:
            raise bad_pack("it holds more than its header says")


class _Reader:
    """Reads a pack's objects one after the other. `at` is where the next begins."""

    def __init__(self, read: Read, end: int, fmt: str, max_bytes: int, max_object: int | None) -> None:
        self._read, self._end, self._fmt = read, end, fmt
        self._left = max_bytes
        self._rebuild_left = 4 * max_bytes  # bytes: for bases that have to be inflated once more
        self._max_object = max_object if max_object is not None else 1 << 62
        self._largest = max(self._max_object, _LARGEST_BASE)
        self._starts: set[int] = set()
        self._by_oid: dict[bytes, int] = {}
        self._bases: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._held = 0
        self.pass_blobs = False
        self._passed: set[int] = set()  # where blobs begin that were passed over
        self._outside: set[int] = set()  # where deltas begin that are against something outside
        self.at = 12  # after the signature, the version and the count

    def next(self) -> PackObject | None:
        """The next object; None for a delta whose target or base is over its limit."""
        start = self.at
        head = self._head(start)
        if self.pass_blobs and self._is_blob(head):
            item: PackObject | None = self._pass_blob(start, head)
        elif head.kind in TYPES and head.size > self._max_object:
            item = self._hash_only(head)
        elif head.kind in TYPES:
            data, self.at = self._inflate(head)
            self._spend(len(data))
            item = self._remember(start, TYPES[head.kind], data)
        else:
            delta, self.at = self._inflate(head)
            self._spend(len(delta))
            item = self._from_delta(start, head.base, delta)
        self._starts.add(start)
        return item

    def next_of_thin(self) -> PackObject | OutsideDelta:
        """The next object of a pack whose deltas may be against what is not in it. Nothing is over a limit of one."""
        start = self.at
        head = self._head(start)
        if head.kind in TYPES or (head.base in self._starts and head.base not in self._outside):
            item = self.next()
            assert item is not None  # noqa: S101 - only a limit of one object makes it None
            return item
        delta, self.at = self._inflate(head)
        self._spend(len(delta))
        self._starts.add(start)
        self._outside.add(start)
        return OutsideDelta(delta_target(delta), delta_inserts(delta))

    def _is_blob(self, head: EntryHead) -> bool:
        """Whether the entry is a blob, or a delta against one. An unknown base is a blob: all else has an id by now."""
        return TYPES.get(head.kind) == "blob" or (
            head.kind not in TYPES and (head.base in self._passed or head.base < 0)
        )

    def _pass_blob(self, start: int, head: EntryHead) -> PackObject:
        """A blob that is inflated only because nothing else tells where it ends."""
        self._passed.add(start)
        if head.size > self._max_object and head.kind in TYPES:
            return self._hash_only(head)
        data, self.at = self._inflate(head)
        self._spend(len(data))
        return PackObject("", "blob", b"", 0, whole=False)

    def _from_delta(self, start: int, base: int, delta: bytes) -> PackObject | None:
        """What the delta makes of its base; None if either is over its limit."""
        if delta_target(delta) > self._max_object:
            return None
        if (known := self._base(base)) is None:
            return None
        kind, source = known
        data = apply_delta(source, delta, self._left)
        self._spend(len(data))
        return self._remember(start, kind, data)

    def _remember(self, start: int, kind: str, data: bytes) -> PackObject:
        """The object with its id, by which later deltas may name it."""
        digest = hashlib.new(self._fmt, b"%b %d\0" % (kind.encode(), len(data)), usedforsecurity=False)
        digest.update(data)
        self._by_oid[digest.digest()] = start
        self._keep(start, kind, data)
        return PackObject(digest.hexdigest(), kind, data, len(data))

    def _keep(self, start: int, kind: str, data: bytes) -> None:
        """Hold an object as the base of later deltas, and let go of the one that was used least lately."""
        self._bases[start] = (kind, data)
        self._held += len(data)
        while self._held > _BASES and len(self._bases) > 1:
            self._held -= len(self._bases.popitem(last=False)[1][1])

    def _base(self, at: int) -> tuple[str, bytes] | None:
        """The object that begins at `at`, rebuilt if it is no longer at hand.

        Returns None if it, or one that it is built from, is too large to be built.
        """
        deltas: list[tuple[int, bytes]] = []
        while at not in self._bases:
            if at not in self._starts:
                raise bad_pack("it holds a delta against an object that comes later or is elsewhere")
            head = self._head(at)
            if head.size > self._largest:
                return None
            if head.size > self._rebuild_left:
                raise large_pack("its deltas cost more than the limit")
            data, _ = self._inflate(head)
            self._rebuild_left -= len(data)
            if head.kind in TYPES:
                self._keep(at, TYPES[head.kind], data)
                break
            if delta_target(data) > self._largest:
                return None
            deltas.append((at, data))
            at = head.base
        self._bases.move_to_end(at)
        kind, data = self._bases[at]
        for offset, delta in reversed(deltas):
            data = apply_delta(data, delta, self._rebuild_left)
            self._rebuild_left -= len(data)
            self._keep(offset, kind, data)
        return kind, data

    def _head(self, start: int) -> EntryHead:
        """What stands before the object that begins at `start`."""
        window = bytes(self._read(start, min(MAX_ENTRY_HEAD, self._end - start)))
        return entry_head(window, start, self._by_oid, DIGEST_BYTES[self._fmt])

    def _inflate(self, head: EntryHead) -> tuple[bytes, int]:
        """An object's bytes, and the offset at which the next object begins."""
        size, at = head.size, head.at
        if size > self._left + self._rebuild_left:
            raise large_pack("its objects exceed the limit once inflated")
        # Never more than the head states is inflated: a few kilobytes can stand for gigabytes.
        stream, out = zlib.decompressobj(), b""
        # Fed in windows: handing over the whole rest would copy it for every object (unused_data).
        window = size + (size >> 10) + 64
        try:
            while not stream.eof and len(out) <= size and at < self._end:
                piece = self._read(at, min(window, self._end - at))
                out += stream.decompress(piece, size + 1 - len(out))
                at += len(piece) - len(stream.unused_data) - len(stream.unconsumed_tail)
        except zlib.error:
            raise bad_pack("an object does not inflate") from None
        if len(out) != size or not stream.eof:
            raise bad_pack("an object's size is not what its header says")
        return out, at

    def _hash_only(self, head: EntryHead) -> PackObject:
        """An object over the limit of one object: its id, without its content."""
        kind = TYPES[head.kind]
        digest = hashlib.new(self._fmt, b"%b %d\0" % (kind.encode(), head.size), usedforsecurity=False)
        stream, at, done = zlib.decompressobj(), head.at, 0
        window = min(_PIECE, head.size + (head.size >> 10) + 64)  # what follows would be copied for nothing
        try:
            while not stream.eof and done <= head.size and at < self._end:
                piece = self._read(at, min(window, self._end - at))
                out = stream.decompress(piece, _PIECE)
                # At the end of the stream, zlib may name the same rest in both.
                at += len(piece) - len(stream.unused_data if stream.eof else stream.unconsumed_tail)
                digest.update(out)
                done += len(out)
                if done > self._rebuild_left:
                    raise large_pack("its objects exceed the limit once inflated")
        except zlib.error:
            raise bad_pack("an object does not inflate") from None
        if done != head.size or not stream.eof:
            raise bad_pack("an object's size is not what its header says")
        self._rebuild_left -= done
        self.at = at
        return PackObject(digest.hexdigest(), kind, b"", done, whole=False)

    def _spend(self, count: int) -> None:
        """Count bytes against the limit of the whole pack."""
        self._left -= count
        if self._left < 0:
            raise large_pack("its objects exceed the limit once inflated")
