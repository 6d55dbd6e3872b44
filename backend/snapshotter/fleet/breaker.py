"""Whether a host is asked at all: one that cannot be reached is left alone, tried by one repository at a time, and at
last given up. A state machine without a clock of its own: the caller says what time it is, in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

State = Literal["closed", "open", "trying", "given-up"]

PAUSES: Final = (5.0, 15.0, 45.0, 120.0)  # seconds before each try


class Breaker:
    """One host's. `trips_after` tries in a row in vain open it; each success closes it."""

    def __init__(self, trips_after: int, pauses: Sequence[float] = PAUSES) -> None:
        self._trips_after, self._pauses = trips_after, pauses
        self._in_vain = self._opened = 0
        self._until = 0.0
        self._trying = False

    def state(self, now: float) -> State:
        """Closed: ask. Open: wait. Trying: one may ask, unless one does already. Given up: nobody asks any more."""
        if not self._opened:
            return "closed"
        if self.is_given_up:
            return "given-up"
        return "open" if now < self._until or self._trying else "trying"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody asks any more."""
        return self._opened > len(self._pauses)

    @property
    def until(self) -> float:
        """When an open one may be tried."""
        return self._until

    def try_one(self) -> None:
        """The one try begins."""
        self._trying = True

    def reached(self) -> None:
        """The host answered, whatever it said."""
        self._in_vain = self._opened = 0
        self._trying = False

    def missed(self, now: float, count: int = 1) -> None:
        """The host could not be reached, by `count` repositories in a row: 0 if all of them had been counted before,
        which says something only as the one try."""
        self._in_vain += count
        if self._opened and not self._trying:
            return  # what had been on its way before it opened says nothing new
        if self._in_vain >= self._trips_after:
            self._opened += 1
            self._trying = False
            if self._opened <= len(self._pauses):
                self._until = now + self._pauses[self._opened - 1]

    def unknown(self) -> None:
        """The try ended without an answer about the host."""
        self._trying = False
