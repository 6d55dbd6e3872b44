"""Which rows a server cannot judge, and why: AWS judges all of them, the servers of the tests do not.

A row that a server cannot judge is not sent, and never counts as passed. backend/tests/access shows each
of these departures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Server:
    """A kind of S3 server, and by row's id what keeps it from judging that row."""

    name: str
    cannot: Mapping[str, str] = field(default_factory=dict)


AWS = Server("Amazon S3")
OTHER = Server("an S3 server that is not known here: every row is taken as it answers")

_NO_TLS_KEY = "it does not know aws:SecureTransport"
_WRITER_OWNS = (
    "an object belongs to who wrote it, with every right: there is no object ownership by the bucket"
)
_NO_MULTIPART = "it judges the missing header of an upload that has it, and refuses"

RGW = Server(
    "Ceph RADOS Gateway",
    {
        **dict.fromkeys(("http-get", "http-put", "http-list", "http-link"), _NO_TLS_KEY),
        **dict.fromkeys(
            ("get-version", "tag-read", "tag-delete", "acl-on-put", "acl-write", "acl-read"), _WRITER_OWNS
        ),
        **dict.fromkeys(("multipart-create", "multipart-parts", "multipart-abort"), _NO_MULTIPART),
        "list-buckets": "everybody may list the buckets that are their own",
    },
)
MINISTACK = Server("ministack", {"get-missing": "a missing key answers 404 to everybody"})


def recognise(response: Mapping[str, Any] | None, *, is_aws: bool) -> Server:
    """The server by the metadata (`ResponseMetadata`) of one of its answers."""
    if is_aws:
        return AWS
    headers = (response or {}).get("HTTPHeaders", {})
    request = headers.get("x-amz-request-id", "")
    if re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]+-[0-9a-f]+-.*", request):
        return RGW
    if "x-amzn-requestid" in headers:  # S3 itself never sends it
        return MINISTACK
    return OTHER
