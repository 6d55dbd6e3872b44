"""The request handler of `githost`: one HTTP request is one run of `git http-backend` (CGI, RFC 3875)."""

import fcntl
import gzip
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler
from subprocess import PIPE
from urllib.parse import unquote

from gitfaults import Cut, Fault, chatter, spoil
from gitserver import Request, Server

PIPE_BYTES = 1 << 20


class CgiHandler(BaseHTTPRequestHandler):
    """Turns one request into one run of `git http-backend` (CGI, RFC 3875) and its output into the reply."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        """Answer one request, of whatever method: refuse it, spoil it, or let git carry it out."""
        host = self.server.host
        body = self._body()
        protocol = self.headers.get("Git-Protocol", "")
        self._came_at = time.monotonic()
        self._label = _label(self.path, protocol, self.headers.get("Content-Encoding", ""), body)
        if not host.admits(self.headers.get("Authorization", "")):
            scheme = 'Basic realm="githost"' if host.basic else "Bearer"
            self._reply(401, {"WWW-Authenticate": scheme}, b"credentials, please\n")
            return
        fault = host.fault(self._label) if host.fault else None
        if fault and fault.status:
            self._reply(fault.status, fault.headers, fault.body)
        elif fault and fault.chatter:
            self._start(200, {"Content-Type": _content_type(self.path)})
            self._send_spoiled(chatter(self._label, protocol), fault)
        else:
            self._run_git(body, fault)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def _body(self) -> bytes:
        """The request's body, out of its chunks where it came in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return bytes(body)

    def _run_git(self, body: bytes, fault: Fault | None) -> None:
        with subprocess.Popen(
            _http_backend(), env=self._cgi(body), stdin=PIPE, stdout=PIPE, process_group=0
        ) as git:
            assert git.stdin and git.stdout
            try:
                with suppress(BrokenPipeError), git.stdin:
                    git.stdin.write(body)
                self._send_output(git.stdout.fileno(), fault)
            except BaseException:  # the client is gone, or this host is broken: git has no one to serve
                os.killpg(git.pid, signal.SIGKILL)
                raise

    def _send_output(self, pipe: int, fault: Fault | None) -> None:
        with suppress(OSError):  # beyond the machine's limit of pipe memory a small pipe does as well
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        status, headers, first = _cgi_head(pipe)
        self._start(status, headers)
        if fault:
            self._send_spoiled(_pieces(pipe, first), fault)
        else:
            self._send_all(pipe, first)

    def _cgi(self, body: bytes) -> dict[str, str]:
        host, headers = self.server.host, self.headers
        path, _, query = self.path.partition("?")
        env = host.environment() | {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": self.client_address[0],
        }
        if headers.get("Content-Encoding"):
            env["HTTP_CONTENT_ENCODING"] = headers["Content-Encoding"]
        if headers.get("Git-Protocol") and not host.v0:
            env["GIT_PROTOCOL"] = headers["Git-Protocol"]
        if headers.get("Authorization"):
            env["REMOTE_USER"] = "someone"
        return env

    def _start(self, status: int, headers: Mapping[str, str], *, length: int | None = None) -> None:
        """Log the request and send the reply's head; without a length, the body follows in chunks."""
        protocol = self.headers.get("Git-Protocol", "")
        self.server.host.requests.append(Request(self.command, self._label, protocol, status, self._came_at))
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self._start(status, headers, length=len(body))
        self.wfile.write(body)

    def _send_all(self, pipe: int, first: bytes) -> None:
        if first:
            self._chunk(first)
        if self.server.tls:
            for piece in _pieces(pipe, b""):
                self._chunk(piece)
        else:
            while ready := _wait(pipe):
                self.connection.send(b"%x\r\n" % ready, socket.MSG_MORE)
                while ready:
                    ready -= os.splice(pipe, self.connection.fileno(), ready, flags=os.SPLICE_F_MORE)
                self.connection.send(b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def _send_spoiled(self, pieces: Iterator[bytes], fault: Fault) -> None:
        try:
            for piece in spoil(pieces, fault, self.server.host.closing):
                self._chunk(piece)
        except Cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing: `requests` is the log."""


def _label(path: str, protocol: str, encoding: str, body: bytes) -> str:
    """The path, and for protocol v2 its command."""
    if "version=2" not in protocol or not body:
        return path
    plain = gzip.decompress(body) if encoding == "gzip" else body
    command = plain[12 : int(plain[:4], 16)]
    return f"{path}#{command.decode(errors='replace').strip()}" if plain[4:12] == b"command=" else path


def _content_type(path: str) -> str:
    kind = "advertisement" if "info/refs" in path else "result"
    return f"application/x-git-upload-pack-{kind}"


@cache
def _http_backend() -> list[str]:
    """The program itself: by way of `git` there would be one more process."""
    folder = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    return [f"{folder}/git-http-backend"]


def _cgi_head(pipe: int) -> tuple[int, dict[str, str], bytes]:
    """Status and headers of a CGI reply, and what of its body came along with them."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = os.read(pipe, 65536)
        if not more:
            return 500, {}, b"git http-backend gave no answer\n"
        data += more
    head, _, first = data.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n"))
    return int(headers.pop("Status", "200").split()[0]), headers, first


def _wait(pipe: int) -> int:
    """Block until the pipe holds bytes and say how many; 0 at its end."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.poll()
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def _pieces(pipe: int, first: bytes) -> Iterator[bytes]:
    if first:
        yield first
    while piece := os.read(pipe, PIPE_BYTES):
        yield piece
