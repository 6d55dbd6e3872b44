"""The claims of fleets, measured: whole runs against what a user would run over the same list instead.

Both sides ask the same loopback `git http-backend` in the same run, in turn. Prints one JSON document: medians, ratios,
the bars, and whether each was met.

    python benchmarks/fleet.py --rounds 3
    python benchmarks/fleet.py --only unchanged,growing

The simulation is fleet_sim.py's: 1,000 to 1,000,000 repositories, of which it takes minutes, once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
from bench import HERE, environment, figures, main, run, total
from fastimport import git
from fleet_sim import FLAT
from fleetbench import AT_ONCE, REPOS, FleetBench
from fleetscan import scans
from measure import Sample, medians, paired

GROWING = 200
FLAT_FROM = 10_000  # repositories: of fewer, starting is most


def unchanged(bench: FleetBench) -> None:
    """A fleet of which nothing changed, against `git ls-remote` of each, which keeps nothing."""
    names = bench.names(REPOS)
    inventory, store, listed = bench.inventory(names), bench.fresh("store"), bench.work / "list"
    listed.write_text("".join(f"{bench.host.url(name)}.git\n" for name in names))
    bench.fleet(inventory, store)
    asked = f"xargs -a {listed} -P {AT_ONCE} -n 1 git ls-remote -q >/dev/null"

    def ours(*more: str) -> Sample:
        return bench.fleet(inventory, store, *more)

    def theirs() -> Sample:
        return run(["sh", "-c", asked])

    ours(), theirs()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    value, walls = figures(a, b, "wall")
    ledger = [ours("--ledger-only") for _ in range(bench.rounds)]
    facts = {**walls, "cpu": figures(a, b, "cpu")[1], "ledger_only": round(medians(ledger).wall, 3)}
    bench.claim("unchanged_wall", value, 0.7, facts)


def growing(bench: FleetBench) -> None:
    """A fleet with one new commit each, against a kept mirror of each that is fetched into and bundled."""
    names = bench.names(GROWING)
    inventory = bench.inventory(names)
    store, mirrors = bench.fresh("store"), bench.fresh("mirrors")
    mirrors.mkdir()
    for name in names:
        run(["git", "clone", "-q", "--mirror", bench.host.url(f"{name}.git"), str(mirrors / name)])
    bench.fleet(inventory, store)
    folders, bundles = bench.work / "folders", bench.work / "bundles"
    folders.write_text("".join(f"{mirrors / name}\n" for name in names))

    def ours() -> Sample:
        bench.repos.commit(names)
        return bench.fleet(inventory, store)

    def theirs() -> Sample:
        bundles.write_text(
            "".join(_bundle(mirrors / name) for name in names)
        )  # their own time is not counted
        fetches = f"xargs -a {folders} -P {AT_ONCE} -I @ git -C @ fetch -q --prune"
        packs = f"xargs -a {bundles} -P {AT_ONCE} -L 1 git"
        return total(run(["sh", "-c", fetches]), run(["sh", "-c", packs]))

    ours(), theirs()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    value, walls = figures(a, b, "wall")
    bench.claim("growing_wall", value, 0.8, {**walls, "cpu": figures(a, b, "cpu")[1]})


def _bundle(mirror: Path) -> str:
    """The arguments that make an increment's bundle of what the mirror's next fetch brings."""
    old = sorted({*git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heads").split()})
    excluded = " ".join(f"^{oid}" for oid in old)
    return f"-C {mirror} bundle create -q {mirror}.bundle --all {excluded}\n"


def simulation(bench: FleetBench) -> None:
    """The fleet's own code for each repository in which nothing changed, at each size; its memory at the largest."""
    done = measure.run([sys.executable, str(HERE / "fleet_sim.py")], environment())  # 1: a bar was missed
    sizes = [json.loads(line) for line in done.stdout.splitlines()]
    if not sizes:
        raise SystemExit(f"the simulation gave no figure: {done.stderr}")
    cpu = {f"{each['repos']:,}": round(each["ms"], 3) for each in sizes}
    bench.claim("own_cpu_ms", max(each["ms"] for each in sizes), 2.0, cpu)
    flat = [each["ms"] for each in sizes if each["repos"] >= FLAT_FROM]
    bench.claim("own_cpu_grows_by", max(flat) / min(flat), FLAT)
    bench.claim("own_memory_mib", max(each["peak_mib"] for each in sizes), 1024)


def engines(bench: FleetBench) -> None:
    """The same new commits by two Dask workers, and by two processes of this machine."""
    names = bench.names(REPOS)
    inventory = bench.inventory(names)
    stores = {engine: bench.fresh(f"store-{engine}") for engine in ("local", "dask")}

    def taken(engine: str) -> Sample:
        return bench.fleet(inventory, stores[engine], "--engine", engine, "--jobs", "2")

    def both() -> tuple[Sample, Sample]:
        bench.repos.commit(names)
        return taken("dask"), taken("local")

    both()  # warm: the bases
    pairs = [both() for _ in range(bench.rounds)]
    value, walls = figures([a for a, _ in pairs], [b for _, b in pairs], "wall")
    bench.claim("dask_wall", value, 1.25, walls)


CLAIMS: dict[str, Callable[[FleetBench], Any]] = {
    "unchanged": unchanged,
    "growing": growing,
    "simulation": simulation,
    "engines": engines,
    "scans": scans,
}


if __name__ == "__main__":
    main(__doc__, CLAIMS, FleetBench)
