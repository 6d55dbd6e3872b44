"""One side of the upload claim: `upload.py ours|loop|parallel SINK_URL CA` prints the seconds that 512 MiB took."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import time
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
        **{name.lower(): value for name, value in KEYS.items()},
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


if __name__ == "__main__":
    sides = {"ours": ours, "loop": partial(plain, at_once=1), "parallel": partial(plain, at_once=UPLOADS)}
    print(sides[sys.argv[1]](*sys.argv[2:], os.urandom(SEGMENT)))
