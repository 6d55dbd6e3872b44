"""Which process analyses which blob next.

A process compiles a grammar's query at its first blob, which may take longer than a small repository's files of that
language. So a language is one process's, until it has so many bytes left that another one's help pays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Set
from typing import Final, Generic, NamedTuple, TypeVar

from snapshotter.scan.symbols.languages import LANGUAGES

Key = TypeVar("Key")

WORTH: Final = 128 * 1024  # bytes of source that take about as long as a query's compilation


class QueuedBlob(NamedTuple, Generic[Key]):
    """A blob to analyse: the caller's name for it, its language and its size in bytes."""

    key: Key
    language: str
    size: int


def family(language: str) -> str:
    """What languages are routed as one: those of one grammar, and C with C++, since a header may be either."""
    name = LANGUAGES.get(language, language)
    return "c" if name == "cpp" else name


class Queues(Generic[Key]):
    """Jobs that wait, by family; those of one family keep their order."""

    def __init__(self, jobs: Iterable[QueuedBlob[Key]]) -> None:
        self._waiting: dict[str, deque[QueuedBlob[Key]]] = {}
        self._bytes: dict[str, int] = {}
        for job in jobs:
            name = family(job.language)
            self._waiting.setdefault(name, deque()).append(job)
            self._bytes[name] = self._bytes.get(name, 0) + job.size

    def take(self, mine: Set[str], others: Set[str]) -> QueuedBlob[Key] | None:
        """The next job of a process that has read the families `mine`, while others have read `others`.

        None leaves what waits to the others: each of it is of a family that they have read.
        """
        mine_first = (
            [name for name in self._waiting if name in mine],
            [name for name in self._waiting if name not in others],
            [name for name in self._waiting if self._bytes[name] > WORTH],
        )
        for names in mine_first:
            if names:
                return self._pop(max(names, key=self._bytes.__getitem__))
        return None

    def _pop(self, name: str) -> QueuedBlob[Key]:
        job = self._waiting[name].popleft()
        self._bytes[name] -= job.size
        if not self._waiting[name]:
            del self._waiting[name]
        return job
