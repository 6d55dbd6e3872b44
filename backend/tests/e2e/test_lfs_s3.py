"""LFS on real S3 servers, as the least-privileged user under the policies of infra/storage.yaml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfshost import LfsHost
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Server, ministack, need, put_bucket_with_policy, rgw
from tests.servers.proxy import LoggingProxy
from tests.support import fixtures
from tests.support.git import ENV, Origin
from tests.support.lfs import add, pointer_to
from tests.support.recipe import README

BUCKET, PREFIX = "fruitful-lab-snapshots-prod", "repo-scans/snapshotter/"
STORE = f"s3://{BUCKET}/{PREFIX}"
CONTENTS = [b"small", b"other" * 1000, b"large" * 60_000]
host = fixtures.lfs_host


@pytest.fixture(scope="module", params=[rgw, ministack], ids=["rgw", "ministack"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as running:
        put_bucket_with_policy(running, BUCKET, bucket_policy(), access_policy())
        yield running


@pytest.fixture
def origin(host: LfsHost) -> Origin:
    origin = Origin(host.root / "x.git")
    add(host, origin, *CONTENTS)
    origin.commit(files={"missing.bin": pointer_to(b"missing")})
    return origin


def snapshotter(*argv: str, env: dict[str, str]) -> dict[str, Any]:
    path = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-m", "snapshotter", *argv, "--json", "--quiet", "--allow-http", "--store", STORE],
        env=path | {"SNAPSHOTTER_SCAN": "0"} | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def placed(git_dir: Path) -> list[bytes]:
    files = (path for path in (git_dir / "lfs" / "objects").rglob("*") if path.is_file())
    return sorted(path.read_bytes() for path in files)


def test_objects_are_stored_proven_healed_and_restored_by_what_the_policy_grants(
    server: Server, host: LfsHost, origin: Origin, tmp_path: Path
) -> None:
    url = host.url("x.git")
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env = server.environment(server.user) | {"AWS_ENDPOINT_URL": proxy.url}
        taken = snapshotter("snapshot", url, "--segment-size", "64KiB", env=env)
        assert (taken["lfs"]["objects"], taken["lfs"]["held"]) == (4, 3)
        host.put(b"missing")
        healed = snapshotter("snapshot", url, "--segment-size", "64KiB", env=env)
        assert (healed["kind"], healed["lfs"]["held"]) == ("unchanged", 4)
        for flags in (["--quick"], []):
            verdicts = snapshotter("verify", url, *flags, env=env)["snapshots"]
            assert [verdict["ok"] for verdict in verdicts] == [True, True]
        restored = snapshotter("restore", url, str(tmp_path / "out.git"), "--bare", env=env)
    assert restored["lfs"]["placed"] == 4
    assert placed(tmp_path / "out.git") == sorted([*CONTENTS, b"missing"])
    assert all(request.status < 300 for request in proxy.seen), [r for r in proxy.seen if r.status >= 300]
    puts = [request for request in proxy.seen if request.operation == "Put" and "/_lfs/" in request.key]
    assert len(puts) == len({request.key for request in puts}) == 3 + 5
    assert all(request.headers.get("if-none-match") == "*" for request in puts)
    assert all("kind=lfs" in request.headers.get("x-amz-tagging", "") for request in puts)
    assert all(int(request.headers["content-length"]) <= 64 * 1024 for request in puts)
    listed = set[str]().union(*(request.listed for request in proxy.seen))
    gets = [request for request in proxy.seen if request.operation == "Get"]
    assert {request.key for request in gets} <= listed


def test_the_aws_cli_and_a_shell_bring_the_objects_back(
    server: Server, host: LfsHost, origin: Origin, tmp_path: Path
) -> None:
    need("aws")
    url, env = host.url("x.git"), server.environment(server.user)
    repo = snapshotter("snapshot", url, "--segment-size", "64KiB", env=env)["repo"]
    objects = tmp_path / "x.git" / "lfs" / "objects"
    aws = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | env
    copy = ["aws", "s3", "cp", "--recursive", "--quiet", f"{STORE}_lfs/{repo}/", str(objects)]
    subprocess.run(copy, env=aws, check=True, timeout=300)
    script = README.read_text("utf-8").split("<!-- command: restore-lfs -->\n```sh\n")[1].split("\n```")[0]
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=ENV, check=True)
    assert placed(tmp_path / "x.git") == sorted(CONTENTS)
