"""infra/storage.yaml holds every rule that the bucket and its identities are promised to have."""

import json
import re
from fnmatch import fnmatchcase
from itertools import permutations
from typing import Any

import pytest

from snapshotter.archive import layout
from snapshotter.archive.layout import RunId, RunKey
from tests.infra.template import STORAGE, access_policy, bucket_policy, load, resolve, trust_policy

BUCKET = "arn:aws:s3:::fruitful-lab-snapshots-prod"
POLICY = "arn:aws:iam::123456789012:policy/fruitful-s3-repo-scans-rw"

# The property by which CloudFormation identifies a resource that it imports (primaryIdentifier of the type's
# schema). A managed policy is identified by its ARN, which holds the account; its name settles it.
IDENTIFIER = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": "Bucket",
}


# Every option on.
EVERYTHING: dict[str, str] = {
    "CreateUser": "true",
    "SnapshotRetentionDays": "365",
    "MaxChainAgeDays": "30",
    "ObjectLockDays": "90",
    "AllowedPrincipalArns": "arn:aws:iam::123456789012:role/deployer",
    "ReplicaBucketName": "b-2",
    "ReplicaAccountId": "210987654321",
}


def resources(**parameters: str | int) -> dict[str, Any]:
    return resolve(STORAGE, **parameters)["Resources"]


def properties(name: str, **parameters: str | int) -> dict[str, Any]:
    return resources(**parameters)[name]["Properties"]


def statements(policy: dict[str, Any]) -> dict[str, Any]:
    assert policy["Version"] == "2012-10-17"
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def lifecycle(**parameters: str | int) -> dict[str, Any]:
    return {
        rule["Id"]: rule for rule in properties("Bucket", **parameters)["LifecycleConfiguration"]["Rules"]
    }


def expiring(**parameters: str | int) -> dict[str, Any]:
    """The rules that expire snapshots, and what else is kept as long."""
    tests = {"ExpireDiagnostics", "ExpirePolicyTests"}
    rules = lifecycle(**parameters)
    return {name: rule for name, rule in rules.items() if "ExpirationInDays" in rule and name not in tests}


# ---- names


def test_every_name_is_a_parameter_with_the_production_default() -> None:
    found = {
        name: resource["Properties"][IDENTIFIER[resource["Type"]]]
        for name, resource in resources(**EVERYTHING).items()
    }

    assert found == {
        "Bucket": "fruitful-lab-snapshots-prod",
        "BucketPolicy": "fruitful-lab-snapshots-prod",
        "AccessPolicy": "fruitful-s3-repo-scans-rw",
        "TaskRole": "fruitful-repo-snapshotter-task-role",
        "ReplicationRole": "fruitful-repo-snapshotter-replication-role",
        "OperatorsGroup": "fruitful-agents",
        "User": "agent-repo-snapshotter",
    }
    assert load(STORAGE)["Parameters"]["Prefix"]["Default"] == "repo-scans/snapshotter/"


def test_no_production_name_is_left_when_every_parameter_is_given() -> None:
    names = {
        "BucketName": "b-1",
        "Prefix": "p/",
        "AccessPolicyName": "policy-1",
        "TaskRoleName": "role-1",
        "OperatorsGroupName": "group-1",
        "UserName": "user-1",
        "BreakGlassRoleName": "role-2",
        "ReplicationRoleName": "role-3",
        "Project": "project-1",
        "Owner": "owner-1",
    }

    text = json.dumps(resources(**EVERYTHING, **names))

    assert not re.search("fruitful|repo-scans|agent-repo", text)


# ---- the bucket


def test_all_four_public_access_blocks_are_on() -> None:
    assert properties("Bucket")["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }


def test_the_bucket_owner_owns_every_object_and_acls_are_off() -> None:
    assert properties("Bucket")["OwnershipControls"] == {
        "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
    }
    assert "AccessControl" not in properties("Bucket")


def test_encryption_by_default_is_aes256_without_kms() -> None:
    assert properties("Bucket")["BucketEncryption"] == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }


def test_versioning_is_on() -> None:
    assert properties("Bucket")["VersioningConfiguration"] == {"Status": "Enabled"}


