"""A smart-HTTP git host on loopback, to test and measure against: real `git http-backend` on a small server.

As a library: `with GitHost(root) as host: clone(host.url("name.git"))`. As a script it prints its URL and
serves until it is killed or its standard input closes:

    python benchmarks/githost.py ROOT --port 0

A reply is streamed in HTTP chunks as it is made, moved from pipe to socket inside the kernel (splice), so a
large pack costs this process neither memory nor much CPU. Connections are kept alive.
"""

import argparse
import base64
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Self

from gitcgi import CgiHandler, Request
from gitfaults import Fault

__all__ = ["Fault", "GitHost", "Request"]

# What public hosts allow too; `config` may take it back.
HOST_CONFIG = {
    "safe.directory": "*",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
}


class GitHost:
    """Serves the repositories in the folder `root` on a free loopback port until closed.

    `fault` is asked before each request is carried out, with the path as `requests` logs it, and may have
    side effects (move a ref between listing and fetching). With `basic` (user, password) or `bearer` set, a
    request without one of these credentials gets 401. `config` is git configuration for the serving git. `v0`
    drops the Git-Protocol header, as an old server does. `tls` is a folder with tls.crt and tls.key. All
    but `tls` may be changed while it serves.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        port: int = 0,
        basic: tuple[str, str] | None = None,
        bearer: str | None = None,
        config: Mapping[str, str] | None = None,
        v0: bool = False,
        fault: Callable[[str], Fault | None] | None = None,
        tls: Path | None = None,
    ) -> None:
        self.root = Path(root).resolve()
        self.basic, self.bearer, self.v0, self.fault = basic, bearer, v0, fault
        self.config = dict(config or {})
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._scheme = "https" if tls else "http"
        self._server = Server(("127.0.0.1", port), self, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def url(self, name: str = "") -> str:
        """The URL of the repository in folder `name`; of the host itself, without a closing slash, for ""."""
        name_part = f"/{name}" if name else ""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}{name_part}"

    def close(self) -> None:
        """Stop listening and hang up on whoever is connected; what git still serves ends with it."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def admits(self, authorization: str) -> bool:
        """Whether a request with this Authorization header may pass."""
        allowed = []
        if self.basic:
            allowed.append("Basic " + base64.b64encode(":".join(self.basic).encode()).decode())
        if self.bearer:
            allowed.append(f"Bearer {self.bearer}")
        return not allowed or authorization in allowed

    def environment(self) -> dict[str, str]:
        """The environment of every git that serves: nothing of the user's, this host's configuration."""
        config = {**HOST_CONFIG, **self.config}
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for n, (key, value) in enumerate(config.items()):
            env |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
        return env


class Server(ThreadingTCPServer):
    """Threads for connections, which it remembers so that it can hang up on them."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], host: GitHost, tls: Path | None) -> None:
        super().__init__(address, CgiHandler)
        self.host = host
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self.tls and tls:
            self.tls.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        self._open: set[socket.socket] = set()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        if self.tls:  # the handshake is left to the connection's own thread
            request = self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news; anything else is told on stderr."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def hang_up(self) -> None:
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve a folder until killed or until standard input closes."""
    parser = argparse.ArgumentParser(description="serve the git repositories in a folder over smart HTTP")
    parser.add_argument("root", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--v0", action="store_true", help="speak only the oldest protocol")
    args = parser.parse_args()
    with GitHost(args.root, port=args.port, v0=args.v0) as host:
        print(host.url(), flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
