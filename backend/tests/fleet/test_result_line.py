"""The result of any job is one line that no log driver cuts, and its verdict is whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snapshotter.fleet.result_line import LONGEST, within


def origin(number: int, *, ok: bool = True, artifacts: int = 12) -> dict[str, Any]:
    facts: dict[str, Any] = {"ok": ok, "origin": f"https://git.example.org/team/{number}.git", "error": None}
    if not ok:
        error = {"code": "origin-denied", "message": "m" * 400, "hint": "h" * 400, "details": ["d" * 900]}
        return facts | {"error": error | {"exit_code": 5}}
    key = f"git.example.org__team__{number}/2026/11/23/20261123T031702Z-9f0c2a1b"
    listed = [{"key": f"{key}/{n}", "bytes": n, "sha256": "0" * 64} for n in range(artifacts)]
    return facts | {
        "manifest": {"key": f"{key}/manifest.json"},
        "artifacts": listed,
        "scan": None,
        "gaps": [],
    }


def document(*origins: dict[str, Any], **more: Any) -> dict[str, Any]:
    failed = sum(not each["ok"] for each in origins)
    counts = {"succeeded": len(origins) - failed, "failed": failed}
    return {"ok": not failed, "verb": "snapshot", "error": None, **counts, "origins": list(origins), **more}


def shortened(whole: dict[str, Any]) -> dict[str, Any]:
    before = json.dumps(whole)
    text = within(whole, json.dumps)
    assert json.dumps(whole) == before, "the document itself is left as it is"
    assert len(text.encode()) <= LONGEST
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_what_fits_is_printed_whole() -> None:
    whole = document(*(origin(number) for number in range(5)))
    assert shortened(whole) == whole


@pytest.mark.parametrize("number", [12, 40, 1000])
def test_artifacts_go_first_and_manifests_stay_as_long_as_they_can(number: int) -> None:
    short = shortened(document(*(origin(each) for each in range(number))))
    assert short["left_out"][0] == "artifacts"
    assert (short["ok"], short["succeeded"], short["failed"]) == (True, number, 0)
    if number <= 40:
        assert len(short["origins"]) == number
        assert all(each["manifest"]["key"] for each in short["origins"])


def test_what_failed_stays_longer_than_what_succeeded() -> None:
    good, bad = [origin(each) for each in range(300)], [origin(each, ok=False) for each in range(3)]
    short = shortened(document(*good[:150], *bad, *good[150:]))
    assert [each["origin"] for each in short["origins"]] == [each["origin"] for each in bad]
    assert (short["succeeded"], short["failed"]) == (300, 3)
    many = shortened(document(*(origin(each, ok=False) for each in range(500))))
    assert many["failed"] == 500
    assert len(many["origins"]) == 7, "500 halved until they fit"


@pytest.mark.parametrize("number", [1, 2])
def test_the_one_that_is_left_at_last_loses_its_details(number: int) -> None:
    failed = [origin(each, ok=False) for each in range(number)]
    for each in failed:
        each["error"]["details"] = ["d" * 20_000]
    short = shortened(document(*failed))
    assert [each["error"]["details"] for each in short["origins"]] == [[]]
    assert short["origins"][0]["error"]["message"] == "m" * 300


def test_what_fits_to_the_byte_is_whole() -> None:
    text = json.dumps(whole := document(origin(1)))
    assert within(whole, json.dumps, len(text)) == text
    assert "left_out" in within(whole, json.dumps, len(text) - 1)


def test_a_proof_keeps_the_rows_that_did_not_pass() -> None:
    rows = [{"id": f"row-{n}", "status": "passed", "rule": "r" * 300} for n in range(70)]
    rows[7] |= {"status": "FAILED"}
    short = shortened(document(proof={"results": rows, "counts": {"passed": 69, "failed": 1}}))
    assert [row["id"] for row in short["proof"]["results"]] == ["row-7"]
    assert short["proof"]["counts"] == {"passed": 69, "failed": 1}


def test_a_verification_with_thousands_of_damaged_snapshots_fits() -> None:
    damaged = [f"git.example.org__team__{n}@20261123T031702Z-9f0c2a1b" for n in range(5000)]
    short = shortened(document(verification={"ok": 0, "damaged": damaged, "unread": []}))
    assert 0 < len(short["verification"]["damaged"]) < 5000


def test_an_error_as_long_as_a_line_is_cut_and_its_code_stays() -> None:
    error = {"code": "store", "message": "m" * 20_000, "hint": "h", "details": ["d" * 20_000], "exit_code": 4}
    short = shortened(document(error=error))
    assert (short["error"]["code"], short["error"]["details"]) == ("store", [])
