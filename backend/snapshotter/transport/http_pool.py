"""Connections to smart-HTTP hosts: pooled, through the environment's proxies, read through a large buffer, and
within the limits of an origin."""

from __future__ import annotations

import http.client
import io
import os
import queue
import select
import socket
import ssl
import time
import urllib.request
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Credential
from snapshotter.transport import WireLimits
from snapshotter.transport.http_body import Body
from snapshotter.transport.http_redirect import unsafe_redirect
from snapshotter.transport.pace import Pace
from snapshotter.transport.replies import over_limit
from snapshotter.transport.zones import Zone, zone_of

_BUFFER = 256 * 1024  # bytes
_PROXY_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUEST_METHOD",  # a CGI program's: a client sets its HTTP_PROXY, which urllib then leaves
)
_MAX_HEAD = 4 * _BUFFER  # bytes of status lines and headers, those of interim answers too
_PATIENCE = 1.0  # seconds without a word, until a host may be one that has no room for another connection


class _TimedSource(io.RawIOBase):
    """The bytes of a socket, as long as they come in time and are no more than `most`.

    `crowded` is called each second that the first of them does not come.
    """

    def __init__(self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None]) -> None:
        self._socket, self._crowded, self._idle_seconds = sock, crowded, limits.idle_seconds
        self._raw = cast("io.RawIOBase", sock.makefile("rb", 0))
        self.pace = Pace(limits)
        self.most: int | None = _MAX_HEAD
        self._total = 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See RawIOBase. Raises Unavailable if the bytes come too slowly or are too many."""
        if not self._total:
            self._await_first()
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self.pace.came(count or 0, time.monotonic() - began)
        self._total += count or 0
        if self.most is not None and self._total > self.most:
            raise over_limit("an HTTP answer without end", "no git server does; check the URL")
        return cast("int | None", count)

    def close(self) -> None:
        """See RawIOBase."""
        self._raw.close()
        super().close()

    def _await_first(self) -> None:
        """Until the first byte is here. A host that serves one connection after another comes to this one when those
        that wait for another request are closed. Raises TimeoutError after the idle timeout."""
        if self._socket.fileno() < 0 or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return
        poll, end = select.poll(), time.monotonic() + self._idle_seconds
        poll.register(self._socket, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            if poll.poll(min(left, _PATIENCE) * 1000):
                return
            self._crowded()
        raise TimeoutError("timed out")


class _Response(http.client.HTTPResponse):
    """An answer whose head, and each read of its body, come in time. A compressed body comes in time as a whole: a
    decoder may take any number of reads and give nothing.

    It is read through a large buffer: with the library's 8 KiB, every HTTP chunk of a pack costs two or three system
    calls and as many trips through Python.
    """

    def __init__(
        self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None], *args: Any, **named: Any
    ) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()  # the library's own file of the socket, from which nothing was read yet
        self._limits = limits
        self._source = _TimedSource(sock, limits, crowded)
        self.fp = io.BufferedReader(self._source, _BUFFER)

    def _read_status(self) -> tuple[str, int, str]:
        """The status of the answer, after any number of interim ones: the library passes over 100 alone."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 102 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        """See HTTPResponse."""
        super().begin()
        self.compressed = bool(self.getheader("Content-Encoding"))
        self._body: Body | None = None
        # Of a pack the size is bounded elsewhere; a compressed answer is a list, and may be a bomb.
        self._source.most = self._limits.max_refs_bytes if self.compressed else None

    def next_bytes(self, most: int) -> memoryview:
        """The next bytes of a body that is not compressed, and none at its end. Valid until the next call.

        Whoever uses it reads by nothing else. Raises as `Body.next` does.
        """
        if self._body is None:
            if self.fp is None:  # an answer without a body
                return memoryview(b"")
            self._body = Body(
                self.fp, self._source, length=self.length, chunked=self.chunked, ended=self.close
            )
        self._source.pace.begin()
        return self._body.next(most)

    def read1(self, n: int = -1) -> bytes:
        """See HTTPResponse."""
        if not self.compressed:
            self._source.pace.begin()
        return super().read1(n)


class HttpPool:
    """Connections for any number of origins and threads; proxies and CAs from the environment.

    `ca_bundle` is a PEM file that replaces the system's trusted CAs.
    """

    def __init__(self, limits: WireLimits, ca_bundle: str | None = None, connections: int = 16) -> None:
        self._limits = limits
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._context: ssl.SSLContext | None = None
        self._managers: dict[tuple[str | None, bool, frozenset[Zone] | None], urllib3.PoolManager] = {}

    def manager(self, url: str, zones: frozenset[Zone] | None = None) -> urllib3.PoolManager:
        """The pool that reaches `url`: direct, or through the environment's proxy for it.

        With `zones`, a direct connection to an address in any other is not used: Unavailable (code
        `unsafe-redirect`). Raises OSError or ssl.SSLError if the CAs cannot be loaded.
        """
        proxy, tls = proxy_for(url), url.startswith("https:")
        key = (proxy, tls, zones)
        if key not in self._managers:
            self._managers[key] = self._make(proxy, zones, tls=tls)
        return self._managers[key]

    def let_go(self) -> None:
        """Close the connections that wait for another request."""
        for manager in self._managers.values():
            manager.clear()

    def _make(self, proxy: str | None, zones: frozenset[Zone] | None, *, tls: bool) -> urllib3.PoolManager:
        if tls and self._context is None:  # loading the CAs costs 20 ms, so only when needed
            self._context = ssl.create_default_context(cafile=self._ca_bundle)
        options: dict[str, Any] = {"maxsize": self._connections, "retries": False}
        options["ssl_context"] = self._context if tls else None
        if proxy:
            split = _split(proxy)
            if credential := _user_of(proxy):
                pair = f"{credential.user}:{credential.secret}"
                options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=pair)
            address = f"{split.scheme}://{split.hostname}:{split.port or 3128}"
            manager: urllib3.PoolManager = urllib3.ProxyManager(address, **options)
        else:
            manager = urllib3.PoolManager(**options)
        manager.pool_classes_by_scheme = _pools(self._limits, None if proxy else zones)
        return manager


def plain_body(response: urllib3.BaseHTTPResponse) -> Callable[[int], memoryview] | None:
    """What gives the next bytes of an answer's body, at most so many, as they lie in the buffer that received them.

    None for a body that is compressed. Whoever uses it reads the answer by nothing else.
    """
    answer = getattr(response.connection, "answer", None)
    return answer.next_bytes if isinstance(answer, _Response) and not answer.compressed else None


def proxy_for(url: str) -> str | None:
    """The environment's proxy for `url`, or None. This machine is always reached directly."""
    split = urlsplit(url)
    return _proxy(split.scheme, split.hostname or "", tuple(map(os.environ.get, _PROXY_VARIABLES)))


