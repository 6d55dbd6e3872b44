"""One scan: from a tree and its blobs to tables, report and digest.

The only place where the scanners meet. It knows no origin and no store: blobs come from a function, and what
it made lies in a private temporary folder until the caller has stored it.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from snapshotter.archive.manifest import Gap, Licence, ScanSettings
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.scan import digest, report, table_rows
from snapshotter.scan.facts import Facts
from snapshotter.scan.lines import Lines
from snapshotter.scan.listing import Listing
from snapshotter.scan.overview import overview
from snapshotter.scan.parquet import Tables
from snapshotter.scan.reading import GO_MOD, Read, TreeContents, read_blobs
from snapshotter.scan.reading_plan import ReadingPlan, Unit, plan_reading
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.resources import ScanResources
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.scanners import FAILED
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging
from snapshotter.scan.symbol_pass import SourceFile, SymbolPass
from snapshotter.scan.symbols import LANGUAGES, SourceTree, refine

REPORT: Final = "report.html"
DIGEST: Final = "digest.md"
_SAMPLE: Final = 5  # of what a gap counts


@dataclass(frozen=True)
class ScanResult:
    """What a scan made: files by artifact name, rows by table, and what the tables do not hold."""

    files: dict[str, Path]
    rows: dict[str, int]
    licences: list[Licence]
    gaps: list[Gap]


class TreeScan:
    """Scans one tree. A context manager: what it made is gone at its end, and at every other exit."""

    def __init__(
        self,
        settings: ScanSettings,
        resources: ScanResources,
        observer: Observer | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self._settings, self._resources = settings, resources
        self._observer, self._cancel = observer or Observer(), cancel or Cancel()
        self._stack = ExitStack()
        self._failed: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._staging = opening.enter_context(
                Staging(
                    self._settings.max_total_bytes, folder=self._resources.temp, tmpfs=self._resources.tmpfs
                )
            )
            self._tables = opening.enter_context(Tables(temp=self._staging.root))
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def scan(
        self, listing: Listing, read: Read, about: Facts, before: Mapping[str, Path] | None = None
    ) -> ScanResult:
        """Scan the tree that `listing` lists. `about` holds the facts of the run; the scan adds its own.

        `before` are the tables of the parent's scan, by name, made under the same settings by the same
        scanners: rows of blobs seen there are taken over, and the tables are the same as a full scan's.
        Raises Unavailable for tables that do not read, and what `read` raises; a scanner that fails is a gap.
        """
        if before:
            self._tables.load_before(before)
        earlier = self._tables.before_files()
        chosen = plan_reading(listing, earlier, self._settings)
        found = read_blobs(chosen, read, self._settings, self._staging)
        if found.late:
            self._failed.append(f"dependencies took over {self._settings.scanner_seconds:g} s")
        hidden = self._fill(chosen, found)
        gaps = self._gaps(listing, chosen)
        self._observer.stage("writing the scan's tables, report and digest")
        folder = self._staging.root / "made"
        folder.mkdir()
        files = {f"scan/{path.name}": path for path in self._tables.write(folder).values()}
        known = [Licence(path=path, spdx=spdx) for path, spdx in sorted(found.licences.items())]
        told = replace(
            about,
            gaps=[*about.gaps, *gaps],
            licences=[(one.path, one.spdx) for one in known],
            **({} if hidden.blind else self._quotable(found)),
        )
        tables = self._tables.connection
        seen = overview(told, tables)
        for name, page in (
            (REPORT, report.render(told, tables, seen)),
            (DIGEST, digest.render(told, tables, seen)),
        ):
            files[name] = folder / name
            files[name].write_bytes(page)
        self._cancel.check()
        return ScanResult(files, self._tables.counts(), known, gaps)

    def _quotable(self, found: TreeContents) -> dict[str, Any]:
        """The README and the texts that hold no secret, by all that this scan and those before it found."""
        leaky = {
            path
            for (path,) in self._tables.connection.execute("SELECT DISTINCT path FROM secrets").fetchall()
        }
        readme = found.readme if found.readme and found.readme[0] not in leaky else None
        return {
            "readme": readme,
            "texts": {path: text for path, text in found.texts.items() if path not in leaky},
        }

    def _fill(self, chosen: ReadingPlan, found: TreeContents) -> Redaction:
        """Run the scanners and put every row into the tables; returns what must not be quoted."""
        paths = table_rows.paths_by_unit(chosen)
        self._observer.stage("scanning files, symbols and secrets")
        with ThreadPoolExecutor(1, thread_name_prefix="secrets") as pool:
            searching = pool.submit(self._secrets, found)
            self._carry(chosen)  # while the scanners start
            counted = self._lines(found)
            errors = self._symbols(found, counted, paths, searching)
            findings = searching.result()
        hidden = Redaction(findings)
        self._tables.add("files", table_rows.files(chosen, found, counted, errors, hidden))
        self._tables.add("dependencies", table_rows.dependencies(chosen, found, hidden))
        self._tables.add("secrets", table_rows.secrets(findings or [], paths))
        self._resolve(chosen, found)
        return hidden

    def _carry(self, chosen: ReadingPlan) -> None:
        self._tables.carry(
            (file.path, file.before["path"])
            for file in chosen.files
            if file.before is not None and file.skip_reason is None
        )

    def _resolve(self, chosen: ReadingPlan, found: TreeContents) -> None:
        """Tell what imports mean. Of all of them where the tree's paths or modules are others: a new path may be
        what an old import means."""
        read = [file.path for file in chosen.files if file.is_read]
        moved = any(file.before is not None and file.before["path"] != file.path for file in chosen.files)
        module = any(path.rpartition("/")[2] == GO_MOD for path in read)
        anew = moved or module or self._tables.paths_changed()
        if anew or read:
            tree = SourceTree(
                (file.path for file in chosen.files if file.kind != "submodule"), found.go_modules
            )
            self._tables.resolve(tree.resolve, carried=anew)

    def _lines(self, found: TreeContents) -> dict[Unit, Lines]:
        if not found.staged:
            return {}
        try:
            counted = self._resources.count_lines(
                self._staging, seconds=self._settings.scanner_seconds, cancel=self._cancel
            )
        except ScannerFailed as error:
            self._failed.append(f"{error.scanner} {error.reason}")
            return {}
        refined = {}
        for name, unit in found.staged.items():
            if (one := counted.get(name)) is not None:
                language = refine(one.language, f"x.{unit[1]}") if one.language else one.language
                refined[unit] = one._replace(language=language)
        return refined

    def _secrets(self, found: TreeContents) -> list[SecretFinding] | None:
        """What kingfisher finds; None if it failed."""
        if not found.staged:
            return []
        try:
            return self._resources.find_secrets(
                self._staging,
                key=self._resources.fingerprint_key,
                rule_cache=self._resources.rules,
                seconds=self._settings.scanner_seconds,
                cancel=self._cancel,
            )
        except ScannerFailed as error:
            self._failed.append(f"{error.scanner} {error.reason}")
            return None

    def _symbols(
        self,
        found: TreeContents,
        counted: Mapping[Unit, Lines],
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
    ) -> dict[Unit, str]:
        """Analyse every staged unit of a language with a grammar; returns what could not be analysed, and why."""
        errors: dict[Unit, str] = {}
        jobs: list[SourceFile] = []
        for name, unit in sorted(found.staged.items()):
            one = counted.get(unit)
            if one is None or one.binary or one.language not in LANGUAGES:
                continue
            if one.minified:
                errors[unit] = "minified: its names mean nothing"
            else:
                jobs.append(SourceFile(name, unit, one.language))
        if jobs:
            try:
                work = SymbolPass(self._staging, self._tables, self._resources.workers, self._cancel)
                late = work.run(jobs, self._settings.scanner_seconds, paths, errors, searching)
                if late:
                    self._failed.append(f"symbols ran for over {self._settings.scanner_seconds:g} s")
            except ScannerFailed as error:
                self._failed.append(f"{error.scanner} {error.reason}")
        return errors

    def _gaps(self, listing: Listing, chosen: ReadingPlan) -> list[Gap]:
        """What the scan knows that it lacks."""
        skipped = [file for file in chosen.files if file.skip_reason]
        found = [
            Gap(kind=FAILED, count=len(self._failed), sample=self._failed[:_SAMPLE]),
            _gap("submodules", [file.path for file in chosen.files if file.kind == "submodule"]),
            _gap("lfs", [file.path for file in chosen.files if file.kind == "lfs"]),
            _gap("files-skipped", [f"{file.path}: {file.skip_reason}" for file in skipped]),
            _gap("odd-paths", chosen.odd),
        ]
        if listing.cut:
            found.append(Gap(kind="tree-cut", count=1, sample=[f"more than {len(listing.entries):,} paths"]))
        return [gap for gap in found if gap.count]


def _gap(kind: str, names: list[str]) -> Gap:
    return Gap(kind=kind, count=len(names), sample=names[:_SAMPLE])
