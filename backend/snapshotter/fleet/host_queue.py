"""The repositories of one host that wait: for their turn, for another try, or for a batch of their own."""

from __future__ import annotations

import heapq
import math
from array import array
from collections import deque
from collections.abc import Sequence, Set
from typing import Final

from snapshotter.fleet.time_left import Load

_MOST_WEIGHT: Final = 64 * 1024 * 1024  # bytes in a batch of several: a worker's outcomes come with its last
_UNKNOWN_WEIGHT: Final = 1024 * 1024


def weight_of(weights: Sequence[int], index: int) -> int:
    """About how many bytes a repository is, also if nobody knows."""
    return weights[index] or _UNKNOWN_WEIGHT


class HostQueue:
    """Repositories by their indexes; `weights` are those of all hosts', in bytes, 0 for unknown. Times are seconds."""

    def __init__(self, indexes: Sequence[int], weights: Sequence[int]) -> None:
        """Those that nobody knows the weight of come first, then the largest: a new one has to be taken whole."""
        self._weights = weights
        self._order = array("I", sorted(indexes, key=lambda index: weights[index] or math.inf, reverse=True))
        self._next = 0
        self._later: list[tuple[float, int]] = []  # a heap: when, and which
        self._alone: deque[int] = deque()  # they may have killed a worker
        self.load = Load(len(self._order), sum(weight_of(weights, index) for index in self._order))

    @property
    def left(self) -> int:
        """How many wait."""
        return len(self._order) - self._next + len(self._later) + len(self._alone)

    @property
    def opens(self) -> float:
        """When the first that is to be tried again may be. Infinite without one."""
        return self._later[0][0] if self._later else math.inf

    def has_ready(self, now: float) -> bool:
        """Whether any may begin."""
        return self._next < len(self._order) or bool(self._alone) or self.opens <= now

    def again(self, index: int, at: float, *, alone: bool) -> None:
        """Put one back, not to begin before `at`; with `alone`, at any time and in a batch of its own."""
        if alone:
            self._alone.append(index)
        else:
            heapq.heappush(self._later, (at, index))

    def taken(self, now: float, count: int) -> list[int]:
        """The next batch, of at most so many; fewer if they are large."""
        if self._alone:
            return [self._alone.popleft()]
        taken: list[int] = []
        weight = 0
        while len(taken) < count and self.has_ready(now):
            is_again = self.opens <= now
            index = self._later[0][1] if is_again else self._order[self._next]
            weight += weight_of(self._weights, index)
            if taken and weight > _MOST_WEIGHT:
                break
            taken.append(index)
            if is_again:
                heapq.heappop(self._later)
            else:
                self._next += 1
        return taken

    def probe(self, now: float, missed: Set[int]) -> int:
        """One of those that may begin, to see whether the host is up: none of those that `missed` it, if there is
        another."""
        if self._next < len(self._order) and not self._alone:
            self._next += 1
            return self._order[self._next - 1]
        for place, (at, index) in enumerate(self._later):
            if at <= now and index not in missed:
                self._later[place] = self._later[-1]
                self._later.pop()
                heapq.heapify(self._later)
                return index
        return self.taken(now, 1)[0]

    def emptied(self) -> list[int]:
        """All that wait: nobody does any more."""
        left = [*(index for _, index in self._later), *self._order[self._next :], *self._alone]
        self._next = len(self._order)
        self._later.clear()
        self._alone.clear()
        return left
