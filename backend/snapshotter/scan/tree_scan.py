"""One scan: from a tree and its blobs to tables, report and digest.

The only place where the scanners meet. It knows no origin and no store: blobs come from a function, and its
files lie in a private temporary folder until the caller has stored them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from snapshotter.archive.manifest import Gap, Licence, ScanSettings, Submodule
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.git.pack import PackObject
from snapshotter.scan import digest, report, table_rows
from snapshotter.scan.facts import Facts
from snapshotter.scan.gaps import scan_gaps
from snapshotter.scan.lines import Lines
from snapshotter.scan.listing import Listing
from snapshotter.scan.overview import read_overview
from snapshotter.scan.parquet import ScanTables
from snapshotter.scan.project_files import is_project_file
from snapshotter.scan.reading import Read, read_blobs
from snapshotter.scan.reading_plan import ReadingPlan, Unit, plan_reading
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.resources import ScanResources
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging
from snapshotter.scan.submodules import submodules
from snapshotter.scan.symbol_pass import SymbolPass, sources_of
from snapshotter.scan.symbols.languages import refine
from snapshotter.scan.symbols.resolve import SourceTree
from snapshotter.scan.tree_contents import TreeContents

REPORT: Final = "report.html"
DIGEST: Final = "digest.md"


@dataclass(frozen=True)
class ScanResult:
    """The result of a scan: files by artifact name, numbers of rows by table, licences, gaps and submodules."""

    files: dict[str, Path]
    rows: dict[str, int]
    licences: list[Licence]
    gaps: list[Gap]
    submodules: list[Submodule]


class TreeScan:
    """Scans one tree. A context manager: its files are removed when the block is left, however it is left."""

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
            self._tables = opening.enter_context(
                ScanTables(temp=self._staging.root, engines=self._resources.engines)
            )
            self._resources = opening.enter_context(self._resources.of_one_scan())
            self._stack = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def scan(
        self, listing: Listing, read: Read, run_facts: Facts, before: Mapping[str, Path] | None = None
    ) -> ScanResult:
        """Scan the tree that `listing` lists. `run_facts` holds what the run knows; the scan adds its own facts.

        `before` are the tables of the parent's scan, by name, made under the same settings by the same
        scanners: the rows of blobs that stand there are taken over, and the tables are the same as a full scan's.
        Raises Unavailable for tables that do not read, and what `read` raises; a scanner that fails is a gap.
        """
        self._weigh(paths=len(listing.entries))
        self._tables.expect(len(listing.entries))
        if before:
            self._tables.load_before(before)
        earlier, told = self._tables.before_files(), self._tables.told_before()
        plan = plan_reading(listing, earlier, self._settings, told)
        if any(file.is_read and file.kind == "file" for file in plan.files):
            self._resources.get_ready(self._settings.scanner_seconds)  # while the blobs are read
        contents = read_blobs(plan, self._weighed(read), self._settings, self._staging)
        if contents.late:
            self._failed.append(f"dependencies took over {self._settings.scanner_seconds:g} s")
        redaction = self._fill(plan, contents)
        if self._resources.fingerprint_key is None:
            self._tables.mark_secrets(run_facts.repo)
        gaps = scan_gaps(listing, plan, self._failed)
        self._observer.stage("writing the scan's tables, report and digest")
        folder = self._staging.root / "results"
        folder.mkdir()
        files = {f"scan/{path.name}": path for path in self._tables.write(folder).values()}
        known = [Licence(path=path, spdx=spdx) for path, spdx in sorted(contents.licences.items())]
        facts = replace(
            run_facts, gaps=[*run_facts.gaps, *gaps], licences=[(one.path, one.spdx) for one in known]
        )
        if not redaction.blind:
            facts = self._with_quotes(facts, contents)
        files |= self._write_pages(folder, facts)
        self._cancel.check()
        below = submodules(plan.files, contents.gitmodules, run_facts.origin, self._cancel)
        return ScanResult(files, self._tables.counts(), known, gaps, below)

    def _weighed(self, read: Read) -> Read:
        """The same blobs; a scan that becomes large by them waits for its turn as such a one."""

        def weighed(wanted: Set[str]) -> Iterator[PackObject]:
            for item in read(wanted):
                self._weigh(more=len(item.data))
                yield item

        return weighed

    def _weigh(self, *, more: int = 0, paths: int = 0) -> None:
        assert self._resources.turn is not None  # noqa: S101 - `of_one_scan` gave it
        self._resources.turn.weigh(self._cancel, more=more, paths=paths)

    def _write_pages(self, folder: Path, facts: Facts) -> dict[str, Path]:
        """Write report and digest into `folder`; their paths, by artifact name."""
        tables = self._tables.connection
        overview = read_overview(facts, tables)
        pages = {
            REPORT: report.render(facts, tables, overview),
            DIGEST: digest.render(facts, tables, overview),
        }
        for name, page in pages.items():
            (folder / name).write_bytes(page)
        return {name: folder / name for name in pages}

    def _with_quotes(self, facts: Facts, contents: TreeContents) -> Facts:
        """The facts, with the README and the texts of files in which no secret was found, by this scan or before."""
        leaky = {
            path
            for (path,) in self._tables.connection.execute("SELECT DISTINCT path FROM secrets").fetchall()
        }
        readme = contents.readme if contents.readme and contents.readme[0] not in leaky else None
        texts = {path: text for path, text in contents.texts.items() if path not in leaky}
        return replace(facts, readme=readme, texts=texts)

    def _fill(self, plan: ReadingPlan, contents: TreeContents) -> Redaction:
        """Run the scanners and put every row into the tables; returns what of the tree must not be quoted."""
        paths = table_rows.paths_by_unit(plan)
        self._observer.stage("scanning files, symbols and secrets")
        with ThreadPoolExecutor(1, thread_name_prefix="secrets") as pool:
            searching = pool.submit(self._secrets, contents)
            self._carry(plan)  # while kingfisher starts
            counted = self._lines(contents)
            tree = SourceTree(
                (file.path for file in plan.files if file.kind != "submodule"), contents.projects
            )
            errors = self._symbols(contents, counted, paths, searching, tree)
            findings = searching.result()
        redaction = Redaction(findings)
        # These quote the repository, so they wait for the findings; the rows of symbols do so by themselves.
        self._tables.add("files", table_rows.files(plan, contents, counted, errors, redaction))
        self._tables.add("dependencies", table_rows.dependencies(plan, contents, redaction))
        self._tables.add("secrets", table_rows.secrets(findings or [], paths))
        self._resolve_carried(plan, tree)
        return redaction

    def _carry(self, plan: ReadingPlan) -> None:
        """Take the rows of blobs that the parent's scan has read already."""
        self._tables.carry(
            (file.path, file.before["path"])
            for file in plan.files
            if file.before is not None and file.skip_reason is None
        )

    def _resolve_carried(self, plan: ReadingPlan, tree: SourceTree) -> None:
        """Find the files that carried imports mean, where the tree's paths or modules differ from the parent's: an old
        import may mean a new path."""
        moved = any(file.before is not None and file.before["path"] != file.path for file in plan.files)
        # One that was read may name a module or package anew, and so give imports elsewhere other meanings.
        module = any(file.is_read and is_project_file(file.path) for file in plan.files)
        if moved or module or self._tables.paths_changed():
            self._tables.resolve_carried(tree.resolve)

    def _lines(self, contents: TreeContents) -> dict[Unit, Lines]:
        """Language and lines of every staged unit; empty if the counter failed, which costs the symbols too."""
        if not contents.staged:
            return {}
        try:
            counted = self._resources.count_lines(
                self._staging, seconds=self._settings.scanner_seconds, cancel=self._cancel
            )
        except ScannerFailed as error:
            self._failed.append(f"{error.scanner} {error.reason}")
            return {}
        refined = {}
        for name, unit in contents.staged.items():
            if (one := counted.get(name)) is not None:
                language = refine(one.language, f"x.{unit[1]}") if one.language else one.language
                refined[unit] = one._replace(language=language)
        return refined

    def _secrets(self, contents: TreeContents) -> list[SecretFinding] | None:
        """The findings of the search for secrets; None if it failed, for then nobody knows what may be quoted."""
        if not contents.staged:
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
        contents: TreeContents,
        counted: Mapping[Unit, Lines],
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
        tree: SourceTree,
    ) -> dict[Unit, str]:
        """Analyse every staged unit of a language with a grammar; returns why some could not be analysed."""
        sources, errors = sources_of(contents.staged, counted)
        assert self._resources.kept is not None  # noqa: S101 - `of_one_scan` gave them
        symbol_pass = SymbolPass(
            self._staging, self._tables, self._resources.kept, tree.resolve, self._cancel
        )
        try:
            symbol_pass.run(sources, self._settings.scanner_seconds, paths, searching)
        except ScannerFailed as error:
            self._failed.append(f"{error.scanner} {error.reason}")
        else:
            if symbol_pass.late:
                self._failed.append(f"symbols ran for over {self._settings.scanner_seconds:g} s")
        return errors | symbol_pass.errors