def test_there_is_no_cors_website_or_replication() -> None:
    assert properties("Bucket").keys() == {
        "BucketName",
        "PublicAccessBlockConfiguration",
        "OwnershipControls",
        "BucketEncryption",
        "VersioningConfiguration",
        "LifecycleConfiguration",
        "Tags",
    }


def test_lifecycle_removes_what_nobody_may_delete() -> None:
    assert lifecycle() == {
        "AbortIncompleteMultipartUploads": {
            "Id": "AbortIncompleteMultipartUploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
        "ExpireDiagnostics": {
            "Id": "ExpireDiagnostics",
            "Status": "Enabled",
            "Prefix": "repo-scans/snapshotter/_diagnostics/",
            "ExpirationInDays": 1,
        },
        "ExpirePolicyTests": {
            "Id": "ExpirePolicyTests",
            "Status": "Enabled",
            "Prefix": "repo-scans/snapshotter/policy-tests/",
            "ExpirationInDays": 1,
        },
        "ExpireNoncurrentVersions": {
            "Id": "ExpireNoncurrentVersions",
            "Status": "Enabled",
            "Prefix": "repo-scans/snapshotter/",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
        },
    }
    assert lifecycle(NoncurrentVersionDays=7)["ExpireNoncurrentVersions"]["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": 7
    }


@pytest.mark.parametrize("parameters", [{}, EVERYTHING])
def test_no_two_rules_with_a_prefix_alone_overlap_for_one_action(parameters: dict[str, str]) -> None:
    # S3: "Found overlapping prefixes … for same action type", of rules that have no other filter.
    prefixes: dict[str, list[str]] = {}
    for rule in lifecycle(**parameters).values():
        if not rule.keys() & {"TagFilters", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}:
            for action in rule.keys() - {"Id", "Status", "Prefix"}:
                name = "Expiration" if action.startswith("Expir") else action
                prefixes.setdefault(name, []).append(rule.get("Prefix", ""))

    assert prefixes.keys() == {"AbortIncompleteMultipartUpload", "Expiration", "NoncurrentVersionExpiration"}
    for action, found in prefixes.items():
        overlaps = [pair for pair in permutations(found, 2) if pair[0].startswith(pair[1])]
        assert not overlaps, action


@pytest.mark.parametrize("parameters", [{}, EVERYTHING])
def test_nothing_expires_by_a_tag(parameters: dict[str, str]) -> None:
    assert not [rule for rule in lifecycle(**parameters).values() if "TagFilters" in rule]


def test_snapshots_expire_by_age_only_when_asked() -> None:
    rules = expiring(SnapshotRetentionDays="365", MaxChainAgeDays="30")
    assert rules["ExpireSnapshots-g"] == {
        "Id": "ExpireSnapshots-g",
        "Status": "Enabled",
        "Prefix": "repo-scans/snapshotter/g",
        "ExpirationInDays": "396",
    }
    assert expiring(MaxChainAgeDays="30") == {}


@pytest.mark.parametrize(
    ("key", "expires"),
    [
        ("github.com__psf__requests/2026/11/23/20261123T031702Z-9f0c2a1b/manifest.json", True),
        ("192.0.2.7__x/2026/11/23/20261123T031702Z-9f0c2a1b/refs.txt", True),
        ("local__srv__x-0123abcd/2026/11/23/20261123T031702Z-9f0c2a1b/history.bundle", True),
        ("_fleet/2026/11/23/20261123T031702Z-9f0c2a1b/status.json", True),
        ("_jobs/nightly.json", False),
        ("_lfs/github.com__psf__requests/5c/5c/" + "5c" * 32, False),
    ],
)
def test_repositories_expire_and_what_the_service_needs_does_not(key: str, expires: bool) -> None:
    rules = expiring(SnapshotRetentionDays="365", MaxChainAgeDays="30").values()

    found = [rule for rule in rules if f"repo-scans/snapshotter/{key}".startswith(rule["Prefix"])]
    assert len(found) == expires


ALLOWED = {name: rule.get("AllowedValues") for name, rule in load(STORAGE)["Parameters"].items()}


@pytest.mark.parametrize("retention", ALLOWED["SnapshotRetentionDays"])
@pytest.mark.parametrize("age", ALLOWED["MaxChainAgeDays"])
def test_an_expiry_leaves_the_retention_that_was_asked_for(retention: str, age: str) -> None:
    parameters = {"SnapshotRetentionDays": retention, "MaxChainAgeDays": age}
    if retention == "0":
        assert expiring(**parameters) == {}
    elif age == "0":
        with pytest.raises(ValueError, match="ExpiryNeedsAChainAge"):
            lifecycle(**parameters)
    else:
        days = {int(rule["ExpirationInDays"]) for rule in expiring(**parameters).values()}
        assert days == {int(retention) + int(age) + 1}


@pytest.mark.parametrize("days", ALLOWED["ObjectLockDays"])
@pytest.mark.parametrize("age", ALLOWED["MaxChainAgeDays"])
def test_a_lock_outlives_the_chain(days: str, age: str) -> None:
    parameters = {"ObjectLockDays": days, "MaxChainAgeDays": age}
    if days == "0":
        assert "ObjectLockConfiguration" not in properties("Bucket", **parameters)
    elif age == "0" or int(age) > int(days):
        with pytest.raises(ValueError, match="LockOutlivesTheChain"):
            properties("Bucket", **parameters)
    else:
        bucket = properties("Bucket", **parameters)
        assert bucket["ObjectLockEnabled"] is True
        assert bucket["ObjectLockConfiguration"] == {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": days}},
        }


# ---- the bucket policy

DENIALS = {
    "DenyInsecureTransport": {
        "Sid": "DenyInsecureTransport",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [BUCKET, f"{BUCKET}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    },
    "DenyWrongEncryptionHeader": {
        "Sid": "DenyWrongEncryptionHeader",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{BUCKET}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}},
    },
    "DenyMissingEncryptionHeader": {
        "Sid": "DenyMissingEncryptionHeader",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"{BUCKET}/*",
        "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}},
    },
}


def test_the_bucket_policy_only_denies_and_denies_just_this() -> None:
    assert statements(bucket_policy(EnforceWriteOnce="false")) == DENIALS


def test_write_once_denies_a_put_without_if_none_match_but_not_the_parts_of_a_multipart_upload() -> None:
    # The condition is the one on "Enforce conditional writes on Amazon S3 buckets" in the S3 user guide.
    assert statements(bucket_policy()) == DENIALS | {
        "DenyOverwrite": {
            "Sid": "DenyOverwrite",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": [
                f"{BUCKET}/repo-scans/snapshotter/*/*/*/*/*/*",
                f"{BUCKET}/repo-scans/snapshotter/_lfs/*",
            ],
            "Condition": {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        }
    }


RUN = RunKey("github.com__psf__requests", RunId("20261123T031702Z-9f0c2a1b"))


@pytest.mark.parametrize(
    ("key", "covered"),
    [
        *((RUN.key(name), True) for name in (layout.MANIFEST, "history.bundle.0000", "scan/files.parquet")),
        ("_fleet/2026/11/23/20261123T031702Z-9f0c2a1b/status.json", True),
        (layout.lfs_key(RUN.repo, "5c" * 32), True),
        (layout.lfs_key(RUN.repo, "5c" * 32, "0badcafe", 3), True),
        ("policy-tests/note.txt", False),
        ("policy-tests/0123456789abcdef/object", False),
        ("_diagnostics/0123456789abcdef", False),
    ],
)
def test_write_once_is_for_all_that_a_run_writes_and_not_for_tests(key: str, covered: bool) -> None:
    patterns = statements(bucket_policy())["DenyOverwrite"]["Resource"]

    named = f"{BUCKET}/repo-scans/snapshotter/{key}"
    assert any(fnmatchcase(named, pattern) for pattern in patterns) is covered
    assert not any(fnmatchcase(f"{BUCKET}/neighbour/{key}", pattern) for pattern in patterns)


def test_no_principal_is_singled_out_by_default() -> None:
    assert not [sid for sid in statements(bucket_policy()) if "Outsiders" in sid or "BreakGlass" in sid]


def test_outsiders_are_refused_objects_and_only_break_glass_deletes() -> None:
    task_role = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-task-role"
    break_glass = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-break-glass"
    replication = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-replication-role"
    ada, deployers = "arn:aws:iam::123456789012:user/ada", "arn:aws:iam::123456789012:role/deploy-*"
    under = f"{BUCKET}/repo-scans/snapshotter/*"

    found = statements(bucket_policy(AllowedPrincipalArns=f"{ada},{deployers}"))

    assert found["DenyObjectsToOutsiders"] == {
        "Sid": "DenyObjectsToOutsiders",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject*", "s3:PutObject*", "s3:DeleteObject*"],
        "Resource": under,
        "Condition": {
            "ArnNotLike": {"aws:PrincipalArn": [task_role, break_glass, replication, ada, deployers]}
        },
    }
    assert found["DenyDeletesExceptBreakGlass"] == {
        "Sid": "DenyDeletesExceptBreakGlass",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "s3:DeleteObject*",
            "s3:BypassGovernanceRetention",
            "s3:PutObjectRetention",
            "s3:PutObjectLegalHold",
        ],
        "Resource": under,
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": break_glass}},
    }


