"""What planning costs those who do not scan, and which ages of chains objects that expire allow."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snapshotter.base import runbook
from snapshotter.base.errors import UsageError
from snapshotter.base.settings import Settings
from snapshotter.capture.plan import RequestedOptions, make


def test_planning_loads_nothing_that_only_a_scan_needs() -> None:
    """`snapshot --no-scan` plans too."""
    code = "import sys, snapshotter.capture.plan; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    heavy = {"duckdb", "yaml", "packaging", "tree_sitter", "licenseclassifier", "snapshotter.scan.tree_scan"}
    assert heavy & {*loaded.split()} == set()


@pytest.mark.parametrize(
    ("stated", "age", "allowed"),
    [
        ({"SNAPSHOTTER_EXPIRY": "396d", "SNAPSHOTTER_RETENTION": "365d"}, "31d", True),
        ({"SNAPSHOTTER_EXPIRY": "396d", "SNAPSHOTTER_RETENTION": "365d"}, "32d", False),
        ({"SNAPSHOTTER_EXPIRY": "40d"}, "39d", True),
        ({"SNAPSHOTTER_EXPIRY": "40d"}, "40d", False),
        ({"SNAPSHOTTER_RETENTION": "365d"}, "1000d", True),
        ({}, "1000d", True),
    ],
)
def test_an_age_by_which_snapshots_are_lost_too_early_is_refused(
    stated: dict[str, str], age: str, allowed: bool
) -> None:
    settings = Settings(stated | {"SNAPSHOTTER_MAX_CHAIN_AGE": "30d"})
    options = RequestedOptions(scan=False, max_chain_age=age)
    if allowed:
        assert make(settings, options, {}).options.max_chain_age
        return
    with pytest.raises(UsageError, match="would expire") as raised:
        make(settings, options, {})
    assert raised.value.code == "retention"
    assert runbook.see(runbook.EXPIRY) in raised.value.hint
    assert make(settings, RequestedOptions(scan=False), {}).options.max_chain_age, (
        "the setting is doctor's to judge"
    )
