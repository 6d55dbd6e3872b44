"""`prove` on real servers, with the template's own policies: each row as the server can judge it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snapshotter.access import configuration
from snapshotter.access.bucket_probes import MALFORMED, PROBES
from snapshotter.access.bucket_rules import LIST, NO_HEADER, NOBODY, OVERWRITE, TLS, USE, WRONG_HEADER
from snapshotter.access.probe import Harm
from snapshotter.access.proof import Proof, Result, Status, Target, error_of, target
from snapshotter.access.prove import prove, select
from snapshotter.access.servers import AWS, MINISTACK, RGW
from snapshotter.base.errors import Finding, Interrupted, Unavailable, UsageError
from tests.access.support import SCOPE, connection, ids, make_bucket
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Keys, Server, assume_role, client

BUCKET = "snapshots-to-prove"
ROWS = {probe.id: probe for probe in PROBES}
KNOWN = {"rgw": RGW, "ministack": MINISTACK}


@pytest.fixture(scope="module", params=KNOWN)
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    make_bucket(server, BUCKET, bucket_policy(BucketName=BUCKET), access_policy(BucketName=BUCKET))
    return server


@pytest.fixture(scope="module")
def role(server: Server) -> Keys:
    return assume_role(server, access_policy(BucketName=BUCKET), "role-to-prove")


def proven(server: Server, keys: Keys, **options: Any) -> Proof:
    return prove(connection(server, keys), Target(BUCKET, SCOPE), **options)


def cli(env: dict[str, str], *args: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `snapshotter prove` with nothing in the environment but this."""
    paths = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "snapshotter", "prove", *args],
        env=paths | env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_table_is_whole() -> None:
    assert len(PROBES) >= 40
    assert len({probe.id for probe in PROBES}) == len(PROBES)
    for probe in PROBES:
        assert probe.rule.says and probe.rule.fix and probe.condition, probe.id
        assert probe.rule.statement in {TLS, WRONG_HEADER, NO_HEADER, OVERWRITE, LIST, USE, NOBODY}, probe.id


def test_no_probe_can_do_harm() -> None:
    for probe in PROBES:
        reads = probe.operation.startswith(("Get", "List", "Head"))
        ours = probe.key is not None and probe.key.startswith(("{run}", "{object}"))
        writes = probe.operation in (
            "PutObject",
            "CopyObject",
            "CreateMultipartUpload",
            "UploadPart",
            "PutObjectTagging",
            "AbortMultipartUpload",
        )
        # What a lock must refuse is tried on an object that was written for it, and for nothing else.
        locks = probe.group == "lock" and (probe.key, probe.params["VersionId"]) == (
            "{kept}",
            "{kept_version}",
        )
        if reads or (writes and ours) or locks:
            continue
        assert probe.harm is not Harm.NONE, probe.id
        if probe.operation.startswith("Delete"):
            assert "absent" in str(probe) or probe.id == "tag-delete"
        elif probe.harm is Harm.CHANGE and not ours:
            assert probe.operation in MALFORMED or "ContentMD5" in probe.params, probe.id
        else:
            assert ours or "{random}" in str(probe.key), probe.id


@pytest.mark.parametrize("who", ["user", "role"])
def test_every_row_holds_that_the_server_can_judge(
    server: Server, who: str, request: pytest.FixtureRequest
) -> None:
    keys = server.user if who == "user" else request.getfixturevalue("role")
    proof = proven(server, keys)
    known = KNOWN[server.kind]
    assert [
        result
        for result in proof.results
        if result.id not in known.cannot and result.status is not Status.PASSED
    ] == []
    assert ids(proof, Status.NOT_JUDGED) == set(known.cannot)
    assert proof.server == known.name
    assert len(proof.results) == len(PROBES)
    assert (error_of(proof), proof.leftovers, proof.owner) == (None, (), False)
    assert proof.seconds > 0


def test_every_row_is_judged_by_a_test_server_and_all_by_aws() -> None:
    assert not RGW.cannot.keys() & MINISTACK.cannot.keys()
    assert AWS.cannot == {}


