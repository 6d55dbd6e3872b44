"""What the look at a bucket in use rests on: versions and their ages, rules and statements in two forms, merging."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from snapshotter.doctor.adoption import applied_template, lifecycle, statements, versions
from snapshotter.doctor.adoption.effects import Addition, Adoption, Effect, State, named, verdict
from snapshotter.doctor.adoption.reading import Reader
from tests.infra.template import STORAGE, load, resolve

NOW = datetime(2026, 11, 27, tzinfo=UTC)
PREFIX = "repo-scans/snapshotter/"
OLD = {"Status": "Enabled", "Prefix": PREFIX, "NoncurrentVersionExpiration": {"NoncurrentDays": 90}}


def entry(key: str, days: float, *, latest: bool = False, size: int = 1) -> dict[str, Any]:
    written = NOW - timedelta(days=days)
    return {
        "Key": key,
        "VersionId": f"{key}-{days}",
        "Size": size,
        "IsLatest": latest,
        "LastModified": written,
    }


class Pages(Reader):
    """A reader that has only these pages."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self._given = pages

    def s3_pages(self, operation: str, **params: Any) -> Iterator[Any]:
        return iter(self._given if operation == "list_object_versions" else ())


def adopted() -> applied_template.AppliedTemplate:
    return applied_template.make(
        applied_template.read(STORAGE), {}, "arn:aws:iam::123456789012:user/ada", "eu-central-1"
    )


def test_a_version_is_noncurrent_since_the_next_newer_one_whatever_page_that_is_on() -> None:
    pages = [
        {"Versions": [entry("a", 1, latest=True), entry("a", 10)]},
        {"Versions": [entry("a", 30), entry("b", 50)], "DeleteMarkers": [entry("b", 5, latest=True)]},
        {"Versions": [entry("b", 60)]},
    ]

    found = {(v.key, v.id): (v.current, (NOW - v.since).days) for v in versions.walk(pages)}

    assert found == {
        ("a", "a-1"): (True, 1),
        ("a", "a-10"): (False, 1),
        ("a", "a-30"): (False, 10),
        ("b", "b-50"): (False, 5),
        ("b", "b-60"): (False, 50),
    }


def test_versions_that_would_go_at_once_are_told_from_those_that_go_later() -> None:
    pages = [{"Versions": [entry(f"{PREFIX}x", 91, latest=True), entry(f"{PREFIX}x", 400, size=2048)]}]
    pages += [{"Versions": [entry(f"{PREFIX}y", 89, latest=True), entry(f"{PREFIX}y", 400)]}]

    found = {each.name: each for each in versions.look(Pages(*pages), adopted(), [], [OLD], NOW)}

    assert found["versions"].says == "2 noncurrent versions (2.0 KiB) would be deleted, 1 of them at once"
    assert found["versions"].parameters == {"NoncurrentVersionDays": "36500"}
    assert found["objects"].state == "stays"


@pytest.mark.parametrize(
    ("in_force", "state"),
    [
        ({**OLD}, "stays"),
        ({**OLD, "Prefix": "repo-scans/"}, "stays"),
        ({**OLD, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}, "stays"),
        ({**OLD, "NoncurrentVersionExpiration": {"NoncurrentDays": 91}}, "goes"),
        ({**OLD, "NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 5}}, "goes"),
        ({**OLD, "Status": "Disabled"}, "goes"),
        ({**OLD, "Prefix": f"{PREFIX}x/"}, "goes"),
        ({**OLD, "TagFilters": [{"Key": "k", "Value": "v"}]}, "goes"),
    ],
)
def test_what_a_rule_in_force_deletes_already_is_no_loss(in_force: dict[str, Any], state: State) -> None:
    page = {"Versions": [entry(f"{PREFIX}x", 1, latest=True), entry(f"{PREFIX}x", 2)]}

    found = {each.name: each for each in versions.look(Pages(page), adopted(), [in_force], [OLD], NOW)}

    assert found["versions"].state == state


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("policy-tests/a", "test-objects"),
        ("_diagnostics/a", "test-objects"),
        ("policy-tests-of-mine/a", "objects"),
    ],
)
def test_only_what_tests_write_may_expire_unasked(key: str, name: str) -> None:
    rule = {"Status": "Enabled", "Prefix": PREFIX, "ExpirationInDays": 1}
    page = {"Versions": [entry(f"{PREFIX}{key}", 2, latest=True)]}

    found = {each.name: each for each in versions.look(Pages(page), adopted(), [], [rule], NOW)}

    assert {n for n, effect in found.items() if effect.state != "stays"} == {name}
    assert found[name].state == ("goes" if name == "objects" else "changes")
    assert "1 of them at once" in found[name].says


def test_of_many_things_the_first_are_named_and_all_are_counted() -> None:
    many = [
        each
        for n in range(50)
        for each in (entry(f"{PREFIX}{n:02}", 1, latest=True), entry(f"{PREFIX}{n:02}", 9))
    ]

    (found, *_) = versions.look(Pages({"Versions": many}), adopted(), [], [OLD], NOW)

    assert found.says.startswith("50 noncurrent versions")
    assert len(found.items) == 21
    assert found.items[-1] == "and 30 more"
    assert named([str(n) for n in range(22)])[-1] == "and 2 more"


