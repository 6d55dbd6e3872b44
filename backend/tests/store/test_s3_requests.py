"""How objects come and go over S3's connections: kept open, within time and memory, and on where one broke."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from socketserver import StreamRequestHandler
from typing import Any
from urllib.parse import urlsplit

import pytest

from snapshotter.aws.connections import Paced
from snapshotter.aws.renewal import SessionKeys
from snapshotter.base.errors import SnapshotterError, TooLarge, Unavailable, Unusable, UsageError
from snapshotter.store import s3_objects
from snapshotter.store.backend import ObjectAttributes
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from snapshotter.store.s3_requests import S3Failed, S3Requests
from snapshotter.store.sigv4 import Signable
from tests.support.httpservers import Scripted, Seen, read_request, reply

MAKE_CERT = Path(__file__).parents[1] / "servers" / "make-cert"
KEYS = {"AWS_ACCESS_KEY_ID": "KEYID", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_REGION": "us-east-1"}
DATA = bytes(range(256)) * 40


def opened(url: str, **env: str) -> Store:
    store = open_store("s3://bucket/p/", allow_http=True, env=KEYS | {"AWS_ENDPOINT_URL_S3": url} | env)
    store.pause = lambda *_: None
    return store


def requests_to(server: Scripted, tokens: Iterable[str] = ()) -> S3Requests:
    given = iter(tokens)
    return S3Requests(
        f"http://127.0.0.1:{server.port}/bucket",
        "us-east-1",
        lambda: SessionKeys("KEYID", "s3cr3t", next(given, None)),
        pause=lambda _: None,
    )


class Breaking:
    """Serves DATA, and hangs up after `step` bytes of it each time; `tell` is the Content-Range that it says."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.tell: Callable[[int], str] = lambda first: f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"

    def __call__(self, request: Seen) -> Iterable[bytes]:
        asked = request.headers.get("range")
        first = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        headers = {"ETag": '"e"'} | ({"Content-Range": self.tell(first)} if asked else {})
        whole = reply(206 if asked else 200, headers, DATA[first:])
        return [whole[: len(whole) - max(0, len(DATA) - first - self.step)]]


