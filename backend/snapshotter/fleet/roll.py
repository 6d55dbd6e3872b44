"""Every repository of a run, in a few arrays: as objects a million of them would take a gigabyte and more."""

from __future__ import annotations

from array import array
from typing import Final

import msgspec

from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.entries import Entry
from snapshotter.fleet.outcome import Task

MOST_WEIGHT: Final = (1 << 63) - 1
_APART: Final = "\0"  # is in no path of an origin; a forge's words are anybody's


class _Shared(msgspec.Struct, frozen=True):
    """What many repositories have alike."""

    source: str
    labels: dict[str, str]
    options: RequestedOptions
    optional: bool


class Roll:
    """The repositories of a run by their index, from 0 on. `hosts` are named as in `Origin.netloc`; "" has the paths.

    `weights` are bytes, 0 where nobody knows. `tries` counts what was begun of each, and `deaths` the workers that were
    lost over it.
    """

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.host_of = array("I")
        self.weights = array("Q")
        self.tries = array("B")
        self.deaths = array("B")
        self._host_index: dict[str, int] = {}
        self._texts = bytearray()
        self._ends = array("Q")
        self._shared: list[_Shared] = []
        self._shared_of = array("I")
        self._shared_index: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, entry: Entry, repo: str, weight: int) -> int:
        """Take an entry, whose name in keys is `repo`. Returns its index."""
        origin = entry.origin
        host = self._host_index.setdefault(origin.netloc, len(self.hosts))
        if host == len(self.hosts):
            self.hosts.append(origin.netloc)
        fields = (origin.url, repo, entry.path, entry.id)
        text = _APART.join(field.replace(_APART, "\ufffd") for field in fields)
        self._texts += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._texts))
        self.host_of.append(host)
        self.weights.append(min(max(weight, 0), MOST_WEIGHT))
        self.tries.append(0)
        self.deaths.append(0)
        self._shared_of.append(self._share(entry))
        return len(self._ends) - 1

    def is_optional(self, index: int) -> bool:
        """Whether a repository may be none at all: a wiki."""
        return self._shared[self._shared_of[index]].optional

    def task(self, index: int) -> Task:
        """The task of a repository, without what the ledger says."""
        start = self._ends[index - 1] if index else 0
        text = self._texts[start : self._ends[index]].decode("utf-8", "surrogatepass")
        origin, repo, path, id_ = text.split(_APART)
        shared = self._shared[self._shared_of[index]]
        return Task(
            origin=origin,
            repo=repo,
            source=shared.source,
            path=path,
            id=id_,
            optional=shared.optional,
            labels=shared.labels,
            options=shared.options,
            weight=self.weights[index],
            attempt=max(1, self.tries[index]),
        )

    def _share(self, entry: Entry) -> int:
        shared = _Shared(entry.source, dict(entry.labels), entry.options, entry.optional)
        key = msgspec.json.encode(shared)
        index = self._shared_index.setdefault(key, len(self._shared))
        if index == len(self._shared):
            self._shared.append(shared)
        return index
