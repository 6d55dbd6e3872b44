"""Text from a repository and figures, as the report and the digest show them."""

from __future__ import annotations

import re
from typing import Final

from snapshotter.base.text import printable

# What a reader does not see and a program does: fillers, tags, and variation selectors other than one that
# makes an emoji of the character before it.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u206a-\u206f\u3164\ufe00-\ufe0e\uffa0\ufff0-\ufff8\ufffe\uffff"
    "\U000e0000-\U000e0fff]|(?<![^\x00-\u203b\ufe00-\ufe0f])\ufe0f"
)
_WIDE: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\U0001f000-\U0003fffd]"
)
_MARKS: Final = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u0e31-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{3})[\u0300-\u036f\u0483-\u0489\u0e31-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+"
)


def visible(text: str, limit: int) -> str:
    """`text` in at most `limit` characters, every one of which can be seen and none of which moves others.

    Control, bidirectional, zero-width and other invisible characters are shown as escapes (``\\u202e``), line
    ends included; stacks of combining marks are cut at three. What is cut away is marked by ``…``: a path loses its
    middle, for its ends tell most, and any other text its end.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = printable(_cut(text, 4 * limit))
    shown = _INVISIBLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), shown)
    return _cut(_MARKS.sub(r"\1", shown).replace("\t", " "), limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    if "/" in text and " " not in text:
        head = (limit - 1) // 3
        return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"
    return text[: limit - 1] + "…"


def width(text: str) -> float:
    """About how wide `text` is in a sans-serif face, in ems."""
    return 0.6 * len(text) + 0.5 * len(_WIDE.findall(text))


def count(number: int | None) -> str:
    """A whole number with thousands separated: ``12,345``; a dash where there is none."""
    return "–" if number is None else f"{number:,}"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent: ``12.3%``, never 0 for something nor 100 for not all."""
    if not whole or not part:
        return "0%"
    value = 100 * part / whole
    if value < 0.1:
        return "<0.1%"
    return "100%" if part == whole else f"{min(value, 99.9):.1f}%"
