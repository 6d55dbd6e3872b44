"""What a scan costs in a fleet of small repositories, above what their files cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import sources
from bench import SNAPSHOTTER, run
from fastimport import git
from fleetbench import FleetBench
from measure import Sample

REPOS = 200
TREE = sources.Scale(files=24, mean_bytes=1_200, commits=0)  # 32 files with the manifests


def scans(bench: FleetBench) -> None:
    """CPU of a fleet's first run with scans, for each repository: above the same run without, and above what one
    scan takes that has the files of all of them in one tree."""
    made = [_repository(bench, f"scanned-{number}", number) for number in range(REPOS)]
    together = _together(bench.root / "together.git", made)
    warm = bench.inventory([made[0].stem])
    bench.fleet(warm, bench.fresh("scan-store"), scan=True)  # compiles the secret scanner's rules
    inventory = bench.inventory(path.stem for path in made)
    above, floors = [], []

    def taken(*, scan: bool) -> Sample:
        return bench.fleet(inventory, bench.fresh("scan-store"), scan=scan)

    for _ in range(bench.rounds):
        fleet = taken(scan=True).cpu - taken(scan=False).cpu
        files = _snapshot(bench, together, "1").cpu - _snapshot(bench, together, "0").cpu
        above.append((fleet - files) / REPOS)
        floors.append(files / REPOS)
    facts = {"of_its_files": round(median(floors), 4), "repositories": REPOS}
    bench.claim("scan_cpu_s", median(above), 0.15, facts)


def _repository(bench: FleetBench, name: str, seed: int) -> Path:
    """A small tree of sources, kept from one run to the next; the host has a copy."""
    kept = bench.cache / "fleet-sources"
    kept.mkdir(exist_ok=True)
    path = sources.repository(kept / f"{name}.git", seed + 1, TREE)
    run(["git", "clone", "-q", "--mirror", "--local", str(path), str(bench.root / path.name)])
    return bench.root / path.name


def _together(path: Path, parts: Sequence[Path]) -> str:
    """The name of a repository with one commit, whose tree has a folder for each part's tree."""
    git(path.parent, "init", "--quiet", "--bare", "--initial-branch=main", path.name)
    (path / "objects/info/alternates").write_text("".join(f"{part}/objects\n" for part in parts))
    trees = [git(part, "rev-parse", "HEAD^{tree}").strip() for part in parts]
    lines = "".join(f"040000 tree {tree}\t{part.stem}\n" for tree, part in zip(trees, parts, strict=True))
    tree = git(path, "mktree", given=lines).strip()
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    git(path, "update-ref", "refs/heads/main", git(path, *author, "commit-tree", "-m", "all", tree).strip())
    return path.name


def _snapshot(bench: FleetBench, name: str, scan: str) -> Sample:
    argv = ["snapshot", "-q", bench.host.url(name), "--store", str(bench.fresh("together"))]
    return run([*SNAPSHOTTER, *argv], more={"SNAPSHOTTER_SCAN": scan})
