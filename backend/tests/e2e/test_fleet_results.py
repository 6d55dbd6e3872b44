"""A fleet's run as a process: what is kept of it, who is told of it, and what is then known, by folder and by S3."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.infra.template import access_policy, bucket_policy
from tests.servers import Server, put_bucket_with_policy, rgw
from tests.servers.proxy import LoggingProxy
from tests.support.cli import Done, cli
from tests.support.git import Origin
from tests.support.httpservers import Scripted, Seen

BUCKET = "fruitful-lab-snapshots-prod"
PREFIX = "repo-scans/snapshotter/"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """An inventory of two repositories, and one that is not there."""
    for name in ("a", "b"):
        Origin(tmp_path / f"{name}.git").commit()
    repos = "".join(f'[[repo]]\norigin = "{name}.git"\n' for name in ("a", "b", "gone"))
    (tmp_path / "fleet.toml").write_text(repos)
    return tmp_path


@pytest.fixture
def place() -> Iterator[Scripted]:
    def answer(_: Seen) -> Iterable[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    with Scripted(answer) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rgw() as running:
        put_bucket_with_policy(running, BUCKET, bucket_policy(), access_policy())
        yield running


def run(fleet: Path, *more: str, store: str = "store", **env: str) -> Done:
    argv = ("fleet", "run", "fleet.toml", "--jobs", "1", "--store", store, "--json", *more)
    return cli(*argv, cwd=fleet, timeout=120, **env)


def objects(fleet: Path) -> list[str]:
    folder = fleet / "store" / "_fleet"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_run_is_kept_told_and_known(fleet: Path, place: Scripted) -> None:
    secret = f"http://127.0.0.1:{place.port}/s3cr3t"
    told = {"SNAPSHOTTER_FLEET_PING": secret, "SNAPSHOTTER_FLEET_WEBHOOK": f"{secret}/hook"}
    done = run(fleet, **told)
    assert done.code == 3, done.err
    assert done.json["verdicts"]["new"] == 2
    assert "s3cr3t" not in done.out + done.err
    assert objects(fleet) == ["digest.json", "results.parquet", "started.fleet.json", "summary.json"]
    assert [seen.target for seen in place.seen] == ["/s3cr3t/start", "/s3cr3t/fail", "/s3cr3t/hook"]
    hook = json.loads(place.seen[2].body)
    assert (hook["run_id"], hook["digest"], hook["stale"]["count"]) == (done.json["run_id"], True, 1)

    status = cli("fleet", "status", "fleet.toml", "--store", "store", "--json", cwd=fleet)
    assert status.code == 3
    assert [(repo["state"], repo["recent"]) for repo in status.json["repos"]] == [
        ("never-taken", "x"),
        ("good", "+"),
        ("good", "+"),
    ]
    sql = "SELECT verdict, ok, recent FROM fleet_runs ORDER BY origin"
    cache = {"SNAPSHOTTER_CACHE": str(fleet / "cache")}
    rows = cli("query", sql, "--store", "store", "--json", cwd=fleet, **cache).json["rows"]
    assert [(row["ok"], row["recent"]) for row in rows] == [(True, "+"), (True, "+"), (False, "x")]


def test_a_place_that_does_not_answer_changes_nothing_of_the_run(fleet: Path) -> None:
    (fleet / "fleet.toml").write_text('[[repo]]\norigin = "a.git"\n')
    with Scripted(lambda _: ()) as closed:
        address = f"http://127.0.0.1:{closed.port}/s3cr3t"
    done = run(fleet, SNAPSHOTTER_FLEET_WEBHOOK=address)
    assert done.code == 0, done.err
    assert "was not told" in done.err
    assert "s3cr3t" not in done.err


def test_a_run_that_cannot_be_is_told_as_one_that_failed(fleet: Path, place: Scripted) -> None:
    secret = f"http://127.0.0.1:{place.port}/s3cr3t"
    done = run(fleet, "--resume", "20261123T120000Z-1a2b3c4d", SNAPSHOTTER_FLEET_PING=secret)
    assert done.code == 2
    assert [seen.target for seen in place.seen] == ["/s3cr3t/fail"]
    assert b"to resume" in place.seen[0].body


def test_a_place_that_cannot_be_meant_ends_it_before_anybody_is_asked(fleet: Path) -> None:
    done = run(fleet, SNAPSHOTTER_FLEET_WEBHOOK="http://example.org/s3cr3t")
    assert done.code == 2
    assert "s3cr3t" not in done.out + done.err
    assert not (fleet / "store").exists()


def test_what_a_ledger_alone_keeps_is_fresh_for_everybody(fleet: Path) -> None:
    (fleet / "fleet.toml").write_text('[[repo]]\norigin = "a.git"\n')
    for _ in range(2):
        assert run(fleet, "--ledger-only").code == 0
    manifests = list((fleet / "store").rglob("manifest.json"))
    assert len(manifests) == 1
    status = cli("fleet", "status", "fleet.toml", "--store", "store", "--json", cwd=fleet).json
    (repo,) = status["repos"]
    assert (repo["verdict"], repo["recent"]) == ("unchanged", "+=")
    assert repo["confirmed_at"] > repo["taken_at"]


def test_a_fleet_on_s3_asks_for_nothing_that_the_policy_does_not_grant(fleet: Path, server: Server) -> None:
    store = f"s3://{BUCKET}/{PREFIX}"
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env = server.environment(server.user) | {"AWS_ENDPOINT_URL": proxy.url, "SNAPSHOTTER_ALLOW_HTTP": "1"}
        for _ in range(2):
            assert run(fleet, store=store, **env).code == 3
        asked = ("--store", store, "--json")
        status = cli("fleet", "status", "fleet.toml", *asked, cwd=fleet, **env)
        assert [repo["recent"] for repo in status.json["repos"]] == ["xx", "+=", "+="]
        drill = cli("fleet", "verify", "fleet.toml", "--sample", "1", *asked, cwd=fleet, **env)
        assert drill.code == 0, drill.err
        env["SNAPSHOTTER_CACHE"] = str(fleet / "cache")
        rows = cli("query", "FROM fleet_runs", "--history", *asked, cwd=fleet, **env).json["rows"]
        assert len(rows) == 6
    assert [request for request in proxy.seen if request.status >= 300] == []
    puts = [request for request in proxy.seen if request.operation == "Put"]
    assert {request.headers.get("if-none-match") for request in puts} == {"*"}
    assert {request.headers.get("x-amz-server-side-encryption") for request in puts} == {"AES256"}
    kept = [request.key.removeprefix(PREFIX) for request in puts if "/_fleet/" in request.key]
    assert len(kept) == 6
    listed = {key for request in proxy.seen for key in request.listed}
    assert {request.key for request in proxy.seen if request.operation == "Get"} <= listed
    lists = [request.query["prefix"] for request in proxy.seen if request.operation == "List"]
    assert all(prefix.startswith(PREFIX) for prefix in lists)
