"""The digest's account of what changed since the snapshot and the scan before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from snapshotter.archive.manifest import RefChanges
from snapshotter.scan.compare import Changed, ScanChanges
from snapshotter.scan.digest.budget import DigestLine, DigestSection, chunks
from snapshotter.scan.digest.quoting import place, quoted, word
from snapshotter.scan.facts import Facts

_REFS: Final = 40  # of one sort of change
_ON_A_LINE: Final = 6
_SHARE: Final = 16
FINGERPRINT: Final = 12  # characters


def change_section(facts: Facts, changes: ScanChanges | None) -> DigestSection:
    """Refs, secrets, dependencies, files and symbols that changed, with the figures first."""
    figures, lines = _refs(facts.ref_changes) if facts.ref_changes else ([], [])
    total = len(lines)
    if changes is None:
        figures.append(DigestLine("There is no scan before this one to compare the tree with.", 0))
    else:
        figures += _figures(changes, facts.compared or "")
        lines += _lines(changes)
        parts = (changes.secrets, changes.dependencies, changes.files, changes.symbols)
        total += sum(one.count for part in parts for one in part.values())
    between = [DigestLine("", 0)] if lines else []
    return DigestSection("Changes since the parent", [*figures, *between, *lines], _SHARE, total)


def _counts(changes: Mapping[str, Changed[Any]]) -> str:
    return ", ".join(f"{one.count:,} {sort}" for sort, one in changes.items() if one.count)


def _figures(changes: ScanChanges, compared: str) -> list[DigestLine]:
    subjects = (
        ("secrets", changes.secrets),
        ("dependencies", changes.dependencies),
        ("files", changes.files),
        ("symbols", changes.symbols),
    )
    counts = "; ".join(f"{name} {_counts(part)}" for name, part in subjects if _counts(part))
    return [DigestLine(f"Against the scan of {quoted(compared)}: {counts or 'the tree is the same'}.", 0)]


def _lines(changes: ScanChanges) -> list[DigestLine]:
    return [*_secrets(changes), *_dependencies(changes), *_files(changes), *_symbols(changes)]


def _secrets(changes: ScanChanges) -> Iterator[DigestLine]:
    for sort, secrets in changes.secrets.items():
        for one in secrets.rows:
            finding = f"rule {quoted(one.rule, 80)}, fingerprint {quoted(one.fingerprint[:FINGERPRINT])}"
            yield DigestLine(f"- Secret finding {sort}: {place(one.path, one.line)}, {finding}")


def _dependencies(changes: ScanChanges) -> Iterator[DigestLine]:
    for sort, packages in changes.dependencies.items():
        rows = sorted(packages.rows, key=lambda one: (one.path, one.ecosystem))
        for (path, ecosystem), group in groupby(rows, key=lambda one: (one.path, one.ecosystem)):
            shown = [
                quoted(
                    f"{one.name} {' → '.join(held or 'any' for held in (one.old, one.new) if held is not None)}",
                    120,
                )
                for one in group
            ]
            for some in chunks(shown, _ON_A_LINE):
                yield DigestLine(f"- {place(path)} {word(ecosystem)} {sort}: {', '.join(some)}", len(some))


def _files(changes: ScanChanges) -> Iterator[DigestLine]:
    for sort, files in changes.files.items():
        shown = [
            place(one.path)
            + (f" from {place(one.before)}" if one.before is not None else "")
            + (f" ({one.lines:+,})" if one.lines else "")
            for one in files.rows
        ]
        for some in chunks(shown, _ON_A_LINE):
            yield DigestLine(f"- Files {sort} (lines): {', '.join(some)}", len(some))


def _symbols(changes: ScanChanges) -> Iterator[DigestLine]:
    for sort, symbols in changes.symbols.items():
        for path, group in groupby(symbols.rows, key=lambda one: one.path):
            shown = [
                f"{one.line} {quoted(one.signature or one.before or one.name, 120)}"
                + (f" was {quoted(one.before, 120)}" if one.before and one.signature else "")
                for one in group
            ]
            for some in chunks(shown, _ON_A_LINE // 2):
                yield DigestLine(f"- Symbols {sort} in {place(path)}: {', '.join(some)}", len(some))


def _refs(changes: RefChanges) -> tuple[list[DigestLine], list[DigestLine]]:
    """The figures of the refs, and a line for each that was rewritten, deleted, created or moved."""
    special = {one.ref for one in (*changes.rewritten.refs, *changes.unknown.refs)}
    sorts = {
        "rewritten": changes.rewritten,
        "moved, maybe rewritten": changes.unknown,
        "deleted": changes.deleted,
        "created": changes.created,
        "moved": changes.moved,
    }
    lines = []
    for sort, refs in sorts.items():
        for one in refs.refs[:_REFS]:
            # A rewritten branch has moved too, and is told once, by the word that says more.
            if sort != "moved" or one.ref not in special:
                ends = " to ".join(quoted(end[:12], 60) for end in (one.old, one.new) if end)
                lines.append(DigestLine(f"- Ref {quoted(one.ref)} {sort}: {ends}"))
    counts = ", ".join(f"{refs.count:,} {sort}" for sort, refs in sorts.items() if refs.count)
    return [DigestLine(f"Refs: {counts or 'none changed'}.", 0)], lines
