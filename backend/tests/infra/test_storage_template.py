"""infra/storage.yaml holds every rule that the bucket and its identities are promised to have."""

import json
import re
from typing import Any

import pytest

from tests.infra.template import INFRA, STORAGE, access_policy, bucket_policy, load, resolve, trust_policy

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


# ---- names


def test_every_name_is_a_parameter_with_the_production_default() -> None:
    found = {
        name: resource["Properties"][IDENTIFIER[resource["Type"]]]
        for name, resource in resources(CreateUser="true").items()
    }

    assert found == {
        "Bucket": "fruitful-lab-snapshots-prod",
        "BucketPolicy": "fruitful-lab-snapshots-prod",
        "AccessPolicy": "fruitful-s3-repo-scans-rw",
        "TaskRole": "fruitful-repo-snapshotter-task-role",
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
    }

    text = json.dumps(resources(CreateUser="true", EnforceWriteOnce="true", SnapshotExpiryDays=1, **names))

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
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        "ExpirePolicyTests": {
            "Id": "ExpirePolicyTests",
            "Status": "Enabled",
            "Prefix": "repo-scans/snapshotter/policy-tests/",
            "ExpirationInDays": 1,
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        "ExpireNoncurrentVersions": {
            "Id": "ExpireNoncurrentVersions",
            "Status": "Enabled",
            "Prefix": "repo-scans/snapshotter/",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
            "ExpiredObjectDeleteMarker": True,
        },
    }


def test_snapshots_expire_by_age_only_when_asked() -> None:
    assert lifecycle(SnapshotExpiryDays=400)["ExpireSnapshots"] == {
        "Id": "ExpireSnapshots",
        "Status": "Enabled",
        "Prefix": "repo-scans/snapshotter/",
        "ExpirationInDays": 400,
    }
    assert lifecycle(NoncurrentVersionDays=7)["ExpireNoncurrentVersions"]["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": 7
    }
    assert "max_chain_age" in load(STORAGE)["Parameters"]["SnapshotExpiryDays"]["Description"]


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
    assert statements(bucket_policy()) == DENIALS


def test_write_once_denies_a_put_without_if_none_match_but_not_the_parts_of_a_multipart_upload() -> None:
    # The condition is the one on "Enforce conditional writes on Amazon S3 buckets" in the S3 user guide.
    assert statements(bucket_policy(EnforceWriteOnce="true")) == DENIALS | {
        "DenyOverwrite": {
            "Sid": "DenyOverwrite",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"{BUCKET}/*",
            "Condition": {
                "Null": {"s3:if-none-match": "true"},
                "Bool": {"s3:ObjectCreationOperation": "true"},
            },
        }
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
    assert properties("TaskRole").keys() == {"RoleName", "AssumeRolePolicyDocument", "ManagedPolicyArns"}
    assert properties("TaskRole")["ManagedPolicyArns"] == [POLICY]
    assert properties("OperatorsGroup") == {"GroupName": "fruitful-agents", "ManagedPolicyArns": [POLICY]}


def test_the_user_is_off_by_default_and_comes_with_a_warning_and_without_a_key() -> None:
    warning = load(STORAGE)["Parameters"]["CreateUser"]["Description"]

    assert "User" not in resources()
    assert properties("User", CreateUser="true") == {
        "UserName": "agent-repo-snapshotter",
        "Groups": ["fruitful-agents"],
    }
    assert warning.startswith("WARNING")
    assert "static access keys" in warning
    assert "AWS::IAM::AccessKey" not in {resource["Type"] for resource in load(STORAGE)["Resources"].values()}


# ---- retained and importable


@pytest.mark.parametrize("name", load(STORAGE)["Resources"])
def test_every_resource_is_retained_and_can_be_imported(name: str) -> None:
    resource = resources(CreateUser="true")[name]

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
        "Conditions",
        "Resources",
    }


def test_the_guide_imports_every_resource_by_its_identifier() -> None:
    guide = (INFRA.parent / "docs" / "aws.md").read_text(encoding="utf-8")
    (document,) = re.findall(r"cat > import\.json <<EOF\n(.*?)\nEOF\n", guide, re.DOTALL)
    listed = json.loads(document.replace("$ACCOUNT", "123456789012"))

    expected = []
    for name, resource in resources().items():
        key = IDENTIFIER[resource["Type"]]
        identifier = {key: resource["Properties"][key]}
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            identifier = {"PolicyArn": POLICY}
        expected.append(
            {"ResourceType": resource["Type"], "LogicalResourceId": name, "ResourceIdentifier": identifier}
        )
    assert listed == expected
