"""The format of a stored history: git's bundle header, a pack's frame, prerequisites.

Sources: git's gitformat-bundle (v2, and v3 for SHA-256) and gitformat-pack.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from snapshotter.base.errors import Unavailable
from snapshotter.git.refs import OID_LENGTHS, ObjectFormat, RefsLedger, is_oid

MAX_HEADER = 512 * 1024 * 1024  # bytes: over a million refs of ordinary length
DIGEST_BYTES = {"sha1": 20, "sha256": 32}


def object_format(ledger: RefsLedger, default: ObjectFormat = "sha1") -> ObjectFormat:
    """``sha1`` or ``sha256``, by the length of the ledger's object ids."""
    return next((OID_LENGTHS[len(oid)] for oid in ledger.tips), default)


def prerequisites(parent: RefsLedger) -> frozenset[str]:
    """The commits an increment names as already held: the parent's branch tips.

    Tags are left out: a tag may point at a blob or a tree, and git refuses to unbundle a bundle
    whose prerequisite is not a commit (gitformat-bundle). The set is a guard, not an inventory,
    so leaving some out loses nothing.
    """
    return parent.branch_tips


def header(ledger: RefsLedger, required: Iterable[str], fmt: str) -> bytes:
    """A bundle header that lists every ref of `ledger`, changed or not.

    git's own `bundle create` lists only what it packs; then a pruning fetch would delete the rest.
    A detached HEAD is listed as ``HEAD``: no ref holds its commit.
    """
    lines = [b"# v2 git bundle\n"] if fmt == "sha1" else [b"# v3 git bundle\n", b"@object-format=sha256\n"]
    lines += (b"-%b \n" % oid.encode() for oid in sorted(required))
    if ledger.head_oid:
        lines.append(b"%b HEAD\n" % ledger.head_oid.encode())
    lines += (b"%b %b\n" % (ref.oid.encode(), ref.name) for ref in ledger.refs)
    lines.append(b"\n")
    return b"".join(lines)


@dataclass(frozen=True)
class BundleHeader:
    """What a bundle's header says: object format, prerequisite ids, refs by name, and its length in bytes."""

    object_format: str
    prerequisites: frozenset[str]
    refs: dict[bytes, str]
    length: int

    def matches(self, ledger: RefsLedger) -> bool:
        """Whether the header lists exactly the ledger's refs."""
        return self.refs == ledger.oids


def parse_header(data: bytes) -> BundleHeader | None:
    """Read a bundle's header from its first bytes; None if more bytes are needed.

    Raises Unavailable if the bytes are no bundle.
    """
    end = data.find(b"\n\n")
    if end < 0:
        if len(data) > MAX_HEADER or not b"# v2 git bundle\n".startswith(data[:16].replace(b"v3", b"v2")):
            raise _bad("does not begin as one")
        return None
    signature, *lines = data[:end].split(b"\n")
    if signature not in (b"# v2 git bundle", b"# v3 git bundle"):
        raise _bad("does not begin as one")
    fmt, required, refs = "sha1", set(), {}
    for line in lines:
        oid, _, name = line.removeprefix(b"-").partition(b" ")
        if line == b"@object-format=sha256":
            fmt = "sha256"
        elif not is_oid(oid):
            raise _bad("has a header line that is not one")
        elif line.startswith(b"-"):
            required.add(oid.decode())
        else:
            refs[name] = oid.decode()
    return BundleHeader(fmt, frozenset(required), refs, end + 2)


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
        """Take the next bytes. Raises Unavailable if the stream does not begin as a pack."""
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
        """The pack's checksum in hex. Raises Unavailable if the stream was short or altered."""
        if self.bytes < 12 + self._size:
            raise Unavailable(
                f"the pack ended after {self.bytes} bytes",
                code="pack-short",
                hint="the origin or something before it cut the transfer; try again",
            )
        if self._hash.digest() != self._tail:
            raise Unavailable(
                f"the pack's checksum is wrong after {self.bytes} bytes: it was cut or altered on its way",
                code="pack-checksum",
                hint="try again; if it stays, run `git fsck` at the origin and look for a proxy in between",
            )
        return self._tail.hex()


def pack_objects(head: bytes) -> int:
    """The object count in a pack's first 12 bytes. Raises Unavailable if they are no pack's."""
    signature, version, count = struct.unpack(">4sII", head[:12])
    if signature != b"PACK" or version not in (2, 3):
        raise Unavailable(
            "the origin sent something else than a pack",
            code="not-a-pack",
            hint="check the origin with `git clone`; a proxy may have answered instead",
        )
    return int(count)


def strip_header(feed: Callable[[memoryview], None]) -> Callable[[memoryview], BundleHeader | None]:
    """A consumer of a bundle's bytes that passes the pack on to `feed`, and returns the header once read."""
    held = bytearray()
    parsed: list[BundleHeader] = []

    def take(data: memoryview) -> BundleHeader | None:
        if parsed:
            feed(data)
            return parsed[0]
        held.extend(data)
        found = parse_header(bytes(held))
        if found is not None:
            parsed.append(found)
            feed(memoryview(bytes(held))[found.length :])
        return found

    return take


def _bad(what: str) -> Unavailable:
    return Unavailable(
        f"the stored bundle {what}",
        code="bad-bundle",
        hint="the object was altered or is not ours; run `snapshotter verify` on this snapshot",
    )