@lru_cache(1024)
def _proxy(scheme: str, host: str, _environment: tuple[str | None, ...]) -> str | None:
    """Kept, since urllib walks the whole environment, twice: for each request that was a fifth of a small snapshot."""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(scheme) or None


def proxy_credential(url: str) -> Credential | None:
    """What the environment's proxy for `url` is told of us, or None."""
    proxy = proxy_for(url)
    return _user_of(proxy) if proxy else None


def _user_of(proxy: str) -> Credential | None:
    split = _split(proxy)
    return Credential(unquote(split.username), unquote(split.password or "")) if split.username else None


def _split(proxy: str) -> SplitResult:
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _pools(limits: WireLimits, zones: frozenset[Zone] | None) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools of connections, with our answers and only to the zones that are open."""

    class ZonedConnection(HTTPConnection):
        answer: _Response | None = None
        # A weak reference, and so no circle: urllib3 closes a pool's connections when nothing refers to the pool.
        pool: Callable[[], HTTPConnectionPool | None] = staticmethod(lambda: None)

        # It is only ever called, as the class would be.
        def response_class(self, sock: socket.socket, *args: Any, **named: Any) -> _Response:  # type: ignore[override]
            self.answer = _Response(sock, limits, partial(_close_idle, self.pool), *args, **named)
            return self.answer

        def _new_conn(self) -> socket.socket:
            sock = super()._new_conn()
            if zones is not None and zone_of(address := sock.getpeername()[0]) not in zones:
                sock.close()
                raise unsafe_redirect(f"{self.host} is {address}")
            return sock

    class ZonedTlsConnection(ZonedConnection, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = ZonedConnection

        def _new_conn(self) -> Any:
            connection = super()._new_conn()
            connection.pool = weakref.ref(self)  # type: ignore[attr-defined]  # a ZonedConnection, as said above
            return connection

    class TlsPool(Pool, HTTPSConnectionPool):
        ConnectionCls = ZonedTlsConnection

    return {"http": Pool, "https": TlsPool}


def _close_idle(reference: Callable[[], HTTPConnectionPool | None]) -> None:
    """Close the connections to a host that wait for another request. They stay in their pool, and connect again."""
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
