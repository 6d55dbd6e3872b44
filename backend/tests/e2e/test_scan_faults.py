"""Scanners that hang, crash or lie cost the rows that they would have told, never the snapshot; and no gate passes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from snapshotter.base.errors import Finding, Unavailable
from snapshotter.scan import lines, secrets
from snapshotter.scan.gate import secret_gate
from snapshotter.scan.scanners import FAILED
from tests.scan.planted import VALUES, in_source
from tests.support.cli import BACKEND, Done, cli
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import FAKE_SCANNERS, options, rows, rule_cache, scan_of, scan_options

FAULTS = {
    "hangs": "sleep 600",
    "crashes": "kill -SEGV $$",
    "exits": "exit 3",
    "says nothing": "exit 0",
    "writes garbage": "echo '{]'; exit 0",
    "writes without end": "yes",
    "answers for others": """echo '[{"Files":[{"Location":"/etc/passwd","Language":"x","Lines":1,"Code":1,"""
    """"Comment":1,"Blank":1,"Complexity":1,"Minified":false,"Generated":false}]}]'""",
    "leaves a child": "sleep 600 & exit 3",
}
ENDLESS = ("hangs", "leaves a child")
FILES: dict[str | bytes, bytes] = {
    "app.py": b"def f():\n    return 1\n",
    "requirements.txt": b"flask==1.0\n",
    "token.py": in_source(VALUES["github-pat"]),
}


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "x.git")
    made.commit(files=FILES)
    return made


def script(folder: Path, body: str) -> Path:
    path = folder / "scanner"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def faulty(folder: Path, scanner: str, body: str) -> dict[str, Any]:
    """The resources of a scan for which the program of `scanner` is this shell script."""
    fake = script(folder, body)
    if scanner == "scc":
        return {"count_lines": partial(lines.count, scc=fake)}
    return {"find_secrets": partial(secrets.find, kingfisher=fake)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scanner", ["kingfisher", "scc"])
def test_a_scanner_that_fails_is_a_gap(origin: Origin, tmp_path: Path, scanner: str, fault: str) -> None:
    if fault == "says nothing" and scanner == "scc":
        pytest.skip("an empty answer is not JSON, as for garbage")
    resources, seconds = faulty(tmp_path, scanner, FAULTS[fault]), 4.0 if fault in ENDLESS else 60.0
    lab = Lab(tmp_path / "store")
    taken = lab.take(origin, options(scan_options(scanner_seconds=seconds, resources=resources)))
    scan = scan_of(taken)
    assert [gap.kind for gap in scan.gaps] == [FAILED]
    assert any(said.startswith(f"{scanner} ") for said in scan.gaps[0].sample)
    assert rows(lab, taken, "SELECT path FROM files ORDER BY 1") == [
        (name,) for name in sorted(map(str, FILES))
    ]
    assert rows(lab, taken, "SELECT name, version FROM dependencies") == [("flask", "1.0")]
    lab.assert_whole(taken)


@pytest.mark.parametrize(("scanner", "code"), [("kingfisher", 4), ("scc", 1)])
def test_a_gate_does_not_pass_where_nobody_looked(
    origin: Origin, tmp_path: Path, scanner: str, code: int
) -> None:
    taking = options(scan_options(resources=faulty(tmp_path, scanner, "exit 3")))
    verdict = secret_gate(scan_of(Lab(tmp_path / "store").take(origin, taking)))
    assert verdict is not None
    assert verdict.exit_code == code
    assert ("cannot be judged: kingfisher exited with status 3" in verdict.message) == (
        scanner == "kingfisher"
    )


def test_a_gate_passes_where_all_was_searched_and_nothing_found(tmp_path: Path) -> None:
    clean = Origin(tmp_path / "clean.git")
    clean.commit(files={"a.py": b"x = 1\n"})
    assert secret_gate(scan_of(Lab(tmp_path / "store").take(clean, options()))) is None


def test_a_gate_without_a_scan_is_no_finding_and_does_not_pass() -> None:
    verdict = secret_gate(None)
    assert isinstance(verdict, Unavailable)
    assert not isinstance(verdict, Finding)


def snapshot(origin: Origin, tmp_path: Path, fakes: dict[str, str], *flags: str) -> Done:
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(FAKE_SCANNERS)
    env: dict[str, Any] = {
        "PYTHONPATH": f"{tmp_path / 'site'}:{BACKEND}",
        "FAKES": json.dumps(fakes),
        "SNAPSHOTTER_RULE_CACHE": str(rule_cache()),
    }
    return cli("snapshot", origin.path, "--store", tmp_path / "store", "--scan", *flags, **env)


def test_the_command_line_says_what_is_missing_and_ends_well(origin: Origin, tmp_path: Path) -> None:
    fakes = {"kingfisher": str(script(tmp_path, "exit 3"))}
    plain = snapshot(origin, tmp_path, fakes)
    assert plain.code == 0, plain.err
    assert "gap of the scan: scanner-failed, 1 (like kingfisher exited with status 3)" in plain.out
    gated = snapshot(origin, tmp_path, fakes, "--secret-gate", "--json")
    assert (gated.code, gated.json["ok"], gated.json["error"]["code"]) == (4, False, "secret-gate")
    assert gated.json["scan"]["tables"]["files"] == 3
    healed = snapshot(origin, tmp_path, {}, "--secret-gate", "--json")
    assert (healed.code, healed.json["kind"], healed.json["scan"]["gaps"]) == (1, "unchanged", [])
    assert cli("verify", gated.json["repo"], "--store", tmp_path / "store").code == 0
