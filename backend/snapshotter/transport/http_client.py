"""What all wires over HTTP share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snapshotter.transport import WireLimits
from snapshotter.transport.http_pool import HttpPool

if TYPE_CHECKING:
    from snapshotter.transport.credentials import Credentials


@dataclass(frozen=True)
class HttpClient:
    """Connections, secrets, limits, and whether secrets may go over plain http."""

    pool: HttpPool
    credentials: Credentials
    limits: WireLimits
    allow_http: bool = False
