"""Rows of the tables, from what was read of the tree and what the scanners report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from snapshotter.scan.attributes import PathAttributes
from snapshotter.scan.classify import documentation, vendored
from snapshotter.scan.dependencies import Dependency
from snapshotter.scan.lines import Lines
from snapshotter.scan.reading_plan import PlannedFile, ReadingPlan, Unit
from snapshotter.scan.redaction import REDACTED, Redaction, named
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.symbols.records import Analysis, Import, Symbol
from snapshotter.scan.symbols.resolve import Resolve
from snapshotter.scan.symbols.signatures import MAX_COMMENT
from snapshotter.scan.tree_contents import TreeContents

_STATEMENT: Final = 20  # lines that one import may take

_NOTHING: Final = PathAttributes()

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


def paths_by_unit(plan: ReadingPlan) -> Paths:
    """The paths of each unit that was read in this scan."""
    paths: defaultdict[Unit, list[str]] = defaultdict(list)
    for file in plan.files:
        if file.is_read:
            paths[file.unit].append(file.path)
    return paths


def files(
    plan: ReadingPlan,
    contents: TreeContents,
    lines: Mapping[Unit, Lines],
    errors: Mapping[Unit, str],
    redaction: Redaction,
) -> Iterator[Row]:
    """The rows of `files`. `errors` says why some units could not be analysed, or not as a whole."""
    for file in plan.files:
        size, *rest, generated, minified = _of_the_blob(file, contents, lines)
        attributes = contents.attributes.get(file.path, _NOTHING)
        lfs = _lfs(file, contents)
        yield (
            file.path,
            file.path_bytes,
            f"{file.entry.mode:06o}",
            file.unit[0],
            file.kind,
            size,
            *rest,
            generated if attributes.generated is None else attributes.generated,
            minified,
            *_by_path(file, attributes),
            *lfs,
            file.skip_reason,
            _parse_error(file, contents, errors, redaction),
        )


def _by_path(file: PlannedFile, attributes: PathAttributes) -> tuple[bool | None, bool | None]:
    """Whether a file is other people's code, and whether it is documentation: as the tree says, else by custom."""
    if file.kind not in ("file", "lfs"):
        return None, None
    return (
        vendored(file.path) if attributes.vendored is None else attributes.vendored,
        documentation(file.path) if attributes.documentation is None else attributes.documentation,
    )


def _of_the_blob(file: PlannedFile, contents: TreeContents, lines: Mapping[Unit, Lines]) -> tuple[Any, ...]:
    if file.before is not None:
        return tuple(file.before[column] for column in _OF_THE_BLOB)
    blob = contents.blobs.get(file.unit[0])
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


def _lfs(file: PlannedFile, contents: TreeContents) -> tuple[str | None, int | None]:
    if file.kind != "lfs":
        return None, None
    if file.before is not None:
        return file.before["lfs_oid"], file.before["lfs_bytes"]
    return contents.blobs[file.unit[0]].lfs or (None, None)


def _parse_error(
    file: PlannedFile, contents: TreeContents, errors: Mapping[Unit, str], redaction: Redaction
) -> str | None:
    if file.before is not None:
        error = file.before["parse_error"]
        return None if error is None else str(error)
    if not file.is_read:
        return None
    error = contents.manifest_errors.get(file.path)
    if error is not None and redaction.touches(file.unit[0]):
        return f"no manifest that can be read {REDACTED}"
    return error or errors.get(file.unit)


def symbols(
    unit: Unit, language: str, analysis: Analysis, paths: Paths, redaction: Redaction
) -> Iterator[Row]:
    """The rows of `symbols` of one analysed unit, for each of its paths."""
    blob = unit[0]
    declared: Iterable[Symbol] = analysis.symbols
    if redaction.touches(blob):
        declared = [_redacted_symbol(blob, item, redaction) for item in declared]
    for path in paths.get(unit, ()):
        for row in declared:
            yield (path, blob, language, *row)


def _redacted_symbol(blob: str, item: Symbol, redaction: Redaction) -> Symbol:
    """A symbol of a blob with a secret. Near it, signature and documentation quote the source, so they are left out;
    a comment may begin so far above that only the documentation quotes what is there."""
    if redaction.near(blob, item.line, item.end_line):
        return item._replace(
            name=named(item.name), qualified_name=named(item.qualified_name), signature=REDACTED, doc=None
        )
    if item.doc and redaction.near(blob, item.line, item.line, above=MAX_COMMENT):
        return item._replace(doc=None)
    return item


def imports(
    unit: Unit, language: str, analysis: Analysis, paths: Paths, redaction: Redaction, resolve: Resolve
) -> Iterator[Row]:
    """The rows of `imports` of one analysed unit, for each of its paths: one for each file that an import means, with
    the names taken from it. Imports of one module on one line count as one."""
    blob = unit[0]
    imported: Iterable[Import] = analysis.imports
    if redaction.touches(blob):
        imported = [
            Import(REDACTED, (), item.line)
            if redaction.near(blob, item.line, item.line + _STATEMENT, above=0)
            else item
            for item in imported
        ]
    merged: dict[tuple[str, int], set[str]] = {}
    for item in imported:
        merged.setdefault((item.module, item.line), set()).update(item.names)
    for path in paths.get(unit, ()):
        for (module, line), names in merged.items():
            for taken, target in resolve(path, language, Import(module, tuple(sorted(names)), line)):
                yield (path, blob, language, module, taken, line, target)


def dependencies(plan: ReadingPlan, contents: TreeContents, redaction: Redaction) -> Iterator[Row]:
    """The rows of `dependencies` of the manifests that were read."""
    paths = contents.dependencies.keys() | {one for lenders in contents.lenders.values() for one in lenders}
    touched = {file.path for file in plan.files if file.path in paths and redaction.touches(file.unit[0])}
    for file in plan.files:
        if file.is_read:
            own = file.path in touched
            lent = not touched.isdisjoint(contents.lenders.get(file.path, ()))
            for item in contents.dependencies.get(file.path, ()):
                yield (file.path, file.unit[0], *(_redacted(item, own=own) if own or lent else item))


def _redacted(item: Dependency, *, own: bool) -> Dependency:
    """A dependency without what may hold a secret: that of its own manifest, which has one somewhere, or of another
    that lent it something."""
    return item._replace(
        name=named(item.name),
        version=item.version and named(item.version),
        purl=item.purl and named(item.purl),
        scope=item.scope and named(item.scope),
        requirement=item.requirement and (REDACTED if own else named(item.requirement)),
    )


def secrets(findings: list[SecretFinding], paths: Paths) -> Iterator[Row]:
    """The rows of `secrets`, for each path of a blob; a finding holds no value, only its fingerprint."""
    by_blob: defaultdict[str, list[str]] = defaultdict(list)
    for unit, names in paths.items():
        by_blob[unit[0]] += names
    for finding in findings:
        for path in by_blob[finding.blob]:
            yield (path, finding.blob, finding.rule, finding.line, finding.confidence, finding.fingerprint)
