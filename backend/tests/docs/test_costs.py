"""The page on costs computes: its table from its formulas, prices and assumptions, and these from what is there."""

from __future__ import annotations

import os
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from snapshotter.archive.catalog import Catalog
from snapshotter.fleet.freshness import freshness
from snapshotter.recover.verify import VerifyOptions, verify
from tests.infra.template import SERVICE, load
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import options, scan_options

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
VALUES = {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, re.M)}
FORMULAS = PAGE.partition("## The arithmetic\n\n```\n")[2].partition("```")[0]
DAY = timedelta(days=1)


def computed(repos: int) -> dict[str, float]:
    """What the page's formulas make of its values."""
    names: dict[str, float] = VALUES | {"repos": repos}
    for line in filter(None, FORMULAS.splitlines()):
        name, _, formula = line.partition(" = ")
        assert re.fullmatch(r"[\w\s+*/().-]+", formula), line
        names[name] = eval(formula, {"__builtins__": {}}, dict(names))  # arithmetic, as just checked
    return names


@pytest.mark.parametrize("repos", [10, 100, 1000])
def test_the_table_is_what_the_formulas_make(repos: int) -> None:
    head = re.findall(r"^\| repositories \| (.+) \|$", PAGE, re.M)[0]
    (row,) = re.findall(rf"^\| {repos:,} \| (.+) \|$", PAGE, re.M)
    names = re.findall(r"`(\w+)`", head)
    made = computed(repos)
    assert row.split(" | ") == [f"{made[name]:,.2f}" for name in names]


def test_a_formula_uses_every_number_of_the_page() -> None:
    assert set(VALUES) <= set(re.findall(r"\w+", FORMULAS))


def test_each_price_says_where_to_check_it() -> None:
    table = PAGE.partition("\n## Prices\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+_price)` \|.* \| ([^|]+) \|$", table, re.M)

    assert {name for name, _ in rows} == {name for name in VALUES if name.endswith("_price")}
    for _, where in rows:
        assert re.fullmatch(r"\[[^]]+ pricing\]\(https://aws\.amazon\.com/[a-z0-9-]+/pricing/\)", where)
    assert re.search(r"US East .*US dollars.* (June|July|August) 20\d\d", table), "region, currency and month"


def test_what_the_guide_makes_by_hand_has_the_tag_of_the_bill() -> None:
    guide = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8").replace("\\\n", "")
    made = re.findall(r"^ *(?:\w+=\$\()?aws (?:ecr|secretsmanager) create-.*$", guide, re.M)

    assert len(made) == 3
    project = load(SERVICE)["Parameters"]["Project"]["Default"]
    assert all(f"--tags Key=Project,Value={project} " in command for command in made)


def test_the_requests_are_those_of_real_runs(tmp_path: Path) -> None:
    lab, origin = Lab(tmp_path / "store"), Origin(tmp_path / "x.git")
    scanned = options(scan_options())
    origin.commit(files={"bulk": os.urandom(1_000_000), "a.py": b"a = 1\n"})
    counted: dict[str, Counter[str]] = {}
    for number, kind in enumerate(("base", "increment", "increment", "unchanged")):
        if kind == "increment":
            origin.commit(files={"a.py": b"a = %d\n" % (number + 1)})
        store = RecordingStore(lab.store)
        taken = lab.take(origin, scanned, store=store, advance=DAY)
        assert taken.manifest.kind == kind
        counted[kind] = asked(store)
    repo = taken.manifest.repo
    store = RecordingStore(lab.store)
    verify(Catalog(store), repo, lab.catalog.snapshots(repo)[-1:], VerifyOptions())
    counted["verify"] = asked(store)
    store = RecordingStore(lab.store)
    freshness(Catalog(store), [str(origin.path)], now=lab.now, stale_after=DAY)
    counted["age"] = asked(store)
    found = {
        f"{what}_{kind}": requests[kind] for what, requests in counted.items() for kind in ("writes", "reads")
    }
    said = {name: int(value) for name, value in VALUES.items() if name.endswith(("_writes", "_reads"))}
    assert said == {name: found[name] for name in said}


def asked(store: RecordingStore) -> Counter[str]:
    """Requests by their price: what is written or listed, and what is read."""
    return Counter("reads" if method in ("get", "stream") else "writes" for method, _ in store.calls)


def test_the_service_is_the_template_s() -> None:
    template = load(SERVICE)
    defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    assert float(defaults["Cpu"]) / 1024 == VALUES["vcpu"]
    assert float(defaults["Memory"]) / 1024 == VALUES["memory_gb"]
    assert float(defaults["EphemeralStorage"]) == VALUES["disk_gb"]
    kinds = Counter(resource["Type"] for resource in template["Resources"].values())
    assert kinds["AWS::CloudWatch::Alarm"] == VALUES["alarms"]
    told = (ROOT / "backend" / "snapshotter" / "cli" / "job_report.py").read_text(encoding="utf-8")
    assert len(set(re.findall(r'"((?:Snapshots|Scans|Origins|Oldest)[A-Z]\w+)"', told))) == VALUES["metrics"]
    secrets = {name for name in template["Parameters"] if name.endswith("SecretArn")}
    assert len(secrets) >= VALUES["secrets"]
