"""The refs ledger: every ref with its object id, and symbolic HEAD, at the time of a run.

`refs.txt` holds raw bytes, one line each, sorted by ref name:

    @refs/heads/main HEAD             symbolic HEAD (its target may not exist: a dangling HEAD)
    <oid> HEAD                        or, instead, a detached HEAD
    <oid> refs/heads/main
    <oid> refs/heads/alias
    @refs/heads/main refs/heads/alias after the line of a symbolic ref: of a plain ref above or below, with the same id
    <oid> refs/tags/v1
    ^<oid>                            after the line of an annotated tag: what it peels to
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, printable
from snapshotter.git.ref_names import HEADS, may_be_a_file, possible_name, shown

ObjectFormat = Literal["sha1", "sha256"]
FORMATS: dict[bytes, ObjectFormat] = {b"sha1": "sha1", b"sha256": "sha256"}  # by what servers call them
OID_LENGTHS: dict[int, ObjectFormat] = {40: "sha1", 64: "sha256"}
# The hosts' synthetic merges change by themselves and would defeat `unchanged`.
SYNTHETIC_MERGES = ("refs/pull/*/merge", "refs/merge-requests/*/merge")

_OID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")  # \Z: a $ would let a line end through


class Ref(NamedTuple):
    """One ref. `peeled` is what an annotated tag points at; `symref` the target of an alias."""

    name: bytes
    oid: str
    peeled: str | None = None
    symref: bytes | None = None


@dataclass(frozen=True)
class RefListing:
    """The refs that an origin lists at one moment, as it lists them: nothing says yet that they can be.

    HEAD is a symbolic target or a detached commit; `head_guessed` tells that the origin did not say where it points.
    """

    refs: tuple[Ref, ...] = ()
    head_target: bytes | None = None
    head_oid: str | None = None
    object_format: ObjectFormat = "sha1"
    head_guessed: bool = field(default=False, compare=False)

    @cached_property
    def oids(self) -> Mapping[bytes, str]:
        """Object id by ref name; a detached HEAD is there as ``HEAD``."""
        mapping = {ref.name: ref.oid for ref in self.refs}
        if self.head_oid:
            mapping[b"HEAD"] = self.head_oid
        return mapping

    @cached_property
    def tips(self) -> frozenset[str]:
        """Every object id that a ref (or a detached HEAD) points at."""
        return frozenset(self.oids.values())

    @property
    def head_text(self) -> str | None:
        """HEAD for the manifest: the symbolic target, or the commit when detached."""
        return decode_name(self.head_target) if self.head_target is not None else self.head_oid

    def __iter__(self) -> Iterator[Ref]:
        return iter(self.refs)

    def __len__(self) -> int:
        return len(self.refs)


@dataclass(frozen=True)
class RefsLedger(RefListing):
    """All refs of one moment that a repository can hold, sorted by name, and HEAD."""

    @classmethod
    def build(
        cls,
        refs: Iterable[Ref],
        head_target: bytes | None = None,
        head_oid: str | None = None,
        object_format: ObjectFormat | None = None,
    ) -> RefsLedger:
        """A ledger of refs in any order; aliases that could not be restored as such are plain refs in it.

        Without an `object_format` it is that of the ids. Raises Unusable for a name that git itself would refuse,
        for a name listed twice, and for object ids of another format.
        """
        return cls._checked(refs, head_target, head_oid, object_format).restorable

    @classmethod
    def _checked(
        cls,
        refs: Iterable[Ref],
        head_target: bytes | None,
        head_oid: str | None,
        object_format: ObjectFormat | None,
    ) -> RefsLedger:
        """A ledger of refs in any order, as they are given. Raises as `build` does."""
        ordered = tuple(sorted(refs, key=lambda ref: ref.name))
        for before, ref in pairwise(ordered):
            if before.name == ref.name:
                raise _bad_refs(f"lists {shown(ref.name)} twice")
        for ref in ordered:
            if not possible_name(ref.name):
                raise _bad_refs(f"names a ref that git does not allow: {shown(ref.name)}")
        if head_target is not None and not possible_name(head_target):
            raise _bad_refs(f"points HEAD at a name that git does not allow: {shown(head_target)}")
        ledger = cls(ordered, head_target, head_oid, object_format or format_of(ordered, head_oid))
        ledger._check_format()
        return ledger

    @cached_property
    def restorable(self) -> RefsLedger:
        """This ledger, in which every alias is one that git can hold and that says what the refs say.

        An alias stays one only where its target is a plain ref of the same id, and where its name can be a file
        of its own beside the other refs'. Any other is the plain ref that was listed: a busy origin lists an alias
        and its target at two moments, a hostile one lists loops. Ledgers of schema version 1 may hold such aliases.
        """
        aliases = [ref for ref in self.refs if ref.symref is not None]
        if not aliases:
            return self
        plain = {ref.name: ref.oid for ref in self.refs if ref.symref is None}
        names = [ref.name for ref in self.refs]
        distinct = set(names)
        kept = {
            ref.name
            for ref in aliases
            if plain.get(ref.symref or b"") == ref.oid and may_be_a_file(ref.name, names, distinct)
        }
        if len(kept) == len(aliases):
            return self
        refs = (ref if ref.name in kept else ref._replace(symref=None) for ref in self.refs)
        return replace(self, refs=tuple(refs))

    def _check_format(self) -> None:
        ids = [(ref.name, oid) for ref in self.refs for oid in (ref.oid, ref.peeled or ref.oid)]
        ids += [(b"HEAD", self.head_oid)] if self.head_oid else []
        for name, oid in ids:
            if OID_LENGTHS[len(oid)] != self.object_format:
                raise _bad_refs(f"lists an object id that is not {self.object_format}, of {shown(name)}")

    @cached_property
    def branch_tips(self) -> frozenset[str]:
        """The object ids of `refs/heads/*`."""
        return frozenset(ref.oid for ref in self.refs if ref.name.startswith(HEADS))

    @cached_property
    def encoded(self) -> bytes:
        """The bytes of `refs.txt`."""
        return b"".join(_lines(self))

    @cached_property
    def sha256(self) -> str:
        """The ledger's digest: two moments with the same one have the same refs and HEAD."""
        return hashlib.sha256(self.encoded).hexdigest()


