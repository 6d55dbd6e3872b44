"""What the claims stand on: a host on loopback, processes that are measured beside each other, and the report."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import measure
from fastimport import GIT_ENV
from generate import generate
from githost import GitHost
from measure import Sample, medians, ratio

MIB = 1024 * 1024
HERE = Path(__file__).resolve().parent
SNAPSHOTTER = [sys.executable, "-m", "snapshotter"]
# As much as a clone takes. Scans and LFS have claims of their own, in scan.py, lfs.py and distant.py.
TAKE = [*SNAPSHOTTER, "snapshot", "-q", "--no-scan", "--no-lfs"]


class Bench:
    """One run's folders, host and results."""

    def __init__(self, work: Path, cache: Path, host: GitHost, rounds: int) -> None:
        self.work, self.cache, self.rounds = work, cache, rounds
        self.root, self.host = host.root, host
        self.url = host.url("repo.git")
        self.results: dict[str, dict[str, Any]] = {}

    @classmethod
    def open(cls, work: Path, cache: Path, origin: Path | str | None, rounds: int) -> Self:
        """A host of the origin, or of the generated repository, in `work`. Whoever opens it closes the host."""
        root = work / "host"
        root.mkdir()
        # A copy by hard links: increments add commits to it, and the cached one stays as it was made.
        source = origin or generate(cache / "default.git")
        subprocess.run(
            ["git", "clone", "-q", "--mirror", "--local", str(source), str(root / "repo.git")],
            check=True,
            env=GIT_ENV,
        )
        return cls(work, cache, GitHost(root).open(), rounds)

    def fresh(self, name: str) -> Path:
        """A folder that does not exist yet."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def claim(
        self,
        name: str,
        value: float,
        bar: float,
        facts: Mapping[str, object] | None = None,
        *,
        at_least: bool = False,
    ) -> None:
        """Record a figure beside its bar, and `facts` beside both."""
        bar = round(bar, 4)  # a sum may have digits that nobody wrote
        met = value >= bar if at_least else value <= bar
        self.results[name] = {"value": round(value, 4), "bar": bar, "met": met, **(facts or {})}
        side = "at least" if at_least else "at most"
        sys.stderr.write(f"{name}: {value:.4g} ({side} {bar}) {'met' if met else 'NOT MET'} {facts or ''}\n")

    def not_here(self, tool: str) -> None:
        """Say that a figure has nothing of this tool's beside it."""
        sys.stderr.write(f"{tool} is not installed here: NOT measured beside\n")


def run(argv: list[str], cwd: Path | None = None, more: Mapping[str, str] | None = None) -> Sample:
    """A measured command that must succeed, with `more` variables in its environment."""
    return medians([measure.run(argv, environment(more), cwd)])


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a measured command finds: nothing of the user's git, and leave to keep compiled modules.

    A program that is installed has them; without, compiling its own source would be most of a small run.
    """
    env = GIT_ENV | dict(os.environ) | dict(more or {})
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def total(*samples: Sample) -> Sample:
    """Processes run one after the other, as one."""
    return replace(
        samples[-1],
        wall=sum(s.wall for s in samples),
        cpu=sum(s.cpu for s in samples),
        max_rss_bytes=max(s.max_rss_bytes for s in samples),
    )


def figures(ours: list[Sample], theirs: list[Sample], figure: str) -> tuple[float, dict[str, float]]:
    """The ratio of medians, and both medians."""
    a, b = getattr(medians(ours), figure), getattr(medians(theirs), figure)
    return ratio(ours, theirs, figure), {"ours": round(a, 3), "theirs": round(b, 3)}


AnyBench = TypeVar("AnyBench", bound=Bench)


def main(
    description: str, claims: Mapping[str, Callable[[AnyBench], None]], bench_of: type[AnyBench]
) -> None:
    """Measure the claims that the arguments choose and print them as JSON; exit 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument(
        "--origin", help="a repository, by path or URL, to measure instead of the generated one"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(claims), help="claims, separated by commas")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "snapshotter-benchmarks")
    given = parser.parse_args()
    given.cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="snapshotter-bench-") as work:
        bench = bench_of.open(Path(work), given.cache, given.origin, given.rounds)
        try:
            for name in given.only.split(","):
                claims[name](bench)
        finally:
            bench.host.close()
    machine = f"{os.cpu_count()} cores"
    print(json.dumps({"machine": machine, "rounds": given.rounds, "claims": bench.results}, indent=2))
    sys.exit(0 if all(claim["met"] for claim in bench.results.values()) else 1)
