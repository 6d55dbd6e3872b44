"""What the .gitattributes files of a tree say for GitHub's linguist: generated, vendored, documentation, language.

Source: gitattributes(5), and "Overrides" in linguist's documentation. Patterns are those of git: a file in a
folder below counts before one above, a later line before an earlier one; `-name` is false, and `!name` takes back
what others say.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from snapshotter.scan.globs import wildmatch

NAME: Final = ".gitattributes"
_LARGEST: Final = 1 << 20  # bytes of one file; larger ones say nothing
_LONGEST: Final = 2048  # bytes of a line, which is git's own limit
_MOST: Final = 1_000  # patterns with wildcards, in all: each is compared with each path below its folder
_DEEPEST: Final = 10  # macros in macros
_WILD: Final = re.compile(r"[*?\[\\]")
_NAMED: Final = re.compile(r"([-!]?)([\w.][\w.-]*)(?:=(\S*))?", re.A)
_QUOTED: Final = re.compile(r'"((?:\\.|[^"\\])*)"(?=[ \t\r]|\Z)')
_ESCAPE: Final = re.compile(r'\\([0-7]{3}|[abfnrtv"\\])')
_ESCAPED: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_OURS: Final = frozenset(
    {"linguist-generated", "linguist-vendored", "linguist-documentation", "linguist-language"}
)

_State = bool | str | None
_States = dict[str, _State]


class PathAttributes(NamedTuple):
    """What .gitattributes say of one path; None for what they do not mention."""

    generated: bool | None = None
    vendored: bool | None = None
    documentation: bool | None = None
    language: str | None = None


@dataclass(slots=True)
class _Folder:
    """The lines of one file, by their number: literal patterns by what they match, the others in order."""

    literal: defaultdict[str, list[tuple[int, _States]]] = field(default_factory=lambda: defaultdict(list))
    wild: list[tuple[int, bool, re.Pattern[str], _States]] = field(default_factory=list)


class TreeAttributes:
    """The attributes of one tree. `files` are its .gitattributes files, by path."""

    def __init__(self, files: Mapping[str, bytes] | None = None) -> None:
        self._folders: dict[str, _Folder] = {}
        self._left = _MOST
        lines = {
            posixpath.dirname(path): [*_lines(data)]
            for path, data in (files or {}).items()
            if len(data) <= _LARGEST
        }
        self._macros = {name: states for macro, name, states in lines.get("", ()) if macro}
        known = _OURS | self._macros.keys()
        for folder, read in sorted(lines.items()):
            for number, (macro, pattern, written) in enumerate(read):
                states = {name: state for name, state in written.items() if name in known}
                if states and not macro:
                    self._add(folder, number, pattern, states)

    def _add(self, folder: str, number: int, pattern: str, states: _States) -> None:
        if pattern.endswith("/"):
            return  # folders, of which git keeps no attributes
        held = self._folders.setdefault(folder, _Folder())
        whole = "/" in pattern
        pattern = pattern.removeprefix("/")
        if not _WILD.search(pattern):
            held.literal[f"/{pattern}" if whole else pattern].append((number, states))
        elif self._left:
            self._left -= 1
            held.wild.append((number, whole, _compiled(pattern) if whole else wildmatch(pattern), states))

    def of(self, path: bytes) -> PathAttributes:
        """What the attributes of the tree say of one path, in bytes as git has it."""
        if not self._folders:
            return PathAttributes()
        settled: _States = {}
        name = path.decode("latin-1")  # each byte a character, as in the patterns: git compares bytes
        folder = posixpath.dirname(name)
        while not settled.keys() >= _OURS:
            if (held := self._folders.get(folder)) is not None:
                below = name[len(folder) + 1 :] if folder else name
                for _, states in sorted(_matching(held, below), key=lambda line: -line[0]):
                    self._settle(settled, states)
            if not folder:
                break
            folder = posixpath.dirname(folder)
        language = settled.get("linguist-language")
        return PathAttributes(
            _truth(settled.get("linguist-generated")),
            _truth(settled.get("linguist-vendored")),
            _truth(settled.get("linguist-documentation")),
            language if isinstance(language, str) else None,
        )

    def _settle(self, settled: _States, states: _States, depth: int = 0) -> None:
        """Settle what a line states and no line before it has settled; a macro that it sets states more.

        Lines come in falling order of weight, and the last attribute of a line counts first, so what is settled stays.
        """
        for name, state in reversed(states.items()):
            if name not in settled:
                settled[name] = state
                if state is True and depth < _DEEPEST:
                    self._settle(settled, self._macros.get(name, {}), depth + 1)


def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of whole paths. git compares what stands before the first wildcard by itself, and begins after it: so
    ``a**`` crosses slashes, and ``b*a**`` does not."""
    first = _WILD.search(pattern)
    start = first.start() if first else len(pattern)
    return re.compile(re.escape(pattern[:start]) + wildmatch(pattern[start:]).pattern)


def _matching(held: _Folder, below: str) -> Iterator[tuple[int, _States]]:
    base = posixpath.basename(below)
    yield from held.literal.get(f"/{below}", ())
    yield from held.literal.get(base, ())
    for number, whole, pattern, states in held.wild:
        if pattern.match(below if whole else base):
            yield number, states


def _truth(state: _State) -> bool | None:
    """linguist's reading: anything but false is true."""
    return None if state is None else state not in (False, "false")


def _lines(data: bytes) -> Iterator[tuple[bool, str, _States]]:
    """The lines that say something: whether it defines a macro, its pattern or name, and the states."""
    for raw in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = raw.decode("latin-1").strip(" \t\r")
        if not line or line.startswith("#") or len(raw) >= _LONGEST:
            continue
        pattern, rest = _first(line)
        macro = pattern.startswith("[attr]")
        if macro:
            pattern = pattern.removeprefix("[attr]")
        elif pattern.startswith("!"):
            continue
        states: _States = {}
        for word in rest.split():
            if (named := _NAMED.fullmatch(word)) is None:
                break
            sign, name, value = named.groups()
            states.pop(name, None)  # so that the order is that of the last mentions
            states[name] = None if sign == "!" else False if sign else True if value is None else value
        else:
            yield macro, pattern, states


def _first(line: str) -> tuple[str, str]:
    """A line's pattern, which may be quoted as C has it, and the rest."""
    if quoted := _QUOTED.match(line):
        return _ESCAPE.sub(_unescaped, quoted[1]), line[quoted.end() :]
    pattern, *rest = line.split(None, 1)
    return pattern, rest[0] if rest else ""


def _unescaped(escape: re.Match[str]) -> str:
    char = escape[1]
    return chr(int(char, 8) & 0xFF) if char.isdigit() else _ESCAPED.get(char, char)