# ---- identities


def test_the_access_policy_grants_these_six_actions_and_no_more() -> None:
    assert statements(access_policy()) == {
        "ListUnderPrefix": {
            "Sid": "ListUnderPrefix",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": BUCKET,
            "Condition": {"StringLike": {"s3:prefix": "repo-scans/snapshotter/*"}},
        },
        "ReadAndWriteUnderPrefix": {
            "Sid": "ReadAndWriteUnderPrefix",
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:PutObject",
                "s3:PutObjectTagging",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            "Resource": f"{BUCKET}/repo-scans/snapshotter/*",
        },
    }


def test_only_ecs_tasks_of_this_account_and_region_may_assume_the_task_role() -> None:
    assert statements(trust_policy()) == {
        "TasksOfThisAccount": {
            "Sid": "TasksOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": "123456789012"},
                "ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-central-1:123456789012:*"},
            },
        }
    }


def test_the_task_role_and_the_operators_have_that_policy_and_nothing_else() -> None:
    assert properties("TaskRole").keys() == {
        "RoleName",
        "AssumeRolePolicyDocument",
        "ManagedPolicyArns",
        "Tags",
    }
    assert properties("TaskRole")["ManagedPolicyArns"] == [POLICY]
    assert properties("OperatorsGroup") == {"GroupName": "fruitful-agents", "ManagedPolicyArns": [POLICY]}


