"""Smart HTTP as a wire, over urllib3: redirects, retries, credentials and limits are decided here.

Source: git's gitprotocol-http. As git does by default, a redirect is followed only for the first
request; credentials stay on the origin's own host.
"""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Credential, Origin
from snapshotter.transport.http_answer import RESULT, HttpAnswer, shut
from snapshotter.transport.http_client import HttpClient
from snapshotter.transport.http_errors import network_error, retriable
from snapshotter.transport.http_pool import proxy_credential, proxy_for
from snapshotter.transport.http_redirect import DISCOVERY, follow
from snapshotter.transport.pktline import PktReader
from snapshotter.transport.replies import AGENT
from snapshotter.transport.turns import FreeTurns
from snapshotter.transport.upload_pack import Wire
from snapshotter.transport.words import SentCredentials
from snapshotter.transport.zones import Zone, innermost, open_to, zone_of

_ANSWERS = frozenset({200, 203})  # 203: a proxy on the way has changed headers, and says so
_RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_ATTEMPTS = 4
_MAX_REDIRECTS = 5
_MAX_REFUSALS = 3  # credentials tried for one request: a command may print new ones for ever
_MAX_RETRY_AFTER = 60.0  # seconds that one request waits: a host may ask for hours


class HttpWire:
    """A stateless wire to one origin."""

    stateless = True

    def __init__(self, origin: Origin, client: HttpClient, cancel: Cancel) -> None:
        self._origin = origin
        self._client = client
        self._cancel = cancel
        self._host = f"{origin.scheme}://{origin.netloc}"
        self._base = f"{self._host}{origin.path.rstrip('/')}"
        self._zones: frozenset[Zone] | None = None  # that it may be redirected to; None before it is
        self.sent = SentCredentials()
        self._credential: Credential | None = None
        self._credential_asked = False
        self._bearer = False
        self._hasty = False  # asks once, and for no other credential
        self._open_answer: HttpAnswer | None = None
        self._scope = ExitStack()
        self._has_turn = False

    @property
    def host(self) -> str | None:
        """See Wire. Where the origin was redirected, it says nothing of its host's others."""
        return self._host if self._zones is None else None

    def open(self) -> PktReader:
        """GET the advertisement, following redirects. Raises as `Transport` says."""
        self._sign_in_first()
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._request("GET", self._base + DISCOVERY, {"Accept-Encoding": "gzip"}, None)
            location = response.headers.get("Location", "")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                reader = self._answer(response).advertisement()
                if self._zones is not None:
                    self._client.turns.moved(self._base)
                return reader
            self._skip(response)
            self._zones = self._zones or self._open_zones()
            self._base = follow(self._base, location, self._zones, allow_http=self._client.allow_http)
        raise Unavailable(
            f"the origin redirects more than {_MAX_REDIRECTS} times",
            code="redirects",
            hint="give the URL it ends at",
        )

    def send(self, body: bytes, *, bulk: bool) -> PktReader:
        """POST a request; a body above 1 KiB in gzip. Raises as `Transport` says."""
        self._sign_in_first()
        headers = {
            "Content-Type": "application/x-git-upload-pack-request",
            "Accept": RESULT,
            "Accept-Encoding": "identity" if bulk else "gzip",
        }
        if len(body) > 1024:  # as git does: thousands of haves are mostly repeated words
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        response = self._request("POST", f"{self._base}/git-upload-pack", headers, body)
        return self._answer(response).result(decode=not bulk)

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """See Wire: the connection is dropped, since what follows on it is unknown."""
        self._drop()
        return error

    def hasty_fork(self, cancel: Cancel) -> Wire | None:
        """See Wire. None where requests are counted, or a proxy is asked to open connections."""
        if not isinstance(self._client.turns, FreeTurns) or proxy_for(self._base):
            return None
        self._sign_in_first()
        fork = self._fork(cancel)
        fork._hasty = True
        return fork

    def fork(self) -> Wire:
        """See Wire."""
        return self._fork(self._cancel)

    def asks_as(self, fork: Wire) -> bool:
        """See Wire."""
        return isinstance(fork, HttpWire) and self._manner() == fork._manner()

    def _manner(self) -> tuple[str, Credential | None, bool]:
        return self._base, self._credential, self._bearer

    def _fork(self, cancel: Cancel) -> HttpWire:
        fork = HttpWire(self._origin, self._client, cancel)
        fork._base, fork._zones = self._base, self._zones
        fork._credential, fork._bearer = self._credential, self._bearer
        fork._credential_asked = self._credential_asked
        for known in (proxy_credential(self._base), self._credential):
            fork.sent.learn(known)
        return fork

    def settle(self) -> None:
        """See Wire."""
        self._finish()

    def close(self) -> None:
        """See Wire."""
        self._finish()

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        """An answer with a status to act on. Tries again while that may help, and signs in when asked to."""
        self._finish()
        attempt = refusals = 0
        while True:
            self._cancel.check()
            attempt += 1
            wait = random.uniform(0.5, 1.0) * 2 ** (attempt - 1)  # noqa: S311 - jitter, not a secret
            try:
                response = self._once(method, url, headers, body)
            except HTTPError as error:
                self._end_turn()
                self._cancel.check()
                if self._hasty or attempt >= _ATTEMPTS or not retriable(error):
                    raise network_error(error, self._origin) from error
                self._cancel.sleep(wait)
                continue
            if self._hasty:
                return response
            if response.status == 401 and refusals < _MAX_REFUSALS and self._other_credential(response):
                attempt, refusals = attempt - 1, refusals + 1  # signing in is no failed try
            elif response.status in _RETRY_STATUS and attempt < _ATTEMPTS:
                after = _retry_after(response)
                self._skip(response)
                self._end_turn()
                self._cancel.sleep(wait if after is None else min(after, _MAX_RETRY_AFTER))
            else:
                return response

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(
            connect=self._client.limits.connect_seconds, read=self._client.limits.idle_seconds
        )
        # Hosts tell git from a browser by the name that the agent begins with, and send a browser a page.
        fixed = {"User-Agent": f"git/2 {AGENT.decode()}", "Git-Protocol": "version=2"}
        carried = fixed | headers | self._authorization(url)

        own = urlsplit(url).hostname == self._origin.host  # where the user sent us, wherever that is
        zones = None if own else self._zones

        def request() -> urllib3.BaseHTTPResponse:
            return self._client.pool.request(
                method,
                url,
                zones,
                headers=carried,
                body=body,
                timeout=timeout,
                preload_content=False,
                redirect=False,
                retries=False,
            )

        self._begin_turn()
        response = self._cancel.abandonable(request, lambda late: late.close())
        if response.status in (429, 503) and (after := _retry_after(response)):
            self._client.turns.throttled(after)
        return response

    def _begin_turn(self) -> None:
        self._end_turn()
        self._client.turns.begin(self._cancel)
        self._has_turn = True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._client.turns.end()

    def _authorization(self, url: str) -> dict[str, str]:
        """The credential's header, for the origin's own scheme, host and port only."""
        split = urlsplit(url)
        own = (split.scheme, split.netloc) == (self._origin.scheme, self._origin.netloc)
        safe = split.scheme == "https" or is_loopback(split.hostname or "") or self._client.allow_http
        if self._credential is None or not own or not safe:
            return {}
        return authorization(self._credential, bearer=self._bearer)

    def _other_credential(self, response: urllib3.BaseHTTPResponse) -> bool:
        """Whether there is something else to try after a 401: the same token as Bearer, or another credential."""
        own = urlsplit(self._base).netloc == self._origin.netloc
        challenge = response.headers.get("WWW-Authenticate", "").lower()
        self._skip(response)
        if not own:
            return False
        if self._credential and "bearer" in challenge and "basic" not in challenge and not self._bearer:
            self._bearer = True
            return True
        refused = self._credential
        other = self._asked(lambda: self._client.credentials.after_refusal(self._origin, refused))
        if other is not None:
            self._sign_in(other)
        return other is not None

    def _asked(self, credential: Callable[[], Credential | None]) -> Credential | None:
        """A credential that may have to be waited for: a program prints it, or a server makes it."""
        return self._cancel.abandonable(credential, lambda _: None)

    def _sign_in_first(self) -> None:
        """Use the credential that is there for the origin before it asks for one, if that was not looked for yet."""
        if not self._credential_asked:
            self.sent.learn(proxy_credential(self._base))
            self._sign_in(self._asked(lambda: self._client.credentials.initial(self._origin)))
            self._credential_asked = True

    def _sign_in(self, credential: Credential | None) -> None:
        self._credential = credential
        self.sent.learn(credential)

    def _open_zones(self) -> frozenset[Zone]:
        """Where the origin may redirect to. A proxy reaches it in a network that we do not see."""
        host = self._origin.host
        if zone_of(host) is None and not proxy_for(self._base):
            return open_to(self._cancel.abandonable(lambda: innermost(host), lambda _: None))
        return open_to(zone_of(host) or Zone.WORLD)

    def _answer(self, response: urllib3.BaseHTTPResponse) -> HttpAnswer:
        """The answer, ended by a cancellation. Closes a refusal, and raises what it means."""
        answer = HttpAnswer(response, self._origin, self._client.limits, self._cancel)
        with self._cancel.ending(lambda: shut(response)):
            if response.status not in _ANSWERS:
                raise answer.refusal(had_credential=self._credential is not None)
        self._open_answer = answer
        self._scope.enter_context(self._cancel.ending(lambda: shut(response)))
        return answer

    def _skip(self, response: urllib3.BaseHTTPResponse) -> None:
        """Let go of an answer that only says what to ask next."""
        with self._cancel.ending(lambda: shut(response)):
            HttpAnswer(response, self._origin, self._client.limits, self._cancel).skip()

    def _finish(self) -> None:
        """Give a fully read connection back to the pool; close any other."""
        if self._open_answer is not None:
            self._open_answer.end()
        self._forget()

    def _drop(self) -> None:
        if self._open_answer is not None:
            self._open_answer.close()
        self._forget()

    def _forget(self) -> None:
        self._scope.close()
        self._scope = ExitStack()
        self._open_answer = None
        self._end_turn()


def authorization(credential: Credential, *, bearer: bool) -> dict[str, str]:
    """The header that carries a credential: one without a user, or all with `bearer`, as a Bearer token."""
    if bearer or not credential.user:
        return {"Authorization": f"Bearer {credential.secret}"}
    pair = f"{credential.user}:{credential.secret}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """The seconds for which the host asks to be left alone; None if it does not."""
    after = response.headers.get("Retry-After", "")
    return float(after) if after.isdecimal() else None
