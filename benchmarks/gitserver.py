"""The listening half of `githost`: connections on threads, and the host that they are answered for."""

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import NamedTuple, Protocol

from gitfaults import Fault


class Request(NamedTuple):
    """One answered request, as the host's log keeps it."""

    method: str
    path: str  # the request's target; of protocol v2 with its command: "/x.git/git-upload-pack#ls-refs"
    protocol: str  # the Git-Protocol header, "" when there was none
    status: int
    at: float  # when it had come in whole: seconds, by time.monotonic


class Host(Protocol):
    """What the answer to a request depends on: see `githost.GitHost`."""

    basic: tuple[str, str] | None
    v0: bool
    serial: bool
    fault: Callable[[str], Fault | None] | None
    requests: list[Request]
    closing: threading.Event

    def admits(self, authorization: str) -> bool:
        """Whether a request with this Authorization header may pass."""
        ...

    def environment(self) -> dict[str, str]:
        """The environment of every git that serves."""
        ...


class Server(ThreadingTCPServer):
    """Threads for connections, which it remembers so that it can hang up on them."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[BaseRequestHandler], host: Host, tls: Path | None
    ) -> None:
        super().__init__(address, handler)
        self.host = host
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self.tls and tls:
            self.tls.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        self._open: set[socket.socket] = set()
        self._turn = threading.Lock()
        self.connections = self.most_at_once = 0

    @property
    def open_now(self) -> int:
        """How many connections are open. One that its client has closed no longer counts."""
        return sum(not _hung_up(each) for each in tuple(self._open))

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Hand a connection to a thread of its own, wrapped in TLS if there is any."""
        if self.tls:  # the handshake is left to the connection's own thread
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._open.add(request)
        self.connections += 1
        self.most_at_once = max(self.most_at_once, self.open_now)
        super().process_request(request, client_address)

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Serve a connection until its end."""
        with self._turn if self.host.serial else nullcontext():
            super().finish_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close a connection and forget it."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news; anything else is told on stderr."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        """Close every connection that is open."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _hung_up(connection: socket.socket) -> bool:
    """Whether its client has closed a connection that is not closed here yet, since its thread's turn did not come."""
    try:
        # Of the plain socket below TLS, too.
        return not socket.socket.recv(connection, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
