"""What holds for each template in infra/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.infra.template import ALARMS, AUDIT, FLEET, INFRA, REPLICA, SERVICE, STORAGE, load

TEMPLATES = [STORAGE, REPLICA, AUDIT, SERVICE, FLEET, ALARMS]
SKIPPED = {
    "storage.yaml": {("Bucket", "CKV_AWS_18")},
    "replica.yaml": {("Bucket", "CKV_AWS_18")},
    "audit.yaml": {
        ("LogBucket", "CKV_AWS_18"),
        ("Trail", "CKV_AWS_35"),
        ("Trail", "CKV_AWS_67"),
        ("Trail", "CKV_AWS_252"),
    },
    "service.yaml": {
        ("LogGroup", "CKV_AWS_158"),
        ("FailedTasksLogGroup", "CKV_AWS_158"),
        ("DeadLetters", "CKV_AWS_27"),
    },
    "fleet.yaml": {("LogGroup", "CKV_AWS_158"), ("DeadLetters", "CKV_AWS_27")},
    "alarms.yaml": set(),
}


def of_each(path: Path) -> str:
    return path.name


def test_each_template_is_checked_and_explained() -> None:
    names = {path.name for path in INFRA.glob("*.yaml")}
    guide = (INFRA.parent / "docs" / "aws.md").read_text(encoding="utf-8")
    check = (INFRA / "check").read_text(encoding="utf-8")

    assert names == {path.name for path in TEMPLATES}
    for name in names:
        assert check.count(f" {name}") == 2, "cfn-lint and checkov"
        assert f"| `infra/{name}` |" in guide


@pytest.mark.parametrize("path", TEMPLATES, ids=of_each)
def test_every_suppressed_finding_has_its_reason(path: Path) -> None:
    skips = {
        (name, skip["id"]): skip["comment"]
        for name, resource in load(path)["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }

    assert skips.keys() == SKIPPED[path.name]
    assert all(len(reason) > 40 for reason in skips.values())
    assert "cfn-lint" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", TEMPLATES, ids=of_each)
def test_the_template_can_be_sent_as_it_is(path: Path) -> None:
    content = path.read_bytes()

    assert len(content) <= 51_200  # bytes, the most that the API takes without an upload to S3
    assert (
        content.isascii()
    )  # CloudFormation gives other characters back as question marks: a difference for ever


@pytest.mark.parametrize("path", TEMPLATES, ids=of_each)
def test_what_templates_share_has_one_default_and_one_rule(path: Path) -> None:
    shared = {
        "BucketName",
        "Prefix",
        "AccessPolicyName",
        "TaskRoleName",
        "BreakGlassRoleName",
        "ReplicationRoleName",
        "SnapshotRetentionDays",
        "MaxChainAgeDays",
        "ObjectLockDays",
        "Project",
        "Owner",
    }
    storage, other = load(STORAGE)["Parameters"], load(path)["Parameters"]
    names = shared & storage.keys() & other.keys() - ({"BucketName"} if path == REPLICA else set())

    assert names >= {"Project", "Owner"}
    for name in names:
        rule: dict[str, Any] = {**storage[name]}
        for key in ("Type", "Default", "AllowedValues"):
            assert other[name].get(key) == rule.get(key), f"{name}: {key}"


@pytest.mark.parametrize("path", TEMPLATES, ids=of_each)
def test_every_parameter_is_described_and_used(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    for name, parameter in load(path)["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        assert re.search(rf"!Ref {name}\b|\${{{name}}}", text), name
