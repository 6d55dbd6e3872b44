"""Capture's whole flow under the template's policies on both servers, as the least-privileged user and as the role.

tests/e2e/test_s3.py looks at each of its requests on RADOS Gateway; here is what ministack adds: it judges
`aws:SecureTransport`, so that every request is one that `DenyInsecureTransport` lets pass, and it has a versioned
bucket with Block Public Access and bucket owner enforced, as the template's is.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.access.support import SCOPE, make_bucket
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Keys, Server, assume_role, client
from tests.support.cli import cli_env, command
from tests.support.git import Origin, state_of

BUCKET = "snapshots-to-take"
STORE = f"s3://{BUCKET}/{SCOPE}"


@pytest.fixture(scope="module", params=["rgw", "ministack"])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    settings = (
        "versioned" if server.kind == "ministack" else ""
    )  # RADOS Gateway does not hold create-only there
    policies = bucket_policy(BucketName=BUCKET), access_policy(BucketName=BUCKET)
    make_bucket(server, BUCKET, *policies, settings)
    return server


@pytest.fixture(scope="module")
def role(server: Server) -> Keys:
    return assume_role(server, access_policy(BucketName=BUCKET), "role-to-take")


def verb(env: dict[str, str], *argv: str | Path) -> dict[str, Any]:
    """One verb as a process, which must succeed; its document."""
    done = subprocess.run(
        command(*argv, "--json", "--quiet"),
        env=cli_env(SNAPSHOTTER_SCAN="0", **env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("who", ["user", "role"])
def test_a_job_takes_snapshots_and_an_operator_finds_verifies_and_restores_them(
    who: str, server: Server, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    env = server.environment(server.user if who == "user" else request.getfixturevalue("role"))
    origin = Origin(tmp_path / f"{who}.git")
    origin.commit(files={"large": bytes(range(256)) * 1024})
    job = {"origin": str(origin.path), "store": STORE, "options": {"segment_size": "64KiB"}}
    kinds = []
    for change in (False, False, True):
        if change:
            origin.commit()
        (result,) = verb(env | {"SNAPSHOTTER_JOB": json.dumps(job)}, "job")["origins"]
        kinds.append(result["kind"])
    assert kinds == ["base", "unchanged", "increment"]
    store = ["--store", STORE]
    assert len(verb(env, "list", origin.path, *store)["snapshots"]) == 3
    verb(env, "show", origin.path, *store)
    verb(env, "verify", origin.path, *store)
    verb(env, "restore", origin.path, tmp_path / "out", "--bare", *store)
    assert state_of(tmp_path / "out").refs == origin.state.refs
    verb(env, "doctor", origin.path, *store)


def test_nothing_was_written_twice_or_outside_the_prefix(server: Server) -> None:
    owner = client(server, server.owner)
    versions = owner.list_object_versions(Bucket=BUCKET)["Versions"]
    keys = [version["Key"] for version in versions]
    assert all(key.startswith(SCOPE) for key in keys)
    assert len(keys) == len(set(keys)) > 0
    if (
        server.kind == "ministack"
    ):  # RADOS Gateway, whose objects are the writer's, tells its owner nothing of them
        assert {owner.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] for key in keys} == {
            "AES256"
        }
