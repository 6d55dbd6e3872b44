"""The first bytes of the history's pack, kept as it passes: they often tell what the origin would else be asked."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Final

from msgspec import Struct

from snapshotter.transport import FetchRequest

FRONT_BYTES: Final = 256 * 1024  # some thousand commits, which git puts first; or all of what a day brings
MAX_INFLATED: Final = 4 * 1024 * 1024  # bytes of the objects in it


class PackFront(Struct, frozen=True):
    """The first FRONT_BYTES of the pack that answers `request`, all of it if it is `whole`."""

    data: bytes = b""
    whole: bool = False
    request: FetchRequest | None = None


NO_FRONT: Final = PackFront()
"""Where no pack is asked for."""

AwaitedFront = Future[PackFront]
"""The front of a pack that is on its way. Cancelled if none comes."""
