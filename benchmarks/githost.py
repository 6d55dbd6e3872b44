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
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Self

from gitcgi import CgiHandler
from gitfaults import Fault
from gitserver import Request, Server

__all__ = ["Fault", "GitHost", "Request"]

# What public hosts allow too; `config` may take it back.
HOST_CONFIG = {
    "safe.directory": "*",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
}


@dataclass(eq=False)
class GitHost:
    """Serves the repositories in the folder `root` on a loopback port, by default a free one, from `open` to `close`.

    `fault` is asked before each request is carried out, with the path as `requests` logs it, and may have
    side effects (move a ref between listing and fetching). With `basic` (user, password) or `bearer` set, a
    request without one of these credentials gets 401. `config` is git configuration for the serving git. `v0`
    drops the Git-Protocol header, as an old server does. `tls` is a folder with tls.crt and tls.key. With `serial`,
    it serves one connection after another: the next when the client has closed the one before. All but `port` and
    `tls` may be changed while it serves.
    """

    root: Path
    _: KW_ONLY
    port: int = 0
    basic: tuple[str, str] | None = None
    bearer: str | None = None
    config: dict[str, str] = field(default_factory=dict)
    v0: bool = False
    serial: bool = False
    fault: Callable[[str], Fault | None] | None = None
    tls: Path | None = None
    requests: list[Request] = field(default_factory=list, init=False)
    closing: threading.Event = field(default_factory=threading.Event, init=False)

    def open(self) -> Self:
        """Listen. Raises OSError if the port is taken."""
        self._server = Server(("127.0.0.1", self.port), CgiHandler, self, self.tls)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def url(self, name: str = "") -> str:
        """The URL of the repository in folder `name`; of the host itself, without a closing slash, for ""."""
        name_part = f"/{name}" if name else ""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}{name_part}"

    @property
    def connections(self) -> int:
        """How many connections clients have opened so far."""
        return self._server.connections

    @property
    def most_at_once(self) -> int:
        """How many connections were open at once, at most. One that its client has closed no longer counts."""
        return self._server.most_at_once

    @property
    def open_now(self) -> int:
        """How many connections are open, in use or waiting for another request."""
        return self._server.open_now

    def close(self) -> None:
        """Stop listening and hang up on whoever is connected; what git still serves ends with it."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.open()

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
            "GIT_PROJECT_ROOT": str(self.root.resolve()),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": str(len(config)),
        }
        for n, (key, value) in enumerate(config.items()):
            env |= {f"GIT_CONFIG_KEY_{n}": key, f"GIT_CONFIG_VALUE_{n}": value}
        return env


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
