"""What the fleet's own code costs for each repository in which nothing changed, and how much memory a run takes.

Synthetic repositories, 1,000 to 1,000,000, go through a whole run: they are listed by a source, planned, looked up in
the last result, ordered by host, sent in batches, recorded, kept in checkpoints and written as results. What is not
there is git, the network and S3: a batch crosses to its worker and back as to another process, and each outcome is what
the last row says.

    uv run python benchmarks/fleet_sim.py                      # 1,000, 10,000, 100,000 and 1,000,000
    uv run python benchmarks/fleet_sim.py --sizes 1000,10000
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from msgspec import structs

from measure import run as measured
from snapshotter.archive.layout import RunId
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.fleet.dispatch import Desk, Terms
from snapshotter.fleet.engine import Work
from snapshotter.fleet.fleet_run import Fleet, RunWish
from snapshotter.fleet.hosts import HostLimits
from snapshotter.fleet.inventory import GitHubTable, Inventory
from snapshotter.fleet.last_result import ResultReader
from snapshotter.fleet.outcome import Batch, BatchResult, LedgerRow, RepoOutcome, Task
from snapshotter.fleet.plan import FleetPlan, make
from snapshotter.fleet.recording import StoreRecorder, workspace
from snapshotter.fleet.sources.listed import Listed
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
BAR_MS: Final = 2.0  # of CPU for each repository
BAR_BYTES: Final = 1 << 30  # of memory, at the largest size
FLAT: Final = 1.5  # the largest may cost so much more for each repository than 10,000
_SLOTS: Final = 8
_SEGMENT: Final = 16 * 1024 * 1024
_NOW: Final = datetime(2026, 11, 27, 2, 17, tzinfo=UTC)


class Synthetic:
    """A source: so many repositories at a host, a few hundred to an owner."""

    def __init__(self, host: str, count: int) -> None:
        self._host, self._count = host, count

    def listed(self) -> Iterator[Listed]:
        """See RepoSource."""
        for number in range(self._count):
            path = f"owner-{number // 300}/repository-{number}"
            size = (number * 7919) % 50_000_000
            yield Listed(str(number), path, path, f"https://{self._host}/{path}", bytes=size)

    def found(self, id: str) -> Listed | None:  # noqa: A002 - as in RepoSource
        """See RepoSource."""
        return None


class Crossing:
    """An engine in this process: what goes to a worker and comes back is pickled, as between processes.

    `worked` is the CPU of the work itself, in seconds.
    """

    slots = _SLOTS

    def __init__(self) -> None:
        self.worked = 0.0

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """See FleetEngine."""
        sent: Batch = pickle.loads(pickle.dumps(batch))
        began = time.thread_time()
        result = work(sent)
        self.worked += time.thread_time() - began
        future: Future[BatchResult] = Future()
        future.set_result(pickle.loads(pickle.dumps(result)))
        return future

    def shutdown(self, *, kill: bool = False) -> None:
        """See FleetEngine."""


def work(batch: Batch) -> BatchResult:
    """Every repository is as the last row has it, or is new."""
    outcomes = [_outcome(task) for task in batch.tasks]
    return BatchResult(number=batch.number, outcomes=outcomes, requests=2 * len(outcomes), since_last=0.0)


def _outcome(task: Task) -> RepoOutcome:
    now = datetime.now(UTC)
    row = task.last or _first(task)
    changed = "unchanged" if task.last else "new"
    row = structs.replace(row, verdict=changed, good_at=now, seconds=0.2, run=row.run)
    return RepoOutcome(
        origin=task.origin,
        repo=task.repo,
        verdict=row.verdict,
        ledger=row,
        finished_at=now,
        source=task.source,
        path=task.path,
        id=task.id,
        run=row.run,
        wrote=True,
        kind="unchanged" if task.last else "base",
        refs=row.refs,
        base_at=row.base_at,
        chain=1,
        seconds=0.2,
        requests=2,
        attempts=task.attempt,
    )


def _first(task: Task) -> LedgerRow:
    """The row of a first snapshot, with a manifest of a usual size and digests of its own."""
    run = RunId.new(_NOW).text
    digests = [hashlib.sha256(f"{task.repo} {number}".encode()).hexdigest() for number in range(8)]
    manifest = json.dumps(
        {
            "artifacts": [
                {
                    "bytes": 1_000 + number,
                    "key": f"{task.repo}/2026/11/27/{run}/part-{number}",
                    "sha256": digest,
                }
                for number, digest in enumerate(digests)
            ],
            "filters": {"exclude": ["refs/pull/*/merge", "refs/merge-requests/*/merge"], "include": []},
            "limits": {"max_refs": 2_000_000, "idle_seconds": 90, "segment_bytes": _SEGMENT},
            "origin": task.origin,
            "repo": task.repo,
            "run_id": run,
            "self_sha256": digests[0],
        },
        sort_keys=True,
    ).encode()
    return LedgerRow(
        repo=task.repo,
        run=run,
        refs=digests[1],
        manifest=manifest,
        base_at=_NOW,
        chain=1,
        bytes=task.weight,
        good_run=run,
        good_at=_NOW,
        verdict="new",
    )


def simulated(count: int, hosts: int, root: Path) -> dict[str, float]:
    """Two runs over so many repositories: all are new, then none has changed. The figures are the second's."""
    store = open_store(f"file:{root / 'store'}")
    first = one_run(count, hosts, store, root, _NOW)
    second = one_run(count, hosts, store, root, _NOW + timedelta(days=1))
    written = sum(each.bytes for each in store.list("_fleet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "repos": count,
        "hosts": hosts,
        "ms": round(second["own"] * 1000 / count, 4),
        "work_ms": round(second["work"] * 1000 / count, 4),
        "plan_ms": round(second["plan"] * 1000 / count, 4),
        "load_ms": round(second["load"] * 1000 / count, 4),
        "run_ms": round(second["run"] * 1000 / count, 4),
        "end_ms": round(second["end"] * 1000 / count, 4),
        "first_ms": round(first["own"] * 1000 / count, 4),
        "wall": round(second["wall"], 1),
        "bytes_a_row": round(written / (2 * count), 1),
        "peak_mib": round(peak / 2**20, 1),
    }


def one_run(count: int, hosts: int, store: Store, root: Path, now: datetime) -> dict[str, float]:
    """One run, from its sources to its summary; CPU seconds by part."""
    wall, marks = time.monotonic(), [time.process_time()]

    def mark() -> None:
        marks.append(time.process_time())

    planned = plan(count, hosts)
    mark()
    cancel, engine = Cancel(), Crossing()
    with workspace(root, _SEGMENT, cancel) as rows:
        reader = ResultReader(store, rows.tables, Observer(), cancel)
        recorder = StoreRecorder(store, planned.name, RunId.new(now), rows, cancel=cancel)
        last = reader.load(planned.name, rows.last, now)
        recorder.begin()
        mark()
        wish = RunWish(HostLimits(_SLOTS), Terms({}, work=work))
        summary = Fleet(planned, wish, Desk(engine, last, recorder, cancel=cancel)).run()
        mark()
        recorder.end(summary)
        mark()
    if summary.verdicts not in ({"new": count}, {"unchanged": count}):
        raise SystemExit(f"not every repository has its verdict: {summary.verdicts}")
    spent = [end - start for start, end in pairwise(marks)]
    parts = dict(zip(("plan", "load", "run", "end"), spent, strict=True))
    parts["run"] -= engine.worked
    own = sum(parts.values())
    return {**parts, "own": own, "work": engine.worked, "wall": time.monotonic() - wall}


def plan(count: int, hosts: int) -> FleetPlan:
    """The plan of an inventory whose sources list so many repositories, at so many hosts."""
    names = [f"git-{number}.example.org" for number in range(hosts)]
    tables = [GitHubTable(organisation="all", url=f"https://{name}") for name in names]
    share, more = divmod(count, hosts)
    sources = [
        (table, Synthetic(name, share + (number < more)))
        for number, (table, name) in enumerate(zip(tables, names, strict=True))
    ]
    return make(Inventory("simulation", [], tables, None), sources, Observer())


def main() -> int:
    """Each size in a process of its own, so that its memory is its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        with tempfile.TemporaryDirectory(prefix="fleet-sim-") as folder:
            print(json.dumps(simulated(given.one, given.hosts, Path(folder))))
        return 0
    found = []
    for size in map(int, given.sizes.split(",")):
        done = measured([sys.executable, __file__, "--one", str(size), "--hosts", str(given.hosts)])
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        found.append(json.loads(done.stdout))
        print(json.dumps(found[-1]), flush=True)
    return 0 if holds(found) else 1


def holds(found: list[dict[str, float]]) -> bool:
    """Whether the figures keep to the bars: each alone, and from 10,000 on about the same."""
    flat = [each["ms"] for each in found if each["repos"] >= 10_000]
    alone = all(each["ms"] <= BAR_MS and each["peak_mib"] * 2**20 <= BAR_BYTES for each in found)
    return alone and (not flat or max(flat) <= FLAT * min(flat))


if __name__ == "__main__":
    raise SystemExit(main())
