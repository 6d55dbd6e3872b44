"""The one-to-one rule from an origin to its repo name.

The rule (docs/format.md): host and path joined by ``__``, lower-case host, no user, no default
port, no trailing ``.git``. Whatever this does not map one-to-one gets ``-<8 hex of SHA-256 of the
canonical origin>`` appended, so two origins never share a name and none leaves its segment.
"""

from __future__ import annotations

import hashlib
import re

MAX_REPO = 120  # characters of a repo name

_PLAIN = re.compile(r"^[a-z0-9._-]+\Z")
_LOOKS_HASHED = re.compile(r"-[0-9a-f]{8}\Z")


def repo_name(canonical: str) -> str:
    """The key segment of a canonical origin; see the module's rule.

    >>> repo_name("github.com/psf/requests")
    'github.com__psf__requests'
    """
    is_file = canonical.startswith("file://")
    parts = canonical.removeprefix("file://").split("/")
    parts = ["local", *parts] if is_file else parts
    if is_file:
        parts[-1] = strip_git(parts[-1])
    one_to_one = not is_file and all(_is_plain(part) for part in parts)
    stem = "__".join(re.sub(r"[^A-Za-z0-9._-]", "-", part) for part in parts if part)
    if one_to_one and len(stem) <= MAX_REPO and not _LOOKS_HASHED.search(stem):
        return stem
    stem = stem.lstrip("-._") or "origin"  # an IPv6 address begins with ":": no name begins as an option
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{stem[: MAX_REPO - 9]}-{digest}"


def strip_git(path: str) -> str:
    """The path without a trailing ``.git`` or ``/.git``, unless nothing would be left."""
    stripped = path.removesuffix(".git")
    return stripped.rstrip("/") if stripped.rstrip("/") else path


def _is_plain(part: str) -> bool:
    """Whether a component survives the join unchanged and can be told apart again."""
    return bool(_PLAIN.match(part)) and "__" not in part and part.strip("_") == part
