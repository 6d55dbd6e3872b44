"""Which file of the same tree an import means, as far as paths alone can tell.

It needs every path of the tree and no contents. It answers only if the language's own rules decide, or if exactly
one file fits; anything else, and everything outside the repository, is None.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from snapshotter.scan.symbols.languages import LANGUAGES
from snapshotter.scan.symbols.records import Import

_SCRIPTS: Final = (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json")
_COMPILED: Final = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_SOURCE_ROOTS: Final = ("", "src", "lib", "include", "python")
_SHELL_PREFIX: Final = re.compile(r"^(?:\$\(.*\)|\$\{?\w+[^/]*)/")
_MAX_UP: Final = 64  # folders looked through upwards


class SourceTree:
    """The paths of one tree, indexed for resolution.

    `go_modules` maps a folder ("" for the root) to the module path that its go.mod declares; without it no Go
    import is resolved.
    """

    def __init__(self, paths: Iterable[str], go_modules: Mapping[str, str] | None = None) -> None:
        self.files = frozenset(paths)
        self.folders = {posixpath.dirname(path) for path in self.files}
        self.go_modules = sorted((go_modules or {}).items(), key=lambda item: -len(item[1]))
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.files:
            self._by_name[posixpath.basename(path)].append(path)
        stems = (posixpath.splitext(name)[0] for name in self._by_name if name.endswith((".py", ".pyi")))
        self.python_names = {*stems, *(name for folder in self.folders for name in folder.split("/"))}

    def resolve(self, path: str, language: str, item: Import) -> str | None:
        """The file that `item`, written in the file at `path`, means; for Go the package's folder."""
        rule = _RULES.get(LANGUAGES.get(language, ""))
        return rule(self, path, item) if rule else None

    def first(self, candidates: Iterable[str | None]) -> str | None:
        """The first candidate that is a file of the tree."""
        return next((path for path in candidates if path in self.files), None)

    def only(self, suffix: str) -> str | None:
        """The one file whose path ends with these whole segments, if there is exactly one."""
        paths = [
            path
            for path in self._by_name.get(posixpath.basename(suffix), ())
            if path == suffix or path.endswith("/" + suffix)
        ]
        return paths[0] if len(paths) == 1 else None

    def has_name(self, path: str) -> bool:
        """Whether any file has this path's last segment: without one, no folder is worth a look."""
        return posixpath.basename(posixpath.normpath(path)) in self._by_name

    def upwards(self, path: str) -> Iterable[str]:
        """The folders from a file's own up to the root, "" last."""
        folder = posixpath.dirname(path)
        for _ in range(_MAX_UP):
            yield folder
            if not folder:
                return
            folder = posixpath.dirname(folder)


def _join(folder: str, *parts: str) -> str:
    """A path without its dots. One that leaves the tree is no file of the tree."""
    return posixpath.normpath(posixpath.join(folder, *parts))


def _below(*parts: str) -> str:
    """A path of plain segments, of which some may be empty; far faster than posixpath's join."""
    return "/".join([part for part in parts if part])


def _python(tree: SourceTree, path: str, item: Import) -> str | None:
    dots = len(item.module) - len(item.module.lstrip("."))
    parts = [part for part in item.module[dots:].split(".") if part]
    if dots:
        folder = posixpath.dirname(path)
        for _ in range(min(dots - 1, _MAX_UP)):
            folder = posixpath.dirname(folder)
        return _python_module(tree, folder, parts, item.names)
    if parts and parts[0] not in tree.python_names:
        return None  # from outside, as most are
    for folder in tree.upwards(path):
        if _below(folder, "__init__.py") in tree.files:
            continue  # inside a package, an absolute import does not look here
        for root in _SOURCE_ROOTS:
            if target := _python_module(tree, _below(folder, root), parts, item.names):
                return target
    return None


def _python_module(tree: SourceTree, folder: str, parts: list[str], names: tuple[str, ...]) -> str | None:
    """A module below a folder; a package from which a submodule is taken means that submodule."""
    base = _below(folder, *parts)
    submodules = (f"{base}/{name}.py" if base else f"{name}.py" for name in names)
    if base in tree.folders and (target := tree.first(submodules)):
        return target
    return tree.first((f"{base}.py" if parts else None, _below(base, "__init__.py"), f"{base}.pyi"))


