"""What every part of a query reads through."""

from __future__ import annotations

from dataclasses import dataclass

from snapshotter.archive.catalog import Catalog
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.query.cache import Cache


@dataclass(frozen=True)
class Sources:
    """One store by its catalog, what of it this machine keeps, who is told of progress, and who may stop it."""

    catalog: Catalog
    cache: Cache
    observer: Observer
    cancel: Cancel
