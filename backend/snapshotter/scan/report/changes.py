"""The report's account of what changed since the snapshot and the scan before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from snapshotter.archive.manifest import RefChange, RefChanges
from snapshotter.scan import plain
from snapshotter.scan.compare import (
    Changed,
    ChangedDependency,
    ChangedFile,
    ChangedSecret,
    ChangedSymbol,
    Changes,
)
from snapshotter.scan.facts import Facts
from snapshotter.scan.report import parts
from snapshotter.scan.report.findings import FINGERPRINT
from snapshotter.scan.report.html import Child, Html, element, text

_REFS: Final = 60  # of each sort of change

_TONES: Final = {
    "added": "good",
    "created": "good",
    "removed": "bad",
    "deleted": "bad",
    "rewritten": "bad",
    "new": "bad",
    "gone": "good",
    "up": "good",
    "down": "bad",
    "moved": "",
    "changed": "",
    "unknown": "",
}


def section(facts: Facts, changes: Changes | None) -> parts.Section:
    """What changed: refs by the manifest, the tree by its tables."""
    content: list[Child] = [_refs(facts.ref_changes)] if facts.ref_changes else []
    if changes is None:
        content.append(parts.note("There is no scan of a snapshot before this one to compare the tree with."))
    elif changes.empty:
        content.append(
            parts.note("The scanned tree is the same as in ", parts.code(facts.compared or ""), ".")
        )
    else:
        content += [
            parts.note("The tree is compared with the scan of ", parts.code(facts.compared or ""), "."),
            parts.cards(
                [
                    parts.stack(
                        _table("Secrets", "Where", changes.secrets, _secret, "scan/secrets.parquet"),
                        _table("Files", "File", changes.files, _file, "scan/files.parquet"),
                    ),
                    parts.stack(
                        _table(
                            "Dependencies",
                            "Package",
                            changes.dependencies,
                            _dependency,
                            "scan/dependencies.parquet",
                        ),
                        _table("Symbols", "Symbol", changes.symbols, _symbol, "scan/symbols.parquet"),
                    ),
                ]
            ),
        ]
    return parts.Section("changes", "Changes since the parent", "Changes", content)


def _table(
    caption: str, what: str, changes: Mapping[str, Changed[Any]], cell: Callable[[Any], Child], source: str
) -> Html:
    """All sorts of change of one subject in one table, and the figures of each in its caption."""
    rows: list[list[Child]] = [
        [cell(row), parts.badge(sort, _TONES[sort])] for sort, found in changes.items() for row in found.rows
    ]
    said = ", ".join(f"{plain.count(found.count)} {sort}" for sort, found in changes.items() if found.count)
    columns = [parts.Column(what), parts.Column("Change", "num")]
    total = sum(found.count for found in changes.values())
    return parts.table(
        f"{caption}: {said}" if said else caption,
        columns,
        rows,
        total=total,
        first=7,
        source=source,
        none="no change",
    )


def _file(row: ChangedFile) -> Child:
    if row.before is not None:
        return parts.two_lines(parts.path(row.path), ["from ", parts.path(row.before)])
    return (
        parts.two_lines(parts.path(row.path), f"{row.lines:+,} lines".replace("-", "−"))
        if row.lines
        else parts.path(row.path)
    )


def _dependency(row: ChangedDependency) -> Child:
    old, new = (parts.code(value or "any", 60) if value is not None else None for value in (row.old, row.new))
    versions: list[Child] = [old, " → ", new] if old and new else [old or new]
    return parts.two_lines(
        [parts.code(row.name, 100), " ", versions], [text(row.ecosystem, 40), " in ", parts.path(row.path)]
    )


def _symbol(row: ChangedSymbol) -> Child:
    shown = parts.code(row.signature or row.before or row.name, 160)
    before = [element("del", parts.code(row.before, 160)), " "] if row.before and row.signature else None
    return parts.two_lines([before, shown], [text(row.kind, 30), " in ", parts.path(row.path, row.line)])


def _secret(row: ChangedSecret) -> Child:
    mark = parts.code(row.fingerprint[:FINGERPRINT] + "…")
    return parts.two_lines(parts.path(row.path, row.line), [text(row.rule, 80), " ", mark])


def _refs(changes: RefChanges) -> Html:
    """Moved branches that were rewritten, or of which that is unknown, stand once, under that word."""
    special = {change.ref for change in (*changes.rewritten.refs, *changes.unknown.refs)}
    sorts = {
        "rewritten": changes.rewritten,
        "deleted": changes.deleted,
        "created": changes.created,
        "unknown": changes.unknown,
        "moved": changes.moved,
    }
    rows: list[list[Child]] = [
        [_ref(change), parts.badge(_word(sort), _TONES[sort])]
        for sort, found in sorts.items()
        for change in found.refs[:_REFS]
        if sort != "moved" or change.ref not in special
    ]
    said = ", ".join(f"{plain.count(found.count)} {sort}" for sort, found in sorts.items() if found.count)
    total = sum(sorts[sort].count for sort in ("created", "deleted", "moved"))
    columns = [parts.Column("Ref"), parts.Column("Change", "num")]
    caption = f"Refs: {said}" if said else "Changed refs"
    return parts.table(caption, columns, rows, total=total, first=10, source="manifest.json")


def _word(sort: str) -> str:
    return "moved, maybe rewritten" if sort == "unknown" else sort


def _ref(change: RefChange) -> Child:
    ends = [
        parts.code(end[:12] if len(end) in (40, 64) else end, 100) for end in (change.old, change.new) if end
    ]
    between: list[Child] = [ends[0], " → ", ends[1]] if len(ends) == 2 else [*ends]
    return parts.two_lines(element("code", text(change.ref), class_="path"), between)
