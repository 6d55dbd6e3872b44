"""The bench of scans: a host with a tree of sources, a store that lacks its scan, and what a user would run instead."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Self

import sources
from bench import SNAPSHOTTER, Bench, run, total
from githost import GitHost
from measure import Sample
from snapshotter.scan.runner import program

WITHOUT = (
    "import snapshotter.scan.tree_scan as it; it.TreeScan._symbols = lambda *_: {};"
    "from snapshotter.__main__ import main; main()"
)
CHANGED = 10  # files that a commit changes


class ScanBench(Bench):
    """A host with the tree, a store with a snapshot but no scan, and a warm cache of rules."""

    def __init__(self, work: Path, cache: Path, host: GitHost, rounds: int) -> None:
        super().__init__(work, cache, host, rounds)
        self.repository = self.root / "repo.git"
        self.rules = cache / "rules"
        self.bare = work / "bare"

    @classmethod
    def open(cls, work: Path, cache: Path, origin: Path | str | None, rounds: int) -> Self:
        """See Bench: the generated repository is one of sources. Scans once, which compiles the rules."""
        bench = super().open(work, cache, origin or sources.repository(cache / "sources.git"), rounds)
        os.environ["SNAPSHOTTER_RULE_CACHE"] = str(bench.rules)
        bench.snapshot(bench.bare, "--no-scan")
        bench.scan()
        return bench

    def snapshot(self, store: Path, *more: str) -> Sample:
        """`snapshotter snapshot` of the origin into a store."""
        return run([*SNAPSHOTTER, "snapshot", "-q", self.url, "--store", str(store), *more])

    def scan(self, *, symbols: bool = True) -> Sample:
        """`snapshotter scan` of the snapshot without one; its store stays in `scanned`."""
        store = self.fresh("scanned")
        shutil.copytree(self.bare, store)
        start = SNAPSHOTTER if symbols else [sys.executable, "-c", WITHOUT]
        done = run([*start, "scan", "-q", "--json", self.url, "--store", str(store)])
        gaps = [gap["kind"] for gap in json.loads(done.stdout)["gaps"] if gap["kind"].startswith("scan")]
        if gaps:
            raise SystemExit(f"the scan is not whole: {gaps}")
        return done

    def clone(self) -> tuple[Sample, Path]:
        """A clone at depth 1 and where it is."""
        path = self.fresh("clone")
        return run(["git", "clone", "-q", "--depth", "1", self.url, str(path)]), path

    def scc(self, folder: Path) -> Sample:
        """scc alone."""
        return run([str(program("scc")), "--by-file", "--format", "json", str(folder)])

    def kingfisher(self, folder: Path) -> Sample:
        """kingfisher alone; with findings it exits with 200."""
        quiet = ["--no-validate", "--no-update-check", "--quiet", "--format", "jsonl"]
        argv = [str(program("kingfisher")), "scan", "--git-history", "none", *quiet]
        script = '"$@"; code=$?; [ $code = 200 ] || exit $code'
        return run(["sh", "-c", script, "sh", *argv, "--rule-cache-dir", str(self.rules), str(folder)])

    def by_hand(self) -> Sample:
        """What a user would run instead."""
        cloned, path = self.clone()
        return total(cloned, self.scc(path), self.kingfisher(path))

    def report(self, name: str, value: float, **facts: object) -> None:
        """Record a figure that has no bar."""
        self.results[name] = {"value": round(value, 4), "bar": None, "met": True, **facts}
        sys.stderr.write(f"{name}: {value:.4g} {facts}\n")

    def change(self, seed: int) -> None:
        """One commit at the origin."""
        sources.change(self.repository, CHANGED, seed)
