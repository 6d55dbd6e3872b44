"""A git host with an LFS server, on loopback: what `githost` serves, and the Batch API beside each repository.

As a library: `with LfsHost(root) as host: clone(host.url("name.git"))`. Objects lie in `host.objects`, a folder that
`git lfs push` fills or a test does, by their ids; they are served from below `/_lfs/`, as a bucket beside a host
would. Source: git-lfs's docs/api/batch.md and basic-transfers.md.
"""

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from gitcgi import CgiHandler
from gitfaults import Cut, Fault, spoil
from githost import GitHost
from gitserver import Request, Server

MEDIA_TYPE = "application/vnd.git-lfs+json"
_PIECE = 1024 * 1024


class SeenLfs(NamedTuple):
    """One request to the LFS server or its objects; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int


@dataclass(eq=False)
class LfsHost(GitHost):
    """A `GitHost` with LFS. What it answers may be changed while it serves.

    `edit` may alter the answer of a batch, by its document. `lfs_fault` is asked before each other request, with
    "batch", or an object's id. `span` is for how many seconds an action holds, by `now`; then the object's place
    answers 403. `action_header` goes with each action, and a request without it gets 403.
    """

    _: KW_ONLY
    edit: Callable[[dict[str, object]], dict[str, object]] | None = None
    lfs_fault: Callable[[str], Fault | None] | None = None
    span: int | None = None
    now: Callable[[], float] = time.time
    action_header: Mapping[str, str] = field(default_factory=lambda: {"X-Ticket": "t1cket"})
    lfs_requests: list[SeenLfs] = field(default_factory=list, init=False)
    tickets: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def objects(self) -> Path:
        """Where objects lie, by their ids."""
        return self.root / "_objects"

    def open(self) -> Self:
        """See GitHost."""
        self.objects.mkdir(parents=True, exist_ok=True)
        super().open()
        self._server.RequestHandlerClass = LfsHandler
        return self

    def put(self, data: bytes) -> str:
        """Hold an object; its id."""
        oid = hashlib.sha256(data).hexdigest()
        self.objects.mkdir(parents=True, exist_ok=True)
        (self.objects / oid).write_bytes(data)
        return oid

    def batches(self) -> int:
        """How many questions were asked so far."""
        return sum(seen.path.endswith("/objects/batch") for seen in self.lfs_requests)

    def downloads(self) -> list[str]:
        """The objects that were downloaded so far, in order."""
        return [
            seen.path.rpartition("/")[2].partition("?")[0]
            for seen in self.lfs_requests
            if seen.method == "GET"
        ]

    def answer(self, question: dict[str, object]) -> dict[str, object]:
        """What a batch is answered."""
        wanted = question["objects"]
        assert isinstance(wanted, list)
        told = [self._told(str(question["operation"]), each) for each in wanted]
        answer: dict[str, object] = {"transfer": "basic", "objects": told, "hash_algo": "sha256"}
        return self.edit(answer) if self.edit else answer

    def _told(self, operation: str, wanted: dict[str, object]) -> dict[str, object]:
        oid, size = str(wanted["oid"]), wanted["size"]
        there = (self.objects / oid).exists()
        facts: dict[str, object] = {"oid": oid, "size": size, "authenticated": True}
        if operation == "download" and not there:
            return facts | {"error": {"code": 404, "message": "Object does not exist"}}
        if operation == "upload" and there:
            return facts
        ticket = secrets.token_hex(8)
        self.tickets[ticket] = self.now() + (self.span or 1e9)
        action: dict[str, object] = {
            "href": f"{self.url()}/_lfs/{oid}?ticket={ticket}",
            "header": dict(self.action_header),
        }
        if self.span is not None:
            action["expires_in"] = self.span
        return facts | {"actions": {operation: action}}


class LfsHandler(CgiHandler):
    """Answers for LFS, and leaves the rest to git."""

    server: Server

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
        """Answer one request, of whatever method."""
        if self.path.endswith("/info/lfs/objects/batch"):
            self._batch()
        elif self.path.startswith("/_lfs/"):
            self._object()
        elif "/info/lfs/" in self.path:  # locks: there are none
            self._tell(404, {}, b"{}", drain=True)
        else:
            super().do_GET()

    do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

    @property
    def _host(self) -> LfsHost:
        assert isinstance(self.server.host, LfsHost)
        return self.server.host

    def _batch(self) -> None:
        body, host = self._body(), self._host
        if not host.admits(self.headers.get("Authorization", "")):
            self._tell(401, {"WWW-Authenticate": 'Basic realm="lfs"'}, b"{}")
            return
        fault = host.lfs_fault("batch") if host.lfs_fault else None
        if fault and fault.status:
            self._tell(fault.status, {"Content-Type": MEDIA_TYPE, **fault.headers}, fault.body)
            return
        answer = json.dumps(host.answer(json.loads(body))).encode()
        self._tell(200, {"Content-Type": MEDIA_TYPE}, answer, fault)

    def _object(self) -> None:
        host = self._host
        found = re.fullmatch(r"/_lfs/([0-9a-f]{64})\?ticket=(\w+)", self.path)
        stale = not found or host.tickets.get(found[2], 0) <= host.now()
        lacking = any(self.headers.get(name) != value for name, value in host.action_header.items())
        if not found or stale or lacking:
            self._tell(403, {}, b"this ticket is not good", drain=True)
        elif self.command == "PUT":
            self._host.put(self._body())
            self._tell(200, {}, b"")
        else:
            self._send(host.objects / found[1], found[1])

    def _send(self, path: Path, oid: str) -> None:
        fault = self._host.lfs_fault(oid) if self._host.lfs_fault else None
        if fault and fault.status:
            self._tell(fault.status, fault.headers, fault.body)
        elif fault and fault.chatter:
            self._log(200)
            self._head(200, {"Transfer-Encoding": "chunked"})
            while not self._host.closing.is_set():
                self._chunk(bytes(_PIECE))
        elif not path.exists():
            self._tell(404, {}, b"gone")
        else:
            self._log(200)
            self._head(200, {"Content-Length": str(path.stat().st_size)})
            self._pour(_read(path), fault)

    def _pour(self, pieces: Iterator[bytes], fault: Fault | None) -> None:
        try:
            for piece in spoil(pieces, fault, self._host.closing) if fault else pieces:
                self.wfile.write(piece)
        except Cut:
            self.close_connection = True

    def _tell(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        fault: Fault | None = None,
        *,
        drain: bool = False,
    ) -> None:
        if drain:
            self._body()
        self._log(status)
        self._head(status, {**headers, "Content-Length": str(len(body))})
        self._pour(iter([body]), fault)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _log(self, status: int) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._host.lfs_requests.append(SeenLfs(self.command, self.path, headers, status))
        self._host.requests.append(Request(self.command, self.path, "", status, time.monotonic()))


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
