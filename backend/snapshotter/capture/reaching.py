"""From the settings to the way to origins: apart from `plan`, so that an origin is asked while the rest is loaded."""

from __future__ import annotations

from snapshotter.base.settings import Settings, parse_span
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.ssh import SshClient


def wire_limits(
    settings: Settings, *, idle_timeout: str | None = None, max_refs: int | None = None
) -> WireLimits:
    """What an origin may cost; what is None is as the settings say.

    Raises UsageError for a span or number that cannot be read.
    """
    return WireLimits(
        max_refs=max_refs or settings.number("SNAPSHOTTER_MAX_REFS"),
        idle_seconds=parse_span(idle_timeout or settings["SNAPSHOTTER_IDLE_TIMEOUT"]).total_seconds(),
        stall_seconds=parse_span(settings["SNAPSHOTTER_STALL_TIMEOUT"]).total_seconds(),
    )


def connector(settings: Settings, limits: WireLimits, *, allow_http: bool) -> Connector:
    """The way to origins, with the credentials that the settings name."""
    return Connector(
        GitCredentials.of(settings),
        limits,
        allow_http,
        settings["SNAPSHOTTER_CA_BUNDLE"] or None,
        SshClient.of(settings),
        frozenset(settings.words("SNAPSHOTTER_LFS_HOSTS")),
    )
