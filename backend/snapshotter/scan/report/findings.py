"""The report's end: dependencies, secrets, and what was not read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from duckdb import DuckDBPyConnection

from snapshotter.base.text import human_bytes
from snapshotter.scan import figures, plain
from snapshotter.scan.compare import Changes
from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview
from snapshotter.scan.report import parts
from snapshotter.scan.report.html import Child, Html, element, text

FINGERPRINT: Final = 12  # characters of a fingerprint that are shown

_ROWS: Final = parts.FIRST + parts.FOLDED
_ECOSYSTEMS: Final = """
    SELECT ecosystem, count(DISTINCT name) AS n, count(DISTINCT name) FILTER (direct), count(DISTINCT path)
    FROM dependencies GROUP BY ecosystem ORDER BY n DESC, ecosystem"""
_SECRETS: Final = """
    SELECT path, line, rule, confidence, fingerprint FROM secrets
    ORDER BY CASE lower(confidence) WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END,
        path, line, rule, fingerprint LIMIT $1"""


def dependencies(tables: DuckDBPyConnection, seen: Overview) -> parts.Section:
    """Packages by ecosystem, those that the project asks for, and those that come with them."""
    ecosystems = tables.execute(_ECOSYSTEMS).fetchall()
    if not ecosystems:
        none = element("p", "No manifest that is known names a dependency.", class_="none")
        return parts.Section("dependencies", "Dependencies", "Dependencies", [none])
    columns = [
        parts.Column("Ecosystem"),
        parts.Column("Packages", "num"),
        parts.Column("Direct", "num"),
        parts.Column("Manifests", "num"),
    ]
    rows: list[list[Child]] = [
        [text(name, 40), *map(plain.count, figures)] for name, *figures in ecosystems[:_ROWS]
    ]
    content = [
        parts.cards(
            [
                parts.table("Packages by ecosystem", columns, rows, total=len(ecosystems), first=10),
                _packages("Not direct, or it cannot be told", seen.indirect, first=6),
            ]
        ),
        _packages("Direct dependencies", seen.direct, first=parts.FIRST),
    ]
    return parts.Section("dependencies", "Dependencies", "Dependencies", content)


def _packages(caption: str, packages: tuple[int, list[figures.Package]], *, first: int) -> Html:
    total, found = packages
    rows: list[list[Child]] = [
        [
            parts.two_lines(
                parts.code(one.name, 100), [text(one.ecosystem, 40), " · ", text(one.scopes or "", 60)]
            ),
            _version(one.versions, one.requirements),
            parts.two_lines(parts.path(one.path), f"and {one.paths - 1:,} more" if one.paths > 1 else None),
        ]
        for one in found[:_ROWS]
    ]
    columns = [parts.Column("Package"), parts.Column("Version"), parts.Column("Named in", "path-cell")]
    return parts.table(caption, columns, rows, total=total, first=first, source="scan/dependencies.parquet")


def _version(versions: str | None, requirements: str | None) -> Child:
    if versions and requirements:
        return parts.two_lines(parts.code(versions, 60), ["asked for ", parts.code(requirements, 60)])
    shown = versions or requirements
    return parts.code(shown, 60) if shown else "any"


def secrets(facts: Facts, tables: DuckDBPyConnection, seen: Overview) -> parts.Section:
    """Findings by path, line and rule; of the value there is only the start of a fingerprint."""
    fresh = _fresh(seen.changes)
    rows: list[list[Child]] = [
        [
            [
                parts.path(path, line),
                Html(" " + parts.badge("new", "bad")) if (path, line, mark) in fresh else None,
            ],
            parts.two_lines(text(rule, 80), [text(confidence or "unknown", 20), " confidence"]),
            parts.code(mark[:FINGERPRINT] + "…"),
        ]
        for path, line, rule, confidence, mark in tables.execute(_SECRETS, [_ROWS]).fetchall()
    ]
    columns = [parts.Column("Where"), parts.Column("Rule"), parts.Column("Fingerprint")]
    meaning = (
        "Of a value only this keyed hash is recorded: the same secret has the same one wherever it stands."
        if facts.keyed
        else "No fingerprint key is set: a fingerprint is of rule, blob and line, and nothing of the value is recorded."
    )
    content = [
        parts.table(
            "Findings in the scanned tree",
            columns,
            rows,
            total=seen.totals.secrets,
            source="scan/secrets.parquet",
        ),
        parts.note(meaning) if rows else None,
    ]
    return parts.Section("secrets", "Secrets", "Secrets", content)


def _fresh(changes: Changes | None) -> set[tuple[str, int, str]]:
    """The findings that are new; none when there are too many to mark each."""
    new = changes.secrets["new"] if changes else None
    if new is None or new.count > len(new.rows):
        return set()
    return {(one.path, one.line, one.fingerprint) for one in new.rows}


def unread(facts: Facts, seen: Overview) -> parts.Section:
    """Gaps, skipped files, files that did not parse, and under which limits and scanners."""
    gaps: list[list[Child]] = [
        [text(gap.kind, 60), plain.count(gap.count), _sample(gap.sample)] for gap in facts.gaps[:_ROWS]
    ]
    skips: list[list[Child]] = [
        [
            text(one.reason),
            [plain.count(one.files), f" ({human_bytes(one.bytes)})" if one.bytes else ""],
            parts.path(one.first),
        ]
        for one in seen.skipped
    ]
    errors: list[list[Child]] = [
        [text(one.reason), plain.count(one.files), parts.path(one.first)] for one in seen.partly_read
    ]
    reason, files = parts.Column("Reason"), parts.Column("Files", "num")
    first = parts.Column("First of them", "path-cell")
    columns = [parts.Column("Gap"), parts.Column("Count", "num"), parts.Column("For example", "path-cell")]
    content = [
        parts.table("Gaps: what this snapshot knowingly lacks", columns, gaps, total=len(facts.gaps)),
        parts.table("Files that were skipped", [reason, files, first], skips, source="scan/files.parquet"),
        parts.table(
            "Files that were read in part",
            [reason, files, first],
            errors,
            first=8,
            source="scan/files.parquet",
        ),
        parts.cards(
            [
                _settings("Limits in force", facts.limits.items()),
                _settings("Scanners", facts.scanners.items()),
            ]
        ),
    ]
    return parts.Section("unread", "Gaps and what was not read", "Gaps", content)


def _sample(sample: Sequence[str]) -> list[Child]:
    shown: list[Child] = []
    for value in sample[:3]:
        shown += [", " if shown else "", parts.path(value)]
    return shown


def _settings(heading: str, pairs: Iterable[tuple[str, object]]) -> Html | None:
    shown = [
        (name.replace("_", " "), f"{value:,}" if isinstance(value, int | float) else str(value))
        for name, value in sorted(pairs)
    ]
    return element("div", element("h3", heading), parts.facts(shown), class_="block") if shown else None
