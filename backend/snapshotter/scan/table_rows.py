"""Rows of the tables, from what reading and the scanners found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from snapshotter.scan.classify import vendored
from snapshotter.scan.dependencies import Dependency
from snapshotter.scan.lines import Lines
from snapshotter.scan.reading import TreeContents
from snapshotter.scan.reading_plan import PlannedFile, ReadingPlan, Unit
from snapshotter.scan.redaction import REDACTED, Redaction, named
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.symbols import Analysis
from snapshotter.scan.symbols.records import Import, Symbol

_STATEMENT: Final = 20  # lines that an import may go on for

Row = tuple[Any, ...]
Paths = Mapping[Unit, list[str]]

# The columns of `files` that follow from a blob and its language, and so are carried over with it.
_OF_THE_BLOB: Final = (
    "bytes",
    "language",
    "lines",
    "code",
    "comment",
    "blank",
    "complexity",
    "binary",
    "generated",
    "minified",
)


def paths_by_unit(selection: ReadingPlan) -> Paths:
    """The paths of each unit that was read in this scan."""
    found: defaultdict[Unit, list[str]] = defaultdict(list)
    for file in selection.files:
        if file.is_read:
            found[file.unit].append(file.path)
    return found


def files(
    selection: ReadingPlan,
    found: TreeContents,
    lines: Mapping[Unit, Lines],
    errors: Mapping[Unit, str],
    hidden: Redaction,
) -> Iterator[Row]:
    """The rows of `files`. `errors` says of which units not everything could be analysed, and why."""
    for file in selection.files:
        size, *rest = _facts(file, found, lines)
        lfs = _lfs(file, found)
        yield (
            file.path,
            file.path_bytes,
            f"{file.entry.mode:06o}",
            file.unit[0],
            file.kind,
            size,
            *rest,
            vendored(file.path) if file.kind in ("file", "lfs") else None,
            *lfs,
            file.skip_reason,
            _parse_error(file, found, errors, hidden),
        )


def _facts(file: PlannedFile, found: TreeContents, lines: Mapping[Unit, Lines]) -> tuple[Any, ...]:
    if file.before is not None:
        return tuple(file.before[column] for column in _OF_THE_BLOB)
    blob = found.blobs.get(file.unit[0])
    counted = lines.get(file.unit)
    if blob is None or file.skip_reason or file.kind not in ("file", "lfs"):
        return (None,) * len(_OF_THE_BLOB)
    if counted is None:
        return (blob.size, *(None,) * (len(_OF_THE_BLOB) - 1))
    return (
        blob.size,
        counted.language,
        counted.lines,
        counted.code,
        counted.comment,
        counted.blank,
        counted.complexity,
        counted.binary,
        counted.generated,
        counted.minified,
    )


def _lfs(file: PlannedFile, found: TreeContents) -> tuple[str | None, int | None]:
    if file.kind != "lfs":
        return None, None
    if file.before is not None:
        return file.before["lfs_oid"], file.before["lfs_bytes"]
    return found.blobs[file.unit[0]].lfs or (None, None)


def _parse_error(
    file: PlannedFile, found: TreeContents, errors: Mapping[Unit, str], hidden: Redaction
) -> str | None:
    if file.before is not None:
        error = file.before["parse_error"]
        return None if error is None else str(error)
    if not file.is_read:
        return None
    error = found.manifest_errors.get(file.path)
    if error is not None and hidden.touches(file.unit[0]):
        return f"no manifest that can be read {REDACTED}"
    return error or errors.get(file.unit)


def symbols(unit: Unit, language: str, analysis: Analysis, paths: Paths, hidden: Redaction) -> Iterator[Row]:
    """The rows of `symbols` of one analysed unit, for each of its paths."""
    blob = unit[0]
    found: Iterable[Symbol] = analysis.symbols
    if hidden.touches(blob):
        found = [_unquoted(item) if hidden.near(blob, item.line, item.end_line) else item for item in found]
    for path in paths.get(unit, ()):
        for row in found:
            yield (path, blob, language, *row)


def _unquoted(item: Symbol) -> Symbol:
    return item._replace(
        name=named(item.name), qualified_name=named(item.qualified_name), signature=REDACTED, doc=""
    )


def imports(unit: Unit, language: str, analysis: Analysis, paths: Paths, hidden: Redaction) -> Iterator[Row]:
    """The rows of `imports` of one analysed unit, for each of its paths; not yet resolved."""
    blob = unit[0]
    found: Iterable[Import] = analysis.imports
    if hidden.touches(blob):
        found = [
            Import(REDACTED, (), item.line)
            if hidden.near(blob, item.line, item.line + _STATEMENT, above=0)
            else item
            for item in found
        ]
    for path in paths.get(unit, ()):
        for row in found:
            yield (path, blob, language, *row, None)


def dependencies(selection: ReadingPlan, found: TreeContents, hidden: Redaction) -> Iterator[Row]:
    """The rows of `dependencies` of the manifests that were read."""
    for file in selection.files:
        if file.is_read:
            secret = hidden.touches(file.unit[0])
            for item in found.dependencies.get(file.path, ()):
                yield (file.path, file.unit[0], *(_redacted(item) if secret else item))


def _redacted(item: Dependency) -> Dependency:
    """A dependency of a manifest that holds a secret somewhere."""
    return item._replace(
        name=named(item.name),
        version=item.version and named(item.version),
        purl=named(item.purl),
        scope=named(item.scope),
        requirement=item.requirement and REDACTED,
    )


def secrets(findings: list[SecretFinding], paths: Paths) -> Iterator[Row]:
    """The rows of `secrets`, for each path of a blob; a finding holds no value, only its fingerprint."""
    by_blob: defaultdict[str, list[str]] = defaultdict(list)
    for unit, names in paths.items():
        by_blob[unit[0]] += names
    for finding in findings:
        for path in by_blob[finding.blob]:
            yield (path, finding.blob, finding.rule, finding.line, finding.confidence, finding.fingerprint)
