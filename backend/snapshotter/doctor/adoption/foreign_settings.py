"""The bucket's settings that the template does not set: what each is, in the template's form where it can be merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from snapshotter.doctor.adoption.applied_template import AppliedTemplate
from snapshotter.doctor.adoption.bucket_settings import MERGE, SettingForm, Value
from snapshotter.doctor.adoption.effects import Addition, Effect
from snapshotter.doctor.adoption.reading import NotRead, Reader

_BY_HAND = (
    "write it into the template by hand (AWS::S3::Bucket in the CloudFormation reference), or let it go"
)


def _cors(answer: Value) -> Any:
    names = {"ID": "Id", "ExposeHeaders": "ExposedHeaders", "MaxAgeSeconds": "MaxAge"}
    rules = [{names.get(key, key): value for key, value in rule.items()} for rule in answer["CORSRules"]]
    return {"CorsRules": rules}


def _replication(answer: Value) -> Any:
    """S3's API and CloudFormation differ in a few names ("AWS::S3::Bucket ReplicationRule")."""

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            names = {"ID": "Id", "Tag": "TagFilter", "Tags": "TagFilters"}
            return {names.get(key, key): named(item) for key, item in value.items()}
        return [named(item) for item in value] if isinstance(value, list) else value

    return named(answer["ReplicationConfiguration"])


def _logging(answer: Value) -> Any:
    to = answer.get("LoggingEnabled")
    return {"DestinationBucketName": to["TargetBucket"], "LogFilePrefix": to["TargetPrefix"]} if to else None


def _acceleration(answer: Value) -> Any:
    return {"AccelerationStatus": answer["Status"]} if answer.get("Status") == "Enabled" else None


def _listed(key: str) -> Callable[[Value], Any]:
    return lambda answer: [entry.get("Id") for entry in answer.get(key, ())] or None


def _without_metadata(answer: Value) -> Any:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"} or None


# What the template does not set, or by an option only. It may be somebody's.
_FOREIGN = (
    SettingForm("cors", "get_bucket_cors", "NoSuchCORSConfiguration", "CorsConfiguration", _cors),
    SettingForm(
        "replication",
        "get_bucket_replication",
        "ReplicationConfigurationNotFoundError",
        "ReplicationConfiguration",
        _replication,
    ),
    SettingForm("logging", "get_bucket_logging", "", "LoggingConfiguration", _logging),
    SettingForm(
        "acceleration", "get_bucket_accelerate_configuration", "", "AccelerateConfiguration", _acceleration
    ),
)
# Those whose form differs too much from the template's to be merged.
_BY_NAME = (
    SettingForm(
        "website",
        "get_bucket_website",
        "NoSuchWebsiteConfiguration",
        "WebsiteConfiguration",
        _without_metadata,
    ),
    SettingForm(
        "notifications",
        "get_bucket_notification_configuration",
        "",
        "NotificationConfiguration",
        _without_metadata,
    ),
    SettingForm(
        "inventory",
        "list_bucket_inventory_configurations",
        "",
        "InventoryConfigurations",
        _listed("InventoryConfigurationList"),
    ),
    SettingForm(
        "analytics",
        "list_bucket_analytics_configurations",
        "",
        "AnalyticsConfigurations",
        _listed("AnalyticsConfigurationList"),
    ),
    SettingForm(
        "request-metrics",
        "list_bucket_metrics_configurations",
        "",
        "MetricsConfigurations",
        _listed("MetricsConfigurationList"),
    ),
    SettingForm(
        "tiering",
        "list_bucket_intelligent_tiering_configurations",
        "",
        "IntelligentTieringConfigurations",
        _listed("IntelligentTieringConfigurationList"),
    ),
)


def look(reader: Reader, plan: AppliedTemplate) -> Iterator[Effect]:
    """The settings that the template does not set."""
    for setting in (*_FOREIGN, *_BY_NAME):
        try:
            answer = reader.s3(setting.operation, setting.absent, Bucket=plan.bucket)
        except NotRead as error:
            yield Effect(setting.name, "unread", error.message)
            continue
        found = setting.form(answer) if answer else None
        wanted = plan.properties("Bucket").get(setting.property)
        yield _foreign(setting, found, wanted)


def _foreign(setting: SettingForm, found: Any, wanted: Any) -> Effect:
    if found is None or found == wanted:
        return Effect(setting.name, "stays", "none" if found is None else "as in the template")
    if setting in _BY_NAME:
        if wanted is not None:
            says = f"the template sets {setting.property}, which is not compared: see that it holds {found}"
            return Effect(setting.name, "changes", says)
        return Effect(setting.name, "goes", "it is not in the template", (str(found),), _BY_HAND)
    says = f"it is not what the template has, which is {wanted or 'none'}"
    addition = Addition("Bucket", (setting.property,), found, whole=True)
    return Effect(setting.name, "goes", says, (str(found),), MERGE, additions=(addition,))
