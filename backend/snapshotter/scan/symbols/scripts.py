"""The rule of JavaScript and TypeScript: relative paths, tsconfig.json's aliases, and the repository's own packages.

Sources: TypeScript's handbook (module resolution, `paths`), Node's documentation (packages, `exports` and `imports`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

from snapshotter.scan.globs import wildmatch
from snapshotter.scan.symbols.projects import Mapped, Projects, ScriptPackage
from snapshotter.scan.symbols.standard import of_node
from snapshotter.scan.symbols.tree_index import TreeIndex

_ENDS: Final = (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json")
_COMPILED: Final = {
    ".js": (".ts", ".tsx"),
    ".jsx": (".tsx",),
    ".mjs": (".mts", ".ts"),
    ".cjs": (".cts", ".ts"),
}
_SVELTE_LIBRARY: Final = "$lib"
_CONFIGS: Final = ("tsconfig.json", "jsconfig.json")
# Folders that a build makes of `src`.
_BUILT: Final = frozenset("dist lib build out es esm cjs output types".split())
_DEEPEST: Final = 16  # configurations that extend each other
_MOST_PATTERNS: Final = 2_000  # of workspaces, in all
_MOST: Final = 50  # places that are looked at for one import


class Scripts:
    """Finds what an import of a script means, in one tree."""

    def __init__(self, tree: TreeIndex, projects: Projects) -> None:
        self._tree, self._projects = tree, projects
        self._options: dict[str, list[_Aliases]] = {}
        self._aliases_of: dict[str, list[_Aliases]] = {}

    def find(self, path: str, module: str) -> str | None:
        """The file that `module` means in the file at `path`."""
        if module.startswith("."):
            place = _join(posixpath.dirname(path), module)
            return self.file(place) or (self.file(place.partition("?")[0]) if "?" in place else None)
        if module.startswith("#"):
            return self._own_name(path, module)
        for aliases in self._aliases(path):
            if target := self._first(aliases.places(module)):
                return target
        if of_node(module):
            return None
        if module.split("/")[0] == _SVELTE_LIBRARY:
            return self._svelte(path, module)
        for aliases in self._aliases(path):
            base = aliases.base_url
            if base is not None and (target := self.file(_join(base, module))):
                return target
        return self._package(path, module)

    def _svelte(self, path: str, module: str) -> str | None:
        """What `$lib` means: SvelteKit's alias for `src/lib` of the nearest project of its own above a file."""
        for up in self._tree.upwards(path):
            if self._tree.first(_join(up, f"svelte.config.{end}") for end in ("js", "ts", "mjs")):
                return self.file(_join(up, "src", "lib", *module.split("/")[1:]))
        return None

    def file(self, base: str) -> str | None:
        """The file that a path means, as compilers and bundlers complete it."""
        stem, suffix = posixpath.splitext(base)
        index = "index" if base == "." else f"{base}/index"
        compiled = [stem + other for other in _COMPILED.get(suffix, ())]
        whole = [base + other for other in _ENDS]
        return self._tree.first([base, *compiled, *whole, *(index + other for other in _ENDS)])

    def _first(self, places: Iterable[str]) -> str | None:
        return next(
            (target for _, place in zip(range(_MOST), places, strict=False) if (target := self.file(place))),
            None,
        )

    # Aliases

    def _aliases(self, path: str) -> list[_Aliases]:
        """The aliases of the nearest configuration above a file, and of those that it refers to."""
        folder = posixpath.dirname(path)
        if folder not in self._aliases_of:
            self._aliases_of[folder] = next(
                (
                    self._of_config(config)
                    for up in self._tree.upwards(path)
                    for name in _CONFIGS
                    if (config := posixpath.join(up, name)) in self._projects.configs
                ),
                [],
            )
        return self._aliases_of[folder]

    def _of_config(self, path: str) -> list[_Aliases]:
        if path not in self._options:
            referred = (self._config_at(path, one) for one in self._projects.configs[path].references)
            every = [path, *(one for one in referred if one is not None)]
            self._options[path] = [self._merged(one) for one in every[:_MOST]]
        return self._options[path]

    def _merged(self, path: str) -> _Aliases:
        """The options of one configuration, over those that it extends."""
        folder, base_url, paths, paths_from = posixpath.dirname(path), None, None, ""
        waiting, seen = [path], set[str]()
        while waiting and len(seen) < _DEEPEST:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            config = self._projects.configs[at]
            if base_url is None and config.base_url is not None:
                base_url = _expanded(posixpath.dirname(at), config.base_url, folder)
            if paths is None and config.paths is not None:
                paths, paths_from = config.paths, posixpath.dirname(at)
            extended = (self._config_at(at, one) for one in config.extends)
            waiting += [one for one in extended if one is not None]  # of several, the last counts first
        return _Aliases(base_url, paths or Mapped(), base_url if base_url is not None else paths_from, folder)

    def _config_at(self, path: str, written: str) -> str | None:
        """The configuration that another one extends or refers to."""
        if written.startswith("."):
            base = _join(posixpath.dirname(path), written)
        else:
            name, rest = _split(written)
            folder = self._folder(path, name)
            base = _join(posixpath.dirname(path), written) if folder is None else _join(folder, rest)
        places = (base, f"{base}.json", _join(base, "tsconfig.json"))
        return next((place for place in places if place in self._projects.configs), None)

    # Packages

    def _package(self, path: str, module: str) -> str | None:
        name, rest = _split(module)
        if name not in self._names:
            return None
        folder = self._folder(path, name)
        if folder is None:
            return None
        package = self._projects.packages.get(folder, ScriptPackage())
        return self._first(_entries(folder, package, rest))

    def _own_name(self, path: str, module: str) -> str | None:
        """What the package around a file maps a name to that begins with ``#``."""
        for folder in self._tree.upwards(path):
            if (package := self._projects.packages.get(folder)) is not None:
                return self._first(_places(folder, package.imports.of(module)))
        return None

    @cached_property
    def _names(self) -> frozenset[str]:
        """The names under which packages of this tree may be asked for."""
        packages = self._projects.packages.values()
        return frozenset(name for one in packages for name in (one.name, *one.links) if name)

    def _folder(self, path: str, name: str) -> str | None:
        """The folder of a package: of a workspace around the file, linked by the package around it, or its own."""
        for up in self._tree.upwards(path):
            if (folder := self._members.get(up, {}).get(name)) is not None:
                return folder
            if (package := self._projects.packages.get(up)) is not None:
                if (link := package.links.get(name)) is not None:
                    folder = _join(up, link)
                    return "" if folder == "." else folder
                if package.name == name:
                    return up
        return None

    @cached_property
    def _members(self) -> dict[str, dict[str, str]]:
        """The packages of each workspace: by its folder, then by name."""
        listed: dict[str, tuple[str, ...]] = {}
        left = _MOST_PATTERNS
        for path, written in sorted(self._projects.workspaces.items()):
            patterns = written[:left]
            left -= len(patterns)
            if patterns:
                folder = posixpath.dirname(path)
                listed[folder] = (*listed.get(folder, ()), *patterns)
        matchers = {
            folder: [
                (not one.startswith("!"), wildmatch(one.lstrip("!").removeprefix("./").rstrip("/")))
                for one in patterns
            ]
            for folder, patterns in listed.items()
        }
        members: dict[str, dict[str, str]] = {folder: {} for folder in listed}
        for folder, package in sorted(self._projects.packages.items(), reverse=True):
            for up in self._tree.upwards(f"{folder}/package.json"):
                below = folder[len(up) :].lstrip("/")
                verdicts = [taken for taken, match in matchers.get(up, ()) if match.match(below)]
                if package.name and verdicts and verdicts[-1]:
                    members[up][package.name] = folder  # of equal names the first in order counts
        return members


