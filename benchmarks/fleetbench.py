"""The bench of fleets: a host of many small repositories, and whole runs over inventories of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from bench import SNAPSHOTTER, Bench, run
from githost import GitHost
from manyrepos import ManyRepos
from measure import Sample

REPOS = 500
AT_ONCE = 8  # connections to the host: as many as the other side has processes


class FleetBench(Bench):
    """A host of many small repositories, and inventories of them."""

    repos: ManyRepos

    @classmethod
    def open(cls, work: Path, cache: Path, origin: Path | str | None, rounds: int) -> Self:
        """See Bench: there is no repository but the many."""
        if origin:
            raise SystemExit("fleets are measured over repositories made for it: leave --origin out")
        repos = ManyRepos(work / "host")
        repos.add([f"repo-{number}" for number in range(REPOS)])
        bench = cls(work, cache, GitHost(repos.root).open(), rounds)
        bench.repos = repos
        return bench

    def names(self, count: int) -> list[str]:
        """So many of the repositories."""
        return [f"repo-{number}" for number in range(count)]

    def inventory(self, names: Iterable[str]) -> Path:
        """An inventory of the repositories of these names."""
        path = self.work / "fleet.toml"
        path.write_text("".join(f'[[repo]]\norigin = "{self.host.url(name)}.git"\n' for name in names))
        return path

    def fleet(self, inventory: Path, store: Path, *more: str, scan: bool = False) -> Sample:
        """`snapshotter fleet run`, in which all must succeed."""
        argv = ["fleet", "run", "-q", str(inventory), "--store", str(store), *more]
        return run(
            [*SNAPSHOTTER, *argv, "--host-connections", str(AT_ONCE)],
            more={"SNAPSHOTTER_SCAN": "1" if scan else "0"},
        )
