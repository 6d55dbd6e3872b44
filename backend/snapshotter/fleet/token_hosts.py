"""Whether a job's origins may have the tokens in force: a token without a host would go to each of them, unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import host_tokens
from snapshotter.transport.credentials import setting_without_host


def check_tokens(origins: Sequence[str], settings: Mapping[str, str]) -> None:
    """Raise UsageError if a token that names no host is in force, and the origins are at several hosts.

    Which of the hosts it is for, nobody has said. Origins that cannot be read are passed over: their own result says
    why.
    """
    setting = setting_without_host(settings)
    hosts = sorted(_hosts(origins)) if setting else []
    if len(hosts) > 1:
        raise UsageError(
            f"{setting} names no host, and the job's origins are at {len(hosts)} of them",
            code="tokens",
            hint=f"say in {host_tokens.VARIABLE} which token is for which host; nothing was sent",
            details=tuple(hosts[:10]),
        )


def _hosts(origins: Sequence[str]) -> set[str]:
    """The hosts, with their ports, of those origins that a token can be sent to."""
    hosts = set()
    for text in origins:
        try:
            origin = parse(text)
        except SnapshotterError:
            continue
        if origin.scheme in ("https", "http"):
            hosts.add(origin.netloc)
    return hosts
