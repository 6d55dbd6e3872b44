"""What a scan of a small tree costs: as a process of its own, and as one more origin of a job.

Most of that is start: the interpreter, DuckDB, the grammars' queries, the secret scanner's rules. A job keeps the
processes of the grammars from one origin to the next, and so pays for the queries once.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import fastimport
import sources
from bench import HERE, SNAPSHOTTER, run
from generate import EPOCH
from measure import Sample, medians, paired

if TYPE_CHECKING:
    from scanbench import ScanBench

TREE = sources.Scale(files=358, mean_bytes=1_200, commits=3)  # 366 files with the manifests, in 13 languages
FURTHER = 4  # origins of a job after the first
SMALL = sources.Scale(files=6, mean_bytes=1_200, commits=0)  # 14 files with the manifests
FLEET = 200  # repositories of that size
AT_ONCE = 8  # of them that one process takes at a time


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
    """What the scan of one more origin adds to a job: jobs of one and of several origins, with scans and without; and
    to one that takes them one after the other.

    Each origin has the same tree, under another URL. Beside it kingfisher alone, which a job starts once for the
    origins that it takes at once, and otherwise for each.
    """
    origins = _serve(bench, 1 + FURTHER)
    files = bench.fresh("small-files")
    run(["git", "clone", "-q", "--depth", "1", origins[0], str(files)])
    _job(bench, origins, scan=True)
    at_once, in_turn, floors = [], [], []
    for _ in range(bench.rounds):
        at_once.append(_further(bench, origins, {}))
        in_turn.append(_further(bench, origins, {"SNAPSHOTTER_JOB_ORIGINS": "1"}))
        floors.append(bench.kingfisher(files))
    facts = {"cpu": median(cpu for _, cpu in at_once), "kingfisher": medians(floors).wall}
    facts |= {
        "in_turn": median(wall for wall, _ in in_turn),
        "in_turn_cpu": median(cpu for _, cpu in in_turn),
    }
    rounded = {name: round(value, 3) for name, value in facts.items()}
    bench.claim("small_warm_s", median(wall for wall, _ in at_once), 0.4, rounded)


def _further(bench: ScanBench, origins: list[str], more: dict[str, str]) -> tuple[float, float]:
    """Seconds and CPU seconds that the scan of each origin after the first adds to a job."""
    many, one = (_job(bench, some, scan=True, more=more) for some in (origins, origins[:1]))
    many_plain, one_plain = (_job(bench, some, scan=False, more=more) for some in (origins, origins[:1]))
    wall = (many.wall - one.wall - many_plain.wall + one_plain.wall) / FURTHER
    return wall, (many.cpu - one.cpu - many_plain.cpu + one_plain.cpu) / FURTHER


def fleet(bench: ScanBench) -> None:
    """CPU of a scan and snapshot in a fleet, above what the repository's own files cost: 200 small repositories taken
    by one process, less one repository that holds all their files, over their number."""
    names = [f"fleet-{index}.git" for index in range(FLEET)]
    made = [
        sources.repository(bench.cache / name, seed=index, scale=SMALL) for index, name in enumerate(names)
    ]
    made.append(fastimport.build(bench.cache / "fleet-all.git", _union(made), f"union 1 {FLEET} {SMALL}"))
    for repository in made:
        (bench.root / repository.name).symlink_to(repository)

    def taken(names: list[str]) -> Sample:
        urls = bench.work / "urls"
        urls.write_text("\n".join(bench.host.url(name) for name in names))
        argv = [sys.executable, str(HERE / "manyscans.py"), str(bench.fresh("fleet-store")), str(AT_ONCE)]
        return run(["sh", "-c", 'urls=$1; shift; exec "$@" < "$urls"', "sh", str(urls), *argv])

    all_of_them, as_one = paired(lambda: taken(names), lambda: taken(["fleet-all.git"]), bench.rounds)
    many, union = medians(all_of_them), medians(as_one)
    facts = {"cpu": round(many.cpu, 2), "union_cpu": round(union.cpu, 2), "wall": round(many.wall, 2)}
    bench.claim("fleet_cpu_of_a_scan_s", (many.cpu - union.cpu) / FLEET, 0.15, facts)


def _union(repositories: list[Path]) -> Iterator[bytes]:
    """The first commit of a repository with the files of all these, each in a folder."""
    yield fastimport.commit_head("refs/heads/main", EPOCH, "all", False)
    for repository in repositories:
        listed = fastimport.git(repository, "ls-tree", "-r", "--name-only", "-z", "HEAD").split("\0")
        for path in filter(None, listed):
            text = fastimport.text_of(repository, "HEAD", path)
            yield fastimport.inline_file(f"{repository.stem}/{path}", text.encode())


def _serve(bench: ScanBench, count: int) -> list[str]:
    """URLs of the small tree, as so many repositories."""
    source = sources.repository(bench.cache / "small-sources.git", scale=TREE)
    names = [f"small-{index}.git" for index in range(count)]
    for name in names:
        if not (bench.root / name).exists():
            run(["git", "clone", "-q", "--mirror", "--local", str(source), str(bench.root / name)])
    return [bench.host.url(name) for name in names]


def _job(
    bench: ScanBench, origins: list[str], *, scan: bool, more: Mapping[str, str] | None = None
) -> Sample:
    """`snapshotter job` with snapshots of the origins, into a new store."""
    document = bench.work / "job.json"
    store = str(bench.fresh("job-store"))
    document.write_text(json.dumps({"origins": origins, "store": store, "options": {"scan": scan}}))
    return run([*SNAPSHOTTER, "job", "-q", "--file", str(document)], more=more)


def _ctags(bench: ScanBench, files: Path) -> dict[str, float]:
    """The seconds that ctags takes for the same files, where it is installed."""
    if shutil.which("ctags") is None:
        bench.not_here("ctags")
        return {}
    samples = [run(["ctags", "-R", "-f", "/dev/null", str(files)]) for _ in range(bench.rounds)]
    return {"ctags": round(medians(samples).wall, 3)}
