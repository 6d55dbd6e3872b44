"""The report's account of what changed since the snapshot and the scan before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from snapshotter.archive.manifest import RefChange, RefChanges
from snapshotter.scan import plain
from snapshotter.scan.compare import (
    Changed,
    ChangedDependency,
    ChangedFile,
    ChangedSecret,
    ChangedSymbol,
    ScanChanges,
)
from snapshotter.scan.facts import Facts
from snapshotter.scan.report import blocks
from snapshotter.scan.report.findings import FINGERPRINT
from snapshotter.scan.report.html import Child, Html, element, text
from snapshotter.scan.report.links import Links

_Row = TypeVar("_Row")

_REFS: Final = 60  # of each sort of change

_GONE: Final = ("removed", "gone")  # what the scanned commit does not have, so that no link leads there
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


def section(facts: Facts, changes: ScanChanges | None, links: Links) -> blocks.Section:
    """What changed: refs by the manifest, the tree by its tables."""
    content: list[Child] = [_refs(facts.ref_changes)] if facts.ref_changes else []
    if changes is None:
        content.append(
            blocks.note("There is no scan of a snapshot before this one to compare the tree with.")
        )
    elif changes.empty:
        content.append(
            blocks.note("The scanned tree is the same as in ", blocks.code(facts.compared or ""), ".")
        )
    else:
        content += [
            blocks.note("The tree is compared with the scan of ", blocks.code(facts.compared or ""), "."),
            blocks.cards(
                [
                    blocks.stack(
                        _table("Secrets", "Where", changes.secrets, _secret, links),
                        _table("Files", "File", changes.files, _file, links),
                    ),
                    blocks.stack(
                        _table("Dependencies", "Package", changes.dependencies, _dependency, links),
                        _table("Symbols", "Symbol", changes.symbols, _symbol, links),
                    ),
                ]
            ),
        ]
    return blocks.Section("changes", "Changes since the parent", "Changes", content)


def _table(
    caption: str,
    what: str,
    changes: Mapping[str, Changed[_Row]],
    cell: Callable[[Links, _Row], Child],
    links: Links,
) -> Html:
    """All changes of one table in one of the page's, with the count of each sort in its caption."""
    rows: list[list[Child]] = [
        [cell(Links() if sort in _GONE else links, row), blocks.badge(sort, _TONES[sort])]
        for sort, changed in changes.items()
        for row in changed.rows
    ]
    counts = ", ".join(
        f"{plain.count(changed.count)} {sort}" for sort, changed in changes.items() if changed.count
    )
    columns = [blocks.Column(what), blocks.Column("Change", "num")]
    if not rows:
        return blocks.nothing(caption, "no change")
    whole = blocks.Whole(
        sum(changed.count for changed in changes.values()), f"scan/{caption.lower()}.parquet"
    )
    return blocks.table(f"{caption}: {counts}", columns, rows, first=7, whole=whole)


def _file(links: Links, row: ChangedFile) -> Child:
    if row.before is not None:
        return blocks.two_lines(links.path(row.path), ["from ", blocks.path(row.before)])
    if not row.lines:
        return links.path(row.path)
    lines = f"{row.lines:+,} lines".replace("-", "−")  # a hyphen is narrower than the plus above or below it
    return blocks.two_lines(links.path(row.path), lines)


def _dependency(links: Links, row: ChangedDependency) -> Child:
    old, new = (
        blocks.code(value or "any", 60) if value is not None else None for value in (row.old, row.new)
    )
    versions: list[Child] = [old, " → ", new] if old and new else [old or new]
    return blocks.two_lines(
        [blocks.code(row.name, 100), " ", versions], [text(row.ecosystem, 40), " in ", links.path(row.path)]
    )


def _symbol(links: Links, row: ChangedSymbol) -> Child:
    shown = blocks.code(row.signature or row.before or row.name, 160)
    before = [element("del", blocks.code(row.before, 160)), " "] if row.before and row.signature else None
    return blocks.two_lines([before, shown], [text(row.kind, 30), " in ", links.path(row.path, row.line)])


def _secret(links: Links, row: ChangedSecret) -> Child:
    mark = blocks.code(row.fingerprint[:FINGERPRINT] + "…")
    return blocks.two_lines(links.path(row.path, row.line), [text(row.rule, 80), " ", mark])


def _refs(changes: RefChanges) -> Html:
    """The refs that changed. A moved branch that was rewritten, or may have been, has one row, under that word."""
    special = {change.ref for change in (*changes.rewritten.refs, *changes.unknown.refs)}
    sorts = {
        "rewritten": changes.rewritten,
        "deleted": changes.deleted,
        "created": changes.created,
        "unknown": changes.unknown,
        "moved": changes.moved,
    }
    rows: list[list[Child]] = [
        [_ref(change), blocks.badge(_word(sort), _TONES[sort])]
        for sort, changed in sorts.items()
        for change in changed.refs[:_REFS]
        if sort != "moved" or change.ref not in special
    ]
    counts = ", ".join(
        f"{plain.count(changed.count)} {sort}" for sort, changed in sorts.items() if changed.count
    )
    # A rewritten branch is counted among the moved ones too.
    total = sum(sorts[sort].count for sort in ("created", "deleted", "moved"))
    columns = [blocks.Column("Ref"), blocks.Column("Change", "num")]
    caption = f"Refs: {counts}" if counts else "Changed refs"
    return blocks.table(caption, columns, rows, first=10, whole=blocks.Whole(total, "manifest.json"))


def _word(sort: str) -> str:
    return "moved, maybe rewritten" if sort == "unknown" else sort


def _ref(change: RefChange) -> Child:
    ends = [
        # What HEAD points at is a name, which is not shortened; all other ends are object ids.
        blocks.code(end[:12] if len(end) in (40, 64) else end, 100)
        for end in (change.old, change.new)
        if end
    ]
    between: list[Child] = [ends[0], " → ", ends[1]] if len(ends) == 2 else [*ends]
    return blocks.two_lines(element("code", text(change.ref), class_="path"), between)
