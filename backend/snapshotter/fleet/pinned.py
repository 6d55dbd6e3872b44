"""A document in the store that says what to do: read only if it is the one that was meant.

Whoever may write to the store may put another document there. So whoever names it gives its SHA-256, too.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from snapshotter.archive import layout
from snapshotter.base.errors import Finding, Missing, UsageError
from snapshotter.base.text import printable
from snapshotter.base.urls import redact
from snapshotter.store.objects import Store, is_plain
from snapshotter.store.opening import folder_of


def read_pinned(store: Store, document: str, sha256: str, *, limit: int, what: str = "job") -> bytes:
    """The bytes of the document that a URI names, at most `limit`. `what` it is, for errors.

    Raises UsageError for a place that is not below `_jobs/` of this store; Finding (code `job-digest`, or the like of
    another `what`) if its SHA-256 is another; Missing if nothing is there; and as `Store.get` does.
    """
    key = _key(store.place.uri, document, what)
    try:
        data = store.get(key, limit=limit)
    except Missing as error:
        raise Missing(
            error.message,
            hint=f"put the {what}'s document there, or correct its name: {printable(document)[:300]}",
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Finding(
            f"the {what}'s document is not the one that was meant: its SHA-256 is another ({document})",
            code=f"{what}-digest",
            hint="whoever changed it must give its new SHA-256 beside it; if nobody did, somebody put another there",
        )
    return data


def uri_inside(path: Path, store: str) -> str | None:
    """The URI of a file that lies in the folder of `store`, a URI, however its path leads there: by links, another
    mount, another spelling. Returns None for a file that lies elsewhere, and for a store that is no folder."""
    folder = folder_of(store)
    if folder is None:
        return None
    for place in (path.resolve(), path.parent.resolve() / path.name):
        for parent in place.parents:
            if _is_same(parent, folder):
                return f"file:{folder}/{place.relative_to(parent)}"
    return None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _key(root: str, document: str, what: str) -> str:
    """The key, relative to the store's root, of a document's URI."""
    folder = f"{root.rstrip('/')}/{layout.JOBS}/"
    name = document.removeprefix(folder)
    if name == document or not name or not is_plain(name):
        raise UsageError(
            f"the {what}'s document is not below {layout.JOBS}/ of the store: {printable(redact(document))[:300]}",
            code=what,
            hint=f"put it there, and write {folder}NAME",
        )
    return f"{layout.JOBS}/{name}"
