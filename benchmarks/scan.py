"""The claims of the scan, measured: whole processes against what a user would run instead.

    python benchmarks/scan.py --rounds 5
    python benchmarks/scan.py --origin /srv/git/project.git --only full,memory

The tree is that of sources.py, or of `--origin` (a path or URL, mirrored first), served by `git http-backend` on
loopback to both sides, in turn. Prints one JSON document: medians, ratios, the bars, and whether each was met.

What is timed. The scan alone is `snapshotter scan ORIGIN` on a store whose snapshot has none: one whole
process with its start, the listing of refs, the fetch at depth 1, the scan, its upload to a folder and its record.
Nothing is subtracted, so our side pays for more than the scan. What a scan adds to a snapshot cannot be seen that way:
it is the difference between `snapshot` and `snapshot --no-scan` of the same commits, run in turn. An increment's scan
is such a difference too, and is put in proportion to a full scan as one process. By hand is `git clone --depth 1`, `scc
--by-file` and `kingfisher --git-history none`, one after the other, the last two by the programs that the scan runs
itself, kingfisher with its rules compiled and without asking the network.

A scan without symbols and imports is no product: the step is taken out of the process before it starts (WITHOUT).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable

import smallscan
from bench import HERE, MIB, SNAPSHOTTER, figures, main
from fastimport import git
from measure import Sample, medians, paired
from processes import Watched
from scanbench import ScanBench

SUBSET = 5  # one file in so many is read for the comparison with ctags


def without(bench: ScanBench) -> None:
    """A full scan without symbols and imports, against by hand."""
    _against_hand(bench, "full_without_symbols", 1.2, symbols=False)


def full(bench: ScanBench) -> None:
    """A full scan, against by hand."""
    _against_hand(bench, "full", 3, symbols=True)


def _against_hand(bench: ScanBench, name: str, bar: float, *, symbols: bool) -> None:
    bench.by_hand(), bench.scan(symbols=symbols)  # warm
    ours, theirs = paired(lambda: bench.scan(symbols=symbols), bench.by_hand, bench.rounds)
    value, medians_of_both = figures(ours, theirs, "wall")
    cpu, spent = figures(ours, theirs, "cpu")
    bench.claim(f"{name}_wall", value, bar, {**medians_of_both, "cpu_ratio": round(cpu, 2), "cpu": spent})


def adds(bench: ScanBench) -> None:
    """What the default scan adds to a base and to an increment, and an increment's scan against a full one."""
    ours, theirs = paired(
        lambda: bench.snapshot(bench.fresh("with")),
        lambda: bench.snapshot(bench.fresh("plain"), "--no-scan"),
        bench.rounds,
    )
    base = _added(ours, theirs)
    whole = medians([bench.scan() for _ in range(bench.rounds)]).wall
    start = _start_up(bench)
    scans: list[Sample] = []
    plain: list[Sample] = []
    for seed in range(bench.rounds):
        bench.change(seed)
        scans.append(bench.snapshot(bench.work / "with"))
        plain.append(bench.snapshot(bench.work / "plain", "--no-scan"))
    increment = _added(scans, plain)
    bench.report("adds_to_base_s", base["adds"], **base)
    bench.report("adds_to_increment_s", increment["adds"], **increment)
    value = (increment["adds"] - start["start_up"]) / whole
    bench.claim("increment_scan_wall", value, 0.10, {"full_scan": round(whole, 3), **increment, **start})


def _added(scans: list[Sample], plain: list[Sample]) -> dict[str, float]:
    """The median of what a scan took beside the same snapshot without one, in seconds."""
    with_scan, without_scan = medians(scans).wall, medians(plain).wall
    return {
        "adds": round(with_scan - without_scan, 3),
        "with_scan": round(with_scan, 3),
        "no_scan": round(without_scan, 3),
    }


def _start_up(bench: ScanBench) -> dict[str, float]:
    """Seconds that the scanners take for one small file. They start together, so the slower one counts."""
    folder = bench.fresh("tiny")
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    pairs = [(bench.kingfisher(folder), bench.scc(folder)) for _ in range(bench.rounds)]
    walls = [medians(list(samples)).wall for samples in zip(*pairs, strict=True)]
    return {
        "start_up": max(walls),
        "start_up_kingfisher": round(walls[0], 3),
        "start_up_scc": round(walls[1], 3),
    }


def symbols(bench: ScanBench) -> None:
    """Symbols and imports against ctags, one core, on a part of the tree; see symbols.py."""
    _, path = bench.clone()
    files = sorted(each for each in path.rglob("*") if each.is_file() and ".git" not in each.parts)
    for index, each in enumerate(files):
        if index % SUBSET:
            each.unlink()
    argv = [sys.executable, str(HERE / "symbols.py"), str(path), "--runs", str(bench.rounds)]
    report = json.loads(subprocess.check_output(argv))
    bench.claim("symbols_ratio", report["total"]["ratio"], 0.12, report["total"], at_least=True)


def memory(bench: ScanBench) -> None:
    """The peak of the sum of all processes' PSS (shared pages count once), sampled every 20 ms.

    Files in memory are no process's, and are reported beside it: the staged tree lies on tmpfs where there is one.
    """
    peaks, files, largest = [], [], []
    for _ in range(bench.rounds):
        store = bench.fresh("scanned")
        shutil.copytree(bench.bare, store)
        watched = Watched()
        watched.run([*SNAPSHOTTER, "scan", "-q", bench.url, "--store", str(store)])
        peaks.append(watched.peak / MIB)
        files.append(watched.tmpfs / MIB)
        largest.append(watched.at_peak)
    at = sorted(range(len(peaks)), key=peaks.__getitem__)[len(peaks) // 2]
    bench.claim("memory_mib", peaks[at], 400, {"at_peak_mib": largest[at], "tmpfs_mib": round(files[at], 1)})


def tables(bench: ScanBench) -> None:
    """The tables' size against the tree's."""
    bench.scan()
    tables = {path.stem: path.stat().st_size for path in (bench.work / "scanned").rglob("scan/*.parquet")}
    listed = git(bench.repository, "ls-tree", "-r", "--long", "HEAD").splitlines()
    sizes = [int(size) for line in listed if (size := line.split()[3]).isdecimal()]
    facts = {f"{name}_kib": round(size / 1024) for name, size in tables.items()}
    value = sum(tables.values()) / sum(sizes)
    tree = round(sum(sizes) / 1e6, 1)
    bench.report("tables_part_of_tree", value, tree_mb=tree, files=len(sizes), **facts)


CLAIMS: dict[str, Callable[[ScanBench], None]] = {
    "tables": tables,
    "without": without,
    "full": full,
    "memory": memory,
    "symbols": symbols,
    "cold": smallscan.cold,
    "warm": smallscan.warm,
    "fleet": smallscan.fleet,
    "adds": adds,
}


if __name__ == "__main__":
    main(__doc__ or "", CLAIMS, ScanBench)
