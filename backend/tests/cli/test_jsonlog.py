"""What the service says on stderr: one JSON object a line, now and then, and nothing of a credential."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapshotter.cli.jsonlog import JsonLog


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_long_stage_is_told_of_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [100.0]
    log = JsonLog(clock=lambda: clock[0])
    log.stage("streaming", 4000)
    for _ in range(70):
        clock[0] += 1
        log.advance(10)
    first, *later = lines(capsys)
    assert (first["message"], first["total_bytes"]) == ("streaming", 4000)
    assert [(line["message"], line["bytes"]) for line in later] == [("streaming", 300), ("streaming", 600)]


def test_a_line_is_one_line_whatever_the_text_holds(capsys: pytest.CaptureFixture[str]) -> None:
    log = JsonLog().about(origin="https://u:hunter2@host/x")
    log.warn("one\ntwo\u2028three\x85four")
    (line,) = lines(capsys)
    assert (line["level"], line["message"]) == ("warning", "one\ntwo\u2028three\x85four")
    assert "hunter2" not in json.dumps(line)


def test_parts_of_the_work_that_go_on_at_once_have_each_its_own_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = [100.0]
    log = JsonLog(clock=lambda: clock[0])
    first, second = log.about(origin="a"), log.about(origin="b")
    first.stage("streaming")
    second.stage("scanning")
    first.advance(10)
    second.advance(5)
    clock[0] += 30
    first.advance(10)
    second.advance(5)
    log.warn("w")
    told = [(line.get("origin"), line["message"], line.get("bytes")) for line in lines(capsys)]
    assert told == [
        ("a", "streaming", None),
        ("b", "scanning", None),
        ("a", "streaming", 20),
        ("b", "scanning", 10),
        (None, "w", None),
    ]


def test_a_quiet_log_has_warnings_errors_and_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    log = JsonLog(quiet=True)
    log.stage("streaming")
    log.warn("w")
    log.say("error", "e")
    log.measure({"SnapshotsSucceeded": 1, "SnapshotsFailed": 0})
    warning, error, metrics = lines(capsys)
    assert (warning["message"], error["message"]) == ("w", "e")
    assert (metrics["SnapshotsSucceeded"], metrics["SnapshotsFailed"]) == (1, 0)