def _script(tree: SourceTree, path: str, item: Import) -> str | None:
    if not item.module.startswith("."):
        return None
    base = _join(posixpath.dirname(path), item.module)
    stem, suffix = posixpath.splitext(base)
    compiled = [stem + other for other in _COMPILED.get(suffix, ())]
    whole = [base + other for other in ("", *_SCRIPTS)]
    index = "index" if base == "." else f"{base}/index"
    return tree.first([*whole[:1], *compiled, *whole[1:], *(index + other for other in _SCRIPTS)])


def _go(tree: SourceTree, _path: str, item: Import) -> str | None:
    for folder, module in tree.go_modules:
        if item.module == module or item.module.startswith(module + "/"):
            package = _join(folder, item.module[len(module) :].strip("/"))
            package = "" if package == "." else package
            return package if package in tree.folders else None
    return None


def _rust(tree: SourceTree, path: str, item: Import) -> str | None:
    parts = item.module.split("::")
    folder, stem = posixpath.dirname(path), posixpath.splitext(posixpath.basename(path))[0]
    own = folder if stem in ("mod", "lib", "main") else posixpath.join(folder, stem)
    if parts[0] == "crate":
        roots = (up for up in tree.upwards(path) if tree.first((f"{up}/lib.rs", f"{up}/main.rs")))
        start = next(iter(roots), None)
        parts = parts[1:]
    else:
        start = own
        while parts and parts[0] in ("self", "super"):
            start = posixpath.dirname(start) if parts[0] == "super" else start
            parts = parts[1:]
        if len(parts) == len(item.module.split("::")) and len(parts) > 1:
            return None  # another crate
    if start is None:
        return None
    for count in range(len(parts), 0, -1):  # the tail may be an item, not a module
        base = posixpath.join(start, *parts[:count])
        if target := tree.first((f"{base}.rs", f"{base}/mod.rs")):
            return target
    if parts:
        return None
    return tree.first(f"{start}{end}" for end in (".rs", "/mod.rs", "/lib.rs", "/main.rs"))


def _include(tree: SourceTree, path: str, item: Import) -> str | None:
    system = item.module.startswith("<")
    name = item.module.strip("<>")
    if not tree.has_name(name):
        return None
    if not system and (beside := _join(posixpath.dirname(path), name)) in tree.files:
        return beside
    roots = ("include",) if system else _SOURCE_ROOTS
    if target := tree.first(_join(up, root, name) for up in tree.upwards(path) for root in roots):
        return target
    return tree.only(name) if "/" in name or not system else None


def _jvm(tree: SourceTree, _path: str, item: Import) -> str | None:
    """Java, Kotlin and Scala: packages are folders by convention; the tail may be a member of the class."""
    parts = item.module.split(".")
    if item.names and item.names[0] != "*":
        parts.append(item.names[0])
    for count in range(len(parts), max(len(parts) - 3, 1), -1):
        for suffix in (".java", ".kt", ".scala"):
            if target := tree.only("/".join(parts[:count]) + suffix):
                return target
    return None


def _ruby(tree: SourceTree, path: str, item: Import) -> str | None:
    name = item.module.removesuffix(".rb") + ".rb"
    if not tree.has_name(name):
        return None
    near = (_join(posixpath.dirname(path), name),)
    roots = (_join(up, root, name) for up in tree.upwards(path) for root in _SOURCE_ROOTS)
    return tree.first((*near, *roots))


def _php(tree: SourceTree, path: str, item: Import) -> str | None:
    if item.module.endswith((".php", ".inc")):
        name = item.module.lstrip("/")
        return tree.first((_join(posixpath.dirname(path), name), _join("", name)))
    parts = [part for part in item.module.split("\\") if part]
    if item.names:
        parts.append(item.names[0])
    for start in range(max(len(parts) - 1, 0)):  # PSR-4: a prefix of the namespace may be a folder's name
        if target := tree.only("/".join(parts[start:]) + ".php"):
            return target
    return None


def _shell(tree: SourceTree, path: str, item: Import) -> str | None:
    name = _SHELL_PREFIX.sub("", item.module)
    return tree.first((_join(posixpath.dirname(path), name), _join("", name)))


_RULES: Final[Mapping[str, Callable[[SourceTree, str, Import], str | None]]] = {
    "python": _python,
    "javascript": _script,
    "typescript": _script,
    "tsx": _script,
    "go": _go,
    "rust": _rust,
    "java": _jvm,
    "kotlin": _jvm,
    "scala": _jvm,
    "c": _include,
    "cpp": _include,
    "ruby": _ruby,
    "php": _php,
    "bash": _shell,
}
