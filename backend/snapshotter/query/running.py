"""A user's SELECT while it runs: within its time, and with the errors that a user can do something about."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

from snapshotter.base.errors import SnapshotterError
from snapshotter.query.engine import Engine, EngineFailed, Late
from snapshotter.query.refusals import refusal, shortened, too_large, too_slow, unreadable

_PARQUET: Final = re.compile(r"parquet|zstd|snappy|thrift|TProtocol|decompress", re.IGNORECASE)


class Running:
    """SQL that runs within a time limit.

    Only the engine's time counts: a reader of the rows may be as slow as it likes.
    """

    def __init__(
        self,
        engine: Engine,
        seconds: float,
        views: frozenset[str] = frozenset(),
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`views` are those that the SQL names, for hints. `files` tells by its path whose table a large file is."""
        self._engine, self._views, self._files = engine, views, files
        self._seconds, self._left = seconds, seconds

    def execute(self, sql: str) -> None:
        """Begin a statement; its rows come by `fetch`."""
        with self._timed():
            self._engine.execute(sql, seconds=self._left)

    def fetch(self, count: int) -> list[tuple[Any, ...]]:
        """At most `count` more rows, none at the end."""
        with self._timed():
            return self._engine.fetch(count, seconds=self._left)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except Late:
            raise too_slow(self._seconds) from None
        except EngineFailed as error:
            raise self._translated(error) from error
        finally:
            self._left -= time.monotonic() - began

    def _translated(self, error: EngineFailed) -> SnapshotterError:
        """The error for what DuckDB says: about the SQL (exit 2), or about memory or the data that it read (exit 4).

        Only files whose digest was not checked can hold what no writer of ours wrote.
        """
        if error.kind == "memory":
            return too_large(self._engine.memory)
        text = shortened(str(error))
        named = [name for path, name in self._files.items() if path in str(error)]
        unfit = error.kind == "input" and self._files and (named or _PARQUET.search(text))
        if error.kind in ("sql", "input") and not unfit:
            return refusal(text, self._views)
        return unreadable(" or ".join(named or sorted(set(self._files.values()))[:3]) or "a table", text)
