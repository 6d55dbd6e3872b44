"""The owner's look at the settings: right for the template's bucket, and wrong for each setting that is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from snapshotter.access import configuration
from snapshotter.access.bucket_rules import OVERWRITE
from snapshotter.access.proof import Status, Target, error_of
from snapshotter.access.prove import prove
from tests.access.support import SCOPE, connection, ids
from tests.infra.template import STORAGE, bucket_policy, resolve
from tests.servers import Server, client

BUCKET = "settings-to-read"


def template(**parameters: str) -> dict[str, Any]:
    """The bucket's properties as the template has them."""
    resources = resolve(STORAGE, BucketName=BUCKET, **parameters)["Resources"]
    properties: dict[str, Any] = resources["Bucket"]["Properties"]
    return properties


def lifecycle(rules: list[dict[str, Any]]) -> dict[str, Any]:
    """The template's lifecycle rules as S3's API takes them."""
    return {"Rules": [_rule(rule) for rule in rules]}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ObjectSizeGreaterThan" in rule:
        size = int(rule["ObjectSizeGreaterThan"])
        made["Filter"] = {"And": {"Prefix": rule["Prefix"], "ObjectSizeGreaterThan": size}}
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    for name in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
        if name in rule:
            made[name] = rule[name]
    return made


def set_up(s3: Any) -> None:
    """Every setting as the template has it."""
    found = template()
    rule = found["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"]}]}
    s3.put_public_access_block(
        Bucket=BUCKET, PublicAccessBlockConfiguration=found["PublicAccessBlockConfiguration"]
    )
    s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=found["OwnershipControls"])
    s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=encryption)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=found["VersioningConfiguration"])
    s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration=lifecycle(found["LifecycleConfiguration"]["Rules"])
    )
    s3.delete_bucket_cors(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(bucket_policy(BucketName=BUCKET)))


def policy(change: Callable[[dict[str, Any]], object], sid: str) -> Callable[[Any], None]:
    def apply(s3: Any) -> None:
        document = bucket_policy(BucketName=BUCKET, EnforceWriteOnce=str(sid == OVERWRITE).lower())
        change(next(each for each in document["Statement"] if each["Sid"] == sid))
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document))

    return apply


def rules(keep: Callable[[dict[str, Any]], bool]) -> Callable[[Any], None]:
    def apply(s3: Any) -> None:
        kept = [rule for rule in template()["LifecycleConfiguration"]["Rules"] if keep(rule)]
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=lifecycle(kept))

    return apply


def expired(prefix: str) -> Callable[[Any], None]:
    """One rule more, which expires what begins so after a day."""

    def apply(s3: Any) -> None:
        more = {"Id": "More", "Status": "Enabled", "Prefix": prefix, "ExpirationInDays": 1}
        found = [*template()["LifecycleConfiguration"]["Rules"], more]
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=lifecycle(found))

    return apply


def expired_by_tag(s3: Any) -> None:
    """One rule more, which expires what carries a tag."""
    document = lifecycle(template()["LifecycleConfiguration"]["Rules"])
    tags = {"And": {"Prefix": SCOPE, "Tags": [{"Key": "expire", "Value": "yes"}]}}
    more = {"ID": "More", "Status": "Enabled", "Filter": tags, "Expiration": {"Days": 1}}
    document["Rules"].append(more)
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=document)


def some_expire(keep: Callable[[dict[str, Any]], bool]) -> Callable[[Any], None]:
    """The rules of a retention, but for some."""

    def apply(s3: Any) -> None:
        parameters = {"SnapshotRetentionDays": "365", "MaxChainAgeDays": "30"}
        kept = [rule for rule in template(**parameters)["LifecycleConfiguration"]["Rules"] if keep(rule)]
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=lifecycle(kept))

    return apply


def half_open(s3: Any) -> None:
    blocks: Mapping[str, bool] = {**template()["PublicAccessBlockConfiguration"], "BlockPublicPolicy": False}
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)


def anybody(s3: Any) -> None:
    s3.delete_public_access_block(Bucket=BUCKET)
    document = bucket_policy(BucketName=BUCKET)
    allow = {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    document["Statement"].append({**allow, "Resource": f"arn:aws:s3:::{BUCKET}/*"})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(document))


