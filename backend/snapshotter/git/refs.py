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

import fnmatch
import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, plural, printable

HEADS = b"refs/heads/"
ObjectFormat = Literal["sha1", "sha256"]
OID_LENGTHS: dict[int, ObjectFormat] = {40: "sha1", 64: "sha256"}
# The hosts' synthetic merges change by themselves and would defeat `unchanged`.
SYNTHETIC_MERGES = ("refs/pull/*/merge", "refs/merge-requests/*/merge")

_OID = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")  # \Z: a $ would let a line end through
# git-check-ref-format(1): what no ref name holds; the rest of its rules are in `valid_name`.
_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
_MAX_NAME = 4000
_SHOWN = 3  # refs that a sentence names
# Of a ref that is a file: git adds .lock to the last component, and file systems take 255 bytes of each.
_MAX_COMPONENT, _MAX_FILE_NAME = 250, 1024


class Ref(NamedTuple):
    """One ref. `peeled` is what an annotated tag points at; `symref` the target of an alias."""

    name: bytes
    oid: str
    peeled: str | None = None
    symref: bytes | None = None


@dataclass(frozen=True)
class RefsLedger:
    """All refs of one moment, sorted by name, and HEAD: a symbolic target or a detached commit."""

    refs: tuple[Ref, ...] = ()
    head_target: bytes | None = None
    head_oid: str | None = None

    @classmethod
    def build(
        cls, refs: Iterable[Ref], head_target: bytes | None = None, head_oid: str | None = None
    ) -> RefsLedger:
        """A ledger of refs in any order; aliases that could not be restored as such are plain refs in it.

        Raises Unusable for a name that git itself would refuse, for a name listed twice, and
        for object ids of mixed lengths: such a list comes from a broken or hostile server.
        """
        return cls._checked(refs, head_target, head_oid).restorable

    @classmethod
    def _checked(cls, refs: Iterable[Ref], head_target: bytes | None, head_oid: str | None) -> RefsLedger:
        """A ledger of refs in any order, as they are given. Raises as `build` does."""
        ordered = sorted(refs, key=lambda ref: ref.name)
        for before, ref in pairwise(ordered):
            if before.name == ref.name:
                raise _bad(f"lists {printable(decode_name(ref.name))} twice")
        for ref in ordered:
            if not ref.name.startswith(b"refs/") or not valid_name(ref.name):
                raise _bad(f"names a ref that git does not allow: {printable(decode_name(ref.name))[:200]}")
            if ref.symref is not None and not valid_name(ref.symref):
                raise _bad(
                    f"names a symbolic ref's target that git does not allow ({printable(decode_name(ref.name))})"
                )
        if head_target is not None and not (head_target.startswith(b"refs/") and valid_name(head_target)):
            raise _bad(
                f"points HEAD at a name that git does not allow: {printable(decode_name(head_target))[:200]}"
            )
        lengths = {len(oid) for ref in ordered for oid in (ref.oid, ref.peeled or ref.oid)}
        if head_oid:
            lengths.add(len(head_oid))
        if len(lengths) > 1:
            raise _bad("lists object ids of different lengths")
        return cls(tuple(ordered), head_target, head_oid)

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
        held = set(names)
        kept = {
            ref.name
            for ref in aliases
            if plain.get(ref.symref or b"") == ref.oid and _may_be_a_file(ref.name, names, held)
        }
        if len(kept) == len(aliases):
            return self
        refs = (ref if ref.name in kept else ref._replace(symref=None) for ref in self.refs)
        return RefsLedger(tuple(refs), self.head_target, self.head_oid)

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

    @property
    def head_text(self) -> str | None:
        """HEAD for the manifest: the symbolic target, or the commit when detached."""
        return decode_name(self.head_target) if self.head_target is not None else self.head_oid

    def __iter__(self) -> Iterator[Ref]:
        return iter(self.refs)

    def __len__(self) -> int:
        return len(self.refs)


