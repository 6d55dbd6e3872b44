"""infra/replica.yaml has the guardrails of infra/storage.yaml, and the two fit each other."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.template import REPLICA, STORAGE, load, resolve

OTHER = "210987654321"
ROLE = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-replication-role"
EXPIRING = {"SnapshotRetentionDays": "365", "MaxChainAgeDays": "30", "ObjectLockDays": "90"}


def replica(**parameters: str) -> dict[str, Any]:
    return resolve(REPLICA, **parameters)["Resources"]


def storage(**parameters: str) -> dict[str, Any]:
    names = {"ReplicaBucketName": "fruitful-lab-snapshots-replica"}
    return resolve(STORAGE, **names | parameters)["Resources"]


def statements(resources: dict[str, Any]) -> dict[str, Any]:
    document = resources["BucketPolicy"]["Properties"]["PolicyDocument"]
    return {each["Sid"]: each for each in document["Statement"]}


@pytest.mark.parametrize("parameters", [{}, EXPIRING])
def test_the_buckets_have_the_same_settings(parameters: dict[str, str]) -> None:
    copy = replica(**parameters)["Bucket"]["Properties"]
    original = storage(**parameters)["Bucket"]["Properties"]

    own = {"BucketName", "ReplicationConfiguration"}
    assert {key: copy[key] for key in copy.keys() - own} == {
        key: original[key] for key in original.keys() - own
    }
    assert "ReplicationConfiguration" not in copy
    for section in ("Mappings", "Rules"):
        assert load(REPLICA)[section] == load(STORAGE)[section]


def test_the_bucket_policies_deny_the_same() -> None:
    name = "same-bucket"

    assert statements(replica(BucketName=name)) == statements(storage(BucketName=name))


def test_a_closed_circle_of_the_original_can_be_closed_here_too() -> None:
    """Or whoever may not read and delete there would read and delete here."""
    name, ada = "same-bucket", "arn:aws:iam::123456789012:user/ada"
    copy = statements(replica(BucketName=name, AllowedPrincipalArns=ada))
    original = statements(storage(BucketName=name, AllowedPrincipalArns=ada))

    assert copy["DenyDeletesExceptBreakGlass"] == original["DenyDeletesExceptBreakGlass"]
    outsiders = copy["DenyObjectsToOutsiders"]
    break_glass = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-break-glass"
    assert outsiders.pop("Condition") == {"ArnNotLike": {"aws:PrincipalArn": [break_glass, ada]}}
    assert outsiders == {key: original["DenyObjectsToOutsiders"][key] for key in outsiders}
    assert copy.keys() == original.keys()


def test_everything_is_retained() -> None:
    for resource in load(REPLICA)["Resources"].values():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_objects_under_the_prefix_are_copied_and_no_delete_is() -> None:
    assert "ReplicationConfiguration" not in resolve(STORAGE)["Resources"]["Bucket"]["Properties"]
    assert "ReplicationRole" not in resolve(STORAGE)["Resources"]
    assert storage()["Bucket"]["Properties"]["ReplicationConfiguration"] == {
        "Role": ROLE,
        "Rules": [
            {
                "Id": "CopyToTheReplica",
                "Status": "Enabled",
                "Priority": 1,
                "Filter": {"Prefix": "repo-scans/snapshotter/"},
                "DeleteMarkerReplication": {"Status": "Disabled"},
                "Destination": {
                    "Bucket": "arn:aws:s3:::fruitful-lab-snapshots-replica",
                    "Metrics": {"Status": "Enabled"},
                },
            }
        ],
    }


def test_in_another_account_that_account_owns_the_copies_and_lets_the_role_write_them() -> None:
    rules = storage(ReplicaAccountId=OTHER)["Bucket"]["Properties"]["ReplicationConfiguration"]["Rules"]
    there = replica(SourceAccountId="123456789012", **{"AWS::AccountId": OTHER})

    assert rules[0]["Destination"]["Account"] == OTHER
    assert rules[0]["Destination"]["AccessControlTranslation"] == {"Owner": "Destination"}
    assert statements(there)["CopiesOfTheOtherAccount"] == {
        "Sid": "CopiesOfTheOtherAccount",
        "Effect": "Allow",
        "Principal": {"AWS": ROLE},
        "Action": ["s3:ReplicateObject", "s3:ReplicateTags", "s3:ObjectOwnerOverrideToBucketOwner"],
        "Resource": "arn:aws:s3:::fruitful-lab-snapshots-replica/repo-scans/snapshotter/*",
    }


def test_the_replication_role_reads_here_writes_there_and_deletes_nowhere() -> None:
    role = storage()["ReplicationRole"]["Properties"]
    (policy,) = role["Policies"]
    allowed = {
        (action, each["Resource"])
        for each in policy["PolicyDocument"]["Statement"]
        for action in each["Action"]
    }
    here, there = "arn:aws:s3:::fruitful-lab-snapshots-prod", "arn:aws:s3:::fruitful-lab-snapshots-replica"
    under = "repo-scans/snapshotter/*"

    assert allowed == {
        ("s3:GetReplicationConfiguration", here),
        ("s3:ListBucket", here),
        ("s3:GetObjectVersionForReplication", f"{here}/{under}"),
        ("s3:GetObjectVersionAcl", f"{here}/{under}"),
        ("s3:GetObjectVersionTagging", f"{here}/{under}"),
        ("s3:GetObjectRetention", f"{here}/{under}"),
        ("s3:GetObjectLegalHold", f"{here}/{under}"),
        ("s3:ReplicateObject", f"{there}/{under}"),
        ("s3:ReplicateTags", f"{there}/{under}"),
        ("s3:ObjectOwnerOverrideToBucketOwner", f"{there}/{under}"),
    }
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "ReplicationOfThisBucket",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnEquals": {"aws:SourceArn": here},
            },
        }
    ]


def test_the_read_policy_reads_under_the_prefix_and_nothing_else() -> None:
    bucket = "arn:aws:s3:::fruitful-lab-snapshots-replica"

    assert replica()["ReadPolicy"]["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Sid": "ListUnderPrefix",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": "repo-scans/snapshotter/*"}},
        },
        {
            "Sid": "ReadUnderPrefix",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"{bucket}/repo-scans/snapshotter/*",
        },
    ]
