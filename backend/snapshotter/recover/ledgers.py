"""Refs ledgers as a verification reads them: one in memory, and of each that was read whether it is in order."""

from __future__ import annotations

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.manifest import RefsRecord
from snapshotter.base.errors import Unusable
from snapshotter.git.refs import RefsLedger
from snapshotter.recover.outline import Outline


class Ledgers:
    """The refs ledgers of one repo. An unchanged snapshot names its parent's, so it is read once for both."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: set[RefsRecord] = set()
        self._errors: dict[RefsRecord, Unusable] = {}
        self._last: tuple[RefsRecord, RefsLedger] | None = None

    def known(self, outline: Outline) -> bool:
        """Whether the ledger that a snapshot names was read before, and is in order."""
        return outline.refs in self._known

    def read(self, outline: Outline) -> RefsLedger:
        """The ledger that a snapshot names. Raises Unusable if it cannot be used, and what the store raises."""
        refs = outline.refs
        if self._last and self._last[0] == refs:
            return self._last[1]
        if error := self._errors.get(refs):
            raise error
        self._last = None  # before the next one is read: each may be large
        try:
            ledger = self._catalog.recorded_ledger(refs, outline.key, outline.object_format)
        except Unusable as error:
            if error.key in (None, refs.artifact):  # else it is about this snapshot's manifest alone
                self._errors[refs] = error
            raise
        self._known.add(refs)
        self._last = (refs, ledger)
        return ledger
