"""A distance on loopback: a proxy before one port that hands bytes on later, each way, and never slower.

The opening of a connection costs a round trip, as it does over a network: what the client says first waits for it.
As a library: `with Delayed(port) as far: connect(far.port)`.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

ONE_WAY = 0.02  # seconds
ROUND_TRIP = 2 * ONE_WAY
_PIECE = 256 * 1024
_AHEAD = 256  # pieces under way in one direction


@dataclass(eq=False)
class Delayed:
    """Listens on a free loopback port, `port`, from `open` to `close`; `connections` counts the clients'."""

    upstream: int
    one_way: float = ONE_WAY
    connections: int = 0
    _listener: socket.socket = field(init=False)

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listener.getsockname()[1])

    def open(self) -> Self:
        """Listen. Raises OSError if no port is free."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def close(self) -> None:
        """Stop listening. Connections that are open end with their clients."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self.upstream))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                opened = time.monotonic() + 2 * self.one_way
                self._carry(client, server, opened)
                self._carry(server, client, 0.0)

    def _carry(self, source: socket.socket, sink: socket.socket, not_before: float) -> None:
        """Hand on what comes from `source`, in threads of its own; nothing counts as sent before `not_before`."""
        under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(_AHEAD)

        def read() -> None:
            data = b"-"
            while data:
                try:
                    data = source.recv(_PIECE)
                except OSError:
                    data = b""
                under_way.put((max(time.monotonic(), not_before) + self.one_way, data))

        def write() -> None:
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                with suppress(OSError):
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()
