"""The bucket's settings, read with its owner's credentials and held against infra/storage.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.object_probes import POLICY
from snapshotter.access.probe import NO_HEADER, OVERWRITE, TLS, WRONG_HEADER
from snapshotter.base.text import plural

GROUP = "configuration"
_FIX = "deploy infra/storage.yaml again, or set it by hand as docs/aws.md ('The bucket') says"


@dataclass(frozen=True)
class Setting:
    """One setting: the operation that reads it, what it must be, and how an answer is judged.

    `says` takes the answer's document and the prefix and gives what is wrong, or "". `absent` is the code
    by which S3 says that there is no such setting; `absent_is_right` where that is what must be.
    """

    id: str
    operation: str
    expected: str
    rule: str
    says: Callable[[Mapping[str, Any], str], str]
    absent: str = ""
    absent_is_right: bool = False
    fix: str = _FIX


@dataclass(frozen=True)
class SettingState:
    """What a setting is. `holds` is None if it could not be read."""

    setting: Setting
    got: str
    holds: bool | None


def read(
    send: Callable[[str, Mapping[str, Any]], S3Answer], bucket: str, prefix: str, wanted: frozenset[str]
) -> Iterator[SettingState]:
    """Read and judge the settings with these ids; each operation is asked once."""
    answers: dict[str, S3Answer] = {}
    for setting in SETTINGS:
        if setting.id not in wanted:
            continue
        if setting.operation not in answers:
            answers[setting.operation] = send(setting.operation, {"Bucket": bucket})
        yield _judged(setting, answers[setting.operation], prefix)


def _judged(setting: Setting, answer: S3Answer, prefix: str) -> SettingState:
    if answer.kind is Kind.OTHER and answer.code == setting.absent:
        return SettingState(setting, "none", setting.absent_is_right)
    if answer.kind is not Kind.ALLOWED:
        return SettingState(setting, str(answer), None)
    wrong = setting.says(answer.response, prefix)
    return SettingState(setting, wrong or "so it is", not wrong)


def _public_access(answer: Mapping[str, Any], _: str) -> str:
    blocks = answer.get("PublicAccessBlockConfiguration", {})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return _joined(f"{name} is off" for name in names if blocks.get(name) is not True)


def _ownership(answer: Mapping[str, Any], _: str) -> str:
    found = [rule.get("ObjectOwnership") for rule in answer.get("OwnershipControls", {}).get("Rules", ())]
    return "" if found == ["BucketOwnerEnforced"] else f"it is {_joined(map(str, found)) or 'none'}"


def _encryption(answer: Mapping[str, Any], _: str) -> str:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    found = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    return "" if found == ["AES256"] else f"it is {_joined(map(str, found)) or 'none'}"


def _versioning(answer: Mapping[str, Any], _: str) -> str:
    found = answer.get("Status", "never turned on")
    return "" if found == "Enabled" else f"it is {found}"


def _cors(answer: Mapping[str, Any], _: str) -> str:
    return plural(len(rules), "rule") if (rules := answer.get("CORSRules")) else ""


def _abort(answer: Mapping[str, Any], _: str) -> str:
    for rule in _rules(answer):
        if (
            _scope(rule) == ""
            and rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 99) <= 1
        ):
            return ""
    return "no rule aborts them in the whole bucket"


def _expiry(folder: str) -> Callable[[Mapping[str, Any], str], str]:
    def says(answer: Mapping[str, Any], prefix: str) -> str:
        for rule in _rules(answer):
            scope = _scope(rule)
            if scope == f"{prefix}{folder}" and rule.get("Expiration", {}).get("Days", 99) <= 1:
                return ""
        return f"no rule expires {prefix}{folder} after a day"

    return says


def _snapshots_stay(answer: Mapping[str, Any], prefix: str) -> str:
    """Only a rule of the whole prefix (SnapshotExpiryDays) may expire snapshots; one narrowed by tags may, too."""
    folders = (f"{prefix}policy-tests/", f"{prefix}_diagnostics/")
    for rule in _rules(answer):
        scope = _scope(rule)
        if scope in (None, prefix) or not {"Days", "Date"} & set(rule.get("Expiration", {})):
            continue
        if prefix.startswith(scope) or (scope.startswith(prefix) and not scope.startswith(folders)):
            return f"the rule {rule.get('ID', 'without an id')} expires {scope or 'the whole bucket'}"
    return ""


def _rules(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled"]


def _scope(rule: Mapping[str, Any]) -> str | None:
    """The prefix that a lifecycle rule is for, or None for one that is narrowed in another way."""
    narrowed = rule.get("Filter", {})
    if set(narrowed) - {"Prefix"}:
        return None
    return str(narrowed.get("Prefix") or rule.get("Prefix") or "")


# What each deny must say, beside Effect Deny and Principal *.
_DENIES = {
    TLS: ("s3:*", True, {"Bool": {"aws:SecureTransport": "false"}}),
    WRONG_HEADER: ("s3:PutObject", False, {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}),
    NO_HEADER: ("s3:PutObject", False, {"Null": {"s3:x-amz-server-side-encryption": "true"}}),
    OVERWRITE: (
        "s3:PutObject",
        False,
        {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    ),
}


def _deny(sid: str, *, optional: bool = False) -> Callable[[Mapping[str, Any], str], str]:
    def says(answer: Mapping[str, Any], _: str) -> str:
        action, bucket_too, condition = _DENIES[sid]
        for statement in _statements(answer):
            if statement.get("Sid") == sid:
                resources = [str(item).split(":")[-1] for item in _list(statement.get("Resource"))]
                right = (
                    statement.get("Effect") == "Deny"
                    and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
                    and _list(statement.get("Action")) == [action]
                    and any(item.endswith("/*") and item.count("/") == 1 for item in resources)
                    and (not bucket_too or any("/" not in item for item in resources))
                    and _plain(statement.get("Condition")) == condition
                )
                return "" if right else "the statement differs from the template's"
        return "" if optional else "there is no such statement"

    return says


def _only_denies(answer: Mapping[str, Any], _: str) -> str:
    allows = [
        str(each.get("Sid", "one without an id"))
        for each in _statements(answer)
        if each.get("Effect") != "Deny"
    ]
    return f"it allows: {_joined(allows)}" if allows else ""


def _statements(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _list(json.loads(answer["Policy"]).get("Statement"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(condition: Any) -> dict[str, dict[str, str]]:
    """A condition with every one-element list as its element, and booleans as text, as IAM takes them."""

    def text(value: Any) -> str:
        only = value[0] if isinstance(value, list) and len(value) == 1 else value
        return str(only).lower() if isinstance(only, bool) else str(only)

    return {op: {key: text(value) for key, value in keys.items()} for op, keys in (condition or {}).items()}


def _joined(items: Iterable[str]) -> str:
    return ", ".join(items)


SETTINGS = (
    Setting(
        "config-public-access",
        "GetPublicAccessBlock",
        "all four blocks on",
        "nothing can be made public",
        _public_access,
        "NoSuchPublicAccessBlockConfiguration",
    ),
    Setting(
        "config-ownership",
        "GetBucketOwnershipControls",
        "BucketOwnerEnforced",
        "ACLs are off",
        _ownership,
        "OwnershipControlsNotFoundError",
    ),
    Setting(
        "config-encryption",
        "GetBucketEncryption",
        "AES256",
        "what is stored is encrypted, without KMS",
        _encryption,
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    Setting(
        "config-versioning",
        "GetBucketVersioning",
        "Enabled",
        "an overwritten object can be recovered",
        _versioning,
    ),
    Setting(
        "config-cors",
        "GetBucketCors",
        "none",
        "no browser has business here",
        _cors,
        "NoSuchCORSConfiguration",
        True,
    ),
    Setting(
        "config-abort-multipart",
        "GetBucketLifecycleConfiguration",
        "after 1 day",
        "unfinished uploads do not pile up",
        _abort,
        "NoSuchLifecycleConfiguration",
    ),
    Setting(
        "config-expire-tests",
        "GetBucketLifecycleConfiguration",
        "policy-tests/ after 1 day",
        "what tests write goes by itself",
        _expiry("policy-tests/"),
        "NoSuchLifecycleConfiguration",
    ),
    Setting(
        "config-expire-diagnostics",
        "GetBucketLifecycleConfiguration",
        "_diagnostics/ after 1 day",
        "what the doctor writes goes by itself",
        _expiry("_diagnostics/"),
        "NoSuchLifecycleConfiguration",
    ),
    Setting(
        "config-snapshots-stay",
        "GetBucketLifecycleConfiguration",
        "no expiry of snapshots but the prefix's own",
        "snapshots are kept, or all expire at one age",
        _snapshots_stay,
        "NoSuchLifecycleConfiguration",
        True,
    ),
    *(
        Setting(
            f"config-policy-{name}",
            "GetBucketPolicy",
            f"{sid} as in the template",
            "the bucket policy denies",
            _deny(sid),
            "NoSuchBucketPolicy",
            fix=POLICY,
        )
        for name, sid in (("tls", TLS), ("wrong-header", WRONG_HEADER), ("missing-header", NO_HEADER))
    ),
    Setting(
        "config-policy-write-once",
        "GetBucketPolicy",
        f"{OVERWRITE} as in the template, or none",
        "where writing once is enforced, it is for every writer",
        _deny(OVERWRITE, optional=True),
        "NoSuchBucketPolicy",
        True,
        POLICY,
    ),
    Setting(
        "config-policy-only-denies",
        "GetBucketPolicy",
        "no Allow",
        "the bucket policy opens nothing to anybody",
        _only_denies,
        "NoSuchBucketPolicy",
        True,
        POLICY,
    ),
)
NAMES = frozenset({GROUP, *(setting.id for setting in SETTINGS)})
