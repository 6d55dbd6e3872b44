"""Whoever else is in the bucket, beside the prefix, and what they would feel."""

from __future__ import annotations

from collections.abc import Iterable

from snapshotter.base.text import plural
from snapshotter.doctor.adoption.applied_template import AppliedTemplate
from snapshotter.doctor.adoption.effects import Effect, named
from snapshotter.doctor.adoption.reading import Reader

_HINT = (
    "ask each of them; then bring what is new into force by hand, one by one (each can be undone at once), and look "
    "again when nobody is refused"
)


def look(reader: Reader, plan: AppliedTemplate, felt: Iterable[str]) -> Effect:
    """The folders and objects beside the prefix. `felt` is what would be new for them. Raises NotRead."""
    found: list[str] = []
    above = ""
    for step in plan.prefix.rstrip("/").split("/"):
        folders, objects = _beside(reader, plan.bucket, above, f"{above}{step}/")
        found += folders
        if objects:
            found.append(f"{plural(objects, 'object')} in {above or 'the bucket itself'}")
        above = f"{above}{step}/"
    new = sorted(felt)
    if not found:
        return Effect("neighbours", "stays", "nobody else is in the bucket")
    if not new:
        says = f"{plural(len(found), 'neighbour')}, and nothing new for any of them"
        return Effect("neighbours", "stays", says, named(found))
    says = f"{plural(len(found), 'neighbour')} would have new rules: {', '.join(new)}"
    return Effect("neighbours", "goes", says, named(found), _HINT)


def _beside(reader: Reader, bucket: str, above: str, own: str) -> tuple[list[str], int]:
    """The folders in a folder beside our own, and how many objects lie there."""
    folders: list[str] = []
    objects = 0
    for page in reader.s3_pages("list_objects_v2", Bucket=bucket, Prefix=above, Delimiter="/"):
        folders += [each["Prefix"] for each in page.get("CommonPrefixes", ()) if each["Prefix"] != own]
        objects += sum(each["Key"] != above for each in page.get("Contents", ()))
    return folders, objects
