"""An S3 server on loopback that keeps nothing: to measure how fast a client uploads, not how a server stores.

Each PUT is answered (200, an ETag) as soon as its body has been read, and nothing is kept; a LIST is empty;
everything else is 404. Bodies are thrown away inside the kernel (MSG_TRUNC), so a GB costs this process next
to no CPU. With TLS (a folder with tls.crt and tls.key) they are decrypted first, as S3 does. Path-style URLs,
no signature is checked. As a library: `with S3Sink() as sink:`. As a
script it prints its URL, and its counts as JSON once it is stopped by SIGTERM or its standard input closes:

    python benchmarks/s3sink.py --port 0
"""

import argparse
import json
import signal
import socket
import ssl
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self

SCRATCH = bytearray(8 << 20)  # never written to: it only says how much to throw away at a time
EMPTY_LIST = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>sink</Name><Prefix></Prefix>'
    b"<KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)
NOT_FOUND = b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code><Message>kept nothing</Message></Error>'


class S3Sink:
    """Listens on a loopback port, by default a free one, within a `with`; `bytes` and `requests` count what was
    answered so far."""

    def __init__(self, *, port: int = 0, tls: Path | None = None) -> None:
        self._port, self._tls = port, tls
        self.bytes = 0  # of request bodies, without their framing
        self.requests: Counter[str] = Counter()  # by method
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens, without a closing slash."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def count(self, method: str, size: int) -> None:
        """Add one request with a body of `size` bytes."""
        with self._lock:
            self.requests[method] += 1
            self.bytes += size

    def close(self) -> None:
        """Stop listening. Connections that are still open end with their clients."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", self._port), self, self._tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sink: S3Sink, tls: Path | None) -> None:
        super().__init__(address, _Handler)
        self.sink = sink
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls / "tls.crt", tls / "tls.key")


class _Handler(BaseRequestHandler):
    """One connection: heads are read into `_ahead`, bodies are not read at all."""

    request: socket.socket
    server: _Server

    def handle(self) -> None:
        """See BaseRequestHandler."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ahead = b""
        with suppress(ConnectionError):
            if self.server.tls:
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
            while self._one_request():
                pass

    def _one_request(self) -> bool:
        """Answer one request; False once the client has closed the connection."""
        head = self._until(b"\r\n\r\n")
        if not head:
            return False
        line, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        if headers.get("expect", "").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            size = self._drop_chunks()
        else:
            size = self._drop(int(headers.get("content-length", 0)))
        self.server.sink.count(method, size)
        self.request.sendall(_answer(method, target))
        return headers.get("connection", "").lower() != "close"

    def _until(self, mark: bytes) -> bytes:
        """What comes before the mark, which is taken out too; nothing where the connection ends first."""
        while mark not in self._ahead:
            more = self.request.recv(65536)
            if not more:
                return b""
            self._ahead += more
        before, _, self._ahead = self._ahead.partition(mark)
        return before

    def _drop(self, size: int) -> int:
        """Throw away the next `size` bytes. Raises ConnectionError where there are fewer."""
        rest = size - len(self._ahead)
        self._ahead = self._ahead[size:]
        flags = 0 if self.server.tls else socket.MSG_TRUNC | socket.MSG_WAITALL
        while rest > 0:
            dropped = self.request.recv_into(SCRATCH, min(rest, len(SCRATCH)), flags)
            if not dropped:
                raise ConnectionError
            rest -= dropped
        return size

    def _drop_chunks(self) -> int:
        total = 0
        while size := int(self._until(b"\r\n").split(b";")[0] or b"0", 16):
            total += self._drop(size)
            self._drop(2)
        while self._until(b"\r\n"):
            pass
        return total


def _answer(method: str, target: str) -> bytes:
    if method == "PUT":
        return b'HTTP/1.1 200 OK\r\nETag: "d41d8cd98f00b204e9800998ecf8427e"\r\nContent-Length: 0\r\n\r\n'
    is_list = method == "GET" and ("list-type=" in target or "prefix=" in target)
    status, body = (b"200 OK", EMPTY_LIST) if is_list else (b"404 Not Found", NOT_FOUND)
    head = b"HTTP/1.1 %b\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head if method == "HEAD" else head + body


def main() -> None:
    """Swallow until stopped, then print the counts."""
    parser = argparse.ArgumentParser(description="an S3 server on loopback that swallows")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--tls", type=Path, help="a folder with tls.crt and tls.key")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with S3Sink(port=args.port, tls=args.tls) as sink:
        print(sink.url, flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()
        print(json.dumps({"bytes": sink.bytes, "requests": dict(sink.requests)}), flush=True)


if __name__ == "__main__":
    main()