def parse_ledger(data: bytes) -> RefsLedger:
    """Read `refs.txt`. Raises Unusable for anything but the exact bytes that `RefsLedger.encoded` would write."""
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
            raise _bad(
                f"holds a line that is not one: {printable(decode_name(line))[:120]}", "the refs ledger"
            )
    ledger = RefsLedger._checked(refs, head_target, head_oid)
    if ledger.encoded != data:
        raise _bad("is not in its canonical form", "the refs ledger")
    return ledger


def is_oid(text: bytes) -> bool:
    """Whether `text` is a full object id, SHA-1 or SHA-256, in lower-case hex."""
    return _OID.match(text) is not None


def valid_name(name: bytes) -> bool:
    """Whether git allows this full ref name (git-check-ref-format), and it is of a storable length."""
    return (
        0 < len(name) <= _MAX_NAME
        and not _FORBIDDEN.search(name)
        and not name.startswith((b"-", b"/", b"."))
        and not name.endswith((b"/", b"."))
        and name != b"@"
    )


def named(names: Sequence[bytes]) -> str:
    """Refs in words, safe to show: the first few by their names, and how many more there are."""
    shown = ", ".join(printable(decode_name(name))[:200] for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {plural(len(names) - _SHOWN, 'more ref')}"


def clashing(ledger: RefsLedger) -> list[bytes]:
    """The refs that lie below another ref's name: refs/heads/a/b beside refs/heads/a.

    Only a packed-refs file can hold both. `restore` writes such a file and so brings both back; a restore by
    hand, with `git fetch`, brings one of them.
    """
    names = {ref.name for ref in ledger}
    return [ref.name for ref in ledger if any(folder in names for folder in _folders(ref.name))]


def _may_be_a_file(name: bytes, names: Sequence[bytes], held: Set[bytes]) -> bool:
    """Whether git can keep this ref in a file of its own, beside all `names`, which are sorted; `held` has them too.

    Only plain refs can be in packed-refs, which holds any names.
    """
    if len(name) > _MAX_FILE_NAME or max(map(len, name.split(b"/"))) > _MAX_COMPONENT:
        return False
    below = bisect_left(names, name + b"/")
    a_folder = name + b"/" == HEADS or (below < len(names) and names[below].startswith(name + b"/"))
    return not a_folder and held.isdisjoint(_folders(name))


def _folders(name: bytes) -> Iterator[bytes]:
    at = len(name)
    while (at := name.rfind(b"/", 0, at)) > 0:
        yield name[:at]


def select(
    ledger: RefsLedger, include: Sequence[str], exclude: Sequence[str]
) -> tuple[RefsLedger, list[bytes]]:
    """The ledger less the refs that the patterns leave out, and the names left out.

    A pattern is a full ref name in which ``*`` matches any characters, slashes too; without
    ``include`` every ref is in. HEAD stays as it is: what it points at may then be left out.
    """
    wanted = _matcher(include) if include else None
    unwanted = _matcher(exclude) if exclude else None
    chosen, left_out = [], []
    for ref in ledger:
        name = ref.name.decode("latin-1")
        if (wanted is None or wanted.match(name)) and not (unwanted and unwanted.match(name)):
            chosen.append(ref)
        else:
            left_out.append(ref.name)
    if not left_out:
        return ledger, []
    return RefsLedger.build(chosen, ledger.head_target, ledger.head_oid), left_out


def _matcher(patterns: Sequence[str]) -> re.Pattern[str]:
    # A name may be any bytes, so patterns are matched byte by byte: latin-1 makes one character of each.
    translated = (fnmatch.translate(p.encode().decode("latin-1")) for p in patterns)
    return re.compile("|".join(translated))


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


def _bad(what: str, who: str = "the origin") -> Unusable:
    return Unusable(
        f"{who} {what}",
        code="bad-refs",
        hint="a snapshot of such refs could not be restored; check the origin with `git ls-remote`",
    )
