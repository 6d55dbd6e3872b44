"""What a scan of a small tree costs: as a process of its own, and as one more origin of a job.

Most of that is start: the interpreter, DuckDB, the grammars' queries, the secret scanner's rules. A job keeps the
processes of the grammars from one origin to the next, and so pays for the queries once.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import sources
from bench import SNAPSHOTTER, run
from measure import Sample, medians, paired

if TYPE_CHECKING:
    from scanbench import ScanBench

TREE = sources.Scale(files=358, mean_bytes=1_200, commits=3)  # 366 files with the manifests, in 13 languages
FURTHER = 4  # origins of a job after the first


def cold(bench: ScanBench) -> None:
    """`snapshotter scan` of the small tree, one whole process; beside it its scanners, and ctags, on the same files."""
    (origin,) = _serve(bench, 1)
    plain = bench.fresh("small-plain")
    run([*SNAPSHOTTER, "snapshot", "-q", "--no-scan", origin, "--store", str(plain)])
    files = bench.fresh("small-files")
    run(["git", "clone", "-q", "--depth", "1", origin, str(files)])

    def ours() -> Sample:
        store = bench.fresh("small-scanned")
        shutil.copytree(plain, store)
        return run([*SNAPSHOTTER, "scan", "-q", origin, "--store", str(store)])

    ours(), bench.kingfisher(files)  # warm
    scans, searches = paired(ours, lambda: bench.kingfisher(files), bench.rounds)
    counts = medians([bench.scc(files) for _ in range(bench.rounds)])
    scan, search = medians(scans), medians(searches)
    facts = {"cpu": round(scan.cpu, 3), "of_scanners": round(scan.wall / max(search.wall, counts.wall), 2)}
    facts |= {"kingfisher": round(search.wall, 3), "scc": round(counts.wall, 3), **_ctags(bench, files)}
    bench.claim("small_cold_s", scan.wall, 1.0, facts)


def warm(bench: ScanBench) -> None:
    """What the scan of one more origin adds to a job: jobs of one and of several origins, with scans and without.

    Each origin has the same tree, under another URL. The floor is kingfisher alone, which each scan starts anew.
    """
    origins = _serve(bench, 1 + FURTHER)
    files = bench.fresh("small-files")
    run(["git", "clone", "-q", "--depth", "1", origins[0], str(files)])
    _job(bench, origins, scan=True)
    walls, cpus, floors = [], [], []
    for _ in range(bench.rounds):
        many, one = (_job(bench, some, scan=True) for some in (origins, origins[:1]))
        many_plain, one_plain = (_job(bench, some, scan=False) for some in (origins, origins[:1]))
        walls.append((many.wall - one.wall - many_plain.wall + one_plain.wall) / FURTHER)
        cpus.append((many.cpu - one.cpu - many_plain.cpu + one_plain.cpu) / FURTHER)
        floors.append(bench.kingfisher(files).wall)
    facts = {"cpu": round(median(cpus), 3), "kingfisher": round(median(floors), 3)}
    bench.claim("small_warm_s", median(walls), 0.4, facts)


def _serve(bench: ScanBench, count: int) -> list[str]:
    """URLs of the small tree, as so many repositories."""
    source = sources.repository(bench.cache / "small-sources.git", scale=TREE)
    names = [f"small-{index}.git" for index in range(count)]
    for name in names:
        if not (bench.root / name).exists():
            run(["git", "clone", "-q", "--mirror", "--local", str(source), str(bench.root / name)])
    return [bench.host.url(name) for name in names]


def _job(bench: ScanBench, origins: list[str], *, scan: bool) -> Sample:
    """`snapshotter job` with snapshots of the origins, into a new store."""
    document = bench.work / "job.json"
    store = str(bench.fresh("job-store"))
    document.write_text(json.dumps({"origins": origins, "store": store, "options": {"scan": scan}}))
    return run([*SNAPSHOTTER, "job", "-q", "--file", str(document)])


def _ctags(bench: ScanBench, files: Path) -> dict[str, float]:
    """The seconds that ctags takes for the same files, where it is installed."""
    if shutil.which("ctags") is None:
        return {}
    samples = [run(["ctags", "-R", "-f", "/dev/null", str(files)]) for _ in range(bench.rounds)]
    return {"ctags": round(medians(samples).wall, 3)}
