"""What a user waits for first: the start of the program, and a small repository 40 ms of round trip away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import measure
from bench import HERE, SNAPSHOTTER, TAKE, Bench, figures, run, total
from delayed import ROUND_TRIP, Delayed
from generate import generate
from githost import GitHost
from measure import Sample, medians, paired
from s3sink import S3Sink

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
BUCKET = "s3://bench/repo-scans/snapshotter/"
# Round trips of a base to S3 that follow one another (docs/format.md), and those that open a connection each to the
# origin and, where the first PUT goes, to the store; TLS 1.3 takes one more for each.
_TRIPS = {"plain": 5 + 2, "tls": 5 + 4}


def start(bench: Bench) -> None:
    """CPU of the start of a verb that works, against the bare interpreter; with S3, by each kind of credentials."""
    folder = bench.fresh("start")
    folder.mkdir()
    bare = _cpu(bench, [sys.executable, "-c", "pass"], {})
    listing = [*SNAPSHOTTER, "list", "--store"]
    with S3Sink() as sink, _container() as container:
        near = {"AWS_ENDPOINT_URL_S3": sink.url, "AWS_REGION": "us-east-1", "SNAPSHOTTER_ALLOW_HTTP": "1"}
        nobody = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        rows = {
            "start_folder_cpu": (0.18, str(folder), {}),
            "start_s3_keys_cpu": (0.35, BUCKET, near | KEYS),
            "start_s3_container_cpu": (0.35, BUCKET, near | nobody | container),
        }
        for name, (bar, store, env) in rows.items():
            value = _cpu(bench, [*listing, store], env)
            facts = {"interpreter": round(bare, 3), "of_interpreter": round(value / bare, 1)}
            bench.claim(name, value, bar, facts | _other_starts(bench, name))
    generate(bench.cache / "tiny.git", "tiny")
    with GitHost(bench.cache) as host:
        taking = [*SNAPSHOTTER, "snapshot", "-q", "--no-scan", host.url("tiny.git"), "--store", str(folder)]
        value = _cpu(
            bench, taking, {}
        )  # after the first, which warms: all that it does is to find nothing new
    bench.claim("start_snapshot_cpu", value, 0.18, {"of_interpreter": round(value / bare, 1)})


def distant(bench: Bench) -> None:
    """A small repository 40 ms away, with and without TLS: to a folder and to S3 as far away, and unchanged."""
    generate(bench.cache / "tiny.git", "tiny")
    certificate = bench.fresh("distant-tls")
    certificate.mkdir()
    subprocess.run([str(HERE.parent / "backend/tests/servers/make-cert"), str(certificate)], check=True)
    for name, tls in (("plain", None), ("tls", certificate)):
        with GitHost(bench.cache, tls=tls) as host, S3Sink(tls=tls) as sink:
            _from_afar(bench, name, host, sink, _trusting(tls))


def _from_afar(bench: Bench, name: str, host: GitHost, sink: S3Sink, env: dict[str, str]) -> None:
    store, mirror = bench.work / "far-store", bench.work / "far-mirror.git"
    with Delayed(_port(host.url())) as origin, Delayed(_port(sink.url)) as bucket:
        url, far_s3 = _at(host.url("tiny.git"), origin), _s3(_at(sink.url, bucket)) | env

        def base() -> Sample:
            return run([*TAKE, url, "--store", str(bench.fresh("far-store"))], more=env)

        def clone_and_bundle() -> Sample:
            shutil.rmtree(mirror, ignore_errors=True)
            cloned = run(["git", "clone", "-q", "--mirror", url, str(mirror)], more=env)
            bundled = ["git", "bundle", "create", "-q", str(bench.work / "far.bundle"), "--all"]
            return total(cloned, run(bundled, mirror, env))

        def unchanged() -> Sample:
            return run([*TAKE, url, "--store", str(store)], more=env)

        def ls_remote() -> Sample:
            return run(["git", "ls-remote", url], more=env)

        def with_lfs() -> Sample:
            whole = [*SNAPSHOTTER, "snapshot", "-q", "--no-scan", url, "--store"]
            return run([*whole, str(bench.fresh("far-store"))], more=env)

        sides = _sides(base, clone_and_bundle, bench.rounds)
        value, facts = figures(sides.ours, sides.theirs, "wall")
        # A clone does not even look for the pointers to LFS objects.
        whole = medians([with_lfs() for _ in range(bench.rounds)]).wall
        bench.claim(f"distant_base_{name}", value, 1.0, facts | {"with_lfs": round(whole, 3)})
        ours, theirs = _sides(unchanged, ls_remote, bench.rounds)
        handshake = ROUND_TRIP if env else 0.0
        facts = {"ls_remote": round(medians(theirs).wall, 3)}
        bench.claim(f"distant_unchanged_{name}", medians(ours).wall, 0.30 + handshake, facts)

        near_url, near_s3 = host.url("tiny.git"), _s3(sink.url) | env
        far, near = _sides(
            lambda: run([*TAKE, url, "--store", BUCKET], more=far_s3),
            lambda: run([*TAKE, near_url, "--store", BUCKET], more=near_s3),
            bench.rounds,
        )
        walls = {"far": medians(far).wall, "near": medians(near).wall}
        trips = (walls["far"] - walls["near"]) / ROUND_TRIP
        facts = {side: round(wall, 3) for side, wall in walls.items()}
        bench.claim(f"distant_s3_round_trips_{name}", trips, _TRIPS[name] + 0.5, facts)


class _Pair(NamedTuple):
    ours: list[Sample]
    theirs: list[Sample]


def _sides(ours: measure.Run, theirs: measure.Run, rounds: int) -> _Pair:
    ours(), theirs()  # warm
    return _Pair(*paired(ours, theirs, rounds))


def _cpu(bench: Bench, argv: list[str], env: Mapping[str, str]) -> float:
    run(argv, more=env)  # warm
    return medians([run(argv, more=env) for _ in range(max(5, bench.rounds))]).cpu


def _other_starts(bench: Bench, name: str) -> dict[str, float]:
    """How long other tools for S3 take to say their version, where this machine has them."""
    tools = {"aws": ["aws", "--version"], "restic": ["restic", "version"]} if "s3" in name else {}
    found: dict[str, float] = {}
    for tool, argv in tools.items():
        try:
            found[tool] = round(_cpu(bench, argv, {}), 3)
        except (FileNotFoundError, RuntimeError):
            bench.not_here(tool)
    return found


def _trusting(tls: Path | None) -> dict[str, str]:
    """The variables by which git, the program and its store trust the hosts' CA."""
    names = ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "AWS_CA_BUNDLE")
    return dict.fromkeys(names, str(tls / "ca.crt")) if tls else {}


def _s3(url: str) -> dict[str, str]:
    return KEYS | {"AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1", "SNAPSHOTTER_ALLOW_HTTP": "1"}


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _at(url: str, far: Delayed) -> str:
    """The URL, reached through the distance."""
    return url.replace(f":{_port(url)}", f":{far.port}", 1)


@contextmanager
def _container() -> Iterator[dict[str, str]]:
    """A container's credential endpoint; the variables that name it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            until = datetime.now(UTC) + timedelta(hours=1)
            keys = {"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": until.isoformat()}
            body = json.dumps(keys).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{server.server_address[1]}/"}
    finally:
        server.shutdown()
        server.server_close()
