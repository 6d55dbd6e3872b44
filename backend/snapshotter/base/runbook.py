"""The headings of docs/operations.md that errors and checks name; a test holds the two together."""

from __future__ import annotations

import re
from typing import Final

PAGE: Final = "docs/operations.md"

PUT_DENIED: Final = "PutObject denied"
LIST_DENIED: Final = "List denied"
MISSING_KEY: Final = "A missing key answers 403"
MULTIPART: Final = "Multipart"
PLAIN_HTTP: Final = "Plain HTTP denied"
NEVER_GRANTED: Final = "Deletes and bucket settings denied"
OVERWRITE: Final = "Overwrite denied"
CREDENTIALS: Final = "Expired or wrong credentials"
ROLES: Final = "Task role against execution role"
CLOCK: Final = "Clock skew"
REGION: Final = "Wrong bucket, region or endpoint"
WHICH_POLICY: Final = "Which policy denied"
PUBLIC: Final = "Public access and CORS"
ORIGIN: Final = "Origin unreachable or refused"
GIT: Final = "git missing or too old"
DISK: Final = "No room to verify"
EXPIRY: Final = "Snapshots that expire too early"

HEADINGS: Final = (
    PUT_DENIED,
    LIST_DENIED,
    MISSING_KEY,
    MULTIPART,
    PLAIN_HTTP,
    NEVER_GRANTED,
    OVERWRITE,
    WHICH_POLICY,
    CREDENTIALS,
    ROLES,
    CLOCK,
    REGION,
    PUBLIC,
    ORIGIN,
    GIT,
    DISK,
    EXPIRY,
)


def see(heading: str) -> str:
    """``(docs/operations.md, 'PutObject denied')``, as hints end."""
    return f"({PAGE}, '{heading}')"


def link(heading: str) -> str:
    """The page and anchor of a heading.

    >>> link("PutObject denied")
    'docs/operations.md#putobject-denied'
    """
    return f"{PAGE}#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')}"
