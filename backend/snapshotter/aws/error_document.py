"""What S3 itself says of a request that it refused: the error document, and which policy its sentence names.

Source: the S3 guide's "Troubleshoot access denied (403 Forbidden) errors". S3 names the policy to callers of the
bucket's own account or organisation only; to all others it says "Access Denied".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from snapshotter.base.text import printable
from snapshotter.base.urls import redact

PolicyKind = Literal["bucket", "identity", "organisation", "endpoint", "boundary", "session"]

_LONGEST: Final = 600  # characters of a sentence that are shown: two ARNs of any real length fit
# The article and the words behind it, as S3 writes them, and the kind of policy that they mean.
_KINDS: Final[dict[str, PolicyKind]] = {
    "resource-based policy": "bucket",
    "identity-based policy": "identity",
    "service control policy": "organisation",
    "resource control policy": "organisation",
    "vpc endpoint policy": "endpoint",
    "permissions boundary": "boundary",
    "session policy": "session",
}
_NAMED: Final = re.compile(
    rf"(with an explicit deny in an?|because no) ({'|'.join(_KINDS)})\b", re.IGNORECASE
)
_CALLER: Final = re.compile(r"User: (\S+) is not authorized to perform: ([\w-]+:\w+)")


@dataclass(frozen=True)
class ErrorDocument:
    """An S3 error document. A part that was not there is None: the answer to a HEAD has no document at all.

    `region` is where S3 says that the bucket is. `request_id` is what AWS's support asks for.
    """

    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    region: str | None = None

    @property
    def facts(self) -> tuple[str, ...]:
        """S3's own words and the request's id, for the details of an error."""
        named = (("S3 says", self.message), ("request id", self.request_id))
        return tuple(f"{name}: {text}" for name, text in named if text)


@dataclass(frozen=True)
class NamedPolicy:
    """The policy that S3 names in its sentence, and whether it denies explicitly or merely allows nothing."""

    kind: PolicyKind
    explicit: bool


def read(text: str) -> ErrorDocument:
    """The error document in an answer's body, or in a text that quotes one."""
    message = _element("Message", text)
    return ErrorDocument(
        _element("Code", text, r"[A-Za-z0-9.]+"),
        sentence(message) if message else None,
        _element("RequestId", text, r"[\w.:-]{1,128}"),
        _element("Region", text, r"[a-z0-9-]{1,32}"),
    )


def sentence(message: str) -> str:
    """S3's sentence, safe to show, in one line. Whoever answers for S3 may have written anything."""
    import html  # a refusal needs it, and start-up does not

    return printable(redact(" ".join(html.unescape(message).split())))[:_LONGEST]


def named_policy(message: str | None) -> NamedPolicy | None:
    """The policy that a sentence of S3's names; None if it names none."""
    match = _NAMED.search(message or "")
    if not match:
        return None
    return NamedPolicy(_KINDS[match[2].lower()], explicit=match[1].lower().startswith("with"))


def named_caller(message: str | None) -> str | None:
    """The ARN of who asked, in a sentence of S3's."""
    match = _CALLER.search(message or "")
    return match[1] if match and match[1].startswith("arn:") else None


def named_action(message: str | None) -> str | None:
    """The action that was not allowed, like ``s3:ListBucket``, in a sentence of S3's.

    It need not be that of the request: where a caller may not list, S3 answers for a key that does not exist by
    the lack of that right.
    """
    match = _CALLER.search(message or "")
    return match[2] if match else None


def _element(name: str, text: str, pattern: str = r"[^<]{1,4000}?") -> str | None:
    match = re.search(rf"<{name}>\s*({pattern})\s*</{name}>", text)
    return match[1] if match else None
