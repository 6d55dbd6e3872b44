"""The claims of capture, measured: whole processes against what a user would run instead.

Both sides fetch from the same loopback `git http-backend` in the same run, in turn. Prints one
JSON document: medians, ratios, the bars, and whether each was met.

    python benchmarks/capture.py --rounds 5
    python benchmarks/capture.py --origin /srv/git/project.git --only base,increment
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Self

import measure
from generate import GIT_ENV, generate, grow
from githost import GitHost
from measure import Sample, disk_written, medians, paired, ratio

MIB = 1024 * 1024
SEGMENT = 16 * MIB
UPLOADS = 2
HERE = Path(__file__).resolve().parent
SNAPSHOTTER = [sys.executable, "-m", "snapshotter"]
TAKE = [*SNAPSHOTTER, "snapshot", "-q", "--no-scan"]  # scans have claims of their own, in scan.py


class Bench:
    """One run's folders, host and results."""

    def __init__(self, work: Path, cache: Path, host: GitHost, rounds: int) -> None:
        self.work, self.cache, self.rounds = work, cache, rounds
        self.root, self.host = host.root, host
        self.url = host.url("repo.git")
        self.results: dict[str, object] = {}

    @classmethod
    def open(cls, work: Path, cache: Path, origin: Path | str | None, rounds: int) -> Self:
        """A host of the origin, or of the generated repository, in `work`. Whoever opens it closes the host."""
        root = work / "host"
        root.mkdir()
        # A copy by hard links: increments add commits to it, and the cached one stays as it was made.
        source = origin or generate(cache / "default.git")
        subprocess.run(
            ["git", "clone", "-q", "--mirror", "--local", str(source), str(root / "repo.git")],
            check=True,
            env=GIT_ENV,
        )
        return cls(work, cache, GitHost(root), rounds)

    def fresh(self, name: str) -> Path:
        """A folder that does not exist yet."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def claim(self, name: str, value: float, bar: float, *, at_least: bool = False, **facts: object) -> None:
        """Record a figure beside its bar."""
        met = value >= bar if at_least else value <= bar
        self.results[name] = {"value": round(value, 4), "bar": bar, "met": met, **facts}
        side = "at least" if at_least else "at most"
        sys.stderr.write(f"{name}: {value:.4g} ({side} {bar}) {'met' if met else 'NOT MET'} {facts}\n")


def run(argv: list[str], cwd: Path | None = None) -> Sample:
    """A measured command that must succeed."""
    return medians([measure.run(argv, GIT_ENV | dict(os.environ), cwd)])


def total(*samples: Sample) -> Sample:
    """Processes run one after the other, as one."""
    return replace(
        samples[-1],
        wall=sum(s.wall for s in samples),
        cpu=sum(s.cpu for s in samples),
        max_rss_bytes=max(s.max_rss_bytes for s in samples),
    )


def figures(ours: list[Sample], theirs: list[Sample], figure: str) -> tuple[float, dict[str, float]]:
    """The ratio of medians, and both medians."""
    a, b = getattr(medians(ours), figure), getattr(medians(theirs), figure)
    return ratio(ours, theirs, figure), {"ours": round(a, 3), "theirs": round(b, 3)}


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
    objects = _git(bench.root / "repo.git", "rev-list", "--all", "--objects", "--count").strip()
    for field, bar in (("wall", 0.12), ("cpu", 0.03)):
        value, medians_of_both = figures(a, b, field)
        bench.claim(
            f"base_{field}",
            value,
            bar,
            **medians_of_both,
            bundle_mib=round(size / MIB, 1),
            objects=int(objects),
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
    bench.claim("memory_mib", max(peaks.values()), 110, **facts)


def disk(bench: Bench) -> None:
    """Bytes written to regular files beside the store, by strace."""
    store = bench.fresh("store")
    argv = [*TAKE, bench.url, "--store", str(store)]
    written = disk_written(argv, [store], GIT_ENV | dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"})
    if not any(store.rglob("manifest.json")):
        raise SystemExit("the traced run took no snapshot")
    bench.claim("disk_beside_store_bytes", written.bytes, 0, files=sorted(written.files)[:5])


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
            old = sorted(set(_git(mirror, "for-each-ref", "--format=%(objectname)", "refs/heads").split()))
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
        bench.claim(f"increment_{commits}_wall", value, 0.8, **medians_of_both)


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
        method = getattr(store, name)
        setattr(
            store,
            name,
            lambda key, *a, _n=name, _m=method, **k: (calls.append((_n, key)), _m(key, *a, **k))[1],
        )
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
    bench.claim("unchanged_origin_requests", len(bench.host.requests), 2, kind=kind)
    bench.claim("unchanged_store_calls", len(calls), 4, written=[key.rpartition("/")[2] for key in written])


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
    bench.claim("restore_wall", value, 2.5, **medians_of_both, bundles=len(chain))


def upload(bench: Bench) -> None:
    """512 MiB over TLS to a sink that answers at once: our pipeline against obstore's own put of the same
    segments, one after the other, and beside it as many at once as ours."""
    tls = bench.fresh("tls")
    tls.mkdir()
    subprocess.run([str(HERE.parent / "backend/tests/servers/make-cert"), str(tls)], check=True)
    argv = [sys.executable, str(HERE / "upload.py")]
    sink = subprocess.Popen(
        [sys.executable, str(HERE / "s3sink.py"), "--tls", str(tls)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert sink.stdout is not None
        url = sink.stdout.readline().strip()
        rates: dict[str, list[float]] = {"ours": [], "loop": [], "parallel": []}
        for index in range(bench.rounds + 1):
            for side in rates:
                seconds = float(subprocess.check_output([*argv, side, url, str(tls / "ca.crt")]))
                if index:
                    rates[side].append(512 / seconds)
    finally:
        sink.kill()
        sink.wait()
    value, beside = (
        statistics.median(x / y for x, y in zip(rates["ours"], rates[side], strict=True))
        for side in ("loop", "parallel")
    )
    facts = {f"{side}_mib_s": round(statistics.median(rate)) for side, rate in rates.items()}
    # Our three digests cost CPU that a put alone does not; on two cores that shows against parallel puts.
    bench.claim("upload_ratio", value, 0.85, at_least=True, against_parallel=round(beside, 2), **facts)


def _git(path: Path, *argv: str) -> str:
    return subprocess.run(
        ["git", *argv], cwd=path, check=True, capture_output=True, text=True, env=GIT_ENV
    ).stdout


CLAIMS: dict[str, Callable[[Bench], None]] = {
    "version": version,
    "base": base,
    "memory": memory,
    "disk": disk,
    "unchanged": unchanged,
    "increment": increment,
    "restore": restore,
    "upload": upload,
}


def main() -> None:
    """Measure the chosen claims and print them as JSON; exit 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--origin", type=Path, help="a bare repository to measure instead of the generated one"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(CLAIMS), help="claims, separated by commas")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "snapshotter-benchmarks")
    given = parser.parse_args()
    given.cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="snapshotter-bench-") as work:
        bench = Bench.open(Path(work), given.cache, given.origin, given.rounds)
        try:
            for name in given.only.split(","):
                CLAIMS[name](bench)
        finally:
            bench.host.close()
    print(
        json.dumps(
            {"machine": f"{os.cpu_count()} cores", "rounds": given.rounds, "claims": bench.results}, indent=2
        )
    )
    sys.exit(0 if all(claim["met"] for claim in bench.results.values()) else 1)  # type: ignore[index]


if __name__ == "__main__":
    main()
