"""Imports from a query's captures."""

from __future__ import annotations

import re
from typing import Final

from snapshotter.scan.symbols.parsing import Captures
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.signatures import decode

MAX_MODULE: Final = 1024  # characters of a module's name
_MAX_NAMES: Final = 500
_MAX_TREE: Final = 16 * 1024  # bytes of one statement
_KEYWORDS: Final = re.compile(r"(?:(?:global|using|import|use|static|function|const)\s+)+")
_ALIAS: Final = re.compile(r"\s+as\s+\S+$|\s*=>\s*\S+$")
_SPACE: Final = re.compile(r"\s+")
_QUOTES: Final = "\"'`"
_NAMED: Final = {"member.default": "default", "member.all": "*"}


class Imports:
    """The imports of one file, gathered match by match."""

    def __init__(self, blob: bytes, separator: str) -> None:
        self._blob = blob
        self._separator = separator
        self._imports: dict[int, tuple[str, int, dict[str, None]]] = {}

    def __len__(self) -> int:
        return len(self._imports)

    def add(self, role: str, captures: Captures) -> None:
        """Take one match whose role is `import` or `import.path`."""
        if role == "import.path":
            node = captures[role][0]
            module, names = split_path(self._text(node.start_byte, node.end_byte), self._separator)
            self._imports[node.start_byte] = (module, node.start_point.row + 1, dict.fromkeys(names))
            return
        node = captures["module"][0]
        if node.start_byte not in self._imports:
            module = self._text(node.start_byte, node.end_byte)
            if "module.relative" in captures and not module.startswith((".", "/")):
                module = f"./{module}"
            line = captures["import"][0].start_point.row + 1
            self._imports[node.start_byte] = (module.strip(_QUOTES)[:MAX_MODULE], line, {})
        names_so_far = self._imports[node.start_byte][2]
        for capture, members in captures.items():
            if capture.startswith("member"):
                for member in members[:_MAX_NAMES]:  # `rows` cuts again: one import may have several matches
                    text = _NAMED.get(capture) or self._text(member.start_byte, member.end_byte)
                    names_so_far[text.strip(_QUOTES)] = None

    def rows(self) -> tuple[Import, ...]:
        """All imports in the order of the file."""
        ordered = sorted(self._imports.items())
        return tuple(
            Import(module, tuple(sorted([*names][:_MAX_NAMES])), line)
            for _, (module, line, names) in ordered
            if module
        )

    def _text(self, start: int, end: int) -> str:
        return _SPACE.sub(" ", decode(self._blob[start : min(end, start + _MAX_TREE)]))


def split_path(text: str, separator: str) -> tuple[str, tuple[str, ...]]:
    """A path or a tree of paths as (module, selected names).

    ``std::io::{self, Read as R}`` is ``("std::io", ("self", "Read"))``, ``java.util.*`` is
    ``("java.util", ("*",))``, and ``a.b.C as D`` is ``("a.b.C", ())``.
    """
    path = _KEYWORDS.sub("", text.strip().rstrip("; "), count=1).split("= ")[-1].strip()
    head, brace, rest = path.partition("{")
    if not brace:
        path = _ALIAS.sub("", path)
        stem, _, last = path.rpartition(separator)
        if last in ("*", "_") and stem:
            return stem[:MAX_MODULE], ("*",)
        return path[:MAX_MODULE], ()
    return head.strip().removesuffix(separator)[:MAX_MODULE], tuple(_leaves(rest, separator))


def _leaves(tree: str, separator: str) -> list[str]:
    """The names in a brace tree, whose opening brace is already read, each with its own prefixes."""
    prefixes: list[str] = []
    leaves: list[str] = []
    for part, mark in re.findall(r"([^{},]*)([{},]|$)", tree):
        name = _ALIAS.sub("", part.strip())
        if mark == "{":
            prefixes.append(name)
        elif name:
            leaves.append("".join([*prefixes, name])[:MAX_MODULE])
        if mark == "}" and prefixes:
            prefixes.pop()
        if len(leaves) >= _MAX_NAMES or len(prefixes) > 20:
            break
    return leaves
