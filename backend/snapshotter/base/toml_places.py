"""Where in a TOML document its keys and values stand: tomllib says what they are, and not where.

Only for documents that tomllib has read: what this walks over is then known to be TOML (toml.io, v1.0.0), and it needs
to tell strings, keys, brackets and comments apart, nothing else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]
"""From the document's root: keys of tables and numbers, from 0, in arrays."""

_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'", re.DOTALL
)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")


@dataclass(frozen=True, order=True)
class TomlPlace:
    """A line and a column, both from 1; a column is a character."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True)
class Places:
    """Where each key (of a table, its header) and each value of a document begins."""

    keys: Mapping[Path, TomlPlace]
    values: Mapping[Path, TomlPlace]

    def of_key(self, path: Path) -> TomlPlace:
        """The place of the key, or of the nearest thing around it that has one."""
        return _nearest(path, self.keys, self.values)

    def of_value(self, path: Path) -> TomlPlace:
        """The place of the value, or of the nearest thing around it that has one."""
        return _nearest(path, self.values, self.keys)


def places(text: str) -> Places:
    """The places of a document that tomllib has read."""
    walk = _Walk(text)
    # Arrays in arrays beyond all sense: what was walked over so far has its places.
    with suppress(RecursionError):
        walk.document()
    return Places(walk.keys, walk.values)


def syntax_place(error: tomllib.TOMLDecodeError) -> TomlPlace | None:
    """The place that tomllib names in its message. Returns None if it names none, as at the end of a document."""
    match = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    return TomlPlace(int(match[1]), int(match[2])) if match else None


def end_of(text: str) -> TomlPlace:
    """The place behind the last character of a text."""
    return TomlPlace(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _nearest(path: Path, first: Mapping[Path, TomlPlace], second: Mapping[Path, TomlPlace]) -> TomlPlace:
    for length in range(len(path), -1, -1):
        for index in (first, second):
            if place := index.get(path[:length]):
                return place
    return TomlPlace(1, 1)


class _Walk:
    """One walk over a document. `at` is the index of the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line, self._line_at = 1, 0  # the line that was counted to, and where it begins
        self.at = 0
        self.keys: dict[Path, TomlPlace] = {}
        self.values: dict[Path, TomlPlace] = {}
        self._arrays: dict[Path, int] = {}  # how many tables each array of tables has so far

    def document(self) -> None:
        """Walk over all of it."""
        table: Path = ()
        self._skip(_BLANK)
        while self.at < len(self._text):
            if self._text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self) -> Path:
        place, several = self._place(), self._text.startswith("[[", self.at)
        self.at += 2 if several else 1
        *parents, last = self._key()
        self.at += 2 if several else 1
        path = self._into([*parents])
        path = (*path, last)
        if several:
            number = self._arrays.get(path, 0)
            self._arrays[path] = number + 1
            self.keys.setdefault(path, place)
            path = (*path, number)
        self.keys.setdefault(path, place)
        return path

    def _into(self, keys: Sequence[str]) -> Path:
        """The table that keys lead to from the root: of an array of tables, its newest."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if number := self._arrays.get(path):
                path = (*path, number - 1)
        return path

    def _pair(self, table: Path) -> None:
        """A key with its value, in a table or an inline table."""
        place = self._place()
        keys = self._key()
        for length in range(1, len(keys) + 1):
            self.keys.setdefault((*table, *keys[:length]), place)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value((*table, *keys))

    def _key(self) -> list[str]:
        """The parts of a dotted key; leaves `at` behind the blanks that follow it."""
        parts: list[str] = []
        while True:
            self._skip(_SPACE)
            if self._text[self.at] in "\"'":
                token = self._take(_STRING)
                parts.append(str(tomllib.loads(f"k={token}")["k"]))
            else:
                parts.append(self._take(_BARE))
            self._skip(_SPACE)
            if self._text[self.at] != ".":
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        self.values[path] = self._place()
        first = self._text[self.at]
        if first in "\"'":
            self._skip(_STRING)
        elif first == "[":
            self._members(path, "]")
        elif first == "{":
            self._members(path, "}")
        else:
            self._skip(_SCALAR)

    def _members(self, path: Path, end: str) -> None:
        """The values of an array, or the pairs of an inline table."""
        self.at += 1
        self._skip(_BLANK)
        number = 0
        while self._text[self.at] != end:
            if end == "}":
                self._pair(path)
            else:
                self._value((*path, number))
            number += 1
            self._skip(_BLANK)
            if self._text[self.at] == ",":
                self.at += 1
                self._skip(_BLANK)
        self.at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        start = self.at
        self._skip(pattern)
        return self._text[start : self.at]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self.at)
        # Nothing else than what the pattern is for can stand here: tomllib has read the document.
        self.at = match.end() if match else len(self._text)

    def _place(self) -> TomlPlace:
        newlines = self._text.count("\n", self._line_at, self.at)
        if newlines:
            self._line += newlines
            self._line_at = self._text.rfind("\n", 0, self.at) + 1
        return TomlPlace(self._line, self.at - self._line_at + 1)
