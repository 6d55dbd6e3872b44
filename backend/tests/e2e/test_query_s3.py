"""`snapshotter query` on a real S3 server, as the least-privileged user, request by request."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanstore import ScanStore
from snapshotter.query.terms import WHOLE
from snapshotter.store.opening import open_store
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Server, put_bucket_with_policy, rgw
from tests.servers.proxy import LoggingProxy, Seen
from tests.support.cli import cli_env, command
from tests.support.lake import NOV, file_row

BUCKET = "fruitful-lab-snapshots-prod"
PREFIX = "repo-scans/snapshotter/"
STORE = f"s3://{BUCKET}/{PREFIX}"
ROWS = 150_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The bucket, with a repository whose table is large and one whose table is small."""
    with rgw() as running:
        put_bucket_with_policy(running, BUCKET, bucket_policy(), access_policy())
        made = ScanStore(open_store(STORE, env=running.environment(running.user), allow_http=True))
        columns = "sha256(i::VARCHAR) AS path, 'file' AS kind, (i % 100)::BIGINT AS code, 'Go' AS language"
        data = made.parquet(f"SELECT {columns} FROM range({ROWS}) AS t(i)")
        assert len(data) > WHOLE
        made.add("h__large", NOV, {"files": (data, ROWS)})
        made.add("h__small", NOV, {"files": [file_row("x", 7)]})
        yield running


def ask(server: Server, cache: Path, sql: str) -> tuple[list[dict[str, Any]], list[Seen]]:
    """The rows, and the requests that it took."""
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env = server.environment(server.user) | {
            "AWS_ENDPOINT_URL": proxy.url,
            "SNAPSHOTTER_CACHE": str(cache),
        }
        argv = command("query", sql, "--json", "--quiet", "--store", STORE, "--allow-http")
        done = subprocess.run(argv, env=cli_env(**env), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows, list(proxy.seen)


def test_only_what_was_listed_is_read_and_a_large_table_by_its_columns(
    server: Server, tmp_path: Path
) -> None:
    sql = "SELECT repo, sum(code) AS code FROM files GROUP BY ALL ORDER BY repo"
    expected = [
        {"repo": "h__large", "code": sum(i % 100 for i in range(ROWS))},
        {"repo": "h__small", "code": 7},
    ]
    rows, seen = ask(server, tmp_path / "cache", sql)
    assert rows == expected
    known: set[str] = set()
    for request in seen:
        known |= request.listed
        assert request.operation == "List" or request.key in known
    assert {request.operation for request in seen} == {"List", "Get"}
    assert all(request.status in (200, 206) for request in seen)
    assert all(request.query["prefix"].startswith(PREFIX) for request in seen if request.operation == "List")
    gets = [request for request in seen if request.operation == "Get"]
    parts = [
        request for request in gets if request.key.endswith("files.parquet") and "h__large" in request.key
    ]
    spans = [tuple(map(int, request.headers["range"].removeprefix("bytes=").split("-"))) for request in parts]
    assert 0 < sum(end - start + 1 for start, end in spans) < WHOLE / 4
    assert sorted(request.key.rpartition("/")[2] for request in gets if request not in parts) == [
        "files.parquet",
        "manifest.json",
        "manifest.json",
    ]
    again, seen = ask(server, tmp_path / "cache", sql)
    assert again == expected
    assert {request.operation for request in seen} == {"List"}


def test_a_filter_on_a_large_table_answers_rightly(server: Server, tmp_path: Path) -> None:
    wanted = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"  # SHA-256 of "0"
    rows, _ = ask(server, tmp_path / "cache", f"SELECT code, language FROM files WHERE path = '{wanted}'")
    assert rows == [{"code": 0, "language": "Go"}]
