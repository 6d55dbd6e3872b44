"""Questions to a forge's API, asked politely: limits are waited for as the forge says, transient trouble is retried,
and a token that was refused is asked for anew, once for each question.

How a question is carried is a forge's own client's (`github.py`, `gitlab.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import human_span, plural
from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Credential, Origin
from snapshotter.transport.credentials import Credentials
from snapshotter.transport.github_app_errors import wait_of, words_of

MOST_PAGES: Final = 10_000  # of one list: with 100 rows each, a million repositories
_ATTEMPTS: Final = 4  # at a question without an answer, or with one that tells of trouble
_LOST: Final = 1.0  # seconds to wait after a question without an answer
_PATIENCE: Final = (
    3700.0  # seconds that one source's limits are waited for, in all: GitHub's window has an hour
)

T = TypeVar("T")
Parameters = Mapping[str, str | int]


@dataclass(frozen=True)
class Answer:
    """An answer. Names of `headers` are in whatever case is asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lost(Exception):
    """No answer came. The text says why, without anything of the question."""


Ask = Callable[[str, Parameters, str | None], Answer]
"""Asks for a path below the API's URL, with parameters and a token. Follows no redirect to another host.

Raises Lost.
"""


def decoded(decoder: msgspec.json.Decoder[T], answer: Answer) -> T:
    """What an answer holds. Raises Unavailable if it holds something else, as a page for people does."""
    try:
        return decoder.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unavailable(
            "the answer is none of a forge's API", code="forge", hint="check the source's `url`"
        ) from None


def missing(kind: str) -> UsageError:
    """The error for a source whose client is not installed."""
    return UsageError(
        f"a source of {kind} needs a library that is not installed",
        code="extra",
        hint="pip install 'fruitful-snapshotter[fleet]'",
    )


@dataclass
class Api:
    """One source's way to its forge. `place` is what its token is looked up for: the forge's host, and the owner.

    `clock` tells seconds since 1970.
    """

    place: Origin
    ask: Ask
    credentials: Credentials
    cancel: Cancel
    observer: Observer = field(default_factory=Observer)
    allow_http: bool = False
    clock: Callable[[], float] = time.time
    _credential: Credential | None = None
    _signed_in: bool = False
    _waited: float = 0.0

    @property
    def host(self) -> str:
        """The forge's host."""
        return self.place.netloc

    @property
    def has_token(self) -> bool:
        """Whether the forge is asked with a token."""
        return self._token() is not None

    def get(
        self, path: str, parameters: Parameters | None = None, *, allowed: tuple[int, ...] = ()
    ) -> Answer:
        """The answer: one of 200, or of a status that is `allowed`.

        Raises AccessDenied for 401, 403 and 404, and Unavailable if there is no answer, for one that tells of trouble
        after some tries, and for a limit that would last too long.
        """
        failures, refused = 0, False
        while True:
            self.cancel.check()
            token = self._token()
            try:
                answer = self._asked(path, parameters or {}, token)
            except Lost as lost:
                failures += 1
                if failures == _ATTEMPTS:
                    raise Unavailable(
                        f"no answer from {self.host} ({lost})",
                        code="forge",
                        hint="check the network, the proxy, and SNAPSHOTTER_CA_BUNDLE for a private CA",
                    ) from None
                self.cancel.sleep(_LOST * failures)
                continue
            wait = wait_of(answer.status, answer.headers, answer.body, self.clock())
            if answer.status == 200 or (answer.status in allowed and wait is None):
                return answer
            if answer.status == 401 and not refused and self._other_token():
                refused = True
                continue
            failures += answer.status >= 500
            if wait is None or failures == _ATTEMPTS or self._waited + wait > _PATIENCE:
                raise self._error(answer, wait, token)
            self._wait(wait, limited=answer.status < 500)

    def _asked(self, path: str, parameters: Parameters, token: str | None) -> Answer:
        return self.cancel.abandonable(lambda: self.ask(path, parameters, token), lambda _: None)

    def _wait(self, seconds: float, *, limited: bool) -> None:
        self._waited += seconds
        if limited:
            whole = math.ceil(seconds)
            self.observer.stage(f"{self.host} asks to wait {plural(whole, 'second')}")
        self.cancel.sleep(seconds)

    def _token(self) -> str | None:
        if not self._signed_in:
            self._check_scheme()
            self._credential = self.cancel.abandonable(
                lambda: self.credentials.initial(self.place), lambda _: None
            )
            self._signed_in = True
        return self._credential.secret if self._credential else None

    def _check_scheme(self) -> None:
        if self.place.scheme == "http" and not (is_loopback(self.place.host) or self.allow_http):
            raise Unavailable(
                f"plain http to another machine: {self.host}",
                code="forge",
                hint="use https; --allow-http takes it as it is, open to being read and altered on its way",
            )

    def _other_token(self) -> bool:
        """Whether there is another token than the one that was refused."""
        before = self._credential
        self._credential = self.cancel.abandonable(
            lambda: self.credentials.after_refusal(self.place, before), lambda _: None
        )
        if self._credential is None:
            self._credential = before
            return False
        return True

    def _error(self, answer: Answer, wait: float | None, token: str | None) -> SnapshotterError:
        words = words_of(answer.body, token or "\0")
        details = (f"{self.host} says: {words}",) if words else ()
        status = f"(HTTP {answer.status})"
        if wait is not None and answer.status < 500:
            hint = f"it may be asked again in {_span(wait)}; a token raises the limits" if not token else ""
            return Unavailable(
                f"{self.host} has a limit of requests, and it is reached {status}",
                code="forge-limit",
                hint=hint or f"it may be asked again in {_span(wait)}",
                details=details,
            )
        if answer.status in (401, 403, 404):
            what = "takes no token for it that we have" if token else "was asked without a token"
            return AccessDenied(
                f"{self.host} does not show {self.place.path.strip('/')} {status}: it {what}",
                code="forge-denied",
                hint="check the name, and that SNAPSHOTTER_GIT_TOKENS has a token for it that may list repositories",
                details=details,
            )
        return Unavailable(
            f"{self.host} gave no list {status}",
            code="forge",
            hint="try again later; if it stays so, check the source's `url`",
            details=details,
        )


def _span(seconds: float) -> str:
    from datetime import timedelta

    return human_span(timedelta(seconds=math.ceil(seconds)))
