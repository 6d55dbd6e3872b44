"""The same work for each of many repos: trouble with one costs no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.store.backend import READS_AT_ONCE

T = TypeVar("T")


class Unread(NamedTuple):
    """A repo of which something could not be read, and why."""

    repo: str
    error: SnapshotterError

    def __str__(self) -> str:
        return f"{printable(self.repo)}: {self.error.message}"


@dataclass(frozen=True)
class OfEach(Generic[T]):
    """What came of the work for each repo, in the order asked for, and of which repos nothing came."""

    results: dict[str, T]
    unread: list[Unread]


def of_each(repos: Iterable[str], work: Callable[[str], T], *, at_once: int = READS_AT_ONCE) -> OfEach[T]:
    """Do `work` for each repo, `at_once` at a time.

    Unavailable or AccessDenied of one repo is kept, unless it is so with all: then the trouble is the store's, and
    the first is raised. Any other error is raised at once.
    """

    def attempt(repo: str) -> tuple[str, T | Unread]:
        try:
            return repo, work(repo)
        # No other error: an interruption, or a fault of this program, ends the work for all.
        except (Unavailable, AccessDenied) as error:
            return repo, Unread(repo, error)

    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(attempt, repos))
    unread = [answer for _, answer in answers if isinstance(answer, Unread)]
    if unread and len(unread) == len(answers):
        raise unread[0].error
    return OfEach({repo: answer for repo, answer in answers if not isinstance(answer, Unread)}, unread)


def raise_if_all_denied(answers: Iterable[object]) -> None:
    """Raise the first of several answers if each is an AccessDenied: then it is this user who may read nothing."""
    every = list(answers)
    denied = [answer for answer in every if isinstance(answer, AccessDenied)]
    if denied and len(denied) == len(every):
        raise denied[0]
