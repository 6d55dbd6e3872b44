"""A logging reverse proxy in front of an S3 server: what a client really sent, request by request."""

from __future__ import annotations

import http.client
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit


@dataclass(frozen=True)
class Seen:
    """One request as it was sent: method, bucket and key from a path-style URL, query, headers in lower case."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int
    listed: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def operation(self) -> str:
        """The S3 operation, as far as these tests tell them apart."""
        if self.method == "GET" and not self.key:
            return "List"
        multipart = {"uploads", "uploadId", "partNumber"} & self.query.keys()
        return (
            "Multipart"
            if multipart
            else {"GET": "Get", "PUT": "Put", "HEAD": "Head"}.get(self.method, self.method)
        )


class LoggingProxy:
    """Takes plain HTTP on a free loopback port and forwards it to `upstream` over TLS, Host header and all, so
    that signatures hold."""

    def __init__(self, upstream: str, ca_bundle: Path) -> None:
        self.seen: list[Seen] = []
        self._upstream = urlsplit(upstream).netloc
        self._tls = ssl.create_default_context(cafile=str(ca_bundle))
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._forward(self)

            do_PUT = do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Silence: `seen` is the log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _forward(self, handler: BaseHTTPRequestHandler) -> None:
        size = int(handler.headers.get("Content-Length") or 0)
        if handler.headers.get("Expect", "").lower() == "100-continue":
            handler.send_response_only(100)
            handler.end_headers()
        body = handler.rfile.read(size)
        connection = http.client.HTTPSConnection(self._upstream, timeout=30, context=self._tls)
        connection.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            if name.lower() not in ("expect", "connection"):
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        self._note(handler, answer.status, data)
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", answer.getheader("Content-Length") or str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        connection.close()

    def _note(self, handler: BaseHTTPRequestHandler, status: int, data: bytes) -> None:
        split = urlsplit(handler.path)
        bucket, _, key = unquote(split.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        decode = unquote_plus if b"<EncodingType>url</EncodingType>" in data else str
        keys = [decode(part.partition(b"</Key>")[0].decode()) for part in data.split(b"<Key>")[1:]]
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.seen.append(Seen(handler.command, bucket, key, query, headers, status, frozenset(keys)))
