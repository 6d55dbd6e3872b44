"""A signature for one request without a body, as AWS wants it.

Source: the IAM guide's "Create a signed AWS API request" (Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

_NOTHING: Final = hashlib.sha256(b"").hexdigest()


def query_string(parameters: Mapping[str, str]) -> str:
    """The parameters of a URL in the one form that can be signed."""
    return "&".join(
        f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters)
    )


def signed_get(url: str, region: str, credentials: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """The headers that sign a GET of `url`, whose query is a `query_string`; `now` is UTC.

    `credentials` are `access_key_id`, `secret_access_key` and `token`, which may be None.
    """
    split = urlsplit(url)
    headers = {"host": split.netloc, "x-amz-content-sha256": _NOTHING, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    if credentials["token"]:
        headers["x-amz-security-token"] = credentials["token"]
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{split.path}\n{split.query}\n{lines}\n{names}\n{_NOTHING}"
    scope = f"{now:%Y%m%d}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}"
    key = f"AWS4{credentials['secret_access_key']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    by = f"Credential={credentials['access_key_id']}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers | {"authorization": f"AWS4-HMAC-SHA256 {by}"}
