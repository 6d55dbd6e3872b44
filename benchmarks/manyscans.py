"""Snapshots with their scans of many origins by one process, some at a time: what a fleet's worker does.

python benchmarks/manyscans.py STORE AT_ONCE < URLS
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.capture import plan as plans
from snapshotter.capture.snapshot import take
from snapshotter.git.origin_parsing import parse
from snapshotter.scan.secret_search import SecretSearch
from snapshotter.scan.table_engine import TableEngines
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store


def main() -> None:
    """Take all of them; a scan that is not whole ends the run."""
    store, at_once, origins = open_store(sys.argv[1]), int(sys.argv[2]), sys.stdin.read().split()
    plan = plans.make(Settings(os.environ), plans.RequestedOptions(scan=True), {})
    scan = plan.options.scan
    assert scan is not None
    with SecretSearch(at_once, rule_cache=scan.resources.rules) as search, TableEngines() as engines:
        scan = replace(scan, resources=replace(scan.resources, search=search, engines=engines))
        shared = replace(plan, options=replace(plan.options, scan=scan))
        with plans.keeping_workers(shared) as kept, ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda url: _take(url, kept, store), origins))


def _take(url: str, plan: plans.Plan, store: Store) -> None:
    origin, cancel = parse(url), Cancel()
    transport = plan.connect(origin, cancel)
    try:
        taken = take(origin, transport, store, plan.options, observer=Observer(), cancel=cancel)
    finally:
        transport.close()
    scan = taken.manifest.scan
    if scan is None or any(gap.kind == "scanner-failed" for gap in scan.gaps):
        raise SystemExit(f"{url}: {taken.manifest.gaps} {scan and scan.gaps}")


if __name__ == "__main__":
    main()
