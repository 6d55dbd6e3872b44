"""The claims of capture, measured: whole processes against what a user would run instead.

Both sides fetch from the same loopback `git http-backend` in the same run, in turn. Prints one
JSON document: medians, ratios, the bars, and whether each was met.

    python benchmarks/capture.py --rounds 5
    python benchmarks/capture.py --origin /srv/git/project.git --only base,increment
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import HERE, MIB, SNAPSHOTTER, TAKE, Bench, environment, figures, main, run, total
from distant import distant, start
from fastimport import git
from floors import recover, wire
from generate import generate, grow
from githost import GitHost
from measure import Sample, disk_written, medians, paired
from upload import rates

SEGMENT = 16 * MIB
UPLOADS = 2


def base(bench: Bench) -> None:
    """A base to a folder, against `git clone --mirror` and `git bundle create --all`."""

    def ours() -> Sample:
        return run([*TAKE, bench.url, "--store", str(bench.fresh("store"))])

    def theirs() -> Sample:
        mirror = bench.fresh("mirror.git")
        cloned = run(["git", "clone", "-q", "--mirror", bench.url, str(mirror)])
        return total(
            cloned,
            run(["git", "bundle", "create", "-q", str(bench.work / "all.bundle"), "--all"], cwd=mirror),
        )

    ours(), theirs()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    size = sum(path.stat().st_size for path in (bench.work / "store").rglob("*.bundle*"))
    objects = git(bench.root / "repo.git", "rev-list", "--all", "--objects", "--count").strip()
    for field, bar in (("wall", 0.12), ("cpu", 0.03)):
        value, medians_of_both = figures(a, b, field)
        bench.claim(
            f"base_{field}",
            value,
            bar,
            {**medians_of_both, "bundle_mib": round(size / MIB, 1), "objects": int(objects)},
        )


def memory(bench: Bench) -> None:
    """Peak memory of a base, and that it is flat from a small pack to a large one."""
    peaks = {}
    for profile in ("small", "large"):
        generate(bench.cache / f"{profile}.git", profile)
        with GitHost(bench.cache) as host:
            argv = [*TAKE, host.url(f"{profile}.git"), "--segment-size", "16MiB"]
            samples = [run([*argv, "--store", str(bench.fresh("store"))]) for _ in range(bench.rounds)]
        peaks[profile] = medians(samples).max_rss_bytes / MIB
    idle = (
        run(
            [
                sys.executable,
                "-c",
                "import snapshotter.cli.app, snapshotter.capture.snapshot, snapshotter.transport.http",
            ]
        ).max_rss_bytes
        / MIB
    )
    formula = idle + SEGMENT / MIB * (UPLOADS + 1)
    facts = {
        name: round(value, 1) for name, value in (*peaks.items(), ("start_up", idle), ("formula", formula))
    }
    bench.claim("memory_mib", max(peaks.values()), 110, facts)


def disk(bench: Bench) -> None:
    """Bytes written to regular files beside the store, by strace."""
    store = bench.fresh("store")
    argv = [*TAKE, bench.url, "--store", str(store)]
    written = disk_written(argv, [store], environment() | {"PYTHONDONTWRITEBYTECODE": "1"})
    if not any(store.rglob("manifest.json")):
        raise SystemExit("the traced run took no snapshot")
    bench.claim("disk_beside_store_bytes", written.bytes, 0, {"files": sorted(written.files)[:5]})


def increment(bench: Bench) -> None:
    """0, 1 and 100 new commits: one process, no state, against a kept mirror's fetch and bundle."""
    store, mirror = bench.fresh("store"), bench.fresh("mirror.git")
    run([*TAKE, bench.url, "--store", str(store)])
    run(["git", "clone", "-q", "--mirror", bench.url, str(mirror)])
    for commits in (1, 100):
        seeds = iter(range(commits * 1000, commits * 1000 + bench.rounds + 1))

        def ours(commits: int = commits, seeds: Iterator[int] = seeds) -> Sample:
            grow(bench.root / "repo.git", commits, next(seeds))
            return run([*TAKE, bench.url, "--store", str(store)])

        def theirs() -> Sample:
            old = sorted(set(git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heads").split()))
            fetched = run(["git", "fetch", "-q", "--prune"], cwd=mirror)
            argv = [
                "git",
                "bundle",
                "create",
                "-q",
                str(bench.work / "inc.bundle"),
                "--all",
                *(f"^{oid}" for oid in old),
            ]
            return total(fetched, run(argv, cwd=mirror))

        ours(), theirs()  # warm
        a, b = paired(ours, theirs, bench.rounds)
        value, medians_of_both = figures(a, b, "wall")
        bench.claim(f"increment_{commits}_wall", value, 0.8, medians_of_both)


def unchanged(bench: Bench) -> None:
    """Requests to the origin and calls to the store of a run that finds nothing new, and what it writes."""
    from snapshotter.base.cancel import Cancel
    from snapshotter.capture.options import CaptureOptions
    from snapshotter.capture.snapshot import take
    from snapshotter.git.origin_parsing import parse
    from snapshotter.store.opening import open_store
    from snapshotter.transport.connect import Connector
    from snapshotter.transport.credentials import GitCredentials

    store = open_store(str(bench.fresh("store")))
    calls: list[tuple[str, str]] = []

    for name in ("put_new", "get", "stream", "list", "folders"):
        setattr(store, name, _noted(name, getattr(store, name), calls))
    origin = parse(bench.url)
    connect = Connector(GitCredentials({}))

    def once() -> str:
        transport = connect(origin, Cancel())
        try:
            return take(origin, transport, store, CaptureOptions()).manifest.kind
        finally:
            transport.close()

    once()
    calls.clear()
    bench.host.requests.clear()
    kind = once()
    written = [key for name, key in calls if name == "put_new"]
    bench.claim("unchanged_origin_requests", len(bench.host.requests), 2, {"kind": kind})
    bench.claim(
        "unchanged_store_calls", len(calls), 4, {"written": [key.rpartition("/")[2] for key in written]}
    )


def _noted(name: str, method: Callable[..., object], calls: list[tuple[str, str]]) -> Callable[..., object]:
    """A method that notes its name and first argument in `calls`."""

    def call(key: str, *given: object, **named: object) -> object:
        calls.append((name, key))
        return method(key, *given, **named)

    return call


def version(bench: Bench) -> None:
    """`snapshotter --version`."""
    samples = [
        run([str(Path(sys.executable).parent / "snapshotter"), "--version"])
        for _ in range(max(5, bench.rounds))
    ]
    bench.claim("version_wall", medians(samples).wall, 0.2)


def restore(bench: Bench) -> None:
    """A chain of 24 increments, against `git clone` of one full bundle of the same repository."""
    store = bench.fresh("store")
    for index in range(25):
        if index:
            grow(bench.root / "repo.git", 5, 500_000 + index)
        run([*TAKE, bench.url, "--store", str(store)])
    bundle = bench.work / "full.bundle"
    run(["git", "bundle", "create", "-q", str(bundle), "--all"], cwd=bench.root / "repo.git")

    def ours() -> Sample:
        return run(
            [
                *SNAPSHOTTER,
                "restore",
                "-q",
                bench.url,
                str(bench.fresh("restored.git")),
                "--bare",
                "--store",
                str(store),
            ]
        )

    def theirs() -> Sample:
        return run(["git", "clone", "-q", "--bare", str(bundle), str(bench.fresh("cloned.git"))])

    ours(), theirs()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    chain = json.loads(
        subprocess.check_output([*SNAPSHOTTER, "show", bench.url, "--store", str(store), "--json", "-q"])
    )["chain"]
    value, medians_of_both = figures(a, b, "wall")
    bench.claim("restore_wall", value, 2.5, {**medians_of_both, "bundles": len(chain)})


def upload(bench: Bench) -> None:
    """512 MiB over TLS to a sink that answers at once: our pipeline against obstore's own put of the same
    segments, one after the other, and beside it as many at once as ours."""
    tls = bench.fresh("tls")
    tls.mkdir()
    subprocess.run([str(HERE.parent / "backend/tests/servers/make-cert"), str(tls)], check=True)
    sides = rates(tls, bench.rounds)
    value, beside = (
        statistics.median(x / y for x, y in zip(sides["ours"], sides[side], strict=True))
        for side in ("loop", "parallel")
    )
    facts = {f"{side}_mib_s": round(statistics.median(rate)) for side, rate in sides.items()}
    # Our three digests cost CPU that a put alone does not; on two cores that shows against parallel puts.
    bench.claim("upload_ratio", value, 0.85, {"against_parallel": round(beside, 2), **facts}, at_least=True)


CLAIMS: dict[str, Callable[[Bench], None]] = {
    "version": version,
    "start": start,
    "base": base,
    "wire": wire,
    "distant": distant,
    "memory": memory,
    "disk": disk,
    "unchanged": unchanged,
    "increment": increment,
    "restore": restore,
    "recover": recover,
    "upload": upload,
}


if __name__ == "__main__":
    main(__doc__, CLAIMS, Bench)
