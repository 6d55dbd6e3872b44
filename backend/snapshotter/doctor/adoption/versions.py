"""What a lifecycle that is not in force yet would delete: versions, objects and unfinished uploads, counted."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from snapshotter.archive import layout
from snapshotter.base.text import human_bytes, plural
from snapshotter.doctor.adoption import lifecycle
from snapshotter.doctor.adoption.applied_template import AppliedTemplate
from snapshotter.doctor.adoption.effects import MOST_NAMED, Effect
from snapshotter.doctor.adoption.lifecycle import NEVER, Rule
from snapshotter.doctor.adoption.reading import NotRead, Reader, guarded

_OLD_VERSIONS, _CURRENT, _UPLOADS = (
    "NoncurrentVersionExpiration",
    "ExpirationInDays",
    "AbortIncompleteMultipartUpload",
)


@dataclass(frozen=True)
class Version:
    """One version in the bucket. `since` is when it became what it is: current, or noncurrent."""

    key: str
    id: str
    size: int
    current: bool
    since: datetime


@dataclass
class Tally:
    """What would be deleted: how many, how large, and how many of them at once."""

    count: int = 0
    size: int = 0
    due: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, what: str, size: int, *, due: bool) -> None:
        """Count one. The first are named, too."""
        self.count, self.size, self.due = self.count + 1, self.size + size, self.due + due
        if len(self.samples) < MOST_NAMED:
            self.samples.append(what)

    @property
    def items(self) -> tuple[str, ...]:
        """The names, and how many more there are."""
        rest = self.count - len(self.samples)
        return (*self.samples, *([f"and {rest:,} more"] if rest else []))


def look(
    reader: Reader, plan: AppliedTemplate, have: list[Rule], wanted: list[Rule], now: datetime
) -> Iterator[Effect]:
    """What the rules `wanted` would delete that the rules in force do not."""
    try:
        yield from _objects(reader, plan, have, wanted, now)
    except NotRead as error:
        yield from (Effect(name, "unread", error.message) for name in ("versions", "objects"))
    yield guarded("uploads", lambda: _uploads(reader, plan, have, wanted, now))


def _objects(
    reader: Reader, plan: AppliedTemplate, have: list[Rule], wanted: list[Rule], now: datetime
) -> Iterator[Effect]:
    old, current = _new(have, wanted, _OLD_VERSIONS), _new(have, wanted, _CURRENT)
    gone, snapshots, tests = Tally(), Tally(), Tally()
    if old or current:
        within = os.path.commonprefix(  # noqa: RUF071 - of keys, not of paths
            [lifecycle.prefix(rule) for rule in (*old, *current)]
        )
        for version in walk(reader.s3_pages("list_object_versions", Bucket=plan.bucket, Prefix=within)):
            rules, action = (current, _CURRENT) if version.current else (old, _OLD_VERSIONS)
            reached = [rule for rule in rules if version.key.startswith(lifecycle.prefix(rule))]
            if reached and version.size > min(int(rule.get("ObjectSizeGreaterThan", -1)) for rule in reached):
                wait = timedelta(days=min(lifecycle.days(rule, action) or NEVER for rule in reached))
                of_tests = version.key.startswith(_tests_of(plan))
                tally = gone if not version.current else tests if of_tests else snapshots
                tally.add(_told(version), version.size, due=version.since + wait <= now)
    yield _versions(gone)
    yield _snapshots(snapshots)
    yield _tests(tests)


def _tests_of(plan: AppliedTemplate) -> tuple[str, str]:
    """The folders in which only tests write."""
    return f"{plan.prefix}{layout.DIAGNOSTICS}/", f"{plan.prefix}policy-tests/"


def _uploads(
    reader: Reader, plan: AppliedTemplate, have: list[Rule], wanted: list[Rule], now: datetime
) -> Effect:
    """The unfinished uploads that a rule which is new would give up."""
    rules, tally = _new(have, wanted, _UPLOADS), Tally()
    for page in reader.s3_pages("list_multipart_uploads", Bucket=plan.bucket) if rules else ():
        for upload in page.get("Uploads", ()):
            waits = [
                lifecycle.days(rule, _UPLOADS) or NEVER
                for rule in rules
                if upload["Key"].startswith(lifecycle.prefix(rule))
            ]
            if waits:
                begun = upload["Initiated"].astimezone(UTC)
                due = begun + timedelta(days=min(waits)) <= now
                tally.add(f"{upload['Key']}, begun {begun:%Y-%m-%d %H:%M}", 0, due=due)
    if not tally.count:
        return Effect("uploads", "stays", "no unfinished upload would be given up")
    says = f"{plural(tally.count, 'unfinished upload')} would be given up, {tally.due:,} of them at once"
    return Effect("uploads", "goes", says, tally.items, "have their writers complete or abort them first")


def walk(pages: Iterable[Any]) -> Iterator[Version]:
    """The versions in the pages of a list, with the time since when each is noncurrent.

    S3 lists a key's versions newest first ("ListObjectVersions" in its API reference), and one became noncurrent
    when the next newer one was written.
    """
    key, newer = "", datetime.max.replace(tzinfo=UTC)
    for page in pages:
        marked = [(entry, True) for entry in page.get("DeleteMarkers", ())]
        entries = [*((entry, False) for entry in page.get("Versions", ())), *marked]
        for entry, marker in sorted(entries, key=_newest_first):
            written = entry["LastModified"].astimezone(UTC)
            current = bool(entry["IsLatest"])
            if entry["Key"] != key:
                key, newer = entry["Key"], written
            if not marker:
                since = written if current else newer
                yield Version(key, entry["VersionId"], entry["Size"], current, since)
            newer = written


def _newest_first(entry: tuple[Any, bool]) -> tuple[str, bool, float]:
    found = entry[0]
    return found["Key"], not found["IsLatest"], -found["LastModified"].timestamp()


def _new(have: list[Rule], wanted: list[Rule], action: str) -> list[Rule]:
    """The rules that would take an action which no rule in force takes as early and as widely."""
    return [
        rule
        for rule in wanted
        if lifecycle.days(rule, action) is not None
        and not any(lifecycle.same(old, rule) or lifecycle.covers(old, rule, action) for old in have)
    ]


def _told(version: Version) -> str:
    what = "" if version.current else f" version {version.id}, noncurrent"
    return f"{version.key}{what} since {version.since:%Y-%m-%d}, {human_bytes(version.size)}"


def _versions(gone: Tally) -> Effect:
    if not gone.count:
        return Effect("versions", "stays", "no noncurrent version would be deleted")
    says = (
        f"{plural(gone.count, 'noncurrent version')} ({human_bytes(gone.size)}) would be deleted, "
        f"{gone.due:,} of them at once"
    )
    hint = f"NoncurrentVersionDays={NEVER} keeps them; lower it once nobody misses them"
    return Effect("versions", "goes", says, gone.items, hint, {"NoncurrentVersionDays": str(NEVER)})


def _snapshots(hidden: Tally) -> Effect:
    if not hidden.count:
        return Effect("objects", "stays", "no object would expire with SnapshotRetentionDays")
    hint = "SnapshotRetentionDays=0 keeps them while adopting"
    return Effect("objects", "goes", _expire(hidden), hidden.items, hint, {"SnapshotRetentionDays": "0"})


def _tests(hidden: Tally) -> Effect:
    """Objects in the folders of tests: what expires there can still be recovered, and is meant to go."""
    if not hidden.count:
        return Effect("test-objects", "stays", "no object of tests would expire")
    hint = "if it is not all of tests, copy the rest to another key first"
    return Effect("test-objects", "changes", _expire(hidden), hidden.items, hint)


def _expire(hidden: Tally) -> str:
    what = f"{plural(hidden.count, 'object')} ({human_bytes(hidden.size)})"
    return f"{what} would expire, {hidden.due:,} of them at once, and be noncurrent versions from then on"
