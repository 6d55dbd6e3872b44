"""The scanners by name: their versions, and how a scan says that one failed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Final

from snapshotter.scan import runner

FAILED: Final = "scanner-failed"
"""The kind of the gap of a scanner that failed: rows are missing, so no later scan builds on this one."""

SECRETS: Final = "kingfisher"
"""The scanner that looks for secrets. The sample of a FAILED gap begins with the scanner's name."""

# The packages whose releases decide which rows the analyzers make of a blob.
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
# Raise this with every change of our own code that changes the rows of a blob: a scan takes rows over from the
# parent's only under equal versions, and would otherwise mix old rows with new ones.
_RULES: Final = "3"


def scanner_versions() -> dict[str, str]:
    """The version of every scanner, by its name: equal versions make equal rows of equal blobs."""
    return dict(_versions())


@cache
def _versions() -> Mapping[str, str]:
    releases = "".join(f"{package} {runner.version(package)}\n" for package in PARSERS)
    return {**runner.versions(), "analyzers": f"{_RULES}-{hashlib.sha256(releases.encode()).hexdigest()[:8]}"}
