"""Object Lock on both servers: what it refuses to whom, and what is said where there is none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from snapshotter.access import setting_checks
from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.judge import unlocked
from snapshotter.access.proof import Proof, Status, Target
from snapshotter.access.prove import prove
from tests.access.support import SCOPE, connection
from tests.infra.template import STORAGE, access_policy, bucket_policy, resolve
from tests.servers import USER, Keys, Server, assume_role, client
from tests.support.cli import cli_env, command
from tests.support.git import Origin

BARE, LOCKED, LOOSE = "no-lock", "locked", "locks-nothing"
ROWS = ["lock-shorter", "lock-bypass", "lock-delete"]
PARAMETERS = {"ObjectLockDays": "30", "MaxChainAgeDays": "30", "EnforceWriteOnce": "false"}


@pytest.fixture(scope="module", params=["rgw", "ministack"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server with a bucket that locks by default as the template's does, one that only could, and one that cannot."""
    server: Server = request.getfixturevalue(f"{request.param}_server")
    s3, iam = client(server, server.owner), client(server, server.owner, "iam")
    for bucket in (BARE, LOCKED, LOOSE):
        s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=bucket != BARE)
        policies = bucket_policy(BucketName=bucket), access_policy(BucketName=bucket)
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policies[0], separators=(",", ":")))
        named = {"UserName": USER, "PolicyName": f"access-{bucket}"}
        iam.put_user_policy(**named, PolicyDocument=json.dumps(policies[1], separators=(",", ":")))
    lock = resolve(STORAGE, **PARAMETERS)["Resources"]["Bucket"]["Properties"]["ObjectLockConfiguration"]
    lock["Rule"]["DefaultRetention"]["Days"] = int(lock["Rule"]["DefaultRetention"]["Days"])
    s3.put_object_lock_configuration(Bucket=LOCKED, ObjectLockConfiguration=lock)
    return server


@pytest.fixture(scope="module")
def administrator(server: Server) -> Keys:
    if server.kind == "rgw":
        return server.owner
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return assume_role(server, {"Version": "2012-10-17", "Statement": [everything]}, "administrator-of-locks")


def proven(server: Server, keys: Keys, bucket: str, *only: str) -> Proof:
    return prove(connection(server, keys), Target(bucket, SCOPE), only=only or ["lock"])


def outcome(proof: Proof) -> dict[str, tuple[Status, str]]:
    return {row.id: (row.status, row.note) for row in proof.results if row.group == "lock"}


def versions(server: Server, bucket: str, folder: str) -> list[dict[str, Any]]:
    found = client(server, server.owner).list_object_versions(Bucket=bucket, Prefix=folder)
    listed: list[dict[str, Any]] = found.get("Versions", [])
    return listed


def test_an_administrator_cannot_delete_what_is_locked_nor_shorten_it(
    server: Server, administrator: Keys
) -> None:
    proof = proven(server, administrator, LOCKED)
    found = outcome(proof)
    assert [*found] == ROWS
    assert found["lock-shorter"] == found["lock-delete"] == (Status.PASSED, "")
    assert found["lock-bypass"][0] is Status.SCOPED, "his own powers lift it"
    (kept,) = versions(server, LOCKED, proof.folder)
    assert kept["Key"] == f"{proof.folder}kept"
    retention = client(server, server.owner).get_object_retention(
        Bucket=LOCKED, Key=kept["Key"], VersionId=kept["VersionId"]
    )["Retention"]
    assert (retention["RetainUntilDate"] - kept["LastModified"]).days in (29, 30), "as it was written"


def test_the_scoped_identity_can_delete_nothing_locked_or_not(server: Server) -> None:
    # RADOS Gateway gives whoever wrote an object every right to it, so that he may lock there what nothing locks.
    for bucket in (LOCKED, BARE) if server.kind == "rgw" else (LOCKED, BARE, LOOSE):
        proof = proven(server, server.user, bucket)
        assert {status for status, _ in outcome(proof).values()} == {Status.PASSED}, outcome(proof)
        assert len(versions(server, bucket, proof.folder)) == 1


@pytest.mark.parametrize("bucket", [BARE, LOOSE])
def test_where_nothing_locks_that_is_reported_and_no_failure(
    server: Server, administrator: Keys, bucket: str
) -> None:
    bystander = f"{SCOPE}policy-tests/somebody-elses"
    s3 = client(server, server.owner)
    s3.put_object(Bucket=bucket, Key=bystander, Body=b"x", ServerSideEncryption="AES256")
    found = outcome(proven(server, administrator, bucket, "lock-delete"))
    assert found["lock-delete"][0] is Status.PASSED
    assert found["lock-delete"][1].startswith("no lock holds here")
    found = outcome(proven(server, administrator, bucket))
    assert {found[row][0] for row in ("lock-shorter", "lock-delete")} == {Status.PASSED}
    assert found["lock-shorter"][1].startswith("no lock holds here")
    assert versions(server, bucket, bystander), "only what the proof wrote for it is deleted"


def test_what_a_lock_did_not_refuse_is_a_failure() -> None:
    allowed, other = S3Answer(Kind.ALLOWED, "", 200), S3Answer(Kind.OTHER, "InvalidRequest", 400)
    locked, hidden = S3Answer(Kind.ALLOWED, "", 200), S3Answer(Kind.DENIED, "AccessDenied", 403)
    for owner in (True, False):
        assert not unlocked(allowed, locked, owner=owner), "it was locked, and went"
        assert not unlocked(allowed, hidden, owner=owner)
        assert unlocked(other, other, owner=owner), "the bucket has no Object Lock"
    assert unlocked(allowed, other, owner=True)
    assert not unlocked(allowed, other, owner=False), "nobody but an owner may delete"


def test_an_owner_sees_whether_the_lock_is_one_that_can_be_purged(
    server: Server, administrator: Keys
) -> None:
    for bucket, holds, got in (
        (LOCKED, Status.PASSED, "as it must be"),
        (BARE, Status.PASSED, "none"),
        (LOOSE, Status.FAILED, "it is on, and locks nothing by default"),
    ):
        (row,) = proven(server, administrator, bucket, "config-object-lock").results
        assert (row.status, row.got) == (holds, got)
    for_ever = {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}}}
    assert setting_checks.object_lock(for_ever, SCOPE) == "it is COMPLIANCE"


def test_a_snapshot_into_a_bucket_that_locks_is_locked(server: Server, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    store = f"s3://{LOCKED}/{SCOPE}"
    env = cli_env(SNAPSHOTTER_SCAN="0", **server.environment(server.user))
    done = subprocess.run(
        command("snapshot", origin.path, "--store", store, "--json"),
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if server.kind == "rgw":  # it does not hold create-only in a versioned bucket
        assert done.returncode in (0, 4), done.stderr
        return
    assert done.returncode == 0, done.stderr
    s3 = client(server, server.owner)
    written = [each for each in versions(server, LOCKED, SCOPE) if "policy-tests" not in each["Key"]]
    assert any(each["Key"].endswith("manifest.json") for each in written)
    for each in written:
        s3.get_object_retention(Bucket=LOCKED, Key=each["Key"], VersionId=each["VersionId"])
