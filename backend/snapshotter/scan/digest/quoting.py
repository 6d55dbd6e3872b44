"""Repository text in Markdown, so that it is neither markup nor an instruction that looks like ours."""

from __future__ import annotations

import re
from typing import Final

from snapshotter.scan.plain import visible

BAR: Final = (
    "    | "  # begins every line of a quoted block: Markdown reads it as code, and nothing else begins so
)

_FENCE: Final = re.compile("`{3,}|~{3,}")
_WORD: Final = re.compile(r"[^\w .+#/()&,:…-]")


def quoted(text: str | None, limit: int = 160) -> str:
    """Text of the repository in a code span, on one line; a backtick in it is written ``\\x60``."""
    return "`" + visible(text or "", limit).replace("`", "\\x60") + "`"


def prose(text: str, limit: int = 100) -> str:
    """As `quoted`, for text that is read and not copied: its own code marks become plain quotes."""
    return quoted(re.sub("`+", "'", text[: 4 * limit]), limit)


def place(path: str, line: int | None = None) -> str:
    """A path, and a line in it, in a code span: ``src/a.py:12``."""
    at = "" if line is None else f":{line}"
    return quoted(path, 240)[:-1] + at + "`"


def block(lines: list[str]) -> list[str]:
    """Lines of the repository as a block of its own, in which nothing opens or ends a code fence."""
    return [BAR + _FENCE.sub("'''", visible(line, 400)) for line in lines]


def word(text: str | None) -> str:
    """A word of a scanner, such as a language or a kind, without any character that could be markup."""
    return _WORD.sub("?", visible(text or "unknown", 40))
