"""What the alarms of a fleet hear: a heartbeat once results are stored, and how many repositories are stale."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.cli import Done, cli
from tests.support.git import Origin


def measured(done: Done) -> dict[str, int]:
    """The metrics on stderr, which all are of one service."""
    lines = [json.loads(line) for line in done.err.splitlines() if line.startswith('{"_aws"')]
    assert {line["Service"] for line in lines} <= {"nightly"}
    return {
        metric["Name"]: line[metric["Name"]]
        for line in lines
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_a_stored_run_is_a_heartbeat_and_counts_what_is_stale(tmp_path: Path) -> None:
    Origin(tmp_path / "good.git").commit()
    inventory = tmp_path / "fleet.toml"
    inventory.write_text('[[repo]]\norigin = "good.git"\n[[repo]]\norigin = "never.git"\n')
    run = ("fleet", "run", inventory, "--jobs", "1", "--store", f"file:{tmp_path / 'store'}")
    env = {"SNAPSHOTTER_SERVICE": "nightly"}

    assert measured(cli(*run, "--metrics", **env)) == {"FleetRunsStored": 1, "ReposStale": 1}
    assert measured(cli(*run, **env)) == {}


def test_a_setting_that_cannot_be_meant_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text('[[repo]]\norigin = "never.git"\n')
    done = cli(
        *("fleet", "run", inventory, "--store", f"file:{tmp_path / 'store'}"), SNAPSHOTTER_STALE_AFTER="soon"
    )
    assert done.code == 2
    assert not (tmp_path / "store" / "_fleet").exists()


def test_a_run_that_stores_nothing_is_no_heartbeat(tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text('[[repo]]\norigin = "https://127.0.0.1:1/x"\n')
    done = cli(
        *("fleet", "run", inventory, "--metrics", "--resume", "20261123T120000Z-1a2b3c4d"),
        *("--store", f"file:{tmp_path / 'store'}"),
    )
    assert done.code != 0
    assert measured(done) == {}
