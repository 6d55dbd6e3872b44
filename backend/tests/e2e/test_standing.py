"""`snapshotter list --origins`: which of a list's origins lack what they should have, as a process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cli import cli, cli_env, command
from tests.support.git import Origin


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """An origin whose snapshot is in the store, beside one that has none."""
    for name in ("taken", "never"):
        Origin(tmp_path / f"{name}.git").commit()
    assert cli("snapshot", "taken.git", "--store", "store", cwd=tmp_path).code == 0
    return tmp_path


def test_an_origin_that_was_never_taken_is_found_by_the_list_alone(taken: Path) -> None:
    (taken / "origins.txt").write_text("# all of ours\ntaken.git\nnever.git\n")
    asked = ("list", "--origins", "origins.txt", "--store", "store")

    done = cli(*asked, cwd=taken)
    assert done.code == 1
    assert "never taken" in done.out
    assert "taken.git  " not in done.out, "only what lacks something is shown"
    assert "1 of 2 origins lacks nothing" in done.out
    assert "1 of 2 origins lacks a good snapshot" in done.err

    document = cli(*asked, "--json", cwd=taken).json
    assert (document["ok"], document["lacking"], document["unread"]) == (False, 1, [])
    assert document["error"]["code"] == "origins-lacking"
    good, never = document["origins"]
    assert (good["origin"], good["lacks"], never["lacks"]) == ("taken.git", [], ["never-taken"])
    assert good["run_id"]
    assert never["run_id"] is None


def test_the_origins_of_a_job_are_a_list_too(taken: Path) -> None:
    (taken / "job.json").write_text('{"origins": ["taken.git", "never.git"]}')
    done = cli("list", "--origins", "job.json", "--store", "store", cwd=taken)
    assert (done.code, "never.git" in done.out, "taken.git  " in done.out) == (1, True, False)


def test_a_list_from_stdin_and_a_proof_that_is_asked_for(taken: Path) -> None:
    def asked(*more: str) -> int:
        argv = command("list", "--origins", "-", "--store", "store", "--max-age", "1h", *more)
        return subprocess.run(
            argv, cwd=taken, env=cli_env(), input=b"taken.git\n", capture_output=True, timeout=60, check=False
        ).returncode

    assert asked() == 0
    assert asked("--max-verify-age", "7d") == 1
    assert cli("verify", "taken.git", "--store", "store", cwd=taken).code == 0
    assert asked("--max-verify-age", "7d") == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("taken.git", "--origins", "x"),
        ("--origins", "nowhere.txt"),
        ("--max-age", "1d"),
        ("--origins", "x", "--since", "2026-11-01"),
        ("--origins", "x", "--max-age", "soon"),
    ],
)
def test_flags_that_make_no_sense_are_refused(taken: Path, flags: tuple[str, ...]) -> None:
    (taken / "x").write_text("taken.git\n")
    done = cli("list", *flags, "--store", "store", cwd=taken)
    assert done.code == 2
    assert "hint:" in done.err


def test_a_stated_expiry_is_shown_and_judged(taken: Path) -> None:
    """`list` and `show` say until when; `doctor` refuses what leaves less than was promised."""
    stated = {"SNAPSHOTTER_EXPIRY": "396d", "SNAPSHOTTER_RETENTION": "365d"}
    assert "until 2" in cli("list", "--store", "store", cwd=taken, **stated).out
    assert "restorable until 2" in cli("show", "taken.git", "--store", "store", cwd=taken, **stated).out
    assert (
        cli("show", "taken.git", "--store", "store", "--json", cwd=taken, **stated).json["too_short"] is False
    )

    def judged(**more: str) -> tuple[int, str, str]:
        done = cli("doctor", "--store", "store", "--json", cwd=taken, **stated | more)
        checks = {check["name"]: check for check in done.json["checks"]}
        return done.code, checks["retention"]["state"], checks["retention"]["says"]

    assert judged(SNAPSHOTTER_MAX_CHAIN_AGE="31d")[:2] == (0, "ok")
    code, state, says = judged(SNAPSHOTTER_MAX_CHAIN_AGE="32d")
    assert (code, state) == (1, "failed")
    assert "leave 364 days, and 365 days are promised" in says
    assert judged()[:2] == (1, "failed"), "a quiet repository's base would expire under its increments"
    assert judged(SNAPSHOTTER_MAX_CHAIN_AGE="400d")[2].endswith("leave nothing, and 365 days are promised")
