"""The benchmarks as a body of code: how its modules hang together."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import githost

BENCHMARKS = Path(githost.__file__).parent


def imports(module: Path) -> set[str]:
    """What a module imports, for type checking only too."""
    nodes = list(ast.walk(ast.parse(module.read_text())))
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return named | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_no_two_modules_import_each_other() -> None:
    graph = {module.stem: imports(module) for module in BENCHMARKS.glob("*.py")}
    assert "gitcgi" in graph["githost"]
    TopologicalSorter(graph).prepare()  # raises CycleError