@pytest.mark.parametrize("step", [len(DATA) // 4, len(DATA) // 5 + 1, len(DATA) - 1])
def test_a_download_goes_on_where_its_connection_broke(step: int) -> None:
    with Scripted(Breaking(step)) as server:
        assert s3_objects.read(requests_to(server), "r/x", len(DATA)) == DATA
        asked = [(request.headers.get("range"), request.headers.get("if-match")) for request in server.seen]
    later = [(f"bytes={first}-", '"e"') for first in range(step, len(DATA), step)]
    assert asked == [(None, None), *later]


def test_a_download_that_breaks_again_and_again_is_given_up() -> None:
    with Scripted(Breaking(10)) as server:
        with pytest.raises(S3Failed) as raised:
            s3_objects.read(requests_to(server), "r/x", None)
        assert len(server.seen) == 1 + 4
    assert raised.value.passes


@pytest.mark.parametrize("tell", ["bytes 0-9/10240", "bytes 200-10239/10240", "", "items 100-10239/10240"])
def test_another_part_is_not_put_behind_the_first(tell: str) -> None:
    server_says = Breaking(100)
    server_says.tell = lambda _: tell
    with Scripted(server_says) as server:
        with pytest.raises(Unavailable):
            list(opened(f"http://127.0.0.1:{server.port}").stream("r/x"))
        with pytest.raises(Unavailable):
            opened(f"http://127.0.0.1:{server.port}").get_range("r/x", 100, 110)


def test_an_object_that_became_another_is_not_put_behind_the_first() -> None:
    answers = [
        reply(200, {"ETag": '"e"'}, DATA)[:-10],
        reply(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"),
    ]
    with Scripted(lambda _: [answers.pop(0)]) as server, pytest.raises(Unavailable) as raised:
        list(opened(f"http://127.0.0.1:{server.port}").stream("r/x"))
    assert "PreconditionFailed" in raised.value.message


def test_a_whole_object_is_not_taken_for_a_part_of_it() -> None:
    with Scripted(lambda _: [reply(200, {}, DATA)]) as server, pytest.raises(SnapshotterError):
        opened(f"http://127.0.0.1:{server.port}").get_range("r/x", 1, 3)


def test_pieces_are_there_before_the_rest_has_come() -> None:
    here = threading.Event()

    def slowly(_: Seen) -> Iterator[bytes]:
        whole = reply(200, {}, DATA)
        yield whole[:-5000]
        assert here.wait(20)
        yield whole[-5000:]

    with Scripted(slowly) as server:
        pieces = opened(f"http://127.0.0.1:{server.port}").stream("r/x", 1024)
        first = bytes(next(pieces))
        here.set()
        rest = [bytes(piece) for piece in pieces]
    assert first == DATA[:1024]
    assert b"".join(rest) == DATA[1024:]
    assert max(map(len, rest)) == 1024


def test_of_an_object_that_is_too_large_nothing_is_read() -> None:
    def endless(_: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"
        server.closing.wait(20)

    with Scripted(endless) as server, pytest.raises(TooLarge):
        opened(f"http://127.0.0.1:{server.port}").get("r/x", limit=1000)


READS: dict[str, Callable[[Store], object]] = {
    "whole": lambda store: store.get("r/x", limit=1000),
    "in parts": lambda store: store.get_range("r/x", 100, 200),
    "piece by piece": lambda store: list(store.stream("r/x")),
}


def in_chunks(head: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield f"HTTP/1.1 {head}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for chunk in chunks:
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("first", ["first", "after a break"])
@pytest.mark.parametrize("read", READS)
def test_an_answer_that_is_larger_than_it_says_is_not_read_on(read: str, first: str) -> None:
    chunks, sent = 64, count()  # of 1 MiB: more than fits between the two

    def answer(request: Seen) -> Iterable[bytes]:
        if "range" in request.headers:
            head = "206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 100-199/200"
        elif first == "first":
            head = "200 OK\r\nContent-Length: 200"
        else:
            return [reply(200, {}, bytes(200))[:-100]]
        return in_chunks(head, (bytes(1024 * 1024) for _ in range(chunks) if next(sent) >= 0))

    with Scripted(answer) as server, pytest.raises(Unavailable) as raised:
        READS[read](opened(f"http://127.0.0.1:{server.port}"))
    assert not isinstance(raised.value, Unusable), "the object may be in order"
    assert "larger than" in raised.value.message
    assert next(sent) < chunks


def test_chunks_that_end_early_are_not_taken_for_the_whole() -> None:
    def answer(request: Seen) -> Iterable[bytes]:
        if "range" in request.headers:
            return [reply(206, {"Content-Range": f"bytes 100-{len(DATA) - 1}/{len(DATA)}"}, DATA[100:])]
        return in_chunks(f"200 OK\r\nContent-Length: {len(DATA)}", [DATA[:60], DATA[60:100]])

    with Scripted(answer) as server:
        assert opened(f"http://127.0.0.1:{server.port}").get("r/x", limit=len(DATA)) == DATA
        assert len(server.seen) == 2


def test_an_object_without_a_size_is_none() -> None:
    with Scripted(lambda _: [b"HTTP/1.1 200 OK\r\n\r\nabc"]) as server, pytest.raises(Unavailable) as raised:
        opened(f"http://127.0.0.1:{server.port}").get("r/x", limit=1000)
    assert "how large" in raised.value.message


class Kept(Scripted):
    """Leaves connections open, and counts them."""

    def __init__(self, answer: Callable[[Seen], Iterable[bytes]]) -> None:
        super().__init__(answer)
        self.connections = 0
        outer = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                outer.connections += 1
                while request := read_request(self.rfile):
                    outer.seen.append(request)
                    for piece in outer.answer(request):
                        self.wfile.write(piece.replace(b"Connection: close\r\n", b""))

        self._server.RequestHandlerClass = Handler


def test_one_connection_carries_all_requests_of_a_thread() -> None:
    objects: dict[str, bytes] = {}

    def bucket(request: Seen) -> list[bytes]:
        path = urlsplit(request.target).path
        if request.method == "PUT":
            taken = path in objects
            objects.setdefault(path, request.body)
            return [reply(412 if taken else 200)]
        if "list-type" in request.target:
            inside = "<Contents><Key>p/r/0</Key><Size>0</Size></Contents>"
            return [reply(200, {}, f"<ListBucketResult>{inside}</ListBucketResult>".encode())]
        if path not in objects:
            return [reply(403, {}, b"<Error><Code>AccessDenied</Code></Error>")]
        if request.headers.get("range"):
            return [reply(206, {"Content-Range": "bytes 0-1/*"}, objects[path][:2])]
        return [reply(200, {}, objects[path])]

    with Kept(bucket) as server:
        store = opened(f"http://127.0.0.1:{server.port}")
        for number in range(20):
            data = bytes(number * 1000)
            store.put_new(f"r/{number}", data)
            assert store.get(f"r/{number}") == data
            assert b"".join(store.stream(f"r/{number}")) == data
            store.list("r")
            store.get_range("r/19", 0, 2) if number == 19 else store.folders("r")
            with pytest.raises(SnapshotterError):
                store.get("r/nothing")
        assert len(server.seen) == 20 * 7
        assert server.connections == 1


def test_connections_that_the_server_closed_meanwhile_are_made_anew() -> None:
    # It hangs up without having said that it would.
    with Scripted(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"]) as server:
        store = opened(f"http://127.0.0.1:{server.port}")
        assert [store.get("r/x") for _ in range(5)] == [b"x"] * 5


def test_what_drips_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paced = Paced(ours, patience=0.2, least=1000)
        sender = threading.Thread(target=_drip, args=(theirs,))
        sender.start()
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                assert paced.readinto(bytearray(100))
        ours.shutdown(socket.SHUT_RDWR)
        paced.close()
        sender.join()


def test_what_is_slow_and_not_too_slow_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        paced = Paced(ours, patience=0.0, least=1)
        sender = threading.Thread(target=_drip, args=(theirs, 20))
        sender.start()
        came = 0
        while came < 20:  # several may have come by the time of a read
            count = paced.readinto(bytearray(100))
            assert count
            came += count
        sender.join()
        paced.close()


def _drip(to: socket.socket, most: int = 1000) -> None:
    with contextlib.suppress(OSError):
        for _ in range(most):
            to.sendall(b"x")
            threading.Event().wait(0.01)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_refusal_before_all_was_sent_is_read(tmp_path: Path, tls: bool) -> None:
    """S3 refuses by the headers, and hangs up on the body."""
    subprocess.run(["bash", MAKE_CERT, tmp_path], check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"

    def refuse(listener: socket.socket) -> None:
        connection: Any = listener.accept()[0]
        if tls:
            connection = context.wrap_socket(connection, server_side=True)
        connection.recv(4096)
        connection.sendall(reply(403, {}, body))
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while connection.recv(1 << 20):
                pass
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse, args=(listener,), daemon=True).start()
        url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        store = opened(url, AWS_CA_BUNDLE=str(tmp_path / "ca.crt"))
        with pytest.raises(SnapshotterError) as raised:
            store.put_new("r/x", bytes(32 * 1024 * 1024))
    assert raised.value.exit_code == 5


def test_each_try_is_signed_by_the_credentials_in_force() -> None:
    tokens = [f"t{number}" for number in range(9)]
    with Scripted(Breaking(len(DATA) - 1)) as server:
        one = requests_to(server, tokens)
        assert s3_objects.read(one, "r/x", None) == DATA
        server.answer = lambda _: [reply(200)]
        s3_objects.create(one, "r/y", b"y", ObjectAttributes())
        assert [request.headers["x-amz-security-token"] for request in server.seen] == tokens[:3]


def test_a_token_that_is_said_back_is_not_shown() -> None:
    with Scripted(lambda request: [reply(418, {}, str(request.headers).encode())]) as server:
        with pytest.raises(S3Failed) as raised:
            requests_to(server, ["s3ss10n"]).send(Signable("GET", f"http://127.0.0.1:{server.port}/bucket/x"))
        assert server.seen[0].headers["x-amz-security-token"] == "s3ss10n"
    assert "x-amz-security-token" in raised.value.words
    assert "s3ss10n" not in raised.value.words


def test_a_certificate_of_nobody_known_is_named_as_the_cause(tmp_path: Path) -> None:
    subprocess.run(["bash", MAKE_CERT, tmp_path], check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with Scripted(lambda _: [reply(200)]) as server:
        server.over_tls(context)
        store = opened(f"https://127.0.0.1:{server.port}")
        tries = count()
        store.pause = lambda *_: next(tries) and None
        for call in (lambda: store.get("r/x"), lambda: store.put_new("r/x", b""), lambda: store.list("r")):
            with pytest.raises(Unavailable) as raised:
                call()
            assert raised.value.message.endswith("its certificate is not trusted")
            assert "AWS_CA_BUNDLE" in raised.value.hint
        assert next(tries) == 0
        assert server.seen == []


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://127.0.0.1:port"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    for other in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, proxy)
    with pytest.raises(UsageError) as raised:
        open_store("s3://bucket/p/", env=KEYS).get("r/x")
    assert name in raised.value.hint
