"""Runs of a fleet as processes, over a host of many repositories: what they said, what they left, and their ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import FLEET
from snapshotter.git.origin_parsing import parse
from snapshotter.recover.restore import restore
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support.cli import Done, cli, cli_env, command
from tests.support.fleet_host import FleetHost
from tests.support.git import State, state_of
from tests.support.processes import children_of, command_line, descendants_of

ENGINES = ("local", "dask")
PATIENCE = {"SNAPSHOTTER_IDLE_TIMEOUT": "4s"}  # with a host that never answers


@dataclass
class Fleet:
    """An inventory of a host's repositories and a store, in one folder."""

    host: FleetHost
    folder: Path
    engine: str = "local"
    more: str = ""  # tables of the inventory, beside the host's
    names: Iterable[str] | None = None  # of the host's repositories; None for all
    env: dict[str, str] = field(default_factory=lambda: dict(PATIENCE))

    @cached_property
    def inventory(self) -> Path:
        """The inventory, written once."""
        return self.host.inventory(self.folder / "fleet.toml", self.names, self.more)

    @property
    def root(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    @property
    def said(self) -> str:
        """What the runs that were started said on stderr."""
        return (self.folder / "stderr").read_text()

    @property
    def store(self) -> Store:
        """The store."""
        return open_store(f"file:{self.root}")

    def arguments(self, *flags: str) -> list[str]:
        """What `snapshotter` is run with."""
        return [
            "fleet",
            "run",
            str(self.inventory),
            "--store",
            str(self.root),
            "--engine",
            self.engine,
            *flags,
        ]

    def run(self, *flags: str) -> Done:
        """A whole run, with its document on stdout."""
        return cli(*self.arguments(*flags), "--json", timeout=300, **self.env)

    @contextmanager
    def running(self, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
        """A run that is gone at the end, with all its processes, whatever happens."""
        with (self.folder / "stderr").open("ab") as said:
            process = subprocess.Popen(
                command(*self.arguments(*flags)),
                env=cli_env(**self.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            try:
                yield process
            finally:
                below = descendants_of(process.pid)
                process.kill()
                process.wait()
                for pid in below:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    def runs(self) -> list[str]:
        """The fleet's runs in the store, the oldest first, whether they ended or not."""
        return sorted({path.parent.name for path in (self.root / FLEET).glob("*/*/*/*/started.*.json")})

    def summary(self, run_id: str = "") -> dict[str, Any]:
        """The summary of a run, by default of the newest."""
        (path,) = (self.root / FLEET).glob(f"*/*/*/{run_id or self.runs()[-1]}/summary.json")
        summary: dict[str, Any] = json.loads(path.read_text())
        return summary

    def results(self, run_id: str = "") -> dict[str, dict[str, Any]]:
        """The rows of a run's results by the repository's name at the host (else its origin)."""
        pattern = self.root / FLEET / "*/*/*" / (run_id or self.runs()[-1]) / "results*.parquet"
        with duckdb.connect() as connection:
            table = connection.execute(f"FROM read_parquet('{pattern}')")
            columns = [column[0] for column in table.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in table.fetchall()]
        return {self.host.name_of(row["origin"]): row for row in rows}

    def verdicts(self, run_id: str = "") -> dict[str, str]:
        """The verdict of a run on each repository."""
        return {name: row["verdict"] for name, row in self.results(run_id).items()}

    def snapshots(self) -> dict[str, list[str]]:
        """The run ids of the snapshots of each of the host's repositories, the oldest first."""
        found = defaultdict(list)
        for path in self.root.glob(f"*/*/*/*/*/{layout.MANIFEST}"):
            found[path.parts[-6]].append(path.parts[-2])
        repos = {name: parse(self.host.repo_url(name)).repo for name in self.host.names}
        return {name: sorted(found[repo]) for name, repo in repos.items() if repo in found}

    @property
    def catalog(self) -> Catalog:
        """The store's catalog."""
        return Catalog(self.store)

    def has_ended(self, run_id: str) -> bool:
        """Whether a run has its summary."""
        return any((self.root / FLEET).glob(f"*/*/*/{run_id}/summary.json"))

    def restored(self, name: str, destination: Path) -> State:
        """The state that the newest snapshot of a repository restores to."""
        newest = self.catalog.latest(parse(self.host.repo_url(name)).repo)
        assert newest is not None
        restore(self.catalog, newest, destination, mode="bare")
        return state_of(destination)

    def assert_verified(self) -> None:
        """Every snapshot in the store proves to be whole."""
        done = cli("verify", "--all", "--store", self.root, timeout=300)
        assert done.code == 0, done.out + done.err


def workers_of(pid: int) -> list[int]:
    """The processes of a run that take its snapshots, each forked from one that had loaded what they need."""
    return [worker for nursery in nurseries_of(pid) for worker in children_of(nursery)]


def nurseries_of(pid: int) -> list[int]:
    """The processes of a run, one at most while none was killed, that its workers are forked from."""
    said = {child: command_line(child) for child in children_of(pid)}
    return [child for child, words in said.items() if b"spawn_main" in words or b"forkserver" in words]
