"""`snapshotter query` over many repositories' newest snapshots in a folder store, whole processes.

    python benchmarks/query.py --repos 1000 --rows 300 --rounds 5

An aggregate on `files`: cold is without the cache's folder, warm with what the run before left there. (What the
operating system keeps of the store in memory is the same for both.) Prints one JSON document: medians beside bars.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import measure
from bench import environment
from measure import Sample, medians
from scanstore import ScanStore
from snapshotter.store.opening import open_store

SQL = "SELECT language, count(*), sum(code), sum(bytes) FROM files GROUP BY ALL ORDER BY ALL"
BARS = {"cold": 5.0, "warm": 1.0}  # seconds
START = datetime(2026, 11, 1, tzinfo=UTC)
FILES = """
    SELECT 'src/package' || (i % 23) || '/module_' || hash(i * {seed}) % 1000000 || '.py' AS path,
      NULL::VARCHAR AS path_bytes, '100644' AS mode, sha1((i * {seed})::VARCHAR) AS blob, 'file' AS kind,
      (hash(i + {seed}) % 40000)::BIGINT AS bytes, (['Python', 'Go', 'C', 'Rust', 'Java'])[1 + i % 5] AS language,
      (i * 3)::BIGINT AS lines, (i * 2)::BIGINT AS code, i::BIGINT AS comment, 0::BIGINT AS blank,
      (i % 90)::BIGINT AS complexity, false AS binary, false AS generated, false AS minified, false AS vendored,
      NULL::VARCHAR AS lfs_oid, NULL::BIGINT AS lfs_bytes, NULL::VARCHAR AS skip_reason,
      NULL::VARCHAR AS parse_error
    FROM range({rows}) AS t(i)
"""


def build(folder: Path, repos: int, rows: int) -> None:
    """A folder store of `repos` repositories, each with an older and a newest snapshot of `rows` files."""
    lake = ScanStore(open_store(f"file:{folder}"))
    for number in range(repos):
        repo = f"github.com__org{number // 10}__repo{number}"
        data = lake.parquet(FILES.format(seed=number + 1, rows=rows))
        when = START + timedelta(minutes=number)
        older = lake.add(repo, when, {"files": (data, rows)})
        lake.add(repo, when + timedelta(days=10), scan_of=older, kind="unchanged", reason="the same refs")


def ask(store: Path, cache: Path) -> Sample:
    """One whole `snapshotter query`."""
    argv = [sys.executable, "-m", "snapshotter", "query", "-q", "--json", "--store", str(store), SQL]
    return measure.run(argv, environment({"SNAPSHOTTER_CACHE": str(cache)}))


def main() -> None:
    """Build the store, ask with and without a cache, and print the report."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--repos", type=int, default=1000)
    arguments.add_argument("--rows", type=int, default=300, help="files of one repository")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="query-bench-") as work:
        store, cache = Path(work) / "store", Path(work) / "cache"
        build(store, options.repos, options.rows)
        cold: list[Sample] = []
        warm: list[Sample] = []
        for _ in range(options.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            cold.append(ask(store, cache))
            warm.append(ask(store, cache))
        rows = sum(row["count_star()"] for row in json.loads(warm[-1].stdout)["rows"])
        if rows != options.repos * options.rows:
            raise SystemExit(f"the answer counts {rows} files")
    report: dict[str, object] = {"repos": options.repos, "files": rows, "cpus": os.cpu_count()}
    for name, samples in (("cold", cold), ("warm", warm)):
        sample = medians(samples)
        report[name] = {
            "wall_s": round(sample.wall, 3),
            "cpu_s": round(sample.cpu, 3),
            "max_rss_mib": round(sample.max_rss_bytes / 2**20, 1),
            "bar_s": BARS[name],
            "met": sample.wall <= BARS[name],
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
