"""The life of one of the `workers`: a process that analyses blobs within limits of its own."""

from __future__ import annotations

import gc
import math
import resource
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec

from snapshotter.base import children
from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.records import OUT_OF_MEMORY, READY, Analysis


def serve() -> None:
    """Answer blobs until the pipe closes. The program's arguments: the pipe, seconds a blob, bytes."""
    descriptor, seconds, memory = map(int, sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    children.limit(resource.RLIMIT_CORE, 0)  # a core file would hold source of private repositories
    children.limit(resource.RLIMIT_AS, memory)
    gc.disable()  # rows and nodes make no cycles, and collecting them would cost a tenth of the time
    connection = Connection(descriptor)
    with suppress(EOFError, OSError):  # the parent is gone
        connection.send_bytes(READY)
        while True:
            language, _, blob = connection.recv_bytes().partition(b"\0")
            # The limit is of the process's whole life, so it moves on with each blob.
            used = math.ceil(time.process_time())
            children.limit(resource.RLIMIT_CPU, used + seconds, again=True)
            try:
                answer = analyze(blob, language.decode())
            except MemoryError:
                answer = Analysis(error=OUT_OF_MEMORY)
            connection.send_bytes(msgspec.msgpack.encode(answer))