def test_nothing_is_written_outside_the_test_folder(server: Server) -> None:
    proof = proven(server, server.user)
    s3 = client(server, server.owner)
    found = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    keys = [item["Key"] for item in found]
    assert all(key.startswith(f"{SCOPE}policy-tests/") for key in keys)
    assert any(key.startswith(proof.folder) for key in keys)
    assert sum(item["Size"] for item in found if item["Key"].startswith(proof.folder)) < 1000
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def administrator(server: Server) -> Keys:
    """A role that may do everything but what the bucket policy denies. ministack's root key is above that, too."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return assume_role(server, {"Version": "2012-10-17", "Statement": [everything]}, "administrator")


def test_an_administrator_proves_the_configuration_and_what_binds_all_and_is_no_incident(
    server: Server,
) -> None:
    keys = server.owner if server.kind == "rgw" else administrator(server)
    proof = proven(server, keys)
    assert proof.owner
    scoped, cannot = ids(proof, Status.SCOPED), KNOWN[server.kind].cannot.keys()
    assert {"settings-read-policy", "delete-one", "list-none", "put-root"} <= scoped
    assert not scoped & {"put-no-header", "put-kms", "put-aes256", "anonymous-get", "create-conflict"}
    rows = {result.id for result in proof.results if result.group != configuration.GROUP}
    wrong = {
        result.id: (result.got, result.note)
        for result in proof.results
        if result.status is Status.FAILED and result.group != configuration.GROUP
    }
    assert wrong == {}
    assert {"put-no-header", "put-aes256", "anonymous-get"} - cannot <= ids(proof, Status.PASSED)
    assert rows == {probe.id for probe in PROBES}
    assert {result.id for result in proof.results} >= configuration.NAMES - {configuration.GROUP}
    error = error_of(proof)
    assert isinstance(error, Finding), "the test's bucket has no lifecycle"
    assert proof.count(Status.FAILED) == sum(
        result.status is Status.FAILED for result in proof.results if result.group == configuration.GROUP
    )
    only = proven(server, keys, only=["settings-change-policy"])
    assert isinstance(error_of(only), Unavailable), "nothing passed, so nothing is proven"


def test_an_administrator_whose_configuration_is_right_ends_well() -> None:
    kinds = (("put-aes256", Status.PASSED), ("delete-one", Status.SCOPED), ("put-beside", Status.NOT_SENT))
    rows = tuple(Result.of(ROWS[name], None, "–", status) for name, status in kinds)
    proof = Proof("b", "p/", "p/policy-tests/0/", None, "Amazon S3", True, rows, (), 0.0)
    assert error_of(proof) is None
    assert isinstance(error_of(replace(proof, owner=False)), Unavailable), "half an owner proves nothing so"


def test_a_part_of_an_upload_is_reported_by_the_server_that_judges_it(ministack_server: Server) -> None:
    bucket = "in-parts"
    policies = bucket_policy(BucketName=bucket), access_policy(BucketName=bucket)
    make_bucket(ministack_server, bucket, *policies)
    target = Target(bucket, SCOPE)
    who = connection(ministack_server, ministack_server.user)
    (row,) = prove(who, target, only=["multipart-part"]).results
    assert row.status is Status.PASSED
    assert "parts are" in row.note
    refused = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}-2/*"}
    make_bucket(ministack_server, f"{bucket}-2", None, {"Version": "2012-10-17", "Statement": [refused]})
    (row,) = prove(who, Target(f"{bucket}-2", SCOPE), only=["multipart-part"]).results
    assert row.status is Status.UNCHECKED, "no upload could be started"


def test_a_write_that_lands_elsewhere_is_named_with_how_to_remove_it(ministack_server: Server) -> None:
    bucket = "too-wide"
    access = access_policy(BucketName=bucket)
    access["Statement"][1]["Resource"] = f"arn:aws:s3:::{bucket}/*"
    make_bucket(ministack_server, bucket, bucket_policy(BucketName=bucket), access, "versioned")
    proof = prove(connection(ministack_server, ministack_server.user), Target(bucket, SCOPE))
    found = client(ministack_server, ministack_server.owner).list_objects_v2(Bucket=bucket)["Contents"]
    left = {item["Key"] for item in found if not item["Key"].startswith(SCOPE)}
    assert {leftover.key for leftover in proof.leftovers} == left
    assert len(left) == 4
    for leftover in proof.leftovers:
        words = shlex.split(leftover.remove, comments=True)
        assert words[:5] == ["aws", "s3api", "delete-object", "--bucket", bucket]
        assert words[5:7] == ["--key", leftover.key]
        option, _, version = words[7].partition("=")
        assert (option, bool(version)) == ("--version-id", True), "else a version of the object stays"


def test_a_proof_that_is_stopped_still_names_what_it_left(ministack_server: Server) -> None:
    bucket = "stopped"
    access = access_policy(BucketName=bucket)
    access["Statement"][1]["Resource"] = f"arn:aws:s3:::{bucket}/*"
    make_bucket(ministack_server, bucket, bucket_policy(BucketName=bucket), access)
    rows = iter(range(2))

    def check() -> None:
        if next(rows, None) is None:
            raise Interrupted("interrupted by SIGINT")

    with pytest.raises(Interrupted) as raised:
        who = connection(ministack_server, ministack_server.user)
        prove(who, Target(bucket, SCOPE), only=["put-root", "put-outside", "put-dots"], check=check)
    told = "\n".join(raised.value.details)
    found = client(ministack_server, ministack_server.owner).list_objects_v2(Bucket=bucket)["Contents"]
    assert len(found) == told.count("delete-object") == 2
    assert all(item["Key"] in told for item in found)


def test_only_and_skip_choose_rows_by_id_and_group(server: Server) -> None:
    proof = proven(server, server.user, only=["put-*", "delete"], skip=["put-kms*"])
    chosen = {result.id for result in proof.results}
    assert chosen == {
        probe.id
        for probe in PROBES
        if probe.group in ("put", "delete") and not probe.id.startswith("put-kms")
    }
    with pytest.raises(UsageError, match="no row is called nonsense"):
        select(["nonsense"])
    with pytest.raises(UsageError, match="not a prefix"):
        prove(connection(server, server.user), Target(BUCKET, "/"))


def test_the_settings_alone_need_the_owner(server: Server) -> None:
    with_user = proven(server, server.user, only=["configuration"])
    assert with_user.count(Status.UNCHECKED) == len(with_user.results) == len(configuration.SETTINGS)
    error = error_of(with_user)
    assert isinstance(error, Unavailable) and "the bucket's owner" in error.hint
    with_owner = error_of(proven(server, server.owner, only=["configuration"]))
    assert isinstance(with_owner, Finding), "the test's bucket has no lifecycle"
    assert with_owner.hint.startswith("see the fix of each row"), "and who asks is right"


def test_the_target_is_the_flags_then_the_store_then_production() -> None:
    assert target(None, "./snapshots") == Target("fruitful-lab-snapshots-prod", SCOPE)
    assert target(None, "s3://bbb/some/prefix") == Target("bbb", "some/prefix/")
    assert target("s3://bbb", "s3://aaa/p") == Target("bbb", SCOPE)
    assert target("s3://bbb/some/prefix", "./x", "ccc", "/x") == Target("ccc", "x/")


@pytest.mark.parametrize(
    "named", ["./snapshots", "file:x", "s3:///x", "s3://BAD NAME/x", "s3://u:pw@bucket/x"]
)
def test_a_store_that_is_named_and_is_no_bucket_is_refused_and_never_production_instead(named: str) -> None:
    with pytest.raises(UsageError) as raised:
        target(named, "s3://aaa/p")
    assert "pw" not in str(raised.value.as_dict())
    with pytest.raises(UsageError):
        target(None, "./snapshots", bucket="")


def test_whether_write_once_is_in_force_is_not_claimed_where_it_cannot_be_judged(server: Server) -> None:
    bucket = "written-once"
    policies = bucket_policy(BucketName=bucket, EnforceWriteOnce="true"), access_policy(BucketName=bucket)
    make_bucket(server, bucket, *policies)
    proof = prove(connection(server, server.user), Target(bucket, SCOPE), only=["overwrite", "put-aes256"])
    notes = {result.id: (result.got, result.note) for result in proof.results}
    assert notes["put-aes256"] == ("allowed", ""), "the product's own writes pass"
    assert notes["overwrite"][0] == "allowed", "AWS would refuse it: this server does not know the keys"
    assert "cannot be judged here" in notes["overwrite"][1]


def test_the_verb_prints_rows_and_one_document(server: Server, tmp_path: Path) -> None:
    where = ["--bucket", BUCKET, "--http-endpoint", server.http_url]
    plain = cli(server.environment(server.user), *where, folder=tmp_path)
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert "put-kms" in plain.stdout
    assert "passed" in plain.stdout
    done = cli(server.environment(server.user), *where, "--json", folder=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["counts"]["failed"]) == (0, True, 0)
    assert len(document["results"]) == len(PROBES)
    assert server.user.secret_key not in plain.stdout + done.stdout + plain.stderr + done.stderr


def test_the_verb_fails_with_the_fix_and_tells_a_check_that_failed_from_none(
    server: Server, tmp_path: Path
) -> None:
    owner = cli(
        server.environment(server.owner), "--bucket", BUCKET, "--only", "config-versioning", folder=tmp_path
    )
    assert owner.returncode == 1
    assert "fix: " in owner.stdout
    right = server.environment(server.user)
    done = cli(right, "--bucket", "no-such-bucket", "--only", "put", folder=tmp_path)
    assert (done.returncode, "no such bucket" in done.stderr) == (4, True), done.stderr
    for url in (server.https_url, "nowhere", "http://"):
        done = cli(right, "--bucket", BUCKET, "--only", "http", "--http-endpoint", url, folder=tmp_path)
        assert (done.returncode, "is no plain HTTP endpoint" in done.stderr) == (2, True), done.stderr
    plain = cli(right | {"AWS_ENDPOINT_URL": server.http_url}, "--bucket", BUCKET, folder=tmp_path)
    assert (plain.returncode, "plain HTTP" in plain.stderr) == (2, True)


def test_the_verb_cannot_check_without_valid_credentials_or_a_network(
    ministack_server: Server, tmp_path: Path
) -> None:
    right = ministack_server.environment(ministack_server.user)
    nobody = {key: value for key, value in right.items() if "KEY" not in key}
    for env, words in (
        (right | {"AWS_ACCESS_KEY_ID": "nobody"}, "the access key does not exist"),
        (right | {"AWS_ENDPOINT_URL": "https://127.0.0.1:1"}, "it refuses the connection"),
        (nobody, "no AWS credentials"),
    ):
        done = cli(env, folder=tmp_path)
        assert (done.returncode, words in done.stderr) == (4, True), done.stderr