SSE = "s3:x-amz-server-side-encryption"
CORS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
OWNERSHIP = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
KMS = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
MUTANTS: dict[str, tuple[Callable[[Any], object], set[str]]] = {
    "one-block-off": (half_open, {"config-public-access"}),
    "no-blocks": (lambda s3: s3.delete_public_access_block(Bucket=BUCKET), {"config-public-access"}),
    "acls-on": (
        lambda s3: s3.put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=OWNERSHIP),
        {"config-ownership"},
    ),
    "kms": (
        lambda s3: s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration=KMS),
        {"config-encryption"},
    ),
    "versioning-off": (
        lambda s3: s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}),
        {"config-versioning"},
    ),
    "cors": (lambda s3: s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=CORS), {"config-cors"}),
    "no-lifecycle": (
        lambda s3: s3.delete_bucket_lifecycle(Bucket=BUCKET),
        {"config-abort-multipart", "config-expire-tests", "config-expire-diagnostics"},
    ),
    "no-abort": (rules(lambda rule: "Abort" not in rule["Id"]), {"config-abort-multipart"}),
    "tests-stay": (rules(lambda rule: rule["Id"] != "ExpirePolicyTests"), {"config-expire-tests"}),
    "diagnostics-stay": (
        rules(lambda rule: rule["Id"] != "ExpireDiagnostics"),
        {"config-expire-diagnostics"},
    ),
    "everything-expires": (expired(""), {"config-snapshots-stay"}),
    "the-folder-above-expires": (expired("repo-scans/"), {"config-snapshots-stay"}),
    "what-is-tagged-expires": (expired_by_tag, {"config-snapshots-stay"}),
    "all-but-some-expire": (
        some_expire(lambda rule: rule["Id"] != "ExpireSnapshots-g"),
        {"config-snapshots-stay"},
    ),
    "one-repository-expires": (expired(f"{SCOPE}github.com__"), {"config-snapshots-stay"}),
    "no-policy": (
        lambda s3: s3.delete_bucket_policy(Bucket=BUCKET),
        {"config-policy-tls", "config-policy-wrong-header", "config-policy-missing-header"},
    ),
    "tls-of-objects-only": (
        policy(lambda each: each.update(Resource=f"arn:aws:s3:::{BUCKET}/*"), "DenyInsecureTransport"),
        {"config-policy-tls"},
    ),
    "kms-allowed": (
        policy(
            lambda each: each.update(Condition={"StringNotEquals": {SSE: ["AES256", "aws:kms"]}}),
            "DenyWrongEncryptionHeader",
        ),
        {"config-policy-wrong-header"},
    ),
    "header-of-one-folder": (
        policy(
            lambda each: each.update(Resource=f"arn:aws:s3:::{BUCKET}/x/*"), "DenyMissingEncryptionHeader"
        ),
        {"config-policy-missing-header"},
    ),
    "write-once-of-one-folder": (
        policy(lambda each: each.update(Resource=f"arn:aws:s3:::{BUCKET}/x/*"), OVERWRITE),
        {"config-policy-write-once"},
    ),
    "write-once-of-multipart-too": (
        policy(lambda each: each["Condition"].pop("Bool"), OVERWRITE),
        {"config-policy-write-once"},
    ),
    "public": (anybody, {"config-public-access", "config-policy-only-denies"}),
}


@pytest.fixture(scope="module")
def server(ministack_server: Server) -> Server:
    client(ministack_server, ministack_server.owner).create_bucket(Bucket=BUCKET)
    return ministack_server


def failed(server: Server) -> set[str]:
    proof = prove(connection(server, server.owner), Target(BUCKET, SCOPE), only=["configuration"])
    assert len(proof.results) == len(configuration.SETTINGS)
    assert proof.count(Status.UNCHECKED) == 0
    assert (error_of(proof) is None) is (proof.count(Status.FAILED) == 0)
    return ids(proof, Status.FAILED)


def test_the_templates_settings_pass(server: Server) -> None:
    set_up(client(server, server.owner))
    assert failed(server) == set()
    policy(lambda _: None, "DenyInsecureTransport")(client(server, server.owner))
    assert failed(server) == set(), "without EnforceWriteOnce, too"
    expiring = template(SnapshotRetentionDays="365", MaxChainAgeDays="30")["LifecycleConfiguration"]["Rules"]
    client(server, server.owner).put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration=lifecycle(expiring)
    )
    assert failed(server) == set(), "SnapshotRetentionDays"
    for prefix in (SCOPE, f"{SCOPE}policy-tests/old/", "elsewhere/"):
        expired(prefix)(client(server, server.owner))
        assert failed(server) == set(), f"one age for all, or no snapshots there: {prefix}"


@pytest.mark.parametrize("name", MUTANTS)
def test_each_wrong_setting_fails(server: Server, name: str) -> None:
    s3 = client(server, server.owner)
    set_up(s3)
    change, wanted = MUTANTS[name]
    change(s3)
    assert failed(server) == wanted


def test_every_setting_fails_on_some_mutant() -> None:
    # A lock cannot be taken off again, so its buckets are test_lock.py's own.
    rest = {each.id for each in configuration.SETTINGS} - {"config-object-lock"}
    assert set().union(*(wanted for _, wanted in MUTANTS.values())) == rest
