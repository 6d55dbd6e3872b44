"""`snapshotter fleet status` as a process: text, a document, a page, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.infra.template import access_policy, bucket_policy
from tests.servers import assume_role, put_bucket_with_policy, rgw
from tests.support.cli import cli
from tests.support.git import Origin
from tests.support.lfs import pointer_to


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """An inventory of two repositories, of which one was taken."""
    for name in ("taken", "never"):
        Origin(tmp_path / f"{name}.git").commit()
    (tmp_path / "fleet.toml").write_text('[[repo]]\norigin = "taken.git"\n[[repo]]\norigin = "never.git"\n')
    assert cli("snapshot", "taken.git", "--store", "store", cwd=tmp_path).code == 0
    return tmp_path


def test_the_status_names_every_origin_and_ends_with_3_if_one_lacks_something(fleet: Path) -> None:
    done = cli("fleet", "status", "fleet.toml", "--store", "store", cwd=fleet)
    assert done.code == 3
    assert [line.split()[0] for line in done.out.splitlines()[:3]] == ["STATE", "NEVER", "good"]
    assert "1 of 2 repositories lacks nothing" in done.out
    assert "hint:" in done.err

    document = cli("fleet", "status", "fleet.toml", "--store", "store", "--json", cwd=fleet).json
    assert (document["ok"], document["inventory"], document["lacking"]) == (False, "fleet", 1)
    never, taken = document["repos"]
    assert (never["state"], never["run_id"], never["age"]) == ("never-taken", None, None)
    assert (taken["state"], taken["verdict"], taken["lacks"]) == ("good", None, [])
    assert taken["age"] < 3600


def test_before_the_first_run_every_repository_was_never_taken(fleet: Path) -> None:
    done = cli("fleet", "status", "fleet.toml", "--store", "other", cwd=fleet)
    assert done.code == 3
    assert done.out.count("NEVER TAKEN") == 2
    assert "0 of 2 repositories lack nothing" in done.out
    assert "no such store" in done.err and "`snapshotter fleet run`" in done.err
    assert not (fleet / "other").exists(), "whoever only reads makes nothing"

    document = cli("fleet", "status", "fleet.toml", "--store", "other", "--json", cwd=fleet).json
    assert [repo["state"] for repo in document["repos"]] == ["never-taken", "never-taken"]
    by_ledger = ("fleet", "status", "fleet.toml", "--store", "other", "--ledger-only")
    assert cli(*by_ledger, cwd=fleet).code == 3


def test_before_the_first_run_a_bucket_says_the_same(fleet: Path) -> None:
    bucket = "fleet-before-its-first-run"
    with rgw() as server:
        policy = access_policy(BucketName=bucket)
        put_bucket_with_policy(server, bucket, bucket_policy(BucketName=bucket), policy)
        env = server.environment(assume_role(server, policy))
        store = f"s3://{bucket}/repo-scans/snapshotter/"
        done = cli("fleet", "status", "fleet.toml", "--store", store, "--json", cwd=fleet, **env)
    assert done.code == 3, done
    assert [repo["state"] for repo in done.json["repos"]] == ["never-taken", "never-taken"]


def test_a_proof_that_is_asked_for_and_an_age(fleet: Path) -> None:
    (fleet / "fleet.toml").write_text('[[repo]]\norigin = "taken.git"\n')

    def asked(*more: str) -> int:
        return cli("fleet", "status", "fleet.toml", "--store", "store", *more, cwd=fleet).code

    assert asked() == 0
    assert asked("--max-verify-age", "90d") == 3
    assert cli("verify", "taken.git", "--store", "store", cwd=fleet).code == 0
    assert asked("--max-verify-age", "90d") == 0


def test_a_page_is_printed_or_written_and_never_over_another(fleet: Path) -> None:
    printed = cli("fleet", "status", "fleet.toml", "--store", "store", "--html", cwd=fleet)
    assert (printed.code, printed.out[:15]) == (3, "<!DOCTYPE html>")
    for code in (3, 2):
        done = cli("fleet", "status", "fleet.toml", "--store", "store", "--html", "-o", "x.html", cwd=fleet)
        assert done.code == code
    assert (fleet / "x.html").read_text().startswith("<!DOCTYPE html>")


def test_a_repository_s_lfs_objects_are_told_and_only_where_there_are_any(fleet: Path) -> None:
    asked = ("fleet", "status", "fleet.toml", "--store", "store")
    assert "LFS" not in cli(*asked, cwd=fleet).out
    assert ">LFS<" not in cli(*asked, "--html", cwd=fleet).out
    Origin.at(fleet / "taken.git").commit(files={"x.bin": pointer_to(b"lost")})
    assert cli("fleet", "run", "fleet.toml", "--store", "store", cwd=fleet).code == 0

    text = cli(*asked, cwd=fleet).out.splitlines()
    assert "  LFS  " in text[0]
    assert sorted(line.count("0 of 1 object, 0 B") for line in text[1:3]) == [0, 1]
    repos = {Path(each["origin"]).name: each for each in cli(*asked, "--json", cwd=fleet).json["repos"]}
    told = [repos["taken.git"][name] for name in ("lfs_objects", "lfs_held", "lfs_bytes")]
    assert told == [1, 0, 0]
    page = cli(*asked, "--html", cwd=fleet).out
    assert ">LFS<" in page and "<td>0 of 1 object, 0 B</td>" in page


@pytest.mark.parametrize(
    "flags", [("--html", "--json"), ("-o", "x"), ("--max-age", "soon"), ("--sha256", "ab")]
)
def test_flags_that_make_no_sense_are_refused(fleet: Path, flags: tuple[str, ...]) -> None:
    assert cli("fleet", "status", "fleet.toml", "--store", "store", *flags, cwd=fleet).code == 2


def test_a_drill_proves_what_the_status_then_shows(fleet: Path) -> None:
    done = cli("fleet", "verify", "fleet.toml", "--store", "store", "--sample", "100%", cwd=fleet)
    assert done.code == 0
    assert done.out.startswith("ok  ")
    document = cli("fleet", "verify", "fleet.toml", "--store", "store", "--json", cwd=fleet).json
    assert (document["ok"], document["total"], document["late"], len(document["snapshots"])) == (
        True,
        1,
        0,
        1,
    )
    asked = ("fleet", "status", "fleet.toml", "--store", "store", "--max-verify-age", "1d", "--json")
    repos = cli(*asked, cwd=fleet).json["repos"]
    assert [repo["lacks"] for repo in repos] == [["never-taken", "unverified"], []]
    assert repos[1]["verified_age"] < 3600
    assert cli("fleet", "verify", "fleet.toml", "--store", "store", "--sample", "much", cwd=fleet).code == 2