def parse_ledger(data: bytes, object_format: ObjectFormat | None = None) -> RefsLedger:
    """Read `refs.txt`; without an `object_format` it is that of its ids.

    Raises Unusable for anything but the exact bytes that `RefsLedger.encoded` would write.
    """
    refs: list[Ref] = []
    head_target = head_oid = None
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"^") and refs and _OID.match(line[1:]):
            refs[-1] = refs[-1]._replace(peeled=line[1:].decode())
            continue
        value, _, name = line.partition(b" ")  # an object id, or @ and a symbolic target
        if value.startswith(b"@") and name == b"HEAD":
            head_target = value[1:]
        elif value.startswith(b"@") and refs and refs[-1].name == name:
            refs[-1] = refs[-1]._replace(symref=value[1:])
        elif _OID.match(value) and name == b"HEAD":
            head_oid = value.decode()
        elif _OID.match(value):
            refs.append(Ref(name, value.decode()))
        else:
            raise _bad_refs(
                f"holds a line that cannot be read: {printable(decode_name(line))[:120]}", "the refs ledger"
            )
    ledger = RefsLedger._checked(refs, head_target, head_oid, object_format)
    # The digest stands for the refs: in another form, equal refs would count as changed.
    if ledger.encoded != data:
        raise _bad_refs("is not in its canonical form", "the refs ledger")
    return ledger


def is_oid(text: bytes) -> bool:
    """Whether `text` is a full object id, SHA-1 or SHA-256, in lower-case hex."""
    return _OID.match(text) is not None


def format_of(refs: Iterable[Ref], head_oid: str | None = None) -> ObjectFormat:
    """The object format that ids show by their length, where it is not stated; ``sha1`` if there are no ids."""
    first = next((ref.oid for ref in refs), head_oid)
    return OID_LENGTHS[len(first)] if first else "sha1"


def is_null(oid: str) -> bool:
    """Whether it is the id that stands for no object."""
    return not oid.strip("0")


def _lines(ledger: RefsLedger) -> Iterator[bytes]:
    if ledger.head_target is not None:
        yield b"@%b HEAD\n" % ledger.head_target
    elif ledger.head_oid:
        yield b"%b HEAD\n" % ledger.head_oid.encode()
    for ref in ledger.refs:
        yield b"%b %b\n" % (ref.oid.encode(), ref.name)
        if ref.symref is not None:
            yield b"@%b %b\n" % (ref.symref, ref.name)
        if ref.peeled:
            yield b"^%b\n" % ref.peeled.encode()


def _bad_refs(what: str, who: str = "the origin") -> Unusable:
    return Unusable(
        f"{who} {what}",
        code="bad-refs",
        hint="a snapshot of such refs could not be restored; check the origin with `git ls-remote`",
    )
