"""Source as a grammar can read it: the same bytes in number, the same lines, but for what a grammar gets wrong.

Names, signatures and documentation are taken from the source as it was written.
"""

from __future__ import annotations

import re
from typing import Final

# Kotlin's grammar (1.1.0) ends a class declaration at the line's end, if the next line starts with its primary
# constructor; all that follows, the class's body too, is an error to it then. What is between them is searched
# up to limits, so that no source makes the search quadratic.
_GAP: Final = rb"(?:\s++|//[^\n]{0,300}+|/\*(?:[^*]|\*(?!/)){0,1000}+\*/)"
_ARGUMENTS: Final = rb"\([^()]*+(?:\([^()]*+\)[^()]*+)*+\)"
_MODIFIER: Final = (
    rb"(?:(?:public|private|protected|internal|actual|expect)\b|@[\w.:]++(?:" + _ARGUMENTS + rb")?+)"
)
_HEADER: Final = re.compile(
    rb"\bclass\s++(?:`[^`\n]++`|[^\s<>(){}:;,`]++)(?:\s*+<[^(){};\"]{1,400}>)?"
    rb"(?=\s)(" + _GAP + rb"++(?:" + _MODIFIER + _GAP + rb"*+)*+(?:\bconstructor\b" + _GAP + rb"*+)?+)\("
)
# Nor does it take a body on one line, whose last member no semicolon ends: `class A { fun b() {} }`.
_BODY: Final = re.compile(rb"\b(?:class|interface|object)\b[^\n]*+")
_LAST: Final = re.compile(rb"(?<=[^\s{;]) (?=\})")
# Nor annotations above an accessor, unless the property's type is written.
_ACCESSOR: Final = re.compile(
    rb"(?<=\n)[ \t]*+(?:@[\w.:]++(?:" + _ARGUMENTS + rb")?+\s++)++(?=(?:get|set)\s*+\()"
)
_VISIBLE: Final = re.compile(rb"\S")


def readable(name: str, blob: bytes) -> bytes:
    """`blob` for the grammar `name`."""
    if name != "kotlin":
        return blob
    blob = _ACCESSOR.sub(lambda accessor: _VISIBLE.sub(b" ", accessor[0]), blob)
    return _BODY.sub(_ended, _HEADER.sub(_on_one_line, blob))


def _on_one_line(header: re.Match[bytes]) -> bytes:
    """A class's header whose primary constructor follows on the same line: its words become a comment, which may hold
    line ends, and a gap that is too short for one moves behind the bracket."""
    gap = header[1]
    lines = gap.count(b"\n")
    if not lines:
        return header[0]
    start = header[0][: -len(gap) - 1]
    if b"constructor" in gap:
        return start + b"/*" + b" " * (len(gap) - 4 - lines) + b"\n" * lines + b"*/("
    return start + b"(" + gap if not gap.strip() else header[0]


def _ended(line: re.Match[bytes]) -> bytes:
    """The rest of a line with a semicolon after the last member of each body, but where it may stand in a string."""
    return line[0] if b"${" in line[0] else _LAST.sub(b";", line[0])
