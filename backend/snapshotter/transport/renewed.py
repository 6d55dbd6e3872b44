"""A credential that can be had anew: kept until it expires or a host refuses it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from snapshotter.git.origin import Credential

_MARGIN: Final = (
    300.0  # seconds before its end at which a credential is renewed: a host's clock may be ahead of ours
)


class Issued(Struct, frozen=True):
    """A credential, and until when it is good: seconds since 1970, UTC."""

    credential: Credential
    until: float = math.inf


class RenewedCredential:
    """The newest credential of one source; safe to share between threads. `make` gets another one."""

    def __init__(self, make: Callable[[], Issued], clock: Callable[[], float] = time.time) -> None:
        self._make, self._clock = make, clock
        self._lock = threading.Lock()
        self._newest: Issued | None = None
        self._given: set[Credential] = set()

    def gave(self, credential: Credential) -> bool:
        """Whether this credential came from here."""
        return credential in self._given

    def credential(self, refused: Credential | None = None) -> Credential:
        """The newest credential; another one if that was refused, or will soon have expired. Raises as `make` does.

        The refused one is named: of many threads that it was refused to, the first alone asks for another.
        """
        with self._lock:
            newest = self._newest
            if newest is None or newest.credential == refused or newest.until - self._clock() < _MARGIN:
                newest = self._newest = self._make()
                self._given.add(newest.credential)
            return newest.credential
