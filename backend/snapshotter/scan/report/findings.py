"""The report's end: dependencies, secrets, and what was not read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from snapshotter.base.text import human_bytes
from snapshotter.scan import plain
from snapshotter.scan.compare import ScanChanges
from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview
from snapshotter.scan.packages import Counted
from snapshotter.scan.report import blocks
from snapshotter.scan.report.html import Child, Html, element, text
from snapshotter.scan.report.links import Links

FINGERPRINT: Final = 12  # characters of a fingerprint that are shown

_ROWS: Final = blocks.FIRST + blocks.FOLDED


def dependencies(facts: Facts, overview: Overview, links: Links) -> blocks.Section:
    """Packages by ecosystem, those that the project asks for, those that come with them, and what nobody reads."""
    packages = overview.packages
    if not packages.ecosystems:
        none = element("p", "No known manifest names a dependency.", class_="none")
        return blocks.Section(
            "dependencies", "Dependencies", "Dependencies", [none, _unread_manifests(facts, links)]
        )
    columns = [
        blocks.Column("Ecosystem"),
        blocks.Column("Packages", "num"),
        blocks.Column("Direct", "num"),
        blocks.Column("Manifests", "num"),
    ]
    rows: list[list[Child]] = [
        [text(name, 40), *map(plain.count, figures)] for name, *figures in packages.ecosystems[:_ROWS]
    ]
    content = [
        blocks.cards(
            [
                blocks.table(
                    "Packages by ecosystem",
                    columns,
                    rows,
                    first=10,
                    whole=blocks.Whole(len(packages.ecosystems)),
                ),
                _packages("Not direct, or it cannot be told", packages.indirect, links, first=6),
            ]
        ),
        _packages("Direct dependencies", packages.direct, links, first=blocks.FIRST),
        _unread_manifests(facts, links),
    ]
    return blocks.Section("dependencies", "Dependencies", "Dependencies", content)


def _unread_manifests(facts: Facts, links: Links) -> Html | None:
    """The manifests of kinds that nobody reads, so that their packages are not taken for none."""
    gap = facts.unread
    if gap is None:
        return None
    rows: list[list[Child]] = [[links.path(path)] for path in gap.sample]
    caption = "Manifests that were not read: their packages are not among these"
    return blocks.table(
        caption, [blocks.Column("Manifest", "path-cell")], rows, first=6, whole=blocks.Whole(gap.count)
    )


def _packages(caption: str, packages: Counted, links: Links, *, first: int) -> Html:
    total, shown = packages
    rows: list[list[Child]] = [
        [
            blocks.two_lines(
                blocks.code(one.name, 100), [text(one.ecosystem, 40), " · ", text(one.scopes or "", 60)]
            ),
            _version(one.versions, one.requirements),
            blocks.two_lines(links.path(one.path), f"and {one.paths - 1:,} more" if one.paths > 1 else None),
        ]
        # By name, for people look one up.
        for one in sorted(shown, key=lambda one: (one.name.lower(), one.name, one.ecosystem))[:_ROWS]
    ]
    columns = [blocks.Column("Package"), blocks.Column("Version"), blocks.Column("Named in", "path-cell")]
    whole = blocks.Whole(total, "scan/dependencies.parquet")
    return blocks.table(caption, columns, rows, first=first, whole=whole)


def _version(versions: str | None, requirements: str | None) -> Child:
    if versions and requirements:
        return blocks.two_lines(blocks.code(versions, 60), ["asked for ", blocks.code(requirements, 60)])
    shown = versions or requirements
    return blocks.code(shown, 60) if shown else "any"


def secrets(facts: Facts, overview: Overview, links: Links) -> blocks.Section:
    """Findings by path, line and rule; of the value there is only the start of a fingerprint."""
    fresh = _fresh(overview.changes)
    rows: list[list[Child]] = [
        [
            [
                links.path(path, line or None),  # line 0: the scanner gave none
                Html(" " + blocks.badge("new", "bad")) if (path, line, mark) in fresh else None,
            ],
            blocks.two_lines(text(rule, 80), [text(confidence or "unknown", 20), " confidence"]),
            blocks.code(mark[:FINGERPRINT] + "…"),
        ]
        for path, line, rule, confidence, mark in overview.findings[:_ROWS]
    ]
    columns = [blocks.Column("Where"), blocks.Column("Rule"), blocks.Column("Fingerprint")]
    meaning = (
        "Of a value only this keyed hash is recorded: the same secret has the same one wherever it stands."
        if facts.keyed
        else "No fingerprint key is set: a fingerprint is of rule, path and order, and tells nothing of the value."
    )
    content = [
        blocks.table(
            "Findings in the scanned tree",
            columns,
            rows,
            whole=blocks.Whole(overview.totals.secrets, "scan/secrets.parquet"),
        ),
        blocks.note(meaning) if rows else None,
        blocks.note(_searched(facts)),
    ]
    return blocks.Section("secrets", "Secrets", "Secrets", content)


def _searched(facts: Facts) -> list[Child]:
    if not facts.searched:
        return ["The search for secrets failed: nobody knows what this tree holds."]
    ref = blocks.code(facts.ref)
    return [
        "Only the tree of ",
        ref,
        " was searched for secrets; its history and other refs were not searched.",
    ]


def _fresh(changes: ScanChanges | None) -> set[tuple[str, int, str]]:
    """The findings that are new; none when there are too many to mark each."""
    new = changes.secrets["new"] if changes else None
    if new is None or new.count > len(new.rows):
        return set()
    return {(one.path, one.line, one.fingerprint) for one in new.rows}


def unread(facts: Facts, overview: Overview, links: Links) -> blocks.Section:
    """Gaps, skipped files, files that did not parse, and the limits and scanners of the scan."""
    gaps: list[list[Child]] = [
        [text(gap.kind, 60), plain.count(gap.count), _sample(gap.sample)]
        for gap in sorted(facts.gaps, key=lambda gap: gap.kind)[:_ROWS]
    ]
    skips: list[list[Child]] = [
        [
            text(one.reason),
            [plain.count(one.files), f" ({human_bytes(one.bytes)})" if one.bytes else ""],
            links.path(one.first),
        ]
        for one in overview.skipped
    ]
    errors: list[list[Child]] = [
        [text(one.reason), plain.count(one.files), links.path(one.first)] for one in overview.partly_read
    ]
    reason, files = blocks.Column("Reason"), blocks.Column("Files", "num")
    first = blocks.Column("First of them", "path-cell")
    columns = [blocks.Column("Gap"), blocks.Column("Count", "num"), blocks.Column("For example", "path-cell")]
    content = [
        blocks.table(
            "Gaps: what this snapshot or its scan knowingly lacks",
            columns,
            gaps,
            whole=blocks.Whole(len(facts.gaps)),
        ),
        blocks.table("Files that were skipped", [reason, files, first], skips),
        blocks.table("Files that were read in part", [reason, files, first], errors, first=8),
        blocks.cards(
            [
                _settings("Limits in force", facts.limits.items()),
                _settings("Scanners", facts.scanners.items()),
            ]
        ),
    ]
    return blocks.Section("unread", "Gaps and what was not read", "Gaps", content)


def _sample(sample: Sequence[str]) -> list[Child]:
    shown: list[Child] = []
    for value in sample[:3]:
        shown += [", " if shown else "", blocks.path(value)]
    return shown


def _settings(heading: str, pairs: Iterable[tuple[str, object]]) -> Html | None:
    shown = [
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
        for name, value in sorted(pairs)
    ]
    return element("div", element("h3", heading), blocks.facts(shown), class_="block") if shown else None
