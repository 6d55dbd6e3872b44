"""What all wires over HTTP share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from snapshotter.transport import WireLimits
from snapshotter.transport.http_pool import HttpPool
from snapshotter.transport.turns import FreeTurns, Turns

if TYPE_CHECKING:
    from snapshotter.transport.credentials import Credentials


@dataclass(frozen=True)
class HttpClient:
    """Connections, secrets, limits, whether secrets may go over plain http, and when a request may be sent."""

    pool: HttpPool
    credentials: Credentials
    limits: WireLimits
    allow_http: bool = False
    turns: Turns = field(default_factory=FreeTurns)
