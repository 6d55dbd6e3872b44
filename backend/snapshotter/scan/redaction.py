"""Keeping leaked secrets out of the tables, all of which may quote the repository.

The declaration of a constant is its signature, for one, and its value may be a secret. So what stands near a
finding is not quoted, and if the search for secrets failed, nothing is.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.symbols.signatures import MAX_BELOW

REDACTED: Final = "[redacted: a leaked secret is near]"
_ABOVE: Final = 20  # lines that a declaration's comment may begin above it
# What may be a secret by its looks: a long word, a shorter one with a digit, a UUID. Names of things seldom are.
_SECRET_LIKE: Final = re.compile(
    r"[A-Za-z0-9]{20}|(?=[A-Za-z]{0,15}[0-9])[A-Za-z0-9]{16}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)


class Redaction:
    """Which text of a blob may hold a secret. `findings` is None if the search for secrets failed."""

    def __init__(self, findings: Iterable[SecretFinding] | None) -> None:
        self._blind = findings is None
        self._lines: defaultdict[str, list[int]] = defaultdict(list)
        for finding in findings or ():
            self._lines[finding.blob].append(finding.line)
        for lines in self._lines.values():
            lines.sort()

    @property
    def blind(self) -> bool:
        """Whether the search failed, so that nobody knows where secrets are."""
        return self._blind

    def near(self, blob: str, first: int, last: int, *, above: int = _ABOVE) -> bool:
        """Whether what is quoted of a declaration on these lines, or of a comment that begins up to `above`
        lines over it, may hold a secret. Lines count from 1."""
        if self._blind:
            return True
        lines = self._lines.get(blob)
        if lines is None:
            return False
        at = bisect_left(lines, first - above)
        # Line 0 is a finding whose line nobody knows.
        return lines[0] == 0 or (at < len(lines) and lines[at] <= min(last, first + MAX_BELOW))

    def touches(self, blob: str) -> bool:
        """Whether any text of a blob may hold a secret."""
        return self._blind or blob in self._lines


def named(text: str) -> str:
    """A name, a version or a purl that stands near a secret: itself, unless it looks as if it held that secret."""
    return REDACTED if _SECRET_LIKE.search(text) else text
