"""Which rows a server cannot judge, and why: AWS judges all of them, the servers of the tests do not.

A row that a server cannot judge is not sent, and never counts as passed. backend/tests/access shows each
of these departures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KnownServer:
    """A kind of S3 server. `cannot` says for the ids of some rows why it cannot judge them."""

    name: str
    cannot: Mapping[str, str] = field(default_factory=dict)


AWS = KnownServer("Amazon S3")
OTHER = KnownServer("an S3 server that is not known here: every row is taken as it answers")

# Both servers take the statement DenyOverwrite and let its requests pass, so the row `overwrite` shows half of it.
WRITE_ONCE = "only AWS is known to know s3:if-none-match and s3:ObjectCreationOperation"

_NO_TLS_KEY = "it does not know aws:SecureTransport"
_WRITER_OWNS = (
    "an object belongs to who wrote it, with every right: there is no object ownership by the bucket"
)
_UNKNOWN = "it does not know this operation, and takes it for another"
_NO_MULTIPART = "it judges the missing header of an upload that has it, and refuses"


def _rows(names: str, why: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), why)


RGW = KnownServer(
    "Ceph RADOS Gateway",
    _rows("http-get http-put http-list http-link http-beside", _NO_TLS_KEY)
    | _rows("get-inside get-version tag-write tag-read tag-delete", _WRITER_OWNS)
    | _rows("acl-on-put acl-write acl-read", _WRITER_OWNS)
    | _rows("settings-read-ownership settings-change-ownership", _UNKNOWN)
    | _rows("settings-read-encryption settings-change-encryption", _UNKNOWN)
    | _rows("multipart-create multipart-part multipart-parts multipart-abort", _NO_MULTIPART)
    | _rows("delete-many", "it refuses to everybody but the bucket's owner, whatever the policy grants")
    | _rows("list-buckets", "everybody may list the buckets that are their own"),
)
MINISTACK = KnownServer("ministack", {"get-missing": "a missing key answers 404 to everybody"})


def recognise(answers: Iterable[Mapping[str, Any] | None], *, is_aws: bool) -> KnownServer:
    """The server by the metadata (`ResponseMetadata`) of some of its answers."""
    if is_aws:
        return AWS
    for answer in answers:
        headers = (answer or {}).get("HTTPHeaders", {})
        if re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]+-[0-9a-f]+-.*", headers.get("x-amz-request-id", "")):
            return RGW
        if "x-amzn-requestid" in headers and "x-amz-id-2" in headers:  # AWS sends one or the other
            return MINISTACK
    return OTHER
