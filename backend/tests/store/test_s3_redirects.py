"""No redirect takes the session token, or a signed header, from S3's endpoint anywhere else."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support.httpservers import Proxy, Scripted, reply

MAKE_CERT = Path(__file__).parents[1] / "servers" / "make-cert"
KEYS = {
    "AWS_ACCESS_KEY_ID": "KEYID",
    "AWS_SECRET_ACCESS_KEY": "s3cr3t",
    "AWS_SESSION_TOKEN": "s3ss10n",
    "AWS_REGION": "us-east-1",
}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
CALLS: dict[str, Callable[[Store], object]] = {
    "PutObject": lambda store: store.put_new("r/x", b"these bytes"),
    "GetObject": lambda store: store.get("r/x"),
    "GetObject of a range": lambda store: store.get_range("r/x", 0, 1),
    "GetObject as a stream": lambda store: list(store.stream("r/x")),
    "ListBucket": lambda store: store.list("r"),
    "ListBucket of folders": lambda store: store.folders("r"),
}
# What carries the request, the endpoint's host, and the host of the redirect.
WAYS = {
    "to another host": ("https", "127.0.0.1", "localhost"),
    "to another port": ("https", "127.0.0.1", "127.0.0.1"),
    "in clear": ("http", "127.0.0.1", "localhost"),
    "in clear to another port": ("http", "127.0.0.1", "127.0.0.1"),
    "in clear where there is a proxy": ("http+proxy", "127.0.0.1", "elsewhere.test"),
    "behind a proxy": ("https+proxy", "s3.test", "elsewhere.test"),
    "behind a proxy to another port": ("https+proxy", "s3.test", "s3.test"),
    "behind a proxy for all": ("https+all", "s3.test", "elsewhere.test"),
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["bash", MAKE_CERT, folder], check=True)
    return folder


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with Proxy() as proxy:
        yield proxy


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_reaches_the_host_of_a_redirect(
    proxy: Proxy, tls: Path, monkeypatch: pytest.MonkeyPatch, way: str, action: str, status: int
) -> None:
    carried, host, other = WAYS[way]
    scheme = carried.partition("+")[0]
    if carried.endswith(("+proxy", "+all")):
        name = "ALL_PROXY" if carried.endswith("+all") else f"{scheme.upper()}_PROXY"
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    with (
        Scripted(lambda _: [reply(200, {"ETag": '"e"'}, b"x")]) as elsewhere,
        Scripted(lambda _: []) as server,
    ):
        if scheme == "https":
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
            elsewhere.over_tls(context)
            server.over_tls(context)
        to = f"{scheme}://{other}:{elsewhere.port}/bucket/x"
        server.answer = lambda _: [reply(status, {"Location": to})]
        store = opened(f"{scheme}://{host}:{server.port}", tls)
        with pytest.raises(Unavailable) as raised:
            CALLS[action](store)
        assert len(server.seen) == 1
        assert server.seen[0].headers["x-amz-security-token"] == "s3ss10n"
        assert elsewhere.seen == []
    through = [f"s3.test:{server.port}"] if scheme == "https" and host == "s3.test" else []
    assert [request.target for request in proxy.seen] == through
    assert (raised.value.code, raised.value.exit_code) == ("region", 4)
    assert ("another region" if status == 301 else "another address") in raised.value.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_download_that_goes_on_follows_nobody_either(proxy: Proxy, tls: Path, status: int) -> None:
    whole = reply(200, {"ETag": '"e"'}, b"all of these bytes")
    with Scripted(lambda _: [reply(206, {}, b"ytes")]) as elsewhere, Scripted(lambda _: []) as server:
        answers = [whole[:-4], reply(status, {"Location": elsewhere.url("bucket/x")})]
        server.answer = lambda _: [answers.pop(0)]
        store = opened(f"http://127.0.0.1:{server.port}", tls)
        with pytest.raises(Unavailable) as raised:
            store.get("r/x")
        assert [request.headers.get("range") for request in server.seen] == [None, "bytes=14-"]
        assert elsewhere.seen == []
    assert raised.value.code == "region"


def opened(url: str, tls: Path) -> Store:
    env = KEYS | {"AWS_ENDPOINT_URL_S3": url, "AWS_CA_BUNDLE": str(tls / "ca.crt")}
    store = open_store("s3://bucket/repo-scans/snapshotter/", allow_http=True, env=env)
    store.pause = lambda *_: pytest.fail("it tries again")
    return store
