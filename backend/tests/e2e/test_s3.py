"""The whole flow on a real S3 server, as the least-privileged user, under the policies of infra/storage.yaml.

What was sent is read from a logging proxy; what was stored is read by the AWS CLI, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive.catalog import RECENT
from snapshotter.base.cancel import Cancel
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.snapshot import take
from snapshotter.git.origin_parsing import parse
from snapshotter.store.opening import open_store
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Server, assume_role, client, need, put_bucket_with_policy, rgw
from tests.servers.proxy import LoggingProxy, Seen
from tests.support.git import git

BUCKET = "fruitful-lab-snapshots-prod"
PREFIX = "repo-scans/snapshotter/"
STORE = f"s3://{BUCKET}/{PREFIX}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rgw() as running:
        put_bucket_with_policy(running, BUCKET, bucket_policy(), access_policy())
        yield running


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A repository and its URL on a smart-HTTP host."""
    work = tmp_path / "host" / "project.git"
    work.mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main", ".")
    _commit(work, "one", os.urandom(300_000))
    with GitHost(tmp_path / "host") as host:
        yield work, host.url("project.git")


def _commit(work: Path, name: str, data: bytes) -> None:
    (work / name).write_bytes(data)
    git(work, "add", name)
    git(work, "commit", "--quiet", "-m", name)


def _snapshotter(*argv: str, env: dict[str, str], code: int = 0) -> dict[str, object]:
    """Run a verb as a process with `--json`; its document."""
    path = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-m", "snapshotter", *argv, "--json", "--quiet"],
        env=path | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def _whole_flow(
    work: Path, url: str, env: dict[str, str], tmp_path: Path, after: Callable[[], None] = lambda: None
) -> None:
    def run(*argv: str) -> dict[str, object]:
        document = _snapshotter(*argv, env=env)
        after()
        return document

    take = ["snapshot", url, "--store", STORE, "--segment-size", "128KiB", "--allow-http"]
    kinds = [run(*take)["kind"], run(*take)["kind"]]
    _commit(work, "two", os.urandom(200_000))
    kinds.append(run(*take)["kind"])
    assert kinds == ["base", "unchanged", "increment"]
    for argv in (["list"], ["list", url], ["show", url], ["verify", url], ["verify", url, "--quick"]):
        run(*argv, "--store", STORE, "--allow-http")
    run("get", url, "refs.txt", "-o", str(tmp_path / "refs"), "--store", STORE, "--allow-http")
    run("restore", url, str(tmp_path / "out"), "--bare", "--store", STORE, "--allow-http")
    assert git(tmp_path / "out", "rev-parse", "main") == git(work, "rev-parse", "main")


def test_every_request_of_the_whole_flow_is_one_that_the_policy_grants(
    server: Server, origin: tuple[Path, str], tmp_path: Path
) -> None:
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env = server.environment(server.user) | {"AWS_ENDPOINT_URL": proxy.url}
        runs: list[int] = [0]  # where each process's requests begin
        _whole_flow(*origin, env, tmp_path, after=lambda: runs.append(len(proxy.seen)))
    seen = proxy.seen
    assert {request.operation for request in seen} == {"List", "Get", "Put"}
    assert all(request.status < 300 for request in seen), [r for r in seen if r.status >= 300]
    lists, puts, gets = (_of(seen, operation) for operation in ("List", "Put", "Get"))
    assert all(request.query["prefix"].startswith(PREFIX) for request in lists)
    assert all(request.key.startswith(PREFIX) for request in [*puts, *gets])
    assert all(request.headers.get("if-none-match") == "*" for request in puts)
    assert all(request.headers.get("x-amz-server-side-encryption") == "AES256" for request in puts)
    assert all("kind=" in request.headers.get("x-amz-tagging", "") for request in puts)
    assert all(int(request.headers["content-length"]) <= 128 * 1024 for request in puts)
    assert len({request.key for request in puts}) == len(puts), "a key was written twice"
    for begin, end in pairwise(runs):
        _assert_read_only_what_was_listed(seen[begin:end])


def _of(seen: list[Seen], operation: str) -> list[Seen]:
    return [request for request in seen if request.operation == operation]


def _assert_read_only_what_was_listed(seen: list[Seen]) -> None:
    known: set[str] = set()
    for request in seen:
        known |= request.listed
        if request.operation == "Get":
            assert request.key in known, f"{request.key} was read without having been listed"


def test_a_chain_older_than_the_first_listing_is_listed_before_it_is_read(
    server: Server, origin: tuple[Path, str], tmp_path: Path
) -> None:
    """What lies within three weeks is in one listing, and hides a read of what was not listed."""
    work, url = origin
    env = server.environment(server.user)
    repo = _backdated(url, env, [RECENT + timedelta(days=30), RECENT + timedelta(days=10)], work)
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env |= {"AWS_ENDPOINT_URL": proxy.url}
        for argv in (
            ["show", repo],
            ["verify", repo],
            ["restore", repo, str(tmp_path / "out"), "--bare"],
            ["get", repo, "refs.txt", "-o", str(tmp_path / "refs")],
            ["list", repo],
            ["snapshot", url, "--no-scan"],
        ):
            proxy.seen.clear()
            document = _snapshotter(*argv, "--store", STORE, "--allow-http", env=env)
            assert _of(proxy.seen, "Get"), argv
            _assert_read_only_what_was_listed(proxy.seen)
    assert document["kind"] == "increment"


