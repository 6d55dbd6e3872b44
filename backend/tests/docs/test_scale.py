"""The page on scale computes: its table from its formulas, its own assumptions and the prices of the page on costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import test_costs

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "scale.md").read_text(encoding="utf-8")
OWN = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.M)}
COSTS = {
    name: value for name, value in test_costs.VALUES.items() if name.endswith("_price") or name == "memory_gb"
}
FORMULAS = PAGE.partition("\n## The arithmetic\n")[2].partition("```\n")[2].partition("```")[0]
ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| (.+) \| (.+) \| (.+) \|$", re.M)


def computed(repos: int) -> dict[str, float]:
    """What the page's formulas make of its values."""
    names: dict[str, float] = COSTS | OWN | {"repos": repos}
    for line in filter(None, FORMULAS.splitlines()):
        name, _, formula = line.partition(" = ")
        assert re.fullmatch(r"[\w\s+*/().-]+", formula), line
        names[name] = eval(formula, {"__builtins__": {}}, dict(names))  # arithmetic, as just checked
    return names


@pytest.mark.parametrize(("column", "repos"), [(0, 1_000), (1, 100_000), (2, 100_000_000)])
def test_the_table_is_what_the_formulas_make(column: int, repos: int) -> None:
    made = computed(repos)
    said = {name: values[column] for name, *values in ROW.findall(PAGE)}

    assert len(said) > 15
    assert said == {name: shown(made[name]) for name in said}


def shown(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def test_a_formula_uses_every_number_and_the_table_shows_every_result() -> None:
    assert set(OWN) <= set(re.findall(r"\w+", FORMULAS))
    made = {line.partition(" = ")[0] for line in filter(None, FORMULAS.splitlines())}
    used = {name for line in FORMULAS.splitlines() for name in re.findall(r"\w+", line.partition(" = ")[2])}
    assert made <= used | {name for name, *_ in ROW.findall(PAGE)}


def test_the_requests_are_those_of_the_page_on_costs() -> None:
    """Which counts them of real runs."""
    shared = ("increment_writes", "base_writes")
    assert {name: OWN[name] for name in shared} == {name: test_costs.VALUES[name] for name in shared}
    assert OWN["changed_reads"] == test_costs.VALUES["increment_reads"]
