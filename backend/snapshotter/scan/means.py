"""What a scan may use, what names its results, and what it is made by: light, for those who only plan one."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

from snapshotter.scan import runner

REPORT: Final = "report.html"
DIGEST: Final = "digest.md"
FAILED: Final = "scanner-failed"
"""The kind of the gap of a scanner that failed: rows are missing, so no later scan builds on this one."""

SECRETS: Final = "kingfisher"
"""The scanner that looks for secrets, as such a gap names it."""

# The packages whose releases decide what the analyzers make of a blob.
PARSERS: Final = (
    "packageurl-python",
    "packaging",
    "licenseclassifier",
    "tree-sitter",
    *(
        f"tree-sitter-{name}"
        for name in "bash c c-sharp cpp go java javascript kotlin php python ruby rust scala swift typescript".split()
    ),
)
_RULES: Final = "1"  # raised with every change of what the analyzers make of the same blob


@dataclass(frozen=True)
class Means:
    """What a scan may use. `fingerprint_key` is secret; `rules` is the secret scanner's cache of compiled rules;
    `temp` the folder for what does not fit in memory, the system's by default."""

    fingerprint_key: bytes | None = field(default=None, repr=False)
    rules: Path | None = None
    temp: Path | None = None
    workers: int = 2

    @property
    def key_name(self) -> str:
        """A name for the fingerprint key that tells nothing of it; '' without one."""
        if not self.fingerprint_key:
            return ""
        return hmac.digest(self.fingerprint_key, b"the name of this key", hashlib.sha256).hex()[:16]


def scanners() -> dict[str, str]:
    """Every scanner with its version: equal versions make equal rows of equal blobs."""
    releases = "".join(f"{package} {metadata.version(package)}\n" for package in PARSERS)
    return {**runner.versions(), "analyzers": f"{_RULES}-{hashlib.sha256(releases.encode()).hexdigest()[:8]}"}
