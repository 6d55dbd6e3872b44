"""The rules by which each language finds what an import means, on the paths of a tree."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from snapshotter.scan.symbols import standard
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.tree_index import TreeIndex

_SOURCE_ROOTS: Final = ("", "src", "lib", "include", "python")
_SHELL_PREFIX: Final = re.compile(r"^(?:\$\(.*\)|\$\{?\w+[^/]*)/")
_MAX_UP: Final = 64  # dots of a relative import
_JVM: Final = (".java", ".kt", ".scala")
_ALL: Final = ("*", "_", "given")  # all of a package

Targets = list[str | None]
"""What each name of an import means, in their order; of an import without names, what its module means."""


def _join(folder: str, *parts: str) -> str:
    """A path without its dots. One that leaves the tree is no file of the tree."""
    return posixpath.normpath(posixpath.join(folder, *parts))


def _below(*parts: str) -> str:
    """A path of plain segments, of which some may be empty; far faster than posixpath's join."""
    return "/".join([part for part in parts if part])


def _python(tree: TreeIndex, path: str, item: Import) -> Targets:
    dots = len(item.module) - len(item.module.lstrip("."))
    parts = [part for part in item.module[dots:].split(".") if part]
    nothing: Targets = [None] * max(1, len(item.names))
    if dots:
        folder = posixpath.dirname(path)
        for _ in range(min(dots - 1, _MAX_UP)):
            folder = posixpath.dirname(folder)
        return _python_module(tree, folder, parts, item.names)
    if not parts or parts[0] not in tree.python_names or standard.of_python(parts):
        return nothing  # from outside, as most are
    # Nobody knows where Python is started: each folder above may be the one whose modules it finds.
    for folder in tree.upwards(path):
        if _below(folder, "__init__.py") in tree.files:
            continue  # inside a package, an absolute import does not look here
        for root in _SOURCE_ROOTS:
            targets = _python_module(tree, _below(folder, root), parts, item.names)
            if any(targets):
                return targets
    return nothing


def _python_module(tree: TreeIndex, folder: str, parts: list[str], names: tuple[str, ...]) -> Targets:
    """A module below a folder; what is taken from a package means its submodule of that name, if it has one."""
    base = _below(folder, *parts)
    whole = tree.first((f"{base}.py" if parts else None, _below(base, "__init__.py"), f"{base}.pyi"))
    if base not in tree.folders or not names:
        return [whole] * max(1, len(names))
    return [_python_submodule(tree, _below(base, name)) or whole for name in names]


def _python_submodule(tree: TreeIndex, base: str) -> str | None:
    return tree.first((f"{base}.py", f"{base}/__init__.py", f"{base}.pyi"))


def _rust(tree: TreeIndex, path: str, item: Import) -> Targets:
    parts = item.module.split("::")
    start = _rust_start(tree, path, parts)
    library = None if start is not None else tree.crate(parts[0])
    if start is None and library is None:
        return [None] * max(1, len(item.names))
    if start is None:
        start, parts = posixpath.dirname(library or ""), parts[1:]
    while parts and parts[0] in ("crate", "self", "super"):
        parts = parts[1:]
    tails = [[] if name in ("self", "*") else name.removesuffix("::self").split("::") for name in item.names]
    return [_rust_module(tree, start, [*parts, *tail]) or library for tail in tails or [[]]]


def _rust_start(tree: TreeIndex, path: str, parts: list[str]) -> str | None:
    """The folder of the modules below the one that a path starts from; None for another crate."""
    folder, stem = posixpath.dirname(path), posixpath.splitext(posixpath.basename(path))[0]
    if parts[0] == "crate":
        roots = (up for up in tree.upwards(path) if tree.first((_below(up, "lib.rs"), _below(up, "main.rs"))))
        return next(roots, None)
    start = (
        folder if stem in ("mod", "lib", "main") or _is_target(tree, folder) else posixpath.join(folder, stem)
    )
    if parts[0] not in ("self", "super"):  # a module of this one, or another crate
        below = _below(start, parts[0])
        return start if tree.first((f"{below}.rs", f"{below}/mod.rs")) else None
    for part in parts:
        if part not in ("self", "super"):
            break
        start = posixpath.dirname(start) if part == "super" else start
    return start


def _is_target(tree: TreeIndex, folder: str) -> bool:
    """Whether the files of a folder are crates of their own: tests, benches and examples beside a Cargo.toml, and
    binaries."""
    above, name = posixpath.split(folder)
    if name == "bin":
        above, name = posixpath.split(above)
        return name == "src" and _below(above, "Cargo.toml") in tree.files
    return name in ("tests", "benches", "examples") and _below(above, "Cargo.toml") in tree.files


