"""The pools of connections that are open, so that what waits in them is closed when a host has no room for it."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from urllib3.connectionpool import HTTPConnectionPool


class OpenedPools:
    """urllib3's pools of connections to one host each, as long as anything refers to them. Safe to share between
    threads.

    A connection is taken to be used, or closed, under `taking`: none is opened beside one that is about to be closed.
    """

    def __init__(self) -> None:
        self.taking = threading.Lock()
        self._pools: weakref.WeakSet[HTTPConnectionPool] = weakref.WeakSet()

    def add(self, pool: HTTPConnectionPool) -> None:
        """Know a pool that is about to be used."""
        with self.taking:
            self._pools.add(pool)

    def close(self) -> None:
        """Close every pool, and with it the connections that wait in it."""
        with self.taking:
            for pool in tuple(self._pools):
                pool.close()
            self._pools.clear()

    def close_idle(self, reference: Callable[[], HTTPConnectionPool | None]) -> None:
        """Close the connections of a pool that wait for another request. They stay in it, and connect again."""
        with self.taking:
            pool = reference()
            waiting = pool.pool if pool else None
            if waiting is None:
                return
            idle = []
            with suppress(queue.Empty):
                while True:
                    idle.append(waiting.get(block=False))
            for connection in reversed(idle):
                if connection is not None:
                    connection.close()
                with suppress(queue.Full):
                    waiting.put(connection, block=False)
