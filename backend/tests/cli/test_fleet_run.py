"""`fleet run` as a user runs it: a small inventory, a real host over HTTP, a kill in the middle, and the way on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snapshotter.archive.catalog import Catalog
from snapshotter.fleet.outcome import Verdict
from snapshotter.store.opening import open_store
from tests.support.batches import until
from tests.support.cli import wait_for
from tests.support.fleet_host import FleetHost
from tests.support.fleets import workers_of
from tests.support.git import Origin
from tests.support.processes import kill_one, until_gone

PATIENCE = 120.0  # seconds
COUNTS = {
    "quiet": 3,
    "growing": 2,
    "forced": 1,
    "shrinking": 1,
    "moving": 1,
    "leaving": 1,
    "empty": 1,
    "shallow": 1,
    "broken": 1,
    "secret": 1,
    "private": 1,
    "missing": 1,
    "vanishing": 1,
}
AT_FIRST: dict[str, Verdict] = {
    "empty": "empty",
    "shallow": "failed",
    "broken": "failed",
    "secret": "forbidden",
    "private": "forbidden",
    "missing": "gone",
    "vanishing": "gone",
}
A_DAY_LATER: dict[str, Verdict] = AT_FIRST | {
    "quiet": "unchanged",
    "shrinking": "shrunk",
    "moving": "renamed",
    "leaving": "gone",
}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FleetHost]:
    with FleetHost(tmp_path / "srv", COUNTS) as host:
        yield host


def environment(tmp_path: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SNAPSHOTTER_")}
    own = {"SNAPSHOTTER_SCAN": "0", "SNAPSHOTTER_LFS": "none", "SNAPSHOTTER_STORE": str(tmp_path / "store")}
    return plain | own


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "snapshotter", "fleet", *map(str, arguments)]


def run(tmp_path: Path, *arguments: object) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        command(*arguments, "--json"),
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def verdicts(tmp_path: Path, inventory: Path) -> dict[str, str]:
    """Each repository's last verdict, by its name."""
    _, document, _ = run(tmp_path, "status", inventory)
    return {
        row["origin"].rpartition("/")[2].removesuffix(".git"): row["verdict"] for row in document["repos"]
    }


def expected(host: FleetHost, by_behaviour: dict[str, Verdict]) -> dict[str, Verdict]:
    return {name: by_behaviour.get(name.rpartition("-")[0], "new") for name in host.names}


def test_every_behaviour_has_its_verdict_and_a_day_later_another(host: FleetHost, tmp_path: Path) -> None:
    inventory = host.inventory(tmp_path / "fleet.toml")
    code, document, told = run(tmp_path, "run", inventory)
    assert (code, document["error"]["code"]) == (3, "fleet"), told
    assert verdicts(tmp_path, inventory) == expected(host, AT_FIRST)
    host.next_day()
    code, document, _ = run(tmp_path, "run", inventory, "--ledger-only", "--jobs", "1")
    assert (code, document["origins"]) == (3, len(host.names))
    assert verdicts(tmp_path, inventory) == expected(host, A_DAY_LATER)


def test_unchanged_ones_cost_one_request_each_once_their_host_was_heard_and_with_the_ledger_alone_no_object(
    host: FleetHost, tmp_path: Path
) -> None:
    quiet = host.having("quiet")
    inventory = host.inventory(tmp_path / "fleet.toml", quiet)
    assert run(tmp_path, "run", inventory)[0] == 0
    before = {path for path in (tmp_path / "store").rglob("*.json") if "_fleet" not in path.parts}
    host.requests.clear()
    alone = ("--jobs", "1", "--host-connections", "1")
    code, document, _ = run(tmp_path, "run", inventory, "--ledger-only", *alone)
    assert (code, document["verdicts"]) == (0, {"unchanged": len(quiet)})
    assert len(host.requests) == document["requests"]
    asked = [request.path for request in host.requests]
    assert sum("#ls-refs" in path for path in asked) == len(quiet)
    # Two threads share the connection: when they begin, neither has heard the host.
    assert 0 < sum("info/refs" in path for path in asked) < len(quiet)
    assert {path for path in (tmp_path / "store").rglob("*.json") if "_fleet" not in path.parts} == before
    host.requests.clear()
    code, document, _ = run(tmp_path, "run", inventory, "--max-age", "1h")
    assert (code, document["verdicts"], host.requests) == (0, {"fresh": len(quiet)}, [])


def test_requests_never_exceed_their_limit(host: FleetHost, tmp_path: Path) -> None:
    inventory = host.inventory(tmp_path / "fleet.toml", host.having("quiet", "growing", "forced"))
    host.most_a_second = 10
    code, _, told = run(tmp_path, "run", inventory, "--jobs", "2", "--host-requests", "10")
    assert code == 0, told
    assert host.most_in_a_second() <= 10
    assert not [request for request in host.requests if request.status == 429]


