"""What no program that does the same can be faster than, measured in the same run: the wire, the digests, git itself.

So a bar means the same on any processor.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from bench import MIB, SNAPSHOTTER, TAKE, Bench, figures, run
from fastimport import git
from measure import Sample, medians, paired

# Has OpenSSL do without the SHA extensions of x86 (bit 29 of the fifth word, OPENSSL_ia32cap(3)).
_NO_SHA = {"OPENSSL_ia32cap": ":~0x20000000"}
# In a process of its own, and so with a mask of its own.
_HASHING = """
import hashlib, sys, time
size, piece = int(sys.argv[1]), 16 << 20
data = memoryview(bytes(piece))
began = time.process_time()
digests = hashlib.sha1(), hashlib.sha256()
for at in range(0, size, piece):
    for digest in digests:
        digest.update(data[: size - at])
print(time.process_time() - began)
"""


def wire(bench: Bench) -> None:
    """A base to a folder against `curl` of the same pack to nowhere; its CPU against that of its two digests where
    these have no instructions of their own, and against digests and `curl` together with all that the processor has.
    """
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
    floor, wire_alone = _digests(size, bench.rounds), medians(b).cpu
    facts = _beside(medians(a).cpu, floor, size) | {"curl": round(wire_alone, 3)}
    bench.claim("base_cpu_of_digests_and_curl", medians(a).cpu / (floor + wire_alone), 1.2, facts)

    if platform.machine() != "x86_64":
        sys.stderr.write(
            "this processor's instructions for SHA cannot be left out: its digests alone are NO bar\n"
        )
        return

    def plain() -> Sample:
        return run([*TAKE, bench.url, "--store", str(bench.fresh("store"))], more=_NO_SHA)

    # Where digests are most of a base, they alone are the floor; where a processor has instructions for them they are
    # less than what the kernel and the start take, and that floor would be another one.
    cpu = medians([plain() for _ in range(bench.rounds)]).cpu
    floor = _digests(size, bench.rounds, _NO_SHA)
    bench.claim("base_cpu_of_digests_without_sha", cpu / floor, 1.6, _beside(cpu, floor, size))


def _beside(cpu: float, digests: float, size: int) -> dict[str, float]:
    """The CPU of a base of `size` bytes and that of its digests, for the report."""
    facts = {"ours": cpu, "digests": digests, "of_digests": cpu / digests, "beside": cpu - digests}
    return {name: round(value, 3) for name, value in facts.items()} | {"mib": round(size / MIB, 1)}


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


def _digests(size: int, rounds: int, more: Mapping[str, str] | None = None) -> float:
    """CPU seconds that SHA-1 and SHA-256 of so many bytes take here, their median, with `more` variables."""
    samples = [run([sys.executable, "-c", _HASHING, str(size)], more=more) for _ in range(rounds)]
    return median(float(sample.stdout) for sample in samples)


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
