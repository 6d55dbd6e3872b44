"""Which files of the same tree an import means, as far as paths and the tree's own project files can tell.

It answers only if the language's own rules decide, or if exactly one file fits; anything else, and everything outside
the repository, is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from snapshotter.scan.symbols import rules
from snapshotter.scan.symbols.languages import LANGUAGES
from snapshotter.scan.symbols.projects import Projects
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.scripts import Scripts
from snapshotter.scan.symbols.tree_index import TreeIndex

Resolve = Callable[[str, str, Import], list[tuple[tuple[str, ...], str | None]]]
"""What an import of (path, language, import) means, as `SourceTree.resolve` answers."""

_SCRIPTS: Final = frozenset({"javascript", "typescript", "tsx"})  # grammars


class SourceTree:
    """The paths of one tree, with what its project files say.

    Without the go.mod that declares its module, no Go import is resolved.
    """

    def __init__(self, paths: Iterable[str], projects: Projects | None = None) -> None:
        projects = projects or Projects()
        self._index = TreeIndex(paths, projects)
        self._scripts = Scripts(self._index, projects)

    def resolve(self, path: str, language: str, item: Import) -> list[tuple[tuple[str, ...], str | None]]:
        """What `item`, written in the file at `path`, means: each file once (for Go, and for all of a package of Java,
        Kotlin or Scala, the folder), with the names that are taken from it, in order. Names of which nobody knows
        are beside None."""
        name = LANGUAGES.get(language, "")
        if each := rules.EACH_NAME.get(name):
            targets = each(self._index, path, item)
            taken: dict[str | None, list[str]] = {}
            for one, target in zip(item.names, targets, strict=False):
                taken.setdefault(target, []).append(one)
            return [(tuple(names), target) for target, names in taken.items()] or [((), targets[0])]
        return [(item.names, self._whole(name, path, item.module))]

    def _whole(self, grammar: str, path: str, module: str) -> str | None:
        if grammar in _SCRIPTS:
            return self._scripts.find(path, module)
        rule = rules.WHOLE.get(grammar)
        return rule(self._index, path, module) if rule else None