def _backdated(url: str, env: dict[str, str], ages: list[timedelta], work: Path) -> str:
    """Snapshots of those ages, oldest first, with a commit after each; the repo's name."""
    parsed = parse(url)
    store = open_store(STORE, env=env)
    for number, age in enumerate(ages):
        transport = Connector(GitCredentials({}))(parsed, Cancel())
        take(parsed, transport, store, CaptureOptions(), now=datetime.now(UTC) - age)
        transport.close()
        _commit(work, f"old {number}", os.urandom(1000))
    return parsed.repo


def test_a_role_session_can_do_all_of_it_over_https(
    server: Server, origin: tuple[Path, str], tmp_path: Path
) -> None:
    keys = assume_role(server, access_policy(), "fruitful-repo-snapshotter-task-role")
    _whole_flow(*origin, server.environment(keys), tmp_path)


def test_an_unchanged_run_asks_the_store_at_most_four_times_and_writes_its_manifest_only(
    server: Server, origin: tuple[Path, str]
) -> None:
    _, url = origin
    with LoggingProxy(server.https_url, server.ca_bundle) as proxy:
        env = server.environment(server.user) | {"AWS_ENDPOINT_URL": proxy.url}
        take = ["snapshot", url, "--store", STORE, "--allow-http"]
        _snapshotter(*take, env=env)
        proxy.seen.clear()
        assert _snapshotter(*take, env=env)["kind"] == "unchanged"
    assert len(proxy.seen) <= 4
    assert [request.key.rpartition("/")[2] for request in _of(proxy.seen, "Put")] == ["manifest.json"]


def test_the_aws_cli_and_git_alone_restore_a_chain(
    server: Server, origin: tuple[Path, str], tmp_path: Path
) -> None:
    need("aws")
    work, url = origin
    env = server.environment(server.user)
    take = ["snapshot", url, "--store", STORE, "--segment-size", "64KiB"]
    _snapshotter(*take, env=env)
    _commit(work, "two", os.urandom(150_000))
    git(work, "branch", "side", "HEAD~1")
    chain = _snapshotter(*take, env=env)["chain"]
    assert isinstance(chain, list) and len(chain) == 2
    aws = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | env
    for folder in _folders(env, url, chain):
        copy = ["aws", "s3", "cp", "--recursive", "--quiet", f"{STORE}{folder}/", str(tmp_path / folder)]
        subprocess.run(copy, env=aws, check=True, timeout=120)
    bare = tmp_path / "x"
    git(None, "init", "--quiet", "--bare", bare)
    for index, folder in enumerate(_folders(env, url, chain)):
        with (tmp_path / f"{index}.bundle").open("wb") as bundle:
            for part in sorted((tmp_path / folder).glob("history.bundle*")):
                bundle.write(part.read_bytes())
        git(bare, "fetch", "--quiet", "--prune", tmp_path / f"{index}.bundle", "+refs/*:refs/*")
    assert git(bare, "for-each-ref") == git(work, "for-each-ref")
    assert git(bare, "fsck", "--full", "--strict") == b""


def _folders(env: dict[str, str], url: str, chain: list[str]) -> list[str]:
    listed = _snapshotter("list", url, "--store", STORE, env=env)["snapshots"]
    assert isinstance(listed, list)
    repo = listed[-1]["repo"]
    return [f"{repo}/{run[:4]}/{run[4:6]}/{run[6:8]}/{run}" for run in chain]


def test_a_store_outside_the_prefix_is_denied_and_the_hint_names_the_rule(
    server: Server, origin: tuple[Path, str]
) -> None:
    argv = ["snapshot", origin[1], "--store", f"s3://{BUCKET}/elsewhere/"]
    error = _snapshotter(*argv, env=server.environment(server.user), code=5)["error"]
    assert isinstance(error, dict)
    assert PREFIX in error["hint"]
    assert error["exit_code"] == 5


def test_a_stranger_is_denied_and_told_that_the_identity_is_the_likely_cause(
    server: Server, origin: tuple[Path, str]
) -> None:
    argv = ["snapshot", origin[1], "--store", STORE]
    error = _snapshotter(*argv, env=server.environment(server.stranger), code=5)["error"]
    assert isinstance(error, dict) and "identity" in error["hint"]


def test_a_removed_segment_is_found_although_a_missing_key_answers_403(
    server: Server, origin: tuple[Path, str]
) -> None:
    _, url = origin
    env = server.environment(server.user)
    document = _snapshotter("snapshot", url, "--store", STORE, "--full", env=env)
    key = f"{document['folder']}/history.bundle"
    client(server, server.owner).delete_object(Bucket=BUCKET, Key=f"{PREFIX}{key}")
    found = _snapshotter("verify", f"{STORE}{document['folder']}/", "--store", STORE, env=env, code=1)
    assert any("missing" in problem for problem in found["snapshots"][0]["problems"])  # type: ignore[index]
    _snapshotter("restore", url, "/nonexistent/x", "--store", STORE, env=env, code=4)
    assert _snapshotter("snapshot", url, "--store", STORE, env=env)["kind"] == "base"
