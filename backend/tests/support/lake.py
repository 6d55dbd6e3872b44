"""Stores with scans to ask questions of, and what those tests share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scanstore import ScanStore
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.observer import Observer
from snapshotter.query.left_out import LeftOut
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.store.objects import Store
from tests.support.faults import RecordingStore

DAY = timedelta(days=1)
NOV = datetime(2026, 11, 1, tzinfo=UTC)


class Lake:
    """A store with scans, and questions to it."""

    def __init__(self, store: Store, cache: Path) -> None:
        self.store, self.cache = store, cache
        self.made = ScanStore(store)
        self.left_out: list[LeftOut] = []

    def ask(
        self, sql: str, *, store: Store | None = None, observer: Observer | None = None, **options: Any
    ) -> list[tuple[str | None, ...]]:
        """The rows, every value as text."""
        options.setdefault("cache", self.cache)
        with ask(store or self.store, sql, QueryOptions(**options), observer=observer) as answer:
            rows = list(answer.texts())
            self.left_out = answer.left_out
        return rows


class Counting(RecordingStore):
    """Notes reads by range too, and refuses every read of a key that was not listed before: the bucket would."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.ranged = 0
        self.listed: set[str] = set()

    def list(self, folder: str, **options: Any) -> Any:
        entries = super().list(folder, **options)
        self.listed |= {entry.key for entry in entries}
        return entries

    def get_range(self, key: str, start: int, end: int) -> bytes:
        self._note("get_range", key)
        self.ranged += end - start
        return super().get_range(key, start, end)

    def _note(self, method: str, key: str) -> None:
        if method in ("get", "get_range"):
            assert key in self.listed, f"not listed: {key}"
        super()._note(method, key)

    @property
    def read(self) -> set[str]:
        """The names of the artifacts that were read, less the run's folder."""
        return {
            key.partition("Z-")[2].partition("/")[2] for m, key in self.calls if m in ("get", "get_range")
        }


def file_row(path: str, code: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "path": path,
        "kind": "file",
        "bytes": 10 * code,
        "language": "Python",
        "code": code,
        "blob": f"b{code}",
    } | more


def refused(sql: str, store: Store, **options: Any) -> SnapshotterError:
    with pytest.raises(SnapshotterError) as raised, ask(store, sql, QueryOptions(**options)) as answer:
        list(answer.texts())
    assert raised.value.hint
    return raised.value
