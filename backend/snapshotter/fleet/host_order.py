"""Which of many hosts is next, without a look at each: those that may be asked by their rank, the others by when they
may be. What is asked about a host is asked when something changed about it."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Rank = tuple[int, int]

Look = Callable[[int], tuple[Rank | None, float | None]]
"""Tells of a host, by its number, its rank if it may be asked now, the least first; else when that may change by time
alone, None if it does not."""


class HostOrder:
    """The order of hosts, numbered from 0 on. A question costs the logarithm of their number, for each that changed."""

    def __init__(self) -> None:
        self._ranks: list[Rank | None] = []
        self._ready: list[tuple[Rank, int]] = []  # a heap; an entry counts while the host's rank is that
        self._later: list[tuple[float, int]] = []  # a heap, in which a host may be several times
        self._changed: set[int] = set()

    def add(self) -> None:
        """Know one host more."""
        self._changed.add(len(self._ranks))
        self._ranks.append(None)

    def changed(self, number: int) -> None:
        """Look at a host again, before the next answer."""
        self._changed.add(number)

    def first(self, now: float, look: Look) -> int | None:
        """The host with the least rank. Returns None if none may be asked now."""
        self._settle(now, look)
        while self._ready:
            rank, number = self._ready[0]
            if self._ranks[number] == rank:
                return number
            heapq.heappop(self._ready)
        return None

    def wake(self, now: float, look: Look) -> float | None:
        """When `first` may have another answer by time alone; None if it never does."""
        self._settle(now, look)
        while self._later:
            time, number = self._later[0]
            if look(number)[1] is not None:
                return time
            heapq.heappop(self._later)
        return None

    def _settle(self, now: float, look: Look) -> None:
        while self._later and self._later[0][0] <= now:
            self._changed.add(heapq.heappop(self._later)[1])
        for number in self._changed:
            rank, time = look(number)
            if rank is not None and rank != self._ranks[number]:
                heapq.heappush(self._ready, (rank, number))
            if rank is None and time is not None:
                heapq.heappush(self._later, (time, number))
            self._ranks[number] = rank
        self._changed.clear()
