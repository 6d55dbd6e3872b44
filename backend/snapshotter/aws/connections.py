"""Connections to AWS for what is asked without a client library: direct, or through the environment's proxy."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.request
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from snapshotter.base.errors import UsageError
from snapshotter.base.urls import is_loopback

_PATIENCE: Final = 120.0  # seconds of waiting for an answer, beside what its bytes may take
_LEAST: Final = 16 * 1024  # bytes a second


def pool(
    url: str, timeout: urllib3.Timeout, *, ca_bundle: str | None = None, at_once: int = 1
) -> urllib3.PoolManager:
    """Connections by which `url` is reached, kept open, `at_once` at most. They try once and follow no redirect.

    An answer that drips is given up: TimeoutError, or what urllib3 makes of it. `ca_bundle` is a PEM file of CAs that
    are trusted beside the system's. Raises UsageError for a proxy that cannot be used.
    """
    split = urlsplit(url)
    host = split.hostname or ""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(split.scheme) or proxies.get("all", "")
    options = _options(split.scheme, timeout, ca_bundle, at_once)
    if not proxy or urllib.request.proxy_bypass(host) or is_loopback(host):
        return _paced(urllib3.PoolManager(**options))
    at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    pair = f"{unquote(at.username)}:{unquote(at.password or '')}" if at.username else None
    try:
        address = f"{at.scheme}://{at.hostname}:{at.port or 3128}"
        headers = urllib3.make_headers(proxy_basic_auth=pair) if pair else None
        return _paced(urllib3.ProxyManager(address, proxy_headers=headers, **options))
    except (ValueError, AssertionError) as error:  # its port is none, or urllib3 knows no such scheme
        raise UsageError(
            f"no way to AWS leads through such a proxy: {type(error).__name__}",
            hint="HTTPS_PROXY or ALL_PROXY names it: write it like http://proxy.example.com:3128",
        ) from error


def direct(url: str, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    """The same without a proxy, whatever the environment says."""
    return _paced(urllib3.PoolManager(**_options(urlsplit(url).scheme, timeout, None, 1)))


def _options(scheme: str, timeout: urllib3.Timeout, ca_bundle: str | None, at_once: int) -> dict[str, Any]:
    options: dict[str, Any] = {"maxsize": at_once, "retries": False, "timeout": timeout}
    if scheme == "https":
        context = ssl.create_default_context()
        if ca_bundle:
            context.load_verify_locations(ca_bundle)
        options["ssl_context"] = context
    return options


def _paced(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


class Paced(io.RawIOBase):
    """The bytes of a socket, as long as the time that was waited for them is no more than they may take: `patience`
    in seconds, and one for each `least` bytes."""

    def __init__(self, sock: socket.socket, patience: float = _PATIENCE, least: int = _LEAST) -> None:
        self._raw = cast("io.RawIOBase", sock.makefile("rb", 0))
        self._patience, self._least = patience, least
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See RawIOBase. Raises TimeoutError for bytes that drip."""
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - began
        self._came += count or 0
        if self._waited > self._patience + self._came / self._least:
            raise TimeoutError("timed out: the answer does not end")
        return cast("int | None", count)

    def close(self) -> None:
        """See RawIOBase."""
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()  # the library's own file of the socket, from which nothing was read yet
        self.fp = io.BufferedReader(Paced(sock))


class _Connection(HTTPConnection):
    response_class = _Response

    def send(self, data: Any) -> None:
        """See HTTPConnection. A server that has answered before it read all, and hung up, is heard all the same."""
        if self.sock is not None:
            self.sock.settimeout(self.silence)  # urllib3 leaves the time that it takes to connect
        try:
            super().send(data)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(str(error)) from error

    silence = 60.0  # seconds


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
