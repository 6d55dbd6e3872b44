"""Checks of the bucket's settings. Each takes S3's answer and the prefix, and returns what is wrong, or None.

A check's docstring says what must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from snapshotter.access.bucket_rules import NO_HEADER, OVERWRITE, TLS, WRONG_HEADER
from snapshotter.base.text import plural

Document = Mapping[str, Any]
Check = Callable[[Document, str], str | None]


def public_access(answer: Document, _: str) -> str | None:
    """All four blocks are on."""
    blocks = answer.get("PublicAccessBlockConfiguration", {})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return _joined(f"{name} is off" for name in names if blocks.get(name) is not True) or None


def ownership(answer: Document, _: str) -> str | None:
    """The bucket owns every object."""
    owners = [rule.get("ObjectOwnership") for rule in answer.get("OwnershipControls", {}).get("Rules", ())]
    return None if owners == ["BucketOwnerEnforced"] else f"it is {_joined(map(str, owners)) or 'none'}"


def encryption(answer: Document, _: str) -> str | None:
    """AES256 is the default, alone."""
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    algorithms = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
    return None if algorithms == ["AES256"] else f"it is {_joined(map(str, algorithms)) or 'none'}"


def versioning(answer: Document, _: str) -> str | None:
    """Versioning is on."""
    status = answer.get("Status", "never turned on")
    return None if status == "Enabled" else f"it is {status}"


def object_lock(answer: Document, _: str) -> str | None:
    """What locks by default locks in governance mode."""
    default = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention")
    if not default:
        return "it is on, and locks nothing by default"
    return None if default.get("Mode") == "GOVERNANCE" else f"it is {default.get('Mode')}"


def cors(answer: Document, _: str) -> str | None:
    """There is no CORS rule."""
    return plural(len(rules), "rule") if (rules := answer.get("CORSRules")) else None


def uploads_aborted(answer: Document, _: str) -> str | None:
    """A rule for the whole bucket gives up unfinished uploads within a day."""
    for rule in _rules(answer):
        if (
            _scope(rule) == ""
            and rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation", 99) <= 1
        ):
            return None
    return "no rule aborts them in the whole bucket"


def expires(folder: str) -> Check:
    """A rule expires the folder under the prefix after a day."""

    def says(answer: Document, prefix: str) -> str | None:
        for rule in _rules(answer):
            scope = _scope(rule)
            if scope == f"{prefix}{folder}" and rule.get("Expiration", {}).get("Days", 99) <= 1:
                return None
        return f"no rule expires {prefix}{folder} after a day"

    return says


def snapshots_stay(answer: Document, prefix: str) -> str | None:
    """Snapshots all expire at one age, by a rule for the whole prefix or for each first character that a repo may
    have (SnapshotRetentionDays), and never by a tag: whoever may tag objects could otherwise have them deleted.
    """
    folders = (f"{prefix}policy-tests/", f"{prefix}_")
    ages: dict[str, int | None] = {}
    for rule in _rules(answer):
        scope, by_tag = _reach(rule)
        if not {"Days", "Date"} & set(rule.get("Expiration", {})) or (scope == prefix and not by_tag):
            continue
        if scope.startswith(prefix) and scope[len(prefix) :] in _FIRST and not by_tag:
            ages[scope[len(prefix) :]] = rule["Expiration"].get("Days")
            continue
        if prefix.startswith(scope) or (scope.startswith(prefix) and not scope.startswith(folders)):
            what = f"{scope or 'the whole bucket'}{' by a tag' if by_tag else ''}"
            return f"the rule {rule.get('ID', 'without an id')} expires {what}"
    return None if not ages or (ages.keys() == _FIRST and len(set(ages.values())) == 1) else _UNLIKE


def _rules(answer: Document) -> list[Document]:
    return [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled"]


def _scope(rule: Document) -> str | None:
    """The prefix that a lifecycle rule is for, or None for one that is narrowed in another way."""
    narrowed = rule.get("Filter", {})
    if set(narrowed) - {"Prefix"}:
        return None
    return str(narrowed.get("Prefix") or rule.get("Prefix") or "")


def _reach(rule: Document) -> tuple[str, bool]:
    """The prefix below which a lifecycle rule is, and whether a tag decides there. A size decides nothing here."""
    narrowed = rule.get("Filter", {})
    both = narrowed.get("And", {})
    scope = both.get("Prefix") or narrowed.get("Prefix") or rule.get("Prefix") or ""
    return str(scope), bool(both.get("Tags") or narrowed.get("Tag"))


_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_UNLIKE = "repositories expire at different ages, or only some of them do"

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


def denies(sid: str, *, optional: bool = False) -> Check:
    """The policy has the statement `sid` as the template has it, or, if `optional`, none of that id."""

    def says(answer: Document, prefix: str) -> str | None:
        action, bucket_too, condition = _DENIES[sid]
        # Whatever lies as deep as a run's objects, and LFS objects; see infra/storage.yaml.
        deep = {f"/{prefix}*/*/*/*/*/*", f"/{prefix}_lfs/*"}
        objects = deep if sid == OVERWRITE else {"/*"}
        for statement in _statements(answer):
            if statement.get("Sid") == sid:
                resources = [str(item).split(":")[-1] for item in _list(statement.get("Resource"))]
                right = (
                    statement.get("Effect") == "Deny"
                    and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
                    and _list(statement.get("Action")) == [action]
                    and objects <= {item[item.find("/") :] for item in resources}
                    and (not bucket_too or any("/" not in item for item in resources))
                    and _plain(statement.get("Condition")) == condition
                )
                return None if right else "the statement differs from the template's"
        return None if optional else "there is no such statement"

    return says


def only_denies(answer: Document, _: str) -> str | None:
    """No statement allows anything."""
    allows = [
        str(each.get("Sid", "one without an id"))
        for each in _statements(answer)
        if each.get("Effect") != "Deny"
    ]
    return f"it allows: {_joined(allows)}" if allows else None


def _statements(answer: Document) -> list[Document]:
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
