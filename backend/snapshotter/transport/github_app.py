"""A GitHub App as a source of tokens: each is made with the App's private key, may read only, and lasts an hour.

Source: GitHub's pages "Generating a JSON Web Token (JWT) for a GitHub App" and "Generating an installation access token
for a GitHub App".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.git.origin import Credential
from snapshotter.transport import WireLimits
from snapshotter.transport.app_key import AppKey, api_of
from snapshotter.transport.github_app_errors import CODE, refusal, wait_of, words_of
from snapshotter.transport.renewed import Issued

if TYPE_CHECKING:
    import urllib3

    from snapshotter.transport.http_pool import HttpPool

_ATTEMPTS: Final = 4
_PATIENCE: Final = 180.0  # seconds that limits of the API are waited for, all in all
_LOST: Final = 1.0  # seconds to wait after a request without an answer
_SKEW: Final = 60  # seconds that GitHub advises to put a JWT's beginning back by
_LIFE: Final = 540  # seconds that a JWT holds; GitHub takes ten minutes at most
_MOST: Final = 64 * 1024  # bytes of an answer


class _Token(msgspec.Struct):
    """The answer to a request for a token, as far as it is used."""

    token: str
    expires_at: datetime


_TOKENS: Final = msgspec.json.Decoder(_Token)


@dataclass
class AppTokens:
    """Makes tokens of one installation. `clock` tells seconds since 1970, `pause` waits."""

    app: AppKey
    ca_bundle: str | None = None
    limits: WireLimits = field(default_factory=WireLimits)
    clock: Callable[[], float] = time.time
    pause: Callable[[float], None] = time.sleep
    _pool: HttpPool | None = field(default=None, repr=False)

    @property
    def api(self) -> str:
        """The API's URL."""
        return self.app.api or api_of("github.com")

    def issue(self) -> Issued:
        """A new token that may read repositories and nothing else.

        Waits where the API asks for it, some minutes at most. Raises UsageError for a key that cannot be read,
        AccessDenied if GitHub does not take the key or the installation is gone or suspended, and Unavailable if there
        is no answer, or only after a longer wait. No error holds the key, or anything made with it.
        """
        waited = 0.0
        for attempt in range(1, _ATTEMPTS + 1):
            signed = self._signed()
            try:
                status, headers, body = self._ask(signed)
            except Unavailable:
                if attempt == _ATTEMPTS:
                    raise
                self.pause(_LOST)
                continue
            if status == 201:
                return self._issued(body)
            wait = wait_of(status, headers, body, self.clock())
            if wait is None or attempt == _ATTEMPTS or (waited := waited + wait) > _PATIENCE:
                raise refusal(self.app, status, wait, words_of(body, signed))
            self.pause(wait)
        raise AssertionError  # the last attempt returns or raises

    def _signed(self) -> str:
        import jwt  # with its cryptography it takes longer to load than a small run

        now = int(self.clock())
        claims = {"iat": now - _SKEW, "exp": now + _LIFE, "iss": str(self.app.app)}
        try:
            return str(jwt.encode(claims, self.app.key, algorithm="RS256"))
        except (jwt.PyJWTError, ValueError, TypeError):
            raise UsageError(
                "the private key of the GitHub App cannot be read",
                code=CODE,
                hint="give the whole text of the .pem file that GitHub made: an RSA key, without a passphrase",
            ) from None

    def _ask(self, signed: str) -> tuple[int, Any, bytes]:
        """The status, headers and body of the answer. Raises Unavailable if there is none."""
        import urllib3
        from urllib3.exceptions import HTTPError

        headers = {
            "Authorization": f"Bearer {signed}",
            "Accept": "application/vnd.github+json",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "fruitful-snapshotter",
        }
        try:
            response = self._manager().request(
                "POST",
                f"{self.api}/app/installations/{self.app.installation}/access_tokens",
                headers=headers,
                body=json.dumps({"permissions": {"contents": "read"}}).encode(),
                timeout=urllib3.Timeout(connect=self.limits.connect_seconds, read=self.limits.idle_seconds),
                preload_content=False,
                redirect=False,
                retries=False,
            )
            try:
                return response.status, response.headers, response.read(_MOST)
            finally:
                response.close()
        except (HTTPError, OSError) as error:
            raise Unavailable(
                f"no answer from GitHub's API at {self.api} ({type(error).__name__})",
                code=CODE,
                hint="check the network, the proxy, and SNAPSHOTTER_CA_BUNDLE for a private CA",
            ) from None  # the request, with the header that is signed, is in what the library raises

    def _manager(self) -> urllib3.PoolManager:
        from snapshotter.transport.http_pool import HttpPool

        self._pool = self._pool or HttpPool(self.limits, self.ca_bundle)
        return self._pool.manager(self.api)

    def _issued(self, body: bytes) -> Issued:
        try:
            answer = _TOKENS.decode(body)
            until = answer.expires_at.timestamp()
        except (msgspec.MsgspecError, OverflowError, ValueError):
            raise Unavailable(
                f"the answer of GitHub's API at {self.api} holds no token",
                code=CODE,
                hint="check that `api` of SNAPSHOTTER_GIT_TOKENS is the API's URL",
            ) from None
        return Issued(Credential("x-access-token", answer.token), until)
