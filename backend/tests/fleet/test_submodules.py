"""Which submodules a fleet is offered: those that the newest manifests name, whatever these may say."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from snapshotter.archive import layout
from snapshotter.archive.manifest import Submodule
from snapshotter.archive.sealed import seal
from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.entries import Entry
from snapshotter.fleet.plan import FleetPlan
from snapshotter.fleet.submodules import offered
from snapshotter.git.origin_parsing import parse
from tests.support.cli import cli
from tests.support.fixtures import quick_lab
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import options, scan_options

lab = quick_lab


def naming(lab: Lab, path: Path, *urls: str | None) -> Origin:
    """An origin whose newest snapshot says that it has submodules of these URLs."""
    origin = Origin(path)
    origin.commit()
    manifest = lab.take(origin, options(scan_options())).manifest
    assert manifest.scan
    named = [Submodule(path=f"{number}", commit="1" * 40, url=url) for number, url in enumerate(urls)]
    forged = seal(structs.replace(manifest, scan=structs.replace(manifest.scan, submodules=named)))
    lab.file(manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    return origin


def plan(*origins: Origin | str) -> FleetPlan:
    texts = [origin if isinstance(origin, str) else str(origin.path) for origin in origins]
    return FleetPlan(
        "f", [Entry(parse(text), "named", "", text, "", {}, RequestedOptions()) for text in texts], [], []
    )


def test_each_is_offered_once_with_all_that_have_it_and_sorted(lab: Lab, tmp_path: Path) -> None:
    first = naming(lab, tmp_path / "a.git", "https://h/z", "https://h/b", "https://h/c.git", "https://h/c")
    second = naming(lab, tmp_path / "b.git", "https://h/b.git", "https://h/in")
    found = offered(lab.catalog, plan(first, second, "https://h/in.git"))
    assert [(each.origin, [Path(of).name for of in each.of]) for each in found.origins] == [
        ("https://h/b", ["a.git", "b.git"]),
        ("https://h/c.git", ["a.git"]),
        ("https://h/z", ["a.git"]),
    ]


def test_what_no_origin_can_be_is_not_offered(lab: Lab, tmp_path: Path) -> None:
    origin = naming(
        lab, tmp_path / "a.git", "ext::sh -c x", "-oProxyCommand=x", "https://h/\n[[repo]]", "", None
    )
    assert offered(lab.catalog, plan(origin)).origins == []


def test_a_repository_without_a_snapshot_or_a_scan_or_a_sound_manifest_names_none(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = naming(lab, tmp_path / "a.git", "https://h/x")
    unscanned = Origin(tmp_path / "unscanned.git")
    unscanned.commit()
    lab.take(unscanned)
    damaged = naming(lab, tmp_path / "b.git", "https://h/y")
    run = lab.catalog.latest(parse(str(damaged.path)).repo)
    assert run
    lab.file(run.key.key(layout.MANIFEST)).write_bytes(b"{}")
    found = offered(lab.catalog, plan("https://h/never", unscanned, damaged, sound))
    assert [each.origin for each in found.origins] == ["https://h/x"]
    lacking = ["https://h/never", *(str(one.path) for one in (unscanned, damaged))]
    assert [*found.unknown] == lacking


def test_a_scan_that_was_made_later_counts(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    lab.take(origin)
    assert [*offered(lab.catalog, plan(origin)).unknown] == [str(origin.path)]
    scanned = cli("scan", origin.path, "--store", lab.root)
    assert scanned.code == 0, scanned.err
    assert [*offered(lab.catalog, plan(origin)).unknown] == []
