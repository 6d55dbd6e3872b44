"""Connections to smart-HTTP hosts: pooled, through the environment's proxies, read through a large buffer."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import urllib.request
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from snapshotter.base.urls import is_loopback

_BUFFER = 256 * 1024  # bytes


class _WideResponse(http.client.HTTPResponse):
    """An answer read through a large buffer: with the library's 8 KiB, every HTTP chunk of a pack costs
    two or three system calls and as many trips through Python."""

    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()
        self.fp = cast("io.BufferedReader[Any]", sock.makefile("rb", _BUFFER))


class _Connection(HTTPConnection):
    response_class = _WideResponse


class _TlsConnection(HTTPSConnection):
    response_class = _WideResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class HttpPool:
    """Connections for any number of origins and threads; proxies and CAs from the environment.

    `ca_bundle` is a PEM file that replaces the system's trusted CAs.
    """

    def __init__(self, ca_bundle: str | None = None, connections: int = 16) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._context: ssl.SSLContext | None = None
        self._managers: dict[str, urllib3.PoolManager] = {}

    def manager(self, url: str) -> urllib3.PoolManager:
        """The pool that reaches `url`: direct, or through the environment's proxy for it.

        Raises OSError or ssl.SSLError if the CAs cannot be loaded.
        """
        split = urlsplit(url)
        proxy = urllib.request.getproxies().get(split.scheme, "")
        if urllib.request.proxy_bypass(split.hostname or "") or is_loopback(split.hostname or ""):
            proxy = ""
        key = f"{proxy} tls" if split.scheme == "https" else proxy
        if key not in self._managers:
            self._managers[key] = self._make(proxy, tls=split.scheme == "https")
        return self._managers[key]

    def _make(self, proxy: str, *, tls: bool) -> urllib3.PoolManager:
        if tls and self._context is None:  # loading the CAs costs 20 ms, so only when needed
            self._context = ssl.create_default_context(cafile=self._ca_bundle)
        context = self._context if tls else None
        if not proxy:
            manager = urllib3.PoolManager(maxsize=self._connections, ssl_context=context, retries=False)
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            return manager
        split = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        headers = None
        if split.username:
            pair = f"{unquote(split.username)}:{unquote(split.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=pair)
        address = f"{split.scheme}://{split.hostname}:{split.port or 3128}"
        return urllib3.ProxyManager(
            address, proxy_headers=headers, maxsize=self._connections, ssl_context=context, retries=False
        )
