"""The views that are made of the scans' Parquet tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snapshotter.query import schema
from snapshotter.query.archive_views import create, insert, keys
from snapshotter.query.engine import Engine
from snapshotter.query.left_out import LeftOut
from snapshotter.query.partial_file import PartialFile
from snapshotter.query.snapshot_choice import Snapshot
from snapshotter.query.sources import Sources
from snapshotter.query.table_files import TableFile, TableFiles
from snapshotter.query.views import KEYS, ViewColumn


class ScanViews:
    """Makes views of an engine over the tables of a query's snapshots, and knows the files that they read.

    `files` are all of them, `partials` by table those with holes yet to be filled. `unchecked` says of a file
    whose digest was not checked whose table it is.
    """

    def __init__(self, engine: Engine, sources: Sources, whole: int) -> None:
        """Tables of at most `whole` bytes are read whole."""
        self._engine, self._cancel = engine, sources.cancel
        self._tables = TableFiles(sources, whole)
        self._known = schema.KnownSchemas(sources.cache)
        self._misfits: list[LeftOut] = []
        self.files: set[Path] = set()
        self.partials: dict[str, list[PartialFile]] = {}
        self.unchecked: dict[str, str] = {}

    @property
    def left_out(self) -> list[LeftOut]:
        """The tables that are missing, damaged, or not what they should be."""
        return self._misfits + self._tables.left_out

    def make(self, table: str, snapshots: Sequence[Snapshot]) -> None:
        """Make the view `table`."""
        brought = self._fitting(table, self._tables.bring(table, snapshots))
        columns = (*KEYS, ViewColumn("file", "VARCHAR", ""))
        scans = f"_scans_{table}"
        create(self._engine, scans, columns)
        rows = (keys(each.snapshot) | {"file": str(each.path)} for each, _ in brought)
        insert(self._engine, scans, columns, rows, self._cancel)
        schemas = {each.path: columns for each, columns in brought}
        self._engine.execute(schema.view(table, schemas, scans))
        self.files |= schemas.keys()
        for each, _ in brought:
            if each.sha256 is None:
                key = each.snapshot.run.key
                self.unchecked[str(each.path)] = f"{key.repo}@{key.run_id}: {table}"
        partials = {each.path: each.partial for each, _ in brought if each.partial is not None}
        if partials:
            self.partials[table] = list(partials.values())

    def _fitting(self, table: str, brought: Sequence[TableFile]) -> list[tuple[TableFile, schema.Schema]]:
        """The files whose columns are what the table's should be, with their schemas."""
        schemas = self._known.read(self._engine, {each.path: each.sha256 for each in brought})
        fitting: list[tuple[TableFile, schema.Schema]] = []
        for each in brought:
            columns = schemas[each.path]
            if isinstance(columns, schema.NotParquet):
                self._misfits.append(LeftOut(each.snapshot.run.key, table, columns.why))
            elif wrong := schema.misfit(table, columns):
                self._misfits.append(LeftOut(each.snapshot.run.key, table, wrong))
            else:
                fitting.append((each, columns))
        return fitting
