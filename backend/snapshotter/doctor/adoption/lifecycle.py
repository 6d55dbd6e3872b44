"""Lifecycle rules: S3's form as the template's, whether two are the same, and what one is in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Rule = Mapping[str, Any]
NEVER = 36500  # days; a rule with as many deletes nothing that anybody will miss

# How S3's API and CloudFormation name the parts of a rule ("LifecycleRule" in the S3 API reference,
# "AWS::S3::Bucket Rule" in the CloudFormation template reference).
_EXPIRATION = {
    "Days": "ExpirationInDays",
    "Date": "ExpirationDate",
    "ExpiredObjectDeleteMarker": "ExpiredObjectDeleteMarker",
}
_TRANSITION = {
    "Days": "TransitionInDays",
    "Date": "TransitionDate",
    "NoncurrentDays": "TransitionInDays",
    "NewerNoncurrentVersions": "NewerNoncurrentVersions",
    "StorageClass": "StorageClass",
}
_SAME = ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
_SIZES = ("ObjectSizeGreaterThan", "ObjectSizeLessThan")
_NARROWING = ("TagFilters", *_SIZES)
_ACTIONS = (*_EXPIRATION.values(), "Transitions", "NoncurrentVersionTransitions", *_SAME)


def as_in_a_template(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of S3's API as CloudFormation writes it."""
    given = rule.get("Filter", {})
    chosen = {**given, **given.get("And", {})}
    tags = [*chosen.get("Tags", ()), *([chosen["Tag"]] if "Tag" in chosen else [])]
    prefix = chosen.get("Prefix") or rule.get("Prefix")
    expiration = rule.get("Expiration", {})
    made: dict[str, Any] = {
        "Id": rule.get("ID"),
        "Status": rule.get("Status"),
        "Prefix": prefix,
        "TagFilters": tags,
        **{size: str(chosen[size]) for size in _SIZES if size in chosen},
        **{name: _text(expiration[key]) for key, name in _EXPIRATION.items() if expiration.get(key)},
        **{name: rule[name] for name in _SAME if name in rule},
    }
    for name in ("Transitions", "NoncurrentVersionTransitions"):
        steps = rule.get(name, ())
        made[name] = [{_TRANSITION[key]: _text(value) for key, value in step.items()} for step in steps]
    return {key: value for key, value in made.items() if value not in (None, "", [], {})}


def same(one: Rule, other: Rule) -> bool:
    """Whether two rules of the template's form do the same, whatever they are called."""
    return bool(_plain({**one, "Id": None}) == _plain({**other, "Id": None}))


def prefix(rule: Rule) -> str:
    """Below which prefix a rule is."""
    return str(rule.get("Prefix", ""))


def days(rule: Rule, action: str) -> int | None:
    """After how many days an enabled rule takes an action; None if it does not, or never will."""
    found = rule.get(action)
    if isinstance(found, Mapping):
        found = found.get("NoncurrentDays") or found.get("DaysAfterInitiation")
    if rule.get("Status") != "Enabled" or found is None or int(found) >= NEVER:
        return None
    return int(found)


def covers(old: Rule, new: Rule, action: str) -> bool:
    """Whether what the rule `new` does by an action, the rule `old` does already, as early and for as much."""
    before, after = days(old, action), days(new, action)
    wider = prefix(new).startswith(prefix(old)) and not any(name in old for name in _NARROWING)
    kept = isinstance(old.get(action), Mapping) and "NewerNoncurrentVersions" in old[action]
    return wider and not kept and before is not None and after is not None and before <= after


def is_expiry_of_old_versions(rule: Rule) -> bool:
    """Whether all that a rule does is to delete noncurrent versions by their age, as NoncurrentVersionDays does."""
    old = rule.get("NoncurrentVersionExpiration")
    return rule.keys() <= {"Id", "Status", "Prefix", "NoncurrentVersionExpiration"} and (
        isinstance(old, Mapping) and old.keys() == {"NoncurrentDays"} and rule.get("Status") == "Enabled"
    )


def overlap(one: Rule, other: Rule) -> bool:
    """Whether S3 refuses to have both: rules with a prefix alone, one within the other, for one action."""
    plain = not any(name in rule for name in _NARROWING for rule in (one, other))
    nested = prefix(one).startswith(prefix(other)) or prefix(other).startswith(prefix(one))
    return plain and nested and bool(_kinds(one) & _kinds(other))


def words(rule: Rule) -> str:
    """A rule in one line: its name, its reach, and what it does when."""
    reach = prefix(rule) or "the whole bucket"
    narrowed = [f"{name} {rule[name]}" for name in _NARROWING if name in rule]
    does = [f"{name} {rule[name]}" for name in _ACTIONS if name in rule]
    off = "" if rule.get("Status") == "Enabled" else ", disabled"
    return f"{rule.get('Id') or 'without an id'}: {', '.join((reach, *narrowed))}: {'; '.join(does)}{off}"


def _kinds(rule: Rule) -> set[str]:
    return {"Expiration" if name in _EXPIRATION.values() else name for name in _ACTIONS if name in rule}


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _plain(value: Any) -> Any:
    """A value in one form: numbers as text, no empty parts, lists without an order."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item not in (None, "", [], {})}
    if isinstance(value, (list, tuple)):
        return sorted((_plain(item) for item in value), key=repr)
    return str(value)
