"""Patterns of paths as git has them (its `wildmatch` with WM_PATHNAME), as regular expressions.

A star backtracks no further than its own name, so a pattern of many stars costs little more than one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MOST: Final = 500  # characters of a pattern; longer ones match nothing
_NOTHING: Final = r"(?!)"
_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"!-\.0-~",
    "lower": "a-z",
    "print": r" -\.0-~",
    "punct": r"!-\.:-@\[-`{-~",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def wildmatch(pattern: str) -> re.Pattern[str]:
    """What matches the whole of a path: `*` and `?` stay within a name, `**` between slashes is any number of names.

    A pattern that git cannot read matches nothing.
    """
    if len(pattern) > _MOST:
        return re.compile(_NOTHING)
    runs: list[list[str]] = [[]]  # of names, between `**`
    names = pattern.split("/")
    for number, name in enumerate(names):
        if len(name) > 1 and not name.strip("*"):
            if number == len(names) - 1:
                runs[-1].append("(?s:.*)")
            elif runs[-1] or len(runs) == 1:
                runs.append([])
        else:
            runs[-1].append(_name(name))
    joined = ["/".join(run) for run in runs]
    first, rest = joined[0], joined[1:]
    parts = [first + ("/" if first and rest else "")]
    for place, run in enumerate(rest):
        last = place == len(rest) - 1
        parts.append(f"(?:[^/]+/)*?{run}" if last else f"(?>(?:[^/]+/)*?{run}/)")
    return re.compile("".join(parts) + r"\Z")


def _name(written: str) -> str:
    """One name of a pattern: up to its last star, the first place that fits is the right one."""
    pieces: list[str] = [""]
    try:
        for atom in _atoms(written):
            if atom == "*":
                pieces.append("")
            else:
                pieces[-1] += atom
    except ValueError:
        return _NOTHING
    first, *middle = pieces
    if not middle:
        return first
    last = middle.pop()
    stars = "".join(f"(?>[^/]*?{piece})" for piece in middle if piece)
    return f"{first}{stars}(?>[^/]*{last}(?=/|\\Z))" if not last else f"{first}{stars}[^/]*{last}(?=/|\\Z)"


def _atoms(written: str) -> Iterator[str]:
    """The parts of a name that match one character each, and `*`. Raises ValueError for what git cannot read."""
    at = 0
    while at < len(written):
        char = written[at]
        if char == "*":
            at = at + len(written[at:]) - len(written[at:].lstrip("*"))
            yield "*"
            continue
        if char == "?":
            yield "[^/]"
        elif char == "\\":
            at += 1
            if at == len(written):
                raise ValueError(written)
            yield re.escape(written[at])
        elif char == "[":
            atom, at = _bracket(written, at + 1)
            yield atom
            continue
        else:
            yield re.escape(char)
        at += 1


def _bracket(written: str, at: int) -> tuple[str, int]:
    """A set of characters whose opening bracket is read, and where it ends."""
    negated = written[at : at + 1] in ("!", "^")
    at += negated
    start, parts = at, []
    while at < len(written) and (written[at] != "]" or at == start):
        if written.startswith("[:", at) and (end := written.find(":]", at)) > 0:
            if written[at + 2 : end] not in _CLASSES:
                raise ValueError(written)
            parts.append(_CLASSES[written[at + 2 : end]])
            at = end + 2
            continue
        low, at = _char(written, at)
        if written[at : at + 1] == "-" and at + 1 < len(written) and written[at + 1] != "]":
            high, at = _char(written, at + 1)
            parts.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        else:
            parts.append(re.escape(low))
    if at >= len(written):
        raise ValueError(written)
    chars = "".join(parts)
    if not chars:
        return ("[^/]" if negated else _NOTHING), at + 1
    return f"(?!/)[{'^' if negated else ''}{chars}]", at + 1


def _char(written: str, at: int) -> tuple[str, int]:
    if written[at] == "\\":
        at += 1
    if at >= len(written):
        raise ValueError(written)
    return written[at], at + 1
