"""One HTTP request that nobody signs, by botocore's own client: through the environment's proxy, as the SDK goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SECONDS = 10  # to connect, and without a byte


@dataclass(frozen=True)
class UnsignedReply:
    """What came back. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(Exception):
    """Nothing came back. `kind` is the class of the client's error, whose text may hold the URL, and a link's token."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.kind = type(error).__name__


def send(method: str, url: str, ca_bundle: str | None = None) -> UnsignedReply:
    """Send one request without a body; no redirect is followed. `ca_bundle` is a PEM file. Raises NoReply."""
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    verify: Any = ca_bundle or True  # the stubs know of no path
    http = URLLib3Session(verify=verify, proxies=get_environ_proxies(url), timeout=_SECONDS)
    try:
        reply = http.send(AWSRequest(method, url).prepare())
        body = reply.content
    except (BotoCoreError, OSError) as error:
        raise NoReply(error) from error
    return UnsignedReply(
        reply.status_code, {name.lower(): text for name, text in reply.headers.items()}, body
    )
