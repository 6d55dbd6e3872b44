"""A machine that works for fleets: it looks for the scheduler of a run, works for it, and looks for the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.base.observer import Observer
from snapshotter.fleet.meeting_place import MeetingPlace

_POLL: Final = 15.0  # seconds between two looks for a scheduler
_AGAIN: Final = 120.0  # seconds for which one that did not answer is passed over


@dataclass
class Working:
    """`find` tells which schedulers there are, the best first; `serve` works for one until it is gone.

    A scheduler that cannot be reached is passed over for a while: runs that were killed leave their addresses behind.
    """

    find: Callable[[], Sequence[MeetingPlace]]
    serve: Callable[[MeetingPlace], None]
    observer: Observer
    cancel: Cancel
    _silent: dict[MeetingPlace, float] = field(default_factory=dict)

    def forever(self) -> None:
        """Until a cancellation, whose error is raised. A store that does not answer is asked again, after a warning."""
        while True:
            self.cancel.check()
            if not self.once():
                self.observer.stage("waiting for the scheduler of a run")
                self.cancel.sleep(_POLL)

    def once(self) -> bool:
        """Work for the first scheduler that answers, to its end. Returns whether one did."""
        for place in self._found():
            if time.monotonic() < self._silent.get(place, 0.0):
                continue
            self.observer.stage(f"working for {place}")
            try:
                self.serve(place)
            except Unavailable as error:
                self.observer.warn(error.message)
                self._silent[place] = time.monotonic() + _AGAIN
                continue
            self._silent[place] = time.monotonic() + _POLL  # its end may not be listed yet
            return True
        return False

    def _found(self) -> Sequence[MeetingPlace]:
        try:
            return self.find()
        except Unavailable as error:
            self.observer.warn(error.message)
            return ()
