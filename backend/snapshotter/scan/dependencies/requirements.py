"""Python: pip's requirements files, with those that they take in (`-r`) or are held by (`-c`)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from snapshotter.base.text import plural
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, PartlyRead, dependency
from snapshotter.scan.dependencies.requirements_file import RequirementsFile, read_file

NAMED: Final = re.compile(
    r"(?:.*/)?(?:[\w.-]*(?:requirements|constraints)[\w.-]*|requirements/[\w.-]+)\.(?:txt|in)"
)
"""Paths that are requirements or constraints by their own name."""

_LISTED: Final = re.compile(r"requirements", re.I)
_WORDS: Final = re.compile(r"[a-z]+")
_SCOPES: Final = {
    word: scope
    for scope, words in {
        "runtime": "prod production runtime",
        "constraint": "constraint constraints",
        "dev": "dev develop development devel local contrib tools tooling debug",
        "test": "test tests testing unittest pytest tox e2e coverage",
        "ci": "ci",
        "docs": "doc docs documentation sphinx mkdocs rtd readthedocs",
        "lint": "lint linting linters lints format formatting style typing types mypy check checks qa precommit",
        "build": "build building packaging release publish wheel",
        "bench": "bench benchmark benchmarks perf",
        "examples": "example examples demo samples",
        "optional": "optional extra extras",
    }.items()
    for word in words.split()
}


class RequirementsFiles:
    """The requirements files of a tree.

    When a package is needed follows from the file's name and folder, `runtime` where they tell nothing. A file that
    only holds others to versions has the scope `constraint` and is not direct; what it pins is the version of what
    others name without one. In a file that pip-compile or uv made, a package that is there via others is not
    direct.
    """

    def __init__(self) -> None:
        self._files: dict[str, RequirementsFile] = {}
        self._users: dict[str, list[str]] | None = None

    def add(self, path: str, blob: bytes) -> None:
        """Read one; lines that are options or no requirement are passed over."""
        self._files[path] = read_file(path, blob)
        self._users = None

    def taken_in(self) -> list[str]:
        """The files that others take in or are held by, and that were not added."""
        files = self._files.values()
        return sorted(
            {one for file in files for one in (*file.included, *file.constraints)} - self._files.keys()
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._files[path]
        self._users = None

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        scope = self._scope(path)
        pins = self._pins(path) if scope != "constraint" else {}
        for row in self._files[path].rows:
            if scope == "constraint":
                yield row._replace(scope=scope, direct=False)
            elif row.version is None and row.purl and len(held := pins.get(row.name, set())) == 1:
                (version,) = held
                yield dependency(
                    NamedPackage(row.ecosystem, row.name, version), row.requirement, scope, row.direct
                )
            else:
                yield row._replace(scope=scope)
        if nameless := self._files[path].nameless:
            raise PartlyRead(f"{plural(nameless, 'line')} with no more than a package's address")

    def lenders(self, path: str) -> set[str]:
        """The constraints that it is held by."""
        return self._constraints(path) - {path}

    def _scope(self, path: str) -> str:
        """By the name, else by the files that take it in: `runtime` if any of them is.

        What is a requirements file by its own name is one whoever else takes it in or is held by it, as
        `requirements.txt` is for those who develop.
        """
        if told := _scope_of(path):
            return told
        users = self._above(path)
        if not users and self._only_holds(path):
            return "constraint"
        if not users or NAMED.fullmatch(path):
            return "runtime"
        scopes = {
            _scope_of(one) or "runtime"
            for one in users
            if NAMED.fullmatch(one) or _scope_of(one) or not self._users_of(one)
        }
        return "runtime" if "runtime" in scopes else min(scopes, default="runtime")

    def _only_holds(self, path: str) -> bool:
        """Whether nothing is asked for by a file: others are held by it, and it is no list that a tool made to be
        installed."""
        if _LISTED.search(posixpath.basename(path)) or self._files[path].compiled:
            return False
        return any(path in file.constraints for file in self._files.values())

    def _pins(self, path: str) -> dict[str, set[str]]:
        pins: dict[str, set[str]] = {}
        for one in self._constraints(path):
            for row in self._files[one].rows:
                if row.version is not None:
                    pins.setdefault(row.name, set()).add(row.version)
        return pins

    def _constraints(self, path: str) -> set[str]:
        """The constraints of a file, of those that take it in, and of those constraints."""
        waiting = [one for user in {path, *self._above(path)} for one in self._files[user].constraints]
        constraints: set[str] = set()
        while waiting:
            one = waiting.pop()
            if one in self._files and one not in constraints:  # constraints may name each other
                constraints.add(one)
                waiting += [*self._files[one].constraints, *self._files[one].included]
        return constraints

    def _above(self, path: str) -> set[str]:
        """The files that take this one in, directly or not."""
        above: set[str] = set()
        waiting = self._users_of(path)
        while waiting:
            one = waiting.pop()
            if one not in above and one != path:
                above.add(one)
                waiting += self._users_of(one)
        return above

    def _users_of(self, path: str) -> list[str]:
        """The other files that take this one in themselves."""
        if self._users is None:
            self._users = {}
            for user, file in sorted(self._files.items()):
                for one in dict.fromkeys(file.included):
                    if one != user:
                        self._users.setdefault(one, []).append(user)
        return list(self._users.get(path, ()))


def _scope_of(path: str) -> str:
    """What the words of a file's name and of its folder tell; empty where they tell nothing."""
    folder, name = posixpath.split(path.lower())
    for words in (name, posixpath.basename(folder)):
        for word in _WORDS.findall(words.replace("pre-commit", "precommit")):
            if word in _SCOPES:
                return _SCOPES[word]
    return ""
