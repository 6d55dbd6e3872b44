"""Servers on loopback that say exactly what a test tells them to: raw HTTP answers, and a proxy."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
RESULT = "application/x-git-upload-pack-result"


class Seen(NamedTuple):
    """A request as it came in; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Scripted:
    """Answers each request with the raw bytes that `answer` makes of it, then hangs up.

    Pieces that `answer` yields are sent as they come. `seen` keeps the requests.
    """

    def __init__(self, answer: Callable[[Seen], Iterable[bytes]]) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.closing = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = read_request(self.rfile)
                if request:
                    outer.seen.append(request)
                    with contextlib.suppress(OSError):
                        for piece in outer.answer(request):
                            self.wfile.write(piece)

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "x.git", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def over_tls(self, context: ssl.SSLContext) -> None:
        """Speak TLS from the next connection on."""
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class Proxy(Scripted):
    """An HTTP proxy that sends every request to a port of this machine, whatever host it names: to the
    backend's, or without one to the port that the request names."""

    def __init__(self, backend_port: int | None = None, *, auth: str = "") -> None:
        super().__init__(lambda _: [])
        self._auth = "Basic " + base64.b64encode(auth.encode()).decode() if auth else ""
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                request = read_request(self.rfile)
                if not request:
                    return
                outer.seen.append(request)
                if request.headers.get("proxy-authorization", "") != outer._auth:
                    self.wfile.write(reply(407, {"Proxy-Authenticate": "Basic"}))
                    return
                port = backend_port or int(
                    re.split(r"[:/]+", request.target.partition("://")[2] or request.target)[1]
                )
                with socket.create_connection(("127.0.0.1", port)) as backend:
                    if request.method == "CONNECT":
                        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    else:
                        backend.sendall(outer._relayed(request))
                    back = threading.Thread(target=_copy, args=(backend, self.connection), daemon=True)
                    back.start()
                    if request.method == "CONNECT":
                        _copy(self.connection, backend)
                    back.join(60)

        self._server.RequestHandlerClass = Handler

    def _relayed(self, request: Seen) -> bytes:
        path = "/" + request.target.split("/", 3)[3]
        kept = request.headers | {"connection": "close"}
        head = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items())]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + request.body


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


def read_request(stream: socketserver.BufferedIOBase) -> Seen | None:
    first = stream.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(first[0], first[1], headers, stream.read(int(headers.get("content-length", 0))))


def reply(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status} Whatever", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def pkt(data: bytes) -> bytes:
    return b"%04x%b" % (len(data) + 4, data)


def advertisement(*capabilities: bytes) -> bytes:
    """A v2 server's first words over HTTP."""
    offered = capabilities or (b"ls-refs=unborn", b"fetch=filter shallow", b"object-format=sha1")
    lines = b"".join(pkt(word + b"\n") for word in offered)
    return pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"version 2\n") + lines + b"0000"


def v2_server(answer: Callable[[Seen], Iterable[bytes]]) -> Callable[[Seen], Iterable[bytes]]:
    """A script that advertises protocol v2 and leaves the rest to `answer`."""

    def script(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            return [reply(200, {"Content-Type": ADVERTISEMENT}, advertisement())]
        return answer(request)

    return script


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