class _Aliases:
    """The aliases of one configuration. `base` is the folder that its `paths` are below."""

    def __init__(self, base_url: str | None, paths: Mapped, base: str, folder: str) -> None:
        self.base_url, self._paths, self._base, self._folder = base_url, paths, base, folder

    def places(self, module: str) -> Iterator[str]:
        """Where the aliases say that a module is."""
        for place in self._paths.of(module):
            yield _expanded(self._base, place, self._folder)


def _entries(folder: str, package: ScriptPackage, rest: str) -> Iterator[str]:
    """Where a package's entry may be, or what is below it; a file that a build makes is looked for in `src`."""
    yield from _places(folder, package.exports.of(f"./{rest}" if rest else "."))
    if rest:
        yield from _places(folder, [rest, f"src/{rest}"])
    else:
        yield from _places(folder, [*package.entries, "src/index", "index"])


def _places(folder: str, targets: Iterable[str]) -> Iterator[str]:
    for target in targets:
        place = posixpath.normpath(target.lstrip("/"))
        yield _join(folder, place)
        first, _, below = place.partition("/")
        while first in _BUILT and below:
            stem = below.removesuffix(".d.ts") if below.endswith(".d.ts") else posixpath.splitext(below)[0]
            yield from (_join(folder, "src", stem), _join(folder, stem))
            first, _, below = below.partition("/")


def _split(module: str) -> tuple[str, str]:
    """A module's package and what is below it: ``@acme/ui/button`` is ``("@acme/ui", "button")``."""
    parts = module.split("/")
    count = 2 if module.startswith("@") else 1
    return "/".join(parts[:count]), "/".join(parts[count:])


def _expanded(base: str, place: str, folder: str) -> str:
    """A path of a configuration below `base`; ``${configDir}`` is the folder of the one that is in use."""
    if place.startswith("${configDir}"):
        return _join(folder, place.removeprefix("${configDir}").lstrip("/"))
    return _join(base, place)


def _join(folder: str, *parts: str) -> str:
    """A path without its dots. One that leaves the tree is no file of the tree."""
    return posixpath.normpath(posixpath.join(folder, *parts))
