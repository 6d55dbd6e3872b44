"""A signature for one request, as AWS wants it.

Source: the IAM guide's "Create a signed AWS API request" (Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from snapshotter.aws.renewal import SessionKeys

_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_NO_HEADERS: Final[Mapping[str, str]] = {}


class Signable(NamedTuple):
    """A request to sign. The query of `url` is a `query_string`, and the names of `headers` are in lower case.

    `digest` is the body's SHA-256 in hexadecimal.
    """

    method: str
    url: str
    headers: Mapping[str, str] = _NO_HEADERS
    digest: str = _NOTHING


def query_string(parameters: Mapping[str, str]) -> str:
    """The parameters of a URL in the one form that can be signed."""
    return "&".join(
        f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters)
    )


def signed(request: Signable, region: str, keys: SessionKeys, now: datetime) -> dict[str, str]:
    """The request's headers, and those that sign them all; `now` is UTC."""
    split = urlsplit(request.url)
    added = {
        "host": split.netloc,
        "x-amz-content-sha256": request.digest,
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
    }
    if keys.token:
        added["x-amz-security-token"] = keys.token
    headers = {**request.headers, **added}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{request.method}\n{split.path}\n{split.query}\n{lines}\n{names}\n{request.digest}"
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    signature = hmac.digest(_key(keys.secret_key, scope), text.encode(), "sha256").hex()
    by = f"Credential={keys.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {by}"}


@lru_cache(maxsize=4)
def _key(secret: str, scope: str) -> bytes:
    """The key that signs the requests of a day."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
