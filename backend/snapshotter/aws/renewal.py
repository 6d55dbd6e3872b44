"""Credentials for a while: kept as long as they last, and fetched anew in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from snapshotter.base.errors import NoCredentials

# botocore's own two limits: from the first on they are renewed if that succeeds, from the second on they must be.
_SOON: Final = timedelta(minutes=15)
_NOW: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class SessionKeys:
    """Keys that end at `expires_at`, an aware time; None if they never do."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    expires_at: datetime | None = None


class RenewedKeys:
    """Keys that `fetch` gives, fetched again before they end. Safe to share between threads."""

    def __init__(self, fetch: Callable[[], SessionKeys]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._keys: SessionKeys | None = None

    def __call__(self) -> SessionKeys:
        """The keys in force. Raises what `fetch` raises, unless those at hand still last."""
        keys = self._keys
        if keys is not None and not _ends_within(keys, _SOON):
            return keys
        if keys is not None and not _ends_within(keys, _NOW):
            return self._renewed_early(keys)
        with self._lock:
            if self._keys is None or _ends_within(self._keys, _NOW):
                self._keys = self._fetch()
            return self._keys

    def _renewed_early(self, keys: SessionKeys) -> SessionKeys:
        """Newer keys; these where another thread fetches them already, or where none can be had yet."""
        if self._lock.acquire(blocking=False):
            try:
                self._keys = keys = self._fetch()
            except NoCredentials:
                pass
            finally:
                self._lock.release()
        return keys


def _ends_within(keys: SessionKeys, time: timedelta) -> bool:
    return keys.expires_at is not None and keys.expires_at - datetime.now(UTC) < time
