"""infra/alarms.yaml makes a topic that alarms can really reach, and a budget."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.template import ALARMS, SERVICE, STORAGE, load, resolve

TOPIC = "arn:aws:sns:eu-central-1:123456789012:fruitful-repo-snapshotter-alarms"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
REPLICA = "fruitful-lab-snapshots-replica"
EVERYTHING = {"Email": "on-call@example.org", "MonthlyBudget": 50, "ReplicaBucketName": REPLICA}
PUBLISHERS = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "events.amazonaws.com"]


def properties(name: str, **parameters: str | int) -> dict[str, Any]:
    found: dict[str, Any] = resolve(ALARMS, **EVERYTHING | parameters)["Resources"][name]["Properties"]
    return found


def test_mail_budget_and_the_replicas_alarm_are_options() -> None:
    assert resolve(ALARMS)["Resources"].keys() == {"Key", "Topic", "TopicPolicy"}
    assert properties("Subscription") == {
        "TopicArn": TOPIC,
        "Protocol": "email",
        "Endpoint": "on-call@example.org",
    }


def test_whoever_publishes_may_use_the_key_that_encrypts() -> None:
    (account, alarms) = properties("Key")["KeyPolicy"]["Statement"]

    assert properties("Topic")["KmsMasterKeyId"] == KEY
    assert account["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    assert alarms == {
        "Sid": "AlarmsEncrypt",
        "Effect": "Allow",
        "Principal": {"Service": PUBLISHERS},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
    }
    publish = properties("TopicPolicy")["PolicyDocument"]["Statement"]
    services: list[str] = []
    for each in publish:
        if each["Effect"] == "Allow":
            assert each["Condition"], "of this account only"
            assert (each["Action"], each["Resource"]) == ("sns:Publish", TOPIC)
            services += (
                [each["Principal"]["Service"]]
                if isinstance(each["Principal"]["Service"], str)
                else each["Principal"]["Service"]
            )
    assert sorted(services) == sorted(PUBLISHERS)


def test_one_copy_that_failed_rings_by_the_rule_that_storage_makes() -> None:
    alarm = properties("ReplicationFailedAlarm")
    bucket = resolve(STORAGE, ReplicaBucketName=REPLICA)["Resources"]["Bucket"]["Properties"]
    (rule,) = bucket["ReplicationConfiguration"]["Rules"]

    assert rule["Destination"]["Metrics"] == {"Status": "Enabled"}, "without it, there is nothing to watch"
    dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert dimensions == {
        "SourceBucket": bucket["BucketName"],
        "DestinationBucket": rule["Destination"]["Bucket"].rpartition(":")[2],
        "RuleId": rule["Id"],
    }
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/S3", "OperationsFailedReplication")
    assert (alarm["Statistic"], alarm["Threshold"], alarm["TreatMissingData"]) == ("Sum", 1, "notBreaching")
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert alarm["AlarmActions"] == [TOPIC]


def test_the_budget_counts_what_the_templates_tag_and_rings_before_and_at_its_limit() -> None:
    budget = properties("Budget")

    project = load(SERVICE)["Parameters"]["Project"]["Default"]
    assert budget["Budget"] == {
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": 50, "Unit": "USD"},
        "CostFilters": {"TagKeyValue": [f"user:Project${project}"]},
    }
    told = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"], each["Subscribers"])
        for each in budget["NotificationsWithSubscribers"]
    ]
    topic = [{"SubscriptionType": "SNS", "Address": TOPIC}]
    assert told == [("ACTUAL", 80, topic), ("FORECASTED", 100, topic)]


def test_the_topic_is_what_the_service_takes() -> None:
    pattern = load(SERVICE)["Parameters"]["AlarmTopicArn"]["AllowedPattern"]

    assert resolve(ALARMS)["Outputs"]["TopicArn"]["Value"] == TOPIC
    required = {"Image": f"x@sha256:{'0' * 64}", "Job": "{}", "VpcId": "vpc-1", "SubnetIds": "subnet-1"}
    assert resolve(SERVICE, AlarmTopicArn=TOPIC, **required), pattern


@pytest.mark.parametrize(
    ("name", "key"),
    [("Key", "Tags"), ("Topic", "Tags"), ("Budget", "ResourceTags"), ("ReplicationFailedAlarm", "Tags")],
)
def test_all_that_can_be_tagged_is(name: str, key: str) -> None:
    assert properties(name, Project="p", Owner="o")[key] == [
        {"Key": "Project", "Value": "p"},
        {"Key": "Owner", "Value": "o"},
    ]
