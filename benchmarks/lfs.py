"""The claims about LFS, measured on loopback against git, git-lfs and `cp`.

A repository of 1,000 objects of 100 KiB and 5 of 200 MiB, each in a commit's pointers. `--only` chooses claims; the
report is JSON, and a bar that was missed makes the exit status 1.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from bench import MIB, SNAPSHOTTER, Bench, figures, main, run
from fastimport import GIT_ENV
from lfshost import LfsHost
from measure import Sample, medians, paired

TAKE = [*SNAPSHOTTER, "snapshot", "-q", "--no-scan"]
SMALL, SMALL_BYTES = 1000, 100 * 1024
LARGE, LARGE_BYTES = 5, 200 * MIB


class LfsBench(Bench):
    """A bench whose host has LFS, and a repository with objects."""

    host: LfsHost

    @classmethod
    def open(cls, work: Path, cache: Path, origin: Path | str | None, rounds: int) -> Self:
        """See Bench; the repository is made anew, whatever `origin` is."""
        root = work / "host"
        root.mkdir()
        _git(None, "init", "-q", "--bare", "-b", "main", str(root / "repo.git"))
        bench = cls(work, cache, LfsHost(root).open(), rounds)
        sizes = [SMALL_BYTES] * SMALL + [LARGE_BYTES] * LARGE
        for start in range(0, len(sizes), 100):
            bench.commit(sizes[start : start + 100])
        return bench

    def commit(self, sizes: list[int]) -> None:
        """One commit more, with a new object of each size."""
        repo = self.root / "repo.git"
        parent = _git(repo, "rev-parse", "-q", "--verify", "refs/heads/main", check=False).strip()
        lines = [b"commit refs/heads/main\ncommitter C <c@example.com> 1700000000 +0000\ndata 1\nx"]
        lines += [b"from %b" % parent] if parent else []
        for number, size in enumerate(sizes):
            oid = self.host.put(os.urandom(size))
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()
            path = f"objects/{oid[:2]}/{number}-{oid[:8]}.bin".encode()
            lines.append(b"M 100644 inline %b\ndata %d\n%b" % (path, len(pointer), pointer))
        _git(repo, "fast-import", "--quiet", data=b"\n".join(lines) + b"\n")


def _git(folder: Path | None, *argv: str, data: bytes = b"", check: bool = True) -> bytes:
    place = ["-C", str(folder)] if folder else []
    return subprocess.run(
        ["git", *place, *argv], input=data, env=GIT_ENV, check=check, stdout=subprocess.PIPE
    ).stdout


def first(bench: LfsBench) -> None:
    """The first snapshot, against the way by hand: mirror, all objects, one bundle, and a copy of them."""
    script = (
        'git clone -q --mirror "$1" "$2/m.git" && cd "$2/m.git" && git lfs fetch --all >/dev/null'
        ' && git bundle create -q "$2/x.bundle" --all && cp -r lfs "$2/lfs"'
    )

    def ours() -> Sample:
        return run([*TAKE, bench.url, "--store", str(bench.fresh("store"))])

    def theirs() -> Sample:
        folder = bench.fresh("by-hand")
        folder.mkdir()
        return run(["sh", "-c", script, "sh", bench.url, str(folder)])

    ours()  # warm
    a, b = paired(ours, theirs, bench.rounds)
    value, both = figures(a, b, "wall")
    cpu = {"ours_cpu": round(medians(a).cpu, 2), "theirs_cpu": round(medians(b).cpu, 2)}
    bench.claim("first_wall", value, 0.6, {**both, **cpu})
    bench.claim("first_memory_mib", medians(a).max_rss_bytes / MIB, 130)
    shutil.rmtree(bench.work / "by-hand")


def unchanged(bench: LfsBench) -> None:
    """What an unchanged origin is asked beyond what it is asked without LFS."""
    store = str(bench.fresh("store"))
    run([*TAKE, bench.url, "--store", store])
    counts = []
    for flags in ([], ["--no-lfs"]):
        bench.host.requests.clear()
        run([*TAKE, bench.url, "--store", store, *flags])
        counts.append(len(bench.host.requests))
    bench.claim("unchanged_more_requests", counts[0] - counts[1], 0, {"requests": counts[0]})


def increment(bench: LfsBench) -> None:
    """Bytes that an increment with 10 new objects reads from the origin, above the objects' own."""
    with relayed(bench.host) as relay:
        store, url = str(bench.fresh("store")), bench.host.url("repo.git")
        run([*TAKE, url, "--store", store])
        bench.commit([SMALL_BYTES] * 10)
        relay.bytes = 0
        run([*TAKE, url, "--store", store])
        bench.claim("increment_more_kib", (relay.bytes - 10 * SMALL_BYTES) / 1024, 64)


class Relay:
    """A port that passes on to another; `bytes` came from there."""

    def __init__(self, port: int) -> None:
        self.bytes, self._to = 0, port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                host = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._pass, args=(client, host, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(host, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(256 * 1024):
                self.bytes += len(data) if counts else 0
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()


@contextmanager
def relayed(host: LfsHost) -> Iterator[Relay]:
    """While inside, the host's URLs lead through a relay that counts."""
    relay, own = Relay(int(host.url().rpartition(":")[2])), host.url

    def url(name: str = "") -> str:
        return f"http://127.0.0.1:{relay.port}" + (f"/{name}" if name else "")

    host.url = url  # type: ignore[method-assign]
    try:
        yield relay
    finally:
        host.url = own  # type: ignore[method-assign]
        relay.close()


CLAIMS = {"first": first, "unchanged": unchanged, "increment": increment}

if __name__ == "__main__":
    main(__doc__, CLAIMS, LfsBench)