def test_a_rule_of_the_api_is_the_template_s_in_every_part() -> None:
    rule = {
        "ID": "all",
        "Status": "Enabled",
        "Filter": {
            "And": {
                "Prefix": "p/",
                "Tags": [{"Key": "k", "Value": "v"}],
                "ObjectSizeGreaterThan": 1,
                "ObjectSizeLessThan": 9,
            }
        },
        "Expiration": {"Date": NOW},
        "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}],
        "NoncurrentVersionTransitions": [
            {"NoncurrentDays": 2, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 3}
        ],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 4},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 5},
    }

    assert lifecycle.as_in_a_template(rule) == {
        "Id": "all",
        "Status": "Enabled",
        "Prefix": "p/",
        "TagFilters": [{"Key": "k", "Value": "v"}],
        "ObjectSizeGreaterThan": "1",
        "ObjectSizeLessThan": "9",
        "ExpirationDate": "2026-11-27T00:00:00+00:00",
        "Transitions": [{"TransitionInDays": 1, "StorageClass": "GLACIER"}],
        "NoncurrentVersionTransitions": [
            {"TransitionInDays": 2, "StorageClass": "GLACIER", "NewerNoncurrentVersions": 3}
        ],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 4},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 5},
    }
    one_tag = {"Status": "Enabled", "Filter": {"Tag": {"Key": "k", "Value": "v"}}, "Expiration": {"Days": 1}}
    assert lifecycle.as_in_a_template(one_tag)["TagFilters"] == [{"Key": "k", "Value": "v"}]


def test_rules_that_s3_refuses_to_have_side_by_side_are_known() -> None:
    assert lifecycle.overlap({**OLD, "Prefix": "repo-scans/"}, OLD)
    assert not lifecycle.overlap({**OLD, "Prefix": "elsewhere/"}, OLD)
    assert not lifecycle.overlap({**OLD, "TagFilters": [{"Key": "k", "Value": "v"}]}, OLD)
    assert not lifecycle.overlap({"Prefix": PREFIX, "Status": "Enabled", "ExpirationInDays": 9}, OLD)


def test_a_statement_is_the_same_however_it_is_written() -> None:
    one = {
        "Sid": "A",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:PutObject", "s3:GetObject"],
        "Resource": "arn:aws:s3:::b/*",
        "Condition": {"Bool": {"aws:SecureTransport": False}},
    }
    other = {
        "Effect": "Deny",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": ["arn:aws:s3:::b/*"],
        "Condition": {"Bool": {"AWS:SecureTransport": ["false"]}},
    }

    assert statements.missing([one], [other]) == []
    for changed in (
        {"Effect": "Allow"},
        {"Action": "s3:GetObject"},
        {"Condition": {}},
        {"Principal": {"AWS": "1"}},
    ):
        assert statements.missing([{**one, **changed}], [other])


def test_a_merged_template_comes_out_with_what_was_added_and_nothing_else(tmp_path: Any) -> None:
    tag, cors = {"Key": "team", "Value": "é"}, {"CorsRules": []}
    additions = [
        Addition("Bucket", ("Tags",), tag),
        Addition("Bucket", ("CorsConfiguration",), cors, whole=True),
        Addition("TaskRole", ("Policies",), {"PolicyName": "p", "PolicyDocument": {"Statement": []}}),
    ]
    path = tmp_path / "merged.yaml"
    text = applied_template.written(
        applied_template.merged(
            applied_template.read(STORAGE), {"Owner": "me", "NoncurrentVersionDays": "7"}, additions
        )
    )
    path.write_text(text, encoding="ascii")

    before = resolve(STORAGE, Owner="me", NoncurrentVersionDays=7)["Resources"]
    after = resolve(path)["Resources"]
    assert after["Bucket"]["Properties"].pop("CorsConfiguration") == cors
    assert after["Bucket"]["Properties"]["Tags"].pop() == tag
    assert after["TaskRole"]["Properties"].pop("Policies")[0]["PolicyName"] == "p"
    assert after == before
    assert load(path)["Conditions"] == load(STORAGE)["Conditions"]
    assert "&id" not in text
    assert len(text) <= 51_200, "bytes, the most that CloudFormation takes as it is"


@pytest.mark.parametrize(
    ("states", "code"), [(["stays", "changes"], 0), (["goes"], 1), (["goes", "unread"], 1), (["unread"], 4)]
)
def test_only_what_was_read_whole_and_loses_nothing_is_safe(states: list[State], code: int) -> None:
    effects = tuple(Effect(f"e{n}", state, "") for n, state in enumerate(states))
    found = Adoption("b", "p/", "arn", {}, effects)
    error = verdict(found)

    assert (error.exit_code if error else 0) == code
    assert found.safe is (code == 0)


def test_every_resource_of_the_template_has_an_identifier_to_import_it_by() -> None:
    found = {each["LogicalResourceId"]: each["ResourceIdentifier"] for each in adopted().identifiers}

    assert found == {
        "Bucket": {"BucketName": "fruitful-lab-snapshots-prod"},
        "BucketPolicy": {"Bucket": "fruitful-lab-snapshots-prod"},
        "AccessPolicy": {"PolicyArn": "arn:aws:iam::123456789012:policy/fruitful-s3-repo-scans-rw"},
        "TaskRole": {"RoleName": "fruitful-repo-snapshotter-task-role"},
        "OperatorsGroup": {"GroupName": "fruitful-agents"},
    }
