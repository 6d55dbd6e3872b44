"""docs/architecture.md is the house that stands: its layers are import-linter's, and what it names exists."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from snapshotter.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
HOUSE = ROOT / "backend" / "snapshotter"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/format.md",
    "docs/scan.md",
]
# What starts a process, besides the modules that import-linter watches.
STARTERS = re.compile(
    r"os\.(system|popen|fork|forkpty|exec\w+|spawn\w+|posix_spawn\w*)|.*ProcessPoolExecutor"
)


def layers() -> list[str]:
    (block,) = re.findall(r"<!-- layers: .*? -->\n```\n(.*?)\n```", PAGE, re.S)
    return block.splitlines()


def rooms(layer: str) -> list[str]:
    return [room.strip(" ()") for room in layer.split("|")]


def packages(folder: Path) -> set[str]:
    return {init.parent.relative_to(folder).as_posix() for init in folder.rglob("__init__.py")} - {"."}


def documented() -> set[str]:
    rows = re.findall(r"^\| (`[a-z_/]+/`(?:, `[a-z_/]+/`)*) \|", PAGE, re.M)
    return {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_layers_of_the_page_are_those_of_the_contract() -> None:
    (contract,) = [each for each in CONTRACTS if each["type"] == "layers"]
    assert layers() == contract["layers"]
    assert contract["exhaustive"] and contract["exhaustive_ignores"] == ["__main__"]


def test_the_layers_hold_every_package_once_and_no_module_lies_loose() -> None:
    held = [room for layer in layers() for room in rooms(layer)]
    assert sorted(held) == sorted(name for name in packages(HOUSE) if "/" not in name)
    assert {path.name for path in HOUSE.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_every_package_has_its_row() -> None:
    assert packages(HOUSE) == documented()


def test_every_module_is_named_but_verbs_and_parsers() -> None:
    verbs = {f"cli/{verb}.py" for verb in get_command(app()).commands}  # of a group, the module is named
    modules = {path.relative_to(HOUSE).as_posix() for path in HOUSE.glob("*/**/*.py")}
    looked_up = {name for name in modules if not name.endswith("__init__.py")} - verbs
    unnamed = {name for name in looked_up if f"`{name}`" not in PAGE}
    assert {name for name in unnamed if not name.startswith("scan/dependencies/")} == set()


def test_a_class_name_has_one_meaning() -> None:
    modules: dict[str, list[str]] = {}
    for path in sorted(HOUSE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(path.relative_to(HOUSE).as_posix())
    # One module for each version of the protocol, with the same names: they are read as v0.Server and v2.Server.
    del modules["Server"]
    assert {name: found for name, found in modules.items() if found[1:]} == {}


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_0-9]+/(?:[a-z_0-9]+/)*(?:[a-z_0-9]+\.py)?)`", text):
        assert (HOUSE / name).exists() or (ROOT / name).exists(), f"{page} names {name}"


def test_children_are_started_by_no_other_means() -> None:
    own = HOUSE / "fleet" / "nursery.py"  # its children are this program itself, with this program's rights
    for path in {*HOUSE.rglob("*.py")} - {own}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute | ast.Name):
                assert not STARTERS.fullmatch(ast.unparse(node)), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module in ("os", "concurrent.futures"):
                names = {f"os.{alias.name}" for alias in node.names}
                assert not any(STARTERS.fullmatch(name) for name in names), f"{path.name}:{node.lineno}"


def test_decoders_are_made_when_a_module_is_loaded_and_so_by_one_thread() -> None:
    """Two threads that have msgspec read a type for the first time at once crash the process."""
    for path in HOUSE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        structs = {node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases}
        for node in (node for function in ast.walk(tree) for node in _calls(function)):
            called = ast.unparse(node.func)
            if called.startswith("msgspec.") and called.endswith((".decode", ".Decoder", ".convert")):
                said = ast.unparse(node)
                assert not any(re.search(rf"\b{name}\b", said) for name in structs), f"{path.name}: {said}"


def _calls(function: ast.AST) -> list[ast.Call]:
    """The calls inside a function; none of what is no function."""
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    return [node for node in ast.walk(function) if isinstance(node, ast.Call)]
