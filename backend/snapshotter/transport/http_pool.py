"""Connections to smart-HTTP hosts: pooled, through the environment's proxies, read through a large buffer, and
within the limits of an origin."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import urllib.request
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from functools import lru_cache, partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Credential
from snapshotter.transport import WireLimits
from snapshotter.transport.http_redirect import unsafe_redirect
from snapshotter.transport.http_response import Response
from snapshotter.transport.opened_pools import OpenedPools
from snapshotter.transport.zones import Zone, zone_of

_PROXY_VARIABLES = (
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUEST_METHOD",  # a CGI program's: a client sets its HTTP_PROXY, which urllib then leaves
)
_limits_in_force: ContextVar[WireLimits] = ContextVar("limits")
# The proxy, whether it is TLS, and which zones are open.
_ManagerKey = tuple[str | None, bool, frozenset[Zone] | None]


class HttpPool:
    """Connections for any number of origins and threads; proxies and CAs from the environment.

    `ca_bundle` is a PEM file that replaces the system's trusted CAs. Answers are held to `limits`.
    """

    def __init__(self, limits: WireLimits, ca_bundle: str | None = None, connections: int = 16) -> None:
        self._limits = limits
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._context: ssl.SSLContext | None = None
        self._managers: dict[_ManagerKey, urllib3.PoolManager] = {}
        self._making = threading.Lock()
        self._opened = OpenedPools()

    def under(self, limits: WireLimits) -> HttpPool:
        """The same connections, with answers that are held to other limits."""
        other = copy(self)
        other._limits = limits
        return other

    def request(
        self, method: str, url: str, zones: frozenset[Zone] | None = None, **rest: Any
    ) -> urllib3.BaseHTTPResponse:
        """The answer to one request; `rest` is as urllib3 takes it. Raises as `manager` does, and as urllib3."""
        _limits_in_force.set(self._limits)  # of this thread, for the answer that is made in it
        return self.manager(url, zones).request(method, url, **rest)

    def manager(self, url: str, zones: frozenset[Zone] | None = None) -> urllib3.PoolManager:
        """The pool that reaches `url`: direct, or through the environment's proxy for it.

        With `zones`, a direct connection to an address in any other is not used: Unavailable (code
        `unsafe-redirect`). Raises OSError or ssl.SSLError if the CAs cannot be loaded.
        """
        proxy, tls = proxy_for(url), url.startswith("https:")
        key = (proxy, tls, zones)
        with self._making:
            if key not in self._managers:
                self._managers[key] = self._make(proxy, zones, tls=tls)
            return self._managers[key]

    def let_go(self) -> None:
        """Close the connections that wait for another request, at once: the host's other connections are counted, and
        urllib3 itself closes them when nothing refers to their pool any more, which may be much later."""
        for manager in self._managers.values():
            manager.clear()
        self._opened.close()

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
        manager.pool_classes_by_scheme = _pools(self._limits, None if proxy else zones, self._opened)
        return manager


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


def _pools(
    limits: WireLimits, zones: frozenset[Zone] | None, opened: OpenedPools
) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools of connections, with our answers and only to the zones that are open. `limits` are those of
    answers where none are in force in the thread."""

    class ZonedConnection(HTTPConnection):
        answer: Response | None = None
        # A weak reference, and so no circle: urllib3 closes a pool's connections when nothing refers to the pool.
        pool: Callable[[], HTTPConnectionPool | None] = staticmethod(lambda: None)

        # It is only ever called, as the class would be.
        def response_class(self, sock: socket.socket, *args: Any, **named: Any) -> Response:  # type: ignore[override]
            crowded = partial(opened.close_idle, self.pool)
            self.answer = Response(sock, _limits_in_force.get(limits), crowded, *args, **named)
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

        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            opened.add(self)

        def _get_conn(self, timeout: float | None = None) -> Any:
            with opened.taking:
                return super()._get_conn(timeout)

        def _new_conn(self) -> Any:
            connection = super()._new_conn()
            connection.pool = weakref.ref(self)  # type: ignore[attr-defined]  # a ZonedConnection, as said above
            return connection

    class TlsPool(Pool, HTTPSConnectionPool):
        ConnectionCls = ZonedTlsConnection

    return {"http": Pool, "https": TlsPool}
