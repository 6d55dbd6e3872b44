"""What GitHub's API means when it gives a GitHub App no token.

Source: GitHub's pages "Rate limits for the REST API" and "Troubleshooting the REST API".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.transport.app_key import AppKey

CODE: Final = "github-app"

_ANSWERS: Final = msgspec.json.Decoder(dict[str, Any])
_MINUTE: Final = 60.0  # to wait at a limit that does not say how long
_TROUBLE: Final = 5.0  # seconds to wait while the API is in trouble
_MEANINGS: Final = {
    401: (
        "GitHub does not take the key of App {app}",
        "check that the App's id and its key belong together, that the key was not deleted, and this machine's clock",
    ),
    403: (
        "the App's installation {installation} may not be used",
        "if it was suspended, its owner can unsuspend it at GitHub",
    ),
    404: (
        "the App has no installation {installation}",
        "it was uninstalled, or the id is another App's: install it again, and give its id",
    ),
    422: (
        "the App's installation {installation} may not read repositories",
        "give the App the permission Contents: Read-only, and have its owner accept it",
    ),
}


def wait_of(status: int, headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """Seconds after which the API may be asked again; `now` is in seconds since 1970. Returns None if another try
    would not help."""
    if status >= 500:
        return _TROUBLE
    if status not in (403, 429):
        return None
    after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
    if after.isdecimal():
        return float(after)
    if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
        return max(1.0, float(reset) - now)
    return _MINUTE if status == 429 or b"rate limit" in body.lower() else None


def words_of(body: bytes, signed: str) -> str:
    """The API's own sentence, safe to show: in one line, and without what we had signed."""
    try:
        message = _ANSWERS.decode(body).get("message")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return printable(message.replace(signed, "***"))[:300] if isinstance(message, str) else ""


def refusal(app: AppKey, status: int, wait: float | None, words: str) -> SnapshotterError:
    """The error for an answer without a token; `wait` is how long the API wants us to wait, if it does."""
    details = (f"{app.api} says: {words}",) if words else ()
    if wait is not None:
        hint = (
            f"try again in {math.ceil(wait)} s" if status < 500 else "GitHub is in trouble; try again later"
        )
        message = f"GitHub's API gives the App no token now (HTTP {status})"
        return Unavailable(message, code=CODE, hint=hint, details=details)
    if status in _MEANINGS:
        message, hint = _MEANINGS[status]
        facts = {"app": printable(str(app.app))[:40], "installation": app.installation}
        return AccessDenied(
            f"{message.format(**facts)} (HTTP {status})", code=CODE, hint=hint, details=details
        )
    return Unavailable(
        f"GitHub's API gave the App no token (HTTP {status})",
        code=CODE,
        hint="check that `api` in SNAPSHOTTER_GIT_TOKENS is the API's URL",
        details=details,
    )
