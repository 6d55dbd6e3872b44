"""One request to an LFS server or to where its objects lie, and its answer: which hosts are asked, what they are told
of us, how often, and for how long they may take.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Credential, Origin
from snapshotter.transport.http import authorization
from snapshotter.transport.http_answer import shut
from snapshotter.transport.http_client import HttpClient
from snapshotter.transport.http_errors import as_library, network_error, retriable
from snapshotter.transport.http_pool import proxy_credential, proxy_for
from snapshotter.transport.http_response import plain
from snapshotter.transport.lfs.source import LfsUnavailable
from snapshotter.transport.pace import Pace
from snapshotter.transport.replies import AGENT
from snapshotter.transport.turns import FreeTurns, Turns
from snapshotter.transport.words import SentCredentials, to_show
from snapshotter.transport.zones import Zone, innermost, open_to, zone_of

_RETRY_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 5
_ATTEMPTS: Final = 4
_MAX_REFUSALS: Final = 3  # credentials tried for one request: a command may print new ones for ever
_MAX_RETRY_AFTER: Final = 60.0  # seconds: a host may ask for hours
_PIECE: Final = 512 * 1024


class Exchange:
    """Asks over HTTP for one origin. Safe to share between threads.

    The credentials of `own`, an https origin, go to its own scheme, host and port; nothing of us goes elsewhere. An
    address is asked only in the zones that `host`, where the origin is, may send us on to.
    """

    def __init__(self, client: HttpClient, own: Origin | None, host: str, cancel: Cancel) -> None:
        self._client, self._own, self._host, self._cancel = client, own, host, cancel
        self._lock = threading.Lock()
        self._zones: frozenset[Zone] | None = None
        self._asked = self._bearer = False
        self._credential: Credential | None = None
        self.sent = SentCredentials()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str], *, signed: bool
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a GET, redirects followed; `headers` stay with the host of `url`, to which the origin's
        credentials go too if it is the origin's, unless the headers have `signed` in already.

        Raises LfsUnavailable for a place that is not asked and where nothing answers.
        """
        split = first = self._checked(url, from_tls=False)
        for _ in range(_MAX_REDIRECTS + 1):
            same = (split.scheme, split.netloc) == (first.scheme, first.netloc)
            with self._answer(
                "GET", url, headers if same else {}, None, signed=signed or not same
            ) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _joined(url, response)
            split = self._checked(url, from_tls=first.scheme == "https")
        raise _unsafe(f"more than {_MAX_REDIRECTS} redirects")

    @contextmanager
    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a POST, redirects on its own host followed. Raises as `get` does."""
        first = self._checked(url, from_tls=False)
        for _ in range(_MAX_REDIRECTS + 1):
            with self._answer("POST", url, headers, body, signed="Authorization" in headers) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _joined(url, response)
            if (split := self._checked(url, from_tls=False))[:2] != first[:2]:
                raise _unsafe(f"{split.netloc}, by a redirect")
        raise _unsafe(f"more than {_MAX_REDIRECTS} redirects")

    @contextmanager
    def put(
        self, url: str, headers: Mapping[str, str], file: Path, *, signed: bool
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to a PUT of a file, which no redirect takes elsewhere. Raises as `get` does."""
        self._checked(url, from_tls=False)
        length = {"Content-Length": str(file.stat().st_size)}
        with self._answer("PUT", url, {**headers, **length}, file, signed=signed) as response:
            if response.status in _REDIRECTS:
                raise _unsafe("a redirect of an upload")
            yield response

    def pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[memoryview]:
        """The body of an answer, as long as it comes and keeps the pace; each piece is valid until the next.

        Raises LfsUnavailable.
        """
        pace = Pace(self._client.limits)
        pace.flow()
        while True:
            began = time.monotonic()
            try:
                data = _next(response, _PIECE)
                pace.came(len(data), time.monotonic() - began)
            except (HTTPError, HTTPException, OSError, SnapshotterError) as error:
                response.close()  # what is silent is not waited for once more, nor asked anything again
                self._cancel.check()
                raise self._broken(error) from error
            if not data:
                return
            yield data

    def _checked(self, url: str, *, from_tls: bool) -> SplitResult:
        """A URL that may be asked. Raises LfsUnavailable for another scheme, an address further in, a user in it."""
        try:
            split = urlsplit(url)
            _ = split.port
        except ValueError:
            raise _unsafe("not a URL") from None
        host = (split.hostname or "").rstrip(".")
        plain = split.scheme == "http" and not from_tls
        plain = plain and (self._client.allow_http or is_loopback(host) or self._plain_origin)
        if (split.scheme != "https" and not plain) or not host or "@" in split.netloc:
            raise _unsafe(f"{split.scheme}://{host}")
        if not self._is_own(split) and zone_of(host) not in self._open_zones() | {None}:
            raise _unsafe(host)
        return split

    @property
    def _plain_origin(self) -> bool:
        return self._own is not None and self._own.scheme == "http"

    def _is_own(self, split: SplitResult) -> bool:
        own = self._own
        return own is not None and (split.scheme, split.netloc) == (own.scheme, own.netloc)

    def _open_zones(self) -> frozenset[Zone]:
        """Where the origin may send us on to. A proxy reaches it in a network that we do not see."""
        if self._zones is None:
            host, known = self._host, zone_of(self._host)
            if known is None and not proxy_for(f"https://{host}"):
                known = self._cancel.abandonable(lambda: innermost(host), lambda _: None)
            self._zones = open_to(known or Zone.WORLD)
        return self._zones

    @contextmanager
    def _answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Path | None, *, signed: bool
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """One answer, closed or given back at the end of the block; a cancellation ends it."""
        turns = self._turns(url)
        response = self._requested(method, url, headers, body, signed=signed)
        try:
            with self._cancel.ending(lambda: shut(response)):
                yield response
        finally:
            ended = False
            with suppress(HTTPError, HTTPException, OSError, RuntimeError, SnapshotterError, ValueError):
                ended = not _next(response, 1)
            response.release_conn() if ended else response.close()
            turns.end()

    def _turns(self, url: str) -> Turns:
        """What a request waits for. Other hosts than the origin's are nobody's to count."""
        return self._client.turns if self._is_own(urlsplit(url)) else FreeTurns()

    def _requested(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Path | None, *, signed: bool
    ) -> urllib3.BaseHTTPResponse:
        """An answer with a status to act on, and the turn that goes with it. Tries again while that may help, and signs
        in when asked to."""
        own = self._is_own(urlsplit(url)) and not signed
        turns = self._turns(url)
        attempt = refusals = 0
        while True:
            self._cancel.check()
            attempt += 1
            wait = random.uniform(0.5, 1.0) * 2 ** (attempt - 1)  # noqa: S311 - jitter, not a secret
            credential = self._signed_in() if own else None
            turns.begin(self._cancel)
            try:
                response = self._once(method, url, {**headers, **self._header(credential)}, body)
            except (HTTPError, OSError) as error:
                turns.end()
                self._cancel.check()
                if attempt >= _ATTEMPTS or not retriable(error):
                    raise self._broken(error) from error
                self._cancel.sleep(wait)
                continue
            except Unavailable as error:  # a name that leads further in, seen when it was connected to
                turns.end()
                raise self._broken(error) from error
            except BaseException:
                turns.end()
                raise
            if (
                own
                and response.status == 401
                and refusals < _MAX_REFUSALS
                and self._other(response, credential)
            ):
                attempt, refusals = attempt - 1, refusals + 1  # signing in is no failed try
                turns.end()
            elif response.status in _RETRY_STATUS and attempt < _ATTEMPTS:
                after = response.headers.get("Retry-After", "")
                wait = min(float(after), _MAX_RETRY_AFTER) if after.isdecimal() else wait
                if after.isdecimal():
                    turns.throttled(float(after))
                response.close()
                turns.end()
                self._cancel.sleep(wait)
            else:
                return response

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Path | None
    ) -> urllib3.BaseHTTPResponse:
        limits = self._client.limits
        timeout = urllib3.Timeout(connect=limits.connect_seconds, read=limits.idle_seconds)
        zones = None if self._is_own(urlsplit(url)) else self._open_zones()
        fixed = {"User-Agent": f"git-lfs/3 ({AGENT.decode()})", "Accept-Encoding": "identity"}

        def ask() -> urllib3.BaseHTTPResponse:
            with body.open("rb") if isinstance(body, Path) else nullcontext(body) as sent:
                return self._client.pool.request(
                    method,
                    url,
                    zones,
                    headers=fixed | dict(headers),
                    body=sent,
                    timeout=timeout,
                    preload_content=False,
                    redirect=False,
                    retries=False,
                )

        return self._cancel.abandonable(ask, lambda late: late.close())

    def _header(self, credential: Credential | None) -> dict[str, str]:
        return authorization(credential, bearer=self._bearer) if credential else {}

    def _signed_in(self) -> Credential | None:
        """The credential in force, asked for once."""
        own = self._own
        with self._lock:
            if not self._asked and own is not None:
                self.sent.learn(proxy_credential(f"{own.scheme}://{own.netloc}"))
                self._credential = self._waited(lambda: self._client.credentials.initial(own))
                self.sent.learn(self._credential)
                self._asked = True
            return self._credential

    def _other(self, response: urllib3.BaseHTTPResponse, refused: Credential | None) -> bool:
        """Whether there is something else to try after a 401: the same token as Bearer, or another credential."""
        challenge = response.headers.get(
            "WWW-Authenticate", response.headers.get("LFS-Authenticate", "")
        ).lower()
        own = self._own
        with self._lock:
            if self._credential != refused:  # another thread has signed in anew meanwhile
                found = True
            elif refused and "bearer" in challenge and "basic" not in challenge and not self._bearer:
                self._bearer = found = True
            else:
                assert own is not None  # noqa: S101 - nothing else signs in
                other = self._waited(lambda: self._client.credentials.after_refusal(own, refused))
                found = other is not None
                self._credential = other or self._credential
                self.sent.learn(other)
        if found:
            response.close()
        return found

    def _waited(self, credential: Callable[[], Credential | None]) -> Credential | None:
        """A credential that may have to be waited for: a program prints it, or a server makes it."""
        return self._cancel.abandonable(credential, lambda _: None)

    def _broken(self, error: Exception) -> LfsUnavailable:
        """The error for an answer that does not come, or breaks off."""
        if isinstance(error, SnapshotterError):
            meant = error
        else:
            meant = network_error(as_library(error), self._own or Origin("https", self._host, None, "/"))
        shown = to_show(meant, self.sent)
        unsafe = meant.code == "unsafe-redirect"
        return LfsUnavailable(
            f"LFS: {shown.message}",
            "unsafe" if unsafe else "unreachable",
            hint=shown.hint,
            transient=not unsafe and not isinstance(error, Unavailable),
        )


def _next(response: urllib3.BaseHTTPResponse, most: int) -> memoryview:
    """The next bytes of a body as they were sent, at most so many, and none at its end. Valid until the next call."""
    body = plain(response)
    return body.next_bytes(most) if body else memoryview(response.read1(most, decode_content=False))


def _joined(url: str, response: urllib3.BaseHTTPResponse) -> str:
    """Where a redirect leads. Raises LfsUnavailable if that is no URL."""
    try:
        return urljoin(url, response.headers.get("Location", ""))
    except ValueError:
        raise _unsafe("not a URL") from None


def _unsafe(where: str) -> LfsUnavailable:
    return LfsUnavailable(
        f"the LFS server sends on to a place that is not followed ({printable(where)[:200]})",
        "unsafe",
        hint="credentials or an internal address could leak; have the server name a public https address",
    )
