"""The golden tables, rendered from the fixtures; `tests.regenerate` writes them."""

from __future__ import annotations

from pathlib import Path

from snapshotter.scan.dependencies import parse
from snapshotter.scan.symbols.analysis import analyze

FIXTURES = Path(__file__).parent / "fixtures"
LANGUAGES = {
    "python.py.fixture": "Python",
    "javascript.js": "JavaScript",
    "typescript.ts": "TypeScript",
    "tsx.tsx": "TSX",
    "go.go": "Go",
    "rust.rs": "Rust",
    "Java.java": "Java",
    "c.c": "C",
    "c_header.h": "C Header",
    "cpp.cpp": "C++",
    "cpp_header.hpp": "C++ Header",
    "csharp.cs": "C#",
    "ruby.rb": "Ruby",
    "php.php": "PHP",
    "bash.sh": "BASH",
    "kotlin.kt": "Kotlin",
    "swift.swift": "Swift",
    "scala.scala": "Scala",
}


def symbols(name: str) -> str:
    """One line a symbol and an import, every column, of one source fixture."""
    found = analyze((FIXTURES / "symbols" / name).read_bytes(), LANGUAGES[name])
    lines = [f"{name}: {found.error or 'parsed'}"]
    lines += [
        f"{it.line}-{it.end_line} {it.kind} {it.name} = {it.qualified_name} | {it.signature or ''} | {it.doc or ''}"
        for it in found.symbols
    ]
    lines += [f"{one.line} import {one.module} {list(one.names)}" for one in found.imports]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def manifests() -> dict[str, Path]:
    """Every manifest fixture by the path that it stands for."""
    folder = FIXTURES / "manifests"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix().removesuffix(".fixture"): path for path in files}


def dependencies(name: str) -> str:
    """One line a dependency, every column, of one manifest fixture."""
    rows = parse(name, manifests()[name].read_bytes())
    lines = [" | ".join("-" if value is None else str(value) for value in row) for row in rows]
    return "\n".join([f"{name}:", *lines]) + "\n"


def stored(table: str) -> dict[str, str]:
    """The blocks of a golden file by the fixture's name."""
    blocks = (FIXTURES / f"{table}.golden.txt").read_text("utf-8").split("\n\n")
    return {block.partition(":")[0]: block.rstrip("\n") + "\n" for block in blocks}


def all_symbols() -> str:
    """The golden file of symbols and imports."""
    return "\n".join(symbols(name) for name in LANGUAGES)


def all_dependencies() -> str:
    """The golden file of dependencies."""
    return "\n".join(dependencies(name) for name in manifests())
