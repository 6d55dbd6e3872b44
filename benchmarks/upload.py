"""The sides of the upload claim: `upload.py ours|loop|parallel SINK_URL CA` prints the seconds that 512 MiB took."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import obstore
from obstore.store import S3Store

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.segments import SegmentWriter
from snapshotter.archive.transfer import RunFolder
from snapshotter.store.opening import open_store

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
SEGMENT = 16 * 1024 * 1024
SEGMENTS = 32
MIB = SEGMENT * SEGMENTS // 1024**2  # in all
UPLOADS = 2
PIECE = 65_515  # bytes of pack in one side-band packet


def ours(url: str, ca: str, segment: bytes) -> float:
    """Everything capture does after the wire: copy, cut, hash three ways, check, put."""
    env = {"AWS_ENDPOINT_URL_S3": url, "AWS_CA_BUNDLE": ca, **KEYS}
    store = open_store("s3://bench/repo-scans/snapshotter/", env=env)
    head = struct.pack(">4sII", b"PACK", 2, 1)
    view = memoryview(segment)
    pieces = [view[at : at + PIECE] for at in range(0, len(segment), PIECE)]
    digest = hashlib.sha1(head)
    for _ in range(SEGMENTS):
        digest.update(segment)
    began = time.perf_counter()
    folder = RunFolder(store, RunKey("bench", RunId.new(datetime.now(UTC))), "base")
    writer = SegmentWriter(folder, fmt="sha1", segment_bytes=SEGMENT, in_flight=UPLOADS)
    writer.write(memoryview(head))
    for _ in range(SEGMENTS):
        for piece in pieces:
            writer.write(piece)
    writer.write(memoryview(digest.digest()))
    writer.finish()
    return time.perf_counter() - began


def plain(url: str, ca: str, segment: bytes, *, at_once: int) -> float:
    """obstore's own put of each segment, `at_once` at a time."""
    backend = S3Store(
        "bench",
        endpoint=url,
        client_options={"root_certificate": Path(ca).read_bytes()},
        server_side_encryption="AES256",
        access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region=KEYS["AWS_REGION"],
    )
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        done = [
            pool.submit(
                obstore.put, backend, f"bench/{index:04d}", segment, mode="create", use_multipart=False
            )
            for index in range(SEGMENTS)
        ]
        for future in done:
            future.result()
    return time.perf_counter() - began


def rates(tls: Path, rounds: int) -> dict[str, list[float]]:
    """MiB/s of each side in so many rounds, in turn, each a process of its own; `tls` is the sink's certificate."""
    here = Path(__file__)
    sink = subprocess.Popen(
        [sys.executable, str(here.with_name("s3sink.py")), "--tls", str(tls)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert sink.stdout is not None
        url = sink.stdout.readline().strip()
        rates: dict[str, list[float]] = {side: [] for side in SIDES}
        for index in range(rounds + 1):
            for side, measured in rates.items():
                argv = [sys.executable, str(here), side, url, str(tls / "ca.crt")]
                seconds = float(subprocess.check_output(argv))
                if index:  # the first round warms up
                    measured.append(MIB / seconds)
    finally:
        sink.kill()
        sink.wait()
    return rates


SIDES: dict[str, Callable[[str, str, bytes], float]] = {
    "ours": ours,
    "loop": partial(plain, at_once=1),
    "parallel": partial(plain, at_once=UPLOADS),
}

if __name__ == "__main__":
    side, url, ca = sys.argv[1:]
    print(SIDES[side](url, ca, os.urandom(SEGMENT)))