def test_the_operators_group_is_an_option() -> None:
    assert "OperatorsGroup" not in resources(OperatorsGroupName="")
    user = properties("User", CreateUser="true", OperatorsGroupName="")
    assert user["ManagedPolicyArns"] == [POLICY]
    assert "Groups" not in user


def test_all_that_can_be_tagged_is() -> None:
    tagged = {name for name, one in resources(**EVERYTHING).items() if "Tags" in one["Properties"]}

    assert tagged == {
        "Bucket",
        "TaskRole",
        "ReplicationRole",
        "User",
    }  # CloudFormation tags no group and no managed policy
    for name in tagged:
        assert properties(name, **EVERYTHING, Project="p", Owner="o")["Tags"] == [
            {"Key": "Project", "Value": "p"},
            {"Key": "Owner", "Value": "o"},
        ]


def test_the_user_is_off_by_default_and_comes_with_a_warning_and_without_a_key() -> None:
    warning = load(STORAGE)["Parameters"]["CreateUser"]["Description"]

    assert "User" not in resources()
    user = properties("User", CreateUser="true")
    assert user.pop("Tags")
    assert user == {"UserName": "agent-repo-snapshotter", "Groups": ["fruitful-agents"]}
    assert warning.startswith("WARNING")
    assert "static access keys" in warning
    assert "AWS::IAM::AccessKey" not in {resource["Type"] for resource in load(STORAGE)["Resources"].values()}


# ---- retained and importable


@pytest.mark.parametrize("name", load(STORAGE)["Resources"])
def test_every_resource_is_retained_and_can_be_imported(name: str) -> None:
    resource = resources(**EVERYTHING)[name]

    assert resource["DeletionPolicy"] == "Retain"
    assert resource["UpdateReplacePolicy"] == "Retain"
    assert resource["Properties"][IDENTIFIER[resource["Type"]]]
    # Not changeable in place: a difference from what exists would replace it, under a name that is taken.
    assert not resource["Properties"].keys() & {"Description", "Path"}


def test_the_template_has_nothing_that_an_import_refuses() -> None:
    assert load(STORAGE).keys() <= {
        "AWSTemplateFormatVersion",
        "Description",
        "Parameters",
        "Mappings",
        "Rules",
        "Conditions",
        "Resources",
    }
