"""What ECS gives a task: an endpoint for short-lived credentials; and a gate that holds S3 to their lifetime.

    with EcsEndpoint(issue, seconds=3) as ecs, Gate(server, ecs) as gate:
        env = ecs.environment() | {"AWS_ENDPOINT_URL": gate.url, ...}

RADOS Gateway's own sessions last 15 minutes at least, so the gate stands before it and answers ExpiredToken,
as S3 does, to whoever signs with keys that the endpoint issued too long ago.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.servers import Keys, Server

_TOKEN = "a-task-s-own-token"
_EMPTY, _SAID = b"<Message></Message>", b"<Message>Access Denied</Message>"
_LATE = 1.0  # seconds that a request may take on its way


class _Http:
    """A server on a free loopback port, from `with` to its end."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class EcsEndpoint(_Http):
    """Issues keys that expire `seconds` after; `issued` holds the time of each access key's issue."""

    def __init__(self, issue: Callable[[], Keys], seconds: float = 3.0) -> None:
        self.issued: dict[str, float] = {}
        self.seconds = seconds
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                allowed = self.headers.get("Authorization") == _TOKEN and self.path == "/creds"
                body = json.dumps(outer._answer(issue()) if allowed else {}).encode()
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)

    def environment(self) -> dict[str, str]:
        """The variables that ECS sets, with the full URI instead of ECS's link-local address."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{self.port}/creds",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": _TOKEN,
        }

    def _answer(self, keys: Keys) -> dict[str, str]:
        now = time.time()
        self.issued[keys.access_key] = now
        until = datetime.fromtimestamp(now, UTC) + timedelta(seconds=self.seconds)
        return {
            "RoleArn": "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-task-role",
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "Token": keys.token or "",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class Gate(_Http):
    """HTTPS before a RADOS Gateway: passes every request on as it is, but for those with outlived keys.

    `used` counts the requests by access key, `expired` those that were refused. An error without a message
    gets one, as S3's have: the AWS CLI trips over its absence.
    """

    def __init__(self, server: Server, ecs: EcsEndpoint | None = None) -> None:
        self.used: dict[str, int] = {}
        self.expired = 0
        outer, issued, seconds = self, ecs.issued if ecs else {}, ecs.seconds if ecs else 0.0
        backend = server.https_url.removeprefix("https://")
        trust = ssl.create_default_context(cafile=str(server.ca_bundle))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                match = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
                key = match.group(1) if match else ""
                outer.used[key] = outer.used.get(key, 0) + 1
                if key in issued and time.time() - issued[key] > seconds + _LATE:
                    outer.expired += 1
                    self._reply(400, [], b"<Error><Code>ExpiredToken</Code></Error>")
                    return
                ahead = http.client.HTTPSConnection(backend, timeout=60, context=trust)
                ahead.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    ahead.putheader(name, value)
                ahead.endheaders(body)
                answer = ahead.getresponse()
                self._reply(answer.status, answer.getheaders(), answer.read().replace(_EMPTY, _SAID))
                ahead.close()

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = do  # noqa: N815 - the base class asks for these names

            def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = next((v for n, v in headers if n.lower() == "content-length"), None)
                kept = length if self.command == "HEAD" and length else str(len(body))
                self.send_header("Content-Length", kept)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.folder / "tls.crt", server.folder / "tls.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.port}"
