"""An inventory that lies in the store, pinned by its SHA-256 as jobs are, and held to what a stranger may say.

Every role can write there. So one from the store brings no path of this machine and no plain http (see
`inventory_reading`), and no token goes to a host that it names unless the token names that host, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from snapshotter.base.errors import UsageError
from snapshotter.fleet.inventory import FolderTable, Inventory
from snapshotter.fleet.inventory_reading import MAX_INVENTORY, read
from snapshotter.fleet.pinned import read_pinned, uri_inside
from snapshotter.store.objects import Store
from snapshotter.transport import host_tokens
from snapshotter.transport.credentials import setting_without_host


def stored_place(place: str, store: str) -> str | None:
    """The URI of an inventory's place in a store. Returns None for a path, unless it leads into `store`, the URI of the
    store in force: whoever may write there could have written it."""
    if place.startswith("s3://"):
        return place
    path = place.removeprefix("file:")
    inside = uri_inside(Path(path.removeprefix("//") if path != place else path).absolute(), store)
    return inside or (place if path != place else None)


def read_stored_inventory(
    store: Store, place: str, sha256: str | None, settings: Mapping[str, str]
) -> Inventory:
    """The inventory at a URI below `_jobs/` of this store.

    Raises UsageError without a SHA-256, for what an inventory from the store may not say, and for a token in force that
    names no host; and as `read_pinned` and `read` do.
    """
    if sha256 is None or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise UsageError(
            "the inventory lies in the store, where others may write: it goes with its SHA-256, 64 hexadecimal digits",
            code="inventory",
            hint="keep it outside the store; or below _jobs/ in it, and add --sha256 with what `sha256sum` says of it",
        )
    data = read_pinned(store, place, sha256, limit=MAX_INVENTORY, what="inventory")
    inventory = read(data, place, None)
    setting = setting_without_host(settings)
    if setting and _asks_over_http(inventory):
        raise UsageError(
            f"an inventory from the store names hosts, and {setting} would give any of them a token",
            code="tokens",
            hint=f"say in {host_tokens.VARIABLE} which token is for which host",
        )
    return inventory


def _asks_over_http(inventory: Inventory) -> bool:
    forges = any(not isinstance(source, FolderTable) for source in inventory.sources)
    return forges or any(repo.origin.scheme in ("https", "http") for repo in inventory.repos)
