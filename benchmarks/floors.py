"""What no program that does the same can be faster than, measured in the same run: the wire, the digests, git itself.

So a bar means the same on any processor.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from bench import MIB, SNAPSHOTTER, TAKE, Bench, figures, run
from fastimport import git
from measure import Sample, medians, paired

_PIECE = 16 * MIB


def wire(bench: Bench) -> None:
    """A base to a folder against `curl` of the same pack to nowhere, and its CPU against that of its two digests."""
    asked = bench.work / "fetch-request"
    asked.write_bytes(_request(bench.root / "repo.git"))
    headers = {
        "Git-Protocol": "version=2",
        "Content-Type": "application/x-git-upload-pack-request",
        "Accept": "application/x-git-upload-pack-result",
    }
    curl = ["curl", "-sSf", "-o", "/dev/null", "--data-binary", f"@{asked}"]
    curl += [word for header in headers.items() for word in ("-H", ": ".join(header))]

    def ours() -> Sample:
        return run([*TAKE, bench.url, "--store", str(bench.fresh("store"))])

    def theirs() -> Sample:
        return run([*curl, f"{bench.url}/git-upload-pack"])

    ours(), theirs()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    value, both = figures(a, b, "wall")
    bench.claim("base_wall_of_curl", value, 1.35, both)
    size = sum(path.stat().st_size for path in (bench.work / "store").rglob("*.bundle*"))
    floor = _digests(size)
    cpu = medians(a).cpu
    facts = {"ours": round(cpu, 3), "digests": round(floor, 3), "mib": round(size / MIB, 1)}
    bench.claim("base_cpu_of_digests", cpu / floor, 1.6, facts)


def recover(bench: Bench) -> None:
    """`restore` and `verify` of a base, against `git clone` of the same bundle."""
    store = bench.fresh("store")
    run([*TAKE, bench.url, "--store", str(store)])
    bundle = bench.work / "whole.bundle"
    segments = sorted(store.rglob("history.bundle*"))
    with bundle.open("wb") as whole:
        for segment in segments:
            whole.write(segment.read_bytes())

    def clone() -> Sample:
        return run(["git", "clone", "-q", "--bare", str(bundle), str(bench.fresh("cloned.git"))])

    def restore() -> Sample:
        into = str(bench.fresh("restored.git"))
        return run([*SNAPSHOTTER, "restore", "-q", bench.url, into, "--bare", "--store", str(store)])

    def verify() -> Sample:
        return run([*SNAPSHOTTER, "verify", "-q", bench.url, "--store", str(store)])

    for name, ours in (("restore", restore), ("verify", verify)):
        ours(), clone()  # warm
        value, both = figures(*paired(ours, clone, bench.rounds), "wall")
        bench.claim(f"{name}_of_clone", value, 1.05, both | {"segments": len(segments)})


def _digests(size: int) -> float:
    """CPU seconds that SHA-1 and SHA-256 of so many bytes take here, the median of three."""
    piece = memoryview(bytes(_PIECE))
    taken = []
    for _ in range(3):
        began = time.process_time()
        digests = hashlib.sha1(), hashlib.sha256()
        for at in range(0, size, _PIECE):
            for digest in digests:
                digest.update(piece[: size - at])
        taken.append(time.process_time() - began)
    return sorted(taken)[1]


def _request(repository: Path) -> bytes:
    """A request of protocol v2 for all that the refs of a repository reach, as a base asks for it."""
    oids = git(repository, "for-each-ref", "--format=%(objectname)").split()
    wants = [f"want {oid}" for oid in sorted(set(oids))]
    arguments = ["ofs-delta", "no-progress", *wants, "done"]
    format_ = git(repository, "rev-parse", "--show-object-format").strip()
    head = _packets(["command=fetch", f"object-format={format_}"])
    return head + b"0001" + _packets(arguments) + b"0000"


def _packets(lines: list[str]) -> bytes:
    return b"".join(b"%04x%b\n" % (len(line) + 5, line.encode()) for line in lines)