def test_a_killed_run_is_resumed_and_repeats_nothing_that_has_its_snapshot(
    host: FleetHost, tmp_path: Path
) -> None:
    names = host.having("quiet", "growing", "forced", "shrinking")
    inventory = host.inventory(tmp_path / "fleet.toml", names)
    # So slow that it is surely in the middle when the first snapshot is there.
    slowly = command("run", inventory, "--jobs", "1", "--host-requests", "3")
    with subprocess.Popen(slowly, env=environment(tmp_path), stderr=subprocess.DEVNULL) as killed:
        runs = open_store(str(tmp_path / "store"))
        until(lambda: any(entry.key.endswith("/manifest.json") for entry in runs.list("")))
        killed.kill()
    run_id = next((tmp_path / "store" / "_fleet").glob("*/*/*/*")).name
    taken = {repo: len(Catalog(runs).snapshots(repo)) for repo in Catalog(runs).repos()}
    assert 0 < len(taken) < len(names)
    code, document, told = run(tmp_path, "run", inventory, "--resume", run_id)
    assert (code, document["run_id"]) == (0, run_id), told
    found = {repo: len(Catalog(runs).snapshots(repo)) for repo in Catalog(runs).repos()}
    assert found == dict.fromkeys(found, 1)
    assert len(found) == len(names)
    assert set(verdicts(tmp_path, inventory).values()) == {"new"}


def test_a_worker_that_is_killed_costs_no_repository(host: FleetHost, tmp_path: Path) -> None:
    names = host.having("quiet", "growing", "forced")
    inventory = host.inventory(tmp_path / "fleet.toml", names)
    slowly = command("run", inventory, "--jobs", "2", "--host-requests", "8")
    with subprocess.Popen(slowly, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as running:
        until(lambda: len(host.requests) > 2)
        wait_for(running, lambda: kill_one(workers_of(running.pid)))
        assert running.stderr is not None
        told = running.stderr.read()
        assert running.wait(PATIENCE) == 0, told
    assert verdicts(tmp_path, inventory) == dict.fromkeys(names, "new")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_way_on_is_told(
    host: FleetHost, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    inventory = host.inventory(tmp_path / "fleet.toml", host.having("quiet", "growing"))
    slowly = command("run", inventory, "--host-requests", "1")
    with subprocess.Popen(slowly, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as running:
        until(lambda: len(host.requests) > 1)
        workers = workers_of(running.pid)
        running.send_signal(number)
        assert running.stderr is not None
        told = running.stderr.read()
        assert running.wait(PATIENCE) == code
    assert workers
    for pid in workers:
        until_gone(pid)
    assert "--resume" in told
    assert "Traceback" not in told
    assert "leaked" not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "steam"], "no such engine"),
        (["--scheduler", "tls://x:1"], "scheduler"),
        (["--resume", "yesterday"], "not a run"),
        (["--resume", "20260101T000000Z-00000000"], "no run"),
        (["--max-age", "soon"], "not a span"),
        (["--store", "memory:"], "a store in memory"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "fleet.toml").write_text(f'[[repo]]\norigin = "{tmp_path}/x"\n')
    code, document, _ = run(tmp_path, "run", tmp_path / "fleet.toml", *arguments)
    assert (code, said in document["error"]["message"]) == (2, True), document


def test_what_a_source_no_longer_lists_is_named_once_and_is_not_forgotten_silently(tmp_path: Path) -> None:
    for name in ("kept", "deleted"):
        Origin(tmp_path / "srv" / f"{name}.git").commit()
    (tmp_path / "fleet.toml").write_text('[[folder]]\npath = "srv"\n')
    assert run(tmp_path, "run", tmp_path / "fleet.toml")[1]["changes"] == []
    (tmp_path / "srv" / "deleted.git").rename(tmp_path / "away")
    (tmp_path / "srv" / "more.git").mkdir()
    code, document, _ = run(tmp_path, "run", tmp_path / "fleet.toml")
    assert code == 0
    gone = {"kind": "gone", "source": "folder srv", "path": "deleted.git", "now": None}
    assert [change for change in document["changes"] if change["kind"] != "new"] == [gone]
    assert run(tmp_path, "run", tmp_path / "fleet.toml")[1]["changes"] == []


def test_a_source_that_is_silent_for_a_day_loses_nothing(tmp_path: Path) -> None:
    for path in ("srv/kept.git", "srv/old.git", "one.git"):
        Origin(tmp_path / path).commit()
    inventory = tmp_path / "fleet.toml"
    inventory.write_text('[[folder]]\npath = "srv"\nexclude = ["*old*"]\n[[repo]]\norigin = "one.git"\n')
    assert run(tmp_path, "run", inventory)[1]["verdicts"] == {"new": 2}
    (tmp_path / "srv").rename(tmp_path / "away")
    code, document, _ = run(tmp_path, "run", inventory)
    assert (code, document["verdicts"], document["changes"]) == (3, {"unchanged": 1}, [])
    (tmp_path / "away").rename(tmp_path / "srv")
    code, document, _ = run(tmp_path, "run", inventory)
    assert (code, document["verdicts"], document["changes"]) == (0, {"unchanged": 2}, [])


def test_a_run_that_is_not_there_is_not_resumed(tmp_path: Path) -> None:
    Origin(tmp_path / "one.git").commit()
    (tmp_path / "fleet.toml").write_text('[[repo]]\norigin = "one.git"\n')
    code, document, _ = run(tmp_path, "run", tmp_path / "fleet.toml", "--resume", "20261123T120000Z-1a2b3c4d")
    assert (code, document["error"]["code"]) == (2, "resume")
