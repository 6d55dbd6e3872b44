"""What a tree's own files say of where its imports lead, once they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

_MOST_STARRED: Final = 200  # names with a star in one table: each is compared with each import


class Mapped:
    """What a table maps names to. A name with one star stands for all that fit it."""

    def __init__(self, table: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._table = table or {}
        starred = (name for name in self._table if name.count("*") == 1)
        self._starred = sorted([*islice(starred, _MOST_STARRED)], key=lambda name: -name.index("*"))

    def of(self, name: str) -> list[str]:
        """The targets of a name: its own, or those of the longest start that fits."""
        if name in self._table:
            return [*self._table[name]]
        for pattern in self._starred:
            head, _, tail = pattern.partition("*")
            if len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
                middle = name[len(head) : len(name) - len(tail)]
                return [target.replace("*", middle, 1) for target in self._table[pattern]]
        return []


@dataclass(frozen=True, slots=True)
class ScriptConfig:
    """A tsconfig.json or jsconfig.json: the files it extends and refers to, `baseUrl` and `paths`, all as written."""

    extends: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    base_url: str | None = None
    paths: Mapped | None = None


@dataclass(frozen=True, slots=True)
class ScriptPackage:
    """A package.json: its name, the files that it says are its entry, and what it maps names to.

    `exports` is by subpath (``.``, ``./button``, ``./*``), `imports` by name (``#db``), `links` has the folders of
    dependencies that are folders.
    """

    name: str = ""
    entries: tuple[str, ...] = ()
    exports: Mapped = field(default_factory=Mapped)
    imports: Mapped = field(default_factory=Mapped)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Projects:
    """What the project files of one tree say.

    By folder ("" is the root): the module that a go.mod declares, a crate's name and library, a package. By path of the
    file that says so: the patterns of a workspace's packages, the configurations of scripts.
    """

    go_modules: dict[str, str] = field(default_factory=dict)
    crates: dict[str, tuple[str, str]] = field(default_factory=dict)
    packages: dict[str, ScriptPackage] = field(default_factory=dict)
    workspaces: dict[str, tuple[str, ...]] = field(default_factory=dict)
    configs: dict[str, ScriptConfig] = field(default_factory=dict)
