"""Connections to AWS for what is asked without a client library: direct, or through the environment's proxy."""

from __future__ import annotations

import ssl
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from snapshotter.base.urls import is_loopback


def pool(
    url: str, timeout: urllib3.Timeout, *, ca_bundle: str | None = None, at_once: int = 1
) -> urllib3.PoolManager:
    """Connections by which `url` is reached, kept open, `at_once` at most. They try once and follow no redirect.

    `ca_bundle` is a PEM file of CAs that are trusted beside the system's.
    """
    split = urlsplit(url)
    host = split.hostname or ""
    proxy = urllib.request.getproxies().get(split.scheme, "")
    options = _options(split.scheme, timeout, ca_bundle, at_once)
    if not proxy or urllib.request.proxy_bypass(host) or is_loopback(host):
        return urllib3.PoolManager(**options)
    at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    pair = f"{unquote(at.username)}:{unquote(at.password or '')}" if at.username else None
    return urllib3.ProxyManager(
        f"{at.scheme}://{at.hostname}:{at.port or 3128}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=pair) if pair else None,
        **options,
    )


def direct(url: str, timeout: urllib3.Timeout) -> urllib3.PoolManager:
    """The same without a proxy, whatever the environment says."""
    return urllib3.PoolManager(**_options(urlsplit(url).scheme, timeout, None, 1))


def _options(scheme: str, timeout: urllib3.Timeout, ca_bundle: str | None, at_once: int) -> dict[str, Any]:
    options: dict[str, Any] = {"maxsize": at_once, "retries": False, "timeout": timeout}
    if scheme == "https":
        context = ssl.create_default_context()
        if ca_bundle:
            context.load_verify_locations(ca_bundle)
        options["ssl_context"] = context
    return options
