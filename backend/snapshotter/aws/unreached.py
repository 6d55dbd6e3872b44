"""S3 gave no answer, or is not where it was asked: one sentence for each way, whoever asks."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from snapshotter.base import runbook
from snapshotter.base.errors import Unavailable
from snapshotter.base.text import printable
from snapshotter.base.urls import redact

# Codes by which S3 says that the bucket is in another region than the one that was asked.
OTHER_REGION: Final = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
_URL: Final = re.compile(r"https?://\S+")
_NETWORK: Final = "check the network, AWS_REGION and AWS_ENDPOINT_URL_S3"
# How the libraries' words show what was in the way; our sentence for it, and the hint.
_WAYS: Final = (
    (
        re.compile(r"NameResolutionError|Name or service not known|getaddrinfo|nodename nor"),
        "no such host",
        _NETWORK,
    ),
    (re.compile(r"ConnectionRefused|Connection refused"), "it refuses the connection", _NETWORK),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED"),
        "its certificate is not trusted",
        "set AWS_CA_BUNDLE to the PEM file of its CA",
    ),
    (re.compile(r"[Tt]imed out|timeout on endpoint"), "it does not answer in time", _NETWORK),
    (
        re.compile(r"ConnectionReset|NewConnectionError|ProtocolError|EOF occurred|BrokenPipe"),
        "it hangs up",
        _NETWORK,
    ),
)


def words_of(error: BaseException) -> str:
    """An error's text and those of what is behind it: botocore's own says less than the library's below it."""
    words: list[str] = []
    inner: BaseException | None = error
    while inner is not None and len(words) < 8:  # a chain may have a circle
        words.append(f"{type(inner).__name__}: {inner}")
        inner = inner.__cause__ or inner.__context__ or getattr(inner, "kwargs", {}).get("error")
    return " | ".join(words)


def unreached(text: str, url: str | None = None) -> Unavailable | None:
    """The error for an endpoint that gave no answer at all, from a client library's words; None if they do not say so.

    `url` is what was asked, by default the first URL in the text.
    """
    named = _URL.search(text)
    asked = url or (named[0].rstrip(",:\"'") if named else None)  # the libraries quote it
    words = _URL.sub("", text)  # a URL may hold any word
    for pattern, sentence, hint in _WAYS:
        if asked and pattern.search(words):
            host = printable(urlsplit(redact(asked)).netloc)
            return Unavailable(
                f"no answer from S3 at {host}: {sentence}",
                code="store",
                hint=f"{hint}; `snapshotter doctor` says more {runbook.see(runbook.REGION)}",
            )
    return None


def other_region(bucket: str, region: str | None) -> Unavailable:
    """The error for a bucket that is in another region than the one that was asked; `region` is its own, if S3 told."""
    where = f", {region}" if region else ""
    return Unavailable(
        f"the bucket {bucket} is in another region{where}",
        code="region",
        hint=f"set AWS_REGION{f'={region}' if region else ' to its own, which `snapshotter doctor` tells'} "
        f"{runbook.see(runbook.REGION)}",
    )
