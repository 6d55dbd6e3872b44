"""The first lines of a README that are prose: no badges, no rules, no markup."""

from __future__ import annotations

import re
from typing import Final

_READ: Final = 16 * 1024  # characters looked at
_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_IMAGE: Final = re.compile(r"\[?!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])(?:\](?:\([^)\n]*\)|\[[^\]\n]*\]))?")
# HTML that READMEs are laid out with. Other words in angle brackets, such as `<path>`, are what the text says.
_ELEMENT: Final = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|center|code|details|div|em|figure|figcaption|font|h[1-6]|hr|i|iframe|img|kbd|"
    r"li|link|meta|nobr|ol|p|picture|pre|samp|script|section|small|source|span|strong|style|sub|summary|sup|svg|table|"
    r"tbody|td|tfoot|th|thead|tr|tt|u|ul|var|video)(?![\w-])[^<>\n]{0,1000}>?",
    re.I,
)
_STRONG: Final = re.compile(r"\*\*(?=[^\s*])([^*\n]{1,500})(?<=[^\s*])\*\*")
_LINK: Final = re.compile(r"\[([^\[\]\n]+)\](?:\([^()\n]*\)|\[[^\[\]\n]*\])")
_BARE: Final = re.compile(r"<?\b(?:https?|ftp|mailto):\S*", re.I)
_DIRECTIVE: Final = re.compile(r"\s*(?:\.\. |:[\w-]+:(?:\s|$)|\[[^\]]+\]:\s|\|[\w-]+\|)")
_RULE: Final = re.compile(r"[\s=\-~^\"'`*_#+.:|]*")
_WORD: Final = re.compile(r"[^\W\d_]{2}")


def lead(text: str, limit: int) -> list[str]:
    """The README's first lines in at most `limit` characters, without code, badges, links' targets and markup
    that says nothing by itself. Headings keep their ``#``; the text stays the repository's own and is untrusted."""
    lines: list[str] = []
    left, fenced = limit, False
    for raw in _COMMENT.sub("", text[:_READ].removeprefix("\ufeff")).splitlines():
        fence = raw.lstrip().startswith(("```", "~~~"))
        fenced ^= fence
        line = "" if fence or fenced else _plain(raw)
        if not line:
            continue
        if len(line) > left:
            return [*lines, line[: left - 1] + "…"] if left > 80 else lines
        lines.append(line)
        left -= len(line) + 1
    return lines


def _plain(raw: str) -> str:
    """One line without its markup; empty when nothing is left that says something."""
    raw = raw[:2000]
    if _DIRECTIVE.match(raw) or _RULE.fullmatch(raw):
        return ""
    line = _ELEMENT.sub("", _IMAGE.sub("", raw))
    line = " ".join(_STRONG.sub(r"\1", _BARE.sub("", _LINK.sub(r"\1", line))).split())
    return line if _WORD.search(line) else ""
