"""infra/audit.yaml records who did what to objects, in a bucket of its own, and makes the one role that may delete."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.template import AUDIT, STORAGE, load, resolve

ADA = "arn:aws:iam::123456789012:user/ada"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
TRAIL = "arn:aws:cloudtrail:eu-central-1:123456789012:trail/fruitful-repo-snapshotter"
LOGS, SNAPSHOTS = "arn:aws:s3:::fruitful-lab-snapshots-trail", "arn:aws:s3:::fruitful-lab-snapshots-prod"
EVERYTHING = {"BreakGlassTrustedArns": ADA, "AlarmTopicArn": TOPIC}
TAGGED = ["LogBucket", "Trail", "Deletions", "BreakGlassRole"]


def properties(name: str, **parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = resolve(AUDIT, **EVERYTHING | parameters)["Resources"][name]["Properties"]
    return found


def test_it_makes_a_trail_with_its_own_bucket_and_on_request_a_role_and_a_rule() -> None:
    assert resolve(AUDIT)["Resources"].keys() == {"LogBucket", "LogBucketPolicy", "Trail"}
    assert resolve(AUDIT, **EVERYTHING)["Resources"].keys() == {
        "LogBucket",
        "LogBucketPolicy",
        "Trail",
        "Deletions",
        "BreakGlassRole",
    }


def test_the_trail_records_every_object_under_the_prefix_and_every_change_of_settings() -> None:
    trail = properties("Trail")

    assert (trail["IsLogging"], trail["EnableLogFileValidation"]) == (True, True)
    assert trail["S3BucketName"] == "fruitful-lab-snapshots-trail"
    selectors = [
        {one.pop("Field"): one for one in each["FieldSelectors"]} for each in trail["AdvancedEventSelectors"]
    ]
    assert selectors == [
        {
            "eventCategory": {"Equals": ["Data"]},
            "resources.type": {"Equals": ["AWS::S3::Object"]},
            "resources.ARN": {"StartsWith": [f"{SNAPSHOTS}/repo-scans/snapshotter/"]},
        },
        {  # their records hold no keys, so that none is under a prefix
            "eventCategory": {"Equals": ["Data"]},
            "resources.type": {"Equals": ["AWS::S3::Object"]},
            "eventName": {"Equals": ["DeleteObjects"]},
            "resources.ARN": {"StartsWith": [f"{SNAPSHOTS}/"]},
        },
        {"eventCategory": {"Equals": ["Management"]}, "readOnly": {"Equals": ["false"]}},
    ]


def test_only_the_trail_writes_into_its_bucket_and_the_bucket_stays() -> None:
    policy = {each["Sid"]: each for each in properties("LogBucketPolicy")["PolicyDocument"]["Statement"]}

    allows = {
        sid: (each["Principal"], each["Action"], each["Resource"], each["Condition"]["StringEquals"])
        for sid, each in policy.items()
        if each["Effect"] == "Allow"
    }
    trail = {"Service": "cloudtrail.amazonaws.com"}
    assert allows == {
        "TrailLooks": (trail, "s3:GetBucketAcl", LOGS, {"aws:SourceArn": TRAIL}),
        "TrailWrites": (
            trail,
            "s3:PutObject",
            f"{LOGS}/AWSLogs/123456789012/*",
            {"aws:SourceArn": TRAIL, "s3:x-amz-acl": "bucket-owner-full-control"},
        ),
    }
    assert policy["DenyInsecureTransport"]["Resource"] == [LOGS, f"{LOGS}/*"]
    bucket = load(AUDIT)["Resources"]["LogBucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"


def test_the_bucket_of_the_trail_is_as_closed_as_that_of_the_snapshots() -> None:
    bucket = properties("LogBucket")
    snapshots = resolve(STORAGE)["Resources"]["Bucket"]["Properties"]

    for name in (
        "PublicAccessBlockConfiguration",
        "OwnershipControls",
        "BucketEncryption",
        "VersioningConfiguration",
    ):
        assert bucket[name] == snapshots[name]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 400


def test_deletes_and_changes_of_the_rules_are_told_at_once() -> None:
    rule = properties("Deletions")

    assert [each["Arn"] for each in rule["Targets"]] == [TOPIC]
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail"]["requestParameters"] == {
        "bucketName": ["fruitful-lab-snapshots-prod"]
    }
    names = rule["EventPattern"]["detail"]["eventName"]
    assert {"DeleteObject", "DeleteObjects", "DeleteBucket"} <= set(names)
    # Every setting of the bucket that the template makes, and what it has none of on purpose.
    for setting in (
        "Policy",
        "Lifecycle",
        "Encryption",
        "OwnershipControls",
        "PublicAccessBlock",
        "Replication",
        "Cors",
    ):
        assert {f"PutBucket{setting}", f"DeleteBucket{setting}"} <= set(names), setting
    assert {"PutBucketVersioning", "PutBucketObjectLockConfiguration", "PutBucketAcl"} <= set(names)
    assert not [
        name
        for name in names
        if name.startswith(("Get", "List", "PutObject")) and "Ret" not in name and "Hold" not in name
    ]


def test_named_people_with_a_second_factor_become_the_break_glass_role_for_an_hour() -> None:
    role = properties("BreakGlassRole")

    assert role["RoleName"] == load(STORAGE)["Parameters"]["BreakGlassRoleName"]["Default"]
    assert role["MaxSessionDuration"] == 3600
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {
            "Sid": "NamedPeople",
            "Effect": "Allow",
            "Principal": {"AWS": [ADA]},
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        }
    ]
    (trusted,) = properties("BreakGlassRole", BreakGlassNeedsMfa="false")["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert "Condition" not in trusted


def test_the_break_glass_role_purges_under_the_prefix_and_can_do_nothing_else() -> None:
    (policy,) = properties("BreakGlassRole")["Policies"]

    assert policy["PolicyDocument"]["Statement"] == [
        {
            "Sid": "FindVersions",
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": SNAPSHOTS,
            "Condition": {"StringLike": {"s3:prefix": "repo-scans/snapshotter/*"}},
        },
        {
            "Sid": "LookAndPurge",
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectRetention",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:BypassGovernanceRetention",
            ],
            "Resource": f"{SNAPSHOTS}/repo-scans/snapshotter/*",
        },
    ]


@pytest.mark.parametrize("name", TAGGED)
def test_all_that_can_be_tagged_is(name: str) -> None:
    assert properties(name, Project="p", Owner="o")["Tags"] == [
        {"Key": "Project", "Value": "p"},
        {"Key": "Owner", "Value": "o"},
    ]
