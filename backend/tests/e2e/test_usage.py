"""What cannot be meant is refused, with the form that can: for people, and with --json as one document."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import cli
from tests.support.git import Origin
from tests.support.lab import START, Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("usage")
    origin, made = Origin(folder / "origin.git"), Lab(folder / "store")
    origin.commit()
    made.take(origin)
    return made


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["list", "--json", "--bogus"], "No such option: --bogus"),
        (["restore", "--json", "x"], "Missing argument 'DEST'"),
        (["restore", "x", "y", "--bare", "--mirror", "--json"], "exclude each other"),
        (["verify", "--json"], "needs a SNAPSHOT, a REPO or --all"),
        (["query", "--json"], "needs one SELECT, --examples or --schema"),
        (["query", "FROM files", "--json", "--format", "csv"], "exclude each other"),
        (["query", "FROM files", "--json", "--at", "yesterday"], "not a time: yesterday"),
        (["get", "x", "refs.txt", "--json"], "stdout cannot take both"),
        (["nothing", "--json"], "No such command 'nothing'"),
        (["snapshot", "x", "--max-refs", "0", "--json"], "--max-refs"),
        (["list", "--json", "--since"], "requires an argument"),
        (["job", "--bogus"], "No such option: --bogus"),
        (["list", "--json", "--since", "yesterday"], "not a time: yesterday"),
        (["list", "--json", "--store", "ftp://x/"], "not a store"),
    ],
)
def test_with_json_every_usage_error_is_one_document(lab: Lab, argv: list[str], said: str) -> None:
    done = cli(*argv, SNAPSHOTTER_STORE=str(lab.root))
    assert done.code == 2
    error = done.json["error"]
    assert (done.json["ok"], error["code"], error["exit_code"]) == (False, "usage", 2)
    assert said in error["message"]
    assert error["hint"]
    assert said in done.err


def test_json_does_not_get_in_the_way_of_help() -> None:
    done = cli("list", "--json", "--help")
    assert (done.code, done.err) == (0, "")
    assert "snapshotter list" in done.out


@pytest.mark.parametrize(
    "name", ["2026-11-3", "2026-13-45", "2026-11-23T25:00Z", "2026-11-23 12:00", "20261123T12"]
)
def test_a_malformed_time_is_called_one_and_the_forms_are_named(lab: Lab, name: str) -> None:
    repo = lab.catalog.repos()[0]
    for argv in (["show", f"{repo}@{name}"], ["list", "--since", name]):
        done = cli(*argv, "--store", lab.root)
        assert (done.code, done.out) == (2, "")
        assert f"not a time: {name}" in done.err
        assert "2026-11-23T12:00" in done.err
        assert "UTC" in done.err


@pytest.mark.parametrize("name", ["yesterday", "main", "20261123T120000Z-xyz"])
def test_what_follows_an_at_and_is_no_time_is_hinted_at(lab: Lab, name: str) -> None:
    done = cli("show", f"{lab.catalog.repos()[0]}@{name}", "--store", lab.root)
    assert done.code == 4
    assert "after an @ goes a run id, or a time like" in done.err


def test_a_time_without_a_zone_is_utc_and_one_with_an_offset_is_not(lab: Lab) -> None:
    repo = lab.catalog.repos()[0]
    taken = lab.catalog.latest(repo)
    assert taken is not None
    assert f"{START:%Y-%m-%dT%H:%M}" == "2024-03-01T12:00"  # and it was taken an hour later
    for time, found in (
        ("T12:59", 4),
        ("T13:00", 0),
        ("T13:00Z", 0),
        ("T14:59+02:00", 4),
        ("T15:00+02:00", 0),
    ):
        assert cli("show", f"{repo}@2024-03-01{time}", "--store", lab.root).code == found, time
    for time, rows in (("T13:00", 1), ("T13:01", 0), ("T15:00:00+02:00", 1), ("T15:00:01+02:00", 0), ("", 1)):
        listed = cli("list", repo, "--since", f"2024-03-01{time}", "--json", "--store", lab.root)
        assert len(listed.json["snapshots"]) == rows, time


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--label", "a=1", "--label", "a=2"], "the label a is given twice"),
        (["--label", "a=x\ny"], "control characters"),
        (["--label", "a\t=x"], "control characters"),
        (["--label", "a=\u202ex"], "control characters"),
        (["--label", "=x"], "not a label"),
        (["--refs", ""], "an empty pattern of refs"),
        (["--refs", "refs/heads/*", "--refs", ""], "an empty pattern of refs"),
        (["--store", "s3:bucket/prefix/"], "no bucket can be called that: s3:bucket"),
        (["--store", "s3://My_Bucket/x/"], "no bucket can be called that: s3://My_Bucket"),
        (["--store", "s3://u:hunter2@xxx/y/"], "no bucket can be called that: s3://xxx/y/"),
        (["--store", "s3:///x/"], "no bucket can be called that: s3:///"),
        (["--store", "s3://bucket/a?b/"], "no prefix for snapshots"),
        (["--store", "s3://bucket/a//b/"], "no prefix for snapshots"),
        (["--store", "s3://bucket/a/../b/"], "no prefix for snapshots"),
    ],
)
def test_what_a_snapshot_cannot_be_told(tmp_path: Path, argv: list[str], said: str) -> None:
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    done = cli("snapshot", origin.path, *argv, cwd=tmp_path, SNAPSHOTTER_STORE=str(tmp_path / "store"))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "hint: " in done.err
    assert not (tmp_path / "store").exists() or not any((tmp_path / "store").iterdir())
    assert not (tmp_path / "s3:bucket").exists()


def test_a_misspelt_setting_is_said_and_the_nearest_one_named(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SNAPSHOTTER_UPLOAD=3\n")
    env = {
        "SNAPSHOTTER_STOER": "s3cr3t",
        "SNAPSHOTTER_GIT_TOKEN_GITHUB_COM": "t",
        "SNAPSHOTTER_GIT_TOKEN_COMMANDS": "x",
    }
    done = cli("list", "--store", lab.root, cwd=tmp_path, **env)
    assert done.code == 0
    assert [line for line in done.err.splitlines() if line.startswith("warning")] == [
        "warning: SNAPSHOTTER_GIT_TOKEN_COMMANDS is no setting, so it has no effect; "
        "did you mean SNAPSHOTTER_GIT_TOKEN_COMMAND?",
        "warning: SNAPSHOTTER_STOER is no setting, so it has no effect; did you mean SNAPSHOTTER_STORE?",
        "warning: SNAPSHOTTER_UPLOAD is no setting, so it has no effect; did you mean SNAPSHOTTER_UPLOADS?",
    ]


def test_one_is_not_many(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    store = ("--store", tmp_path / "store")
    taken = cli("snapshot", origin.path, "--no-scan", *store).out
    assert ": 1 ref, 3 objects, " in taken
    assert "1 segment, " in taken
    assert (
        "1 ref, HEAD refs/heads/main, 1 bundle, " in cli("restore", origin.path, tmp_path / "r", *store).out
    )
    assert "  1 ref, " in cli("verify", origin.path, *store).out
    origin.git("branch", "b", "main")
    assert ": 2 refs, 0 objects, " in cli("snapshot", origin.path, "--no-scan", *store).out
