"""The repositories of a plan, many of them: each is an object only while somebody looks at it.

As objects a million of them would take a gigabyte; packed, a tenth of it.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, overload

import msgspec

from snapshotter.capture.plan import RequestedOptions
from snapshotter.git.origin import Origin

_APART: Final = "\0"  # is in no path of an origin; a forge's words are anybody's
_UNKNOWN: Final = -1  # in place of a size


@dataclass(frozen=True, slots=True)
class Entry:
    """A repository that would be taken, and `why`.

    `source` is the title of the one that lists it first, "" if none does; `path` and `id` are what it calls it.
    `optional` says that it may be none at all: forges tell that a wiki is switched on, not that it has a page.
    `bytes` is what the source says that it weighs.
    """

    origin: Origin
    why: str
    source: str
    path: str
    id: str
    labels: Mapping[str, str]
    options: RequestedOptions
    optional: bool = False
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Alike:
    """What many entries have alike; of the origin, all but its path."""

    origin: Origin
    source: str
    labels: Mapping[str, str]
    options: RequestedOptions
    optional: bool


class Entries(Sequence[Entry]):
    """Entries in the order in which they were added. Credentials of origins are not kept."""

    def __init__(self) -> None:
        self._texts = bytearray()
        self._ends = array("Q")
        self._bytes = array("q")
        self._alike_of = array("I")
        self._alike: list[_Alike] = []
        self._index: dict[bytes, int] = {}
        self._instead: dict[int, Entry] = {}

    def add(self, entry: Entry) -> int:
        """Take an entry at the end. Returns its index."""
        fields = (entry.origin.path, entry.why, entry.path, entry.id)
        text = _APART.join(field.replace(_APART, "\ufffd") for field in fields)
        self._texts += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._texts))
        self._bytes.append(_UNKNOWN if entry.bytes is None else max(0, min(entry.bytes, (1 << 63) - 1)))
        self._alike_of.append(self._shared(entry))
        return len(self._ends) - 1

    def put(self, index: int, entry: Entry) -> None:
        """Have another entry in the place of one; few of them."""
        self._instead[index] = entry

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return self._instead.get(at) or self._unpacked(at)

    def _unpacked(self, at: int) -> Entry:
        start = self._ends[at - 1] if at else 0
        text = self._texts[start : self._ends[at]].decode("utf-8", "surrogatepass")
        path, why, listed, id_ = text.split(_APART)
        alike = self._alike[self._alike_of[at]]
        return Entry(
            origin=replace(alike.origin, path=path),
            why=why,
            source=alike.source,
            path=listed,
            id=id_,
            labels=alike.labels,
            options=alike.options,
            optional=alike.optional,
            bytes=None if self._bytes[at] == _UNKNOWN else self._bytes[at],
        )

    def _shared(self, entry: Entry) -> int:
        origin = entry.origin
        place = (origin.scheme, origin.host, origin.port, origin.user)
        key = msgspec.json.encode((place, entry.source, dict(entry.labels), entry.options, entry.optional))
        index = self._index.setdefault(key, len(self._alike))
        if index == len(self._alike):
            bare = replace(origin, path="", credential=None)
            self._alike.append(_Alike(bare, entry.source, entry.labels, entry.options, entry.optional))
        return index
