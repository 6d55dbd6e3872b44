"""What a job prints in the end, also of origins whose work did not end."""

from __future__ import annotations

import json

import pytest

from snapshotter.base.errors import Terminated, Unavailable
from snapshotter.cli.job_report import JobReport
from snapshotter.cli.jsonlog import JsonLog
from snapshotter.fleet.document import OriginResult


def test_results_that_came_before_the_end_stand_and_the_others_have_its_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = JobReport(JsonLog())
    report.verb, report.origins, report.stage = "snapshot", ["/a", "/b", "/c"], "taking snapshots"
    report.add(1, OriginResult("/b", "done", error=Unavailable("it is gone", code="gone")))
    assert report.finish(Terminated("stopped by SIGTERM")) == 143
    told = json.loads(capsys.readouterr().out)["origins"]
    assert [(one["origin"], one["stage"], one["error"]["code"]) for one in told] == [
        ("/a", "taking snapshots", "terminated"),
        ("/b", "done", "gone"),
        ("/c", "taking snapshots", "terminated"),
    ]