def _rust_module(tree: TreeIndex, start: str, parts: list[str]) -> str | None:
    parts = [part for part in parts if part != "*"][:_MAX_UP]
    for count in range(len(parts), 0, -1):  # the tail may be an item, not a module
        base = _below(start, *parts[:count])
        if target := tree.first((f"{base}.rs", f"{base}/mod.rs")):
            return target
    return tree.first(f"{start}{end}".lstrip("/") for end in (".rs", "/mod.rs", "/lib.rs", "/main.rs"))


def _jvm(tree: TreeIndex, path: str, item: Import) -> Targets:
    """Java, Kotlin and Scala: packages are folders by convention; the tail may be a member of the class."""
    return [
        _jvm_all(tree, path, item.module) if name in _ALL else _jvm_class(tree, path, f"{item.module}.{name}")
        for name in item.names
    ] or [_jvm_class(tree, path, item.module)]


def _jvm_class(tree: TreeIndex, path: str, name: str) -> str | None:
    parts = name.removesuffix("._").removesuffix(".*").split(".")
    for count in range(len(parts), max(len(parts) - 3, 1), -1):
        for suffix in _JVM:
            if target := tree.only("/".join(parts[:count]) + suffix, path):
                return target
    return None


def _jvm_all(tree: TreeIndex, path: str, module: str) -> str | None:
    """All of a class, or all of a package: its folder."""
    folder = module.replace(".", "/")
    a_class = next((one for end in _JVM if (one := tree.only(folder + end, path))), None)
    return a_class or (tree.only_folder(folder, path, _JVM) if "/" in folder else None)


def _php(tree: TreeIndex, path: str, item: Import) -> Targets:
    if item.module.endswith((".php", ".inc")):
        name = item.module.lstrip("/")
        return [tree.first((_join(posixpath.dirname(path), name), _join("", name)))] * max(1, len(item.names))
    parts = [part for part in item.module.split("\\") if part]
    return [_psr4(tree, [*parts, *name.split("\\")]) for name in item.names] or [_psr4(tree, parts)]


def _psr4(tree: TreeIndex, parts: list[str]) -> str | None:
    """The file of a class: a prefix of its namespace may stand for a folder (PSR-4)."""
    starts: Iterator[int] = iter(range(max(len(parts) - 1, 0)))
    files = (tree.only("/".join(parts[start:]) + ".php") for start in starts)
    return next((file for file in files if file), None)


def _go(tree: TreeIndex, _path: str, module: str) -> str | None:
    for folder, name in tree.go_modules:
        if module == name or module.startswith(name + "/"):
            package = _join(folder, module[len(name) :].strip("/"))
            package = "" if package == "." else package
            return package if package in tree.folders else None
    return None


def _include(tree: TreeIndex, path: str, module: str) -> str | None:
    system = module.startswith("<")
    name = module.strip("<>")
    if not tree.has_name(name):
        return None
    if not system and (beside := _join(posixpath.dirname(path), name)) in tree.files:
        return beside
    roots = ("include",) if system else _SOURCE_ROOTS
    if target := tree.first(_join(up, root, name) for up in tree.upwards(path) for root in roots):
        return target
    return tree.only(name) if "/" in name or not system else None


def _ruby(tree: TreeIndex, path: str, module: str) -> str | None:
    name = module.removesuffix(".rb") + ".rb"
    if not tree.has_name(name) or standard.of_ruby(module):
        return None
    near = (_join(posixpath.dirname(path), name),)
    if name.startswith("../"):
        return tree.first(near)  # relative to a file
    roots = (_join(up, root, name) for up in tree.upwards(path) for root in _SOURCE_ROOTS)
    return tree.first((*near, *roots))


def _shell(tree: TreeIndex, path: str, module: str) -> str | None:
    name = _SHELL_PREFIX.sub("", module)
    return tree.first((_join(posixpath.dirname(path), name), _join("", name)))


# Where a name that is taken may be a file of its own, by grammar.
EACH_NAME: Final[Mapping[str, Callable[[TreeIndex, str, Import], Targets]]] = {
    "python": _python,
    "rust": _rust,
    "java": _jvm,
    "kotlin": _jvm,
    "scala": _jvm,
    "php": _php,
}
# Where the module alone says which file is meant.
WHOLE: Final[Mapping[str, Callable[[TreeIndex, str, str], str | None]]] = {
    "go": _go,
    "c": _include,
    "cpp": _include,
    "ruby": _ruby,
    "bash": _shell,
}
