"""The look at a bucket in use and its role: everything that applying a template would take away. Nothing is written.

A bucket policy, a lifecycle configuration and an identity's lists of policies are each replaced as a whole. What the
template does not set at all is taken to go, too: CloudFormation's page on drift-aware change sets promises only that
a resource is brought in line with its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from snapshotter.doctor.adoption import (
    bucket_settings,
    foreign_settings,
    identities,
    lifecycle,
    neighbours,
    statements,
    versions,
)
from snapshotter.doctor.adoption.applied_template import AppliedTemplate, make
from snapshotter.doctor.adoption.effects import Addition, Adoption, Effect, named
from snapshotter.doctor.adoption.lifecycle import Rule
from snapshotter.doctor.adoption.reading import NotRead, Reader, guarded
from snapshotter.doctor.adoption.template import Template

_WRITE_ONCE: Final = "DenyOverwrite"


def look(reader: Reader, template: Template, given: Mapping[str, str], caller: str, region: str) -> Adoption:
    """Everything that applying the template by these parameters would do, as the identity `caller` can see it.

    Raises UsageError for a template or parameters that cannot be applied, Unavailable if there is no such bucket, or
    AWS cannot be asked.
    """
    plan = make(template, given, caller, region)
    effects = tuple(_Look(reader, plan).effects())
    return Adoption(plan.bucket, plan.prefix, caller, given, effects, plan.identifiers)


class _Look:
    """One look. `felt` is what would be new for everybody in the bucket."""

    def __init__(self, reader: Reader, plan: AppliedTemplate) -> None:
        self._reader, self._plan = reader, plan
        self._now = datetime.now(UTC)
        self._felt: list[str] = []

    def effects(self) -> Iterator[Effect]:
        """Every effect, the bucket's before the identities'."""
        for effect in (
            *bucket_settings.own(self._reader, self._plan),
            self._guarded("object-lock", bucket_settings.lock),
        ):
            if effect.state == "changes":
                self._felt.append(effect.name)
            yield effect
        yield self._guarded("tags", bucket_settings.tags)
        yield from foreign_settings.look(self._reader, self._plan)
        yield from self._lifecycle()
        yield from self._policy()
        yield guarded("neighbours", lambda: neighbours.look(self._reader, self._plan, self._felt))
        yield from identities.look(self._reader, self._plan)

    def _guarded(self, name: str, look: Callable[[Reader, AppliedTemplate], Effect]) -> Effect:
        return guarded(name, lambda: look(self._reader, self._plan))

    def _lifecycle(self) -> Iterator[Effect]:
        try:
            answer = self._reader.s3(
                "get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", Bucket=self._plan.bucket
            )
        except NotRead as error:  # without the rules in force, nothing can be said of what the new ones do
            for name in ("lifecycle", "versions", "objects", "uploads"):
                yield Effect(name, "unread", error.message)
            return
        have: list[Rule] = [lifecycle.as_in_a_template(rule) for rule in (answer or {}).get("Rules", ())]
        wanted = self._plan.properties("Bucket").get("LifecycleConfiguration", {}).get("Rules", [])
        for rule in wanted:
            if not lifecycle.prefix(rule) and not any(lifecycle.same(rule, old) for old in have):
                self._felt.append(rule["Id"])
        new = [rule["Id"] for rule in wanted if not any(lifecycle.same(rule, old) for old in have)]
        yield _with_new(_rules(self._plan, have, wanted), new)
        yield from versions.look(self._reader, self._plan, have, wanted, self._now)

    def _policy(self) -> Iterator[Effect]:
        try:
            answer = self._reader.s3("get_bucket_policy", "NoSuchBucketPolicy", Bucket=self._plan.bucket)
        except NotRead as error:
            yield Effect("policy", "unread", error.message)
            return
        document = answer["Policy"] if answer else {}
        wanted = self._plan.properties("BucketPolicy")["PolicyDocument"]
        new = statements.missing(statements.of(wanted), statements.of(document))
        own = f"{self._plan.bucket}/{self._plan.prefix}"
        self._felt += [str(each["Sid"]) for each in new if statements.beyond(each, own)]
        effect = identities.of_statements("policy", "BucketPolicy", document, wanted)
        if answer is None:
            effect = identities.absent("policy", "the bucket policy", "BucketPolicy")
        if any(each.value.get("Sid") == _WRITE_ONCE for each in effect.additions):
            left = tuple(each for each in effect.additions if each.value.get("Sid") != _WRITE_ONCE)
            effect = replace(effect, parameters={"EnforceWriteOnce": "true"}, additions=left)
        yield _with_new(effect, [str(each["Sid"]) for each in new])
        if any(each.get("Sid") == _WRITE_ONCE for each in new):
            yield self._write_once()

    def _write_once(self) -> Effect:
        """Who else overwrites under the prefix cannot be read anywhere, so it takes somebody who knows."""
        says = "whoever overwrites objects under the prefix, or writes there without If-None-Match, would be refused"
        if self._plan.parameters.get("EnforceWriteOnce") == "true":
            return Effect("write-once", "changes", says)
        hint = (
            "EnforceWriteOnce=false while adopting; give --parameter EnforceWriteOnce=true if there is nobody"
        )
        return Effect("write-once", "goes", says, (_WRITE_ONCE,), hint, {"EnforceWriteOnce": "false"})


def _with_new(effect: Effect, new: list[str]) -> Effect:
    """The effect, with the names of what would be new beside it."""
    return replace(effect, says=f"{effect.says}; new: {', '.join(new)}") if new else effect


def _rules(plan: AppliedTemplate, have: list[Rule], wanted: list[Rule]) -> Effect:
    """The rules in force that the template does not have."""
    lost = [rule for rule in have if not any(lifecycle.same(rule, other) for other in wanted)]
    if not lost:
        return Effect("lifecycle", "stays", "no rule would go")
    items, additions, parameters = [], [], {}
    for rule in lost:
        at_odds = [other for other in wanted if lifecycle.overlap(rule, other)]
        if lifecycle.is_expiry_of_old_versions(rule) and lifecycle.prefix(rule) == plan.prefix:
            parameters["NoncurrentVersionDays"] = str(rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
        elif not at_odds:
            additions.append(Addition("Bucket", ("LifecycleConfiguration", "Rules"), rule))
        beside = (
            f" (S3 takes it and {at_odds[0]['Id']} only as one rule: join them by hand)" if at_odds else ""
        )
        items.append(lifecycle.words(rule) + beside)
    says = f"{len(lost)} of {len(have)} rules would go"
    return Effect(
        "lifecycle", "goes", says, named(items), bucket_settings.MERGE, parameters, tuple(additions)
    )
