"""Where a fleet's notices go: a URL that is pinged, a webhook, and whatever apprise reaches.

The places come from the settings alone, never from an inventory or the store, and are as secret as passwords: a URL is
shown by its host. Whatever becomes of a notice, the run's result stands, and the trouble is told.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings, parse_span
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback
from snapshotter.fleet.notices import RunNotice
from snapshotter.transport import WireLimits

if TYPE_CHECKING:
    from snapshotter.transport.http_pool import HttpPool

PING: Final = "SNAPSHOTTER_FLEET_PING"
WEBHOOK: Final = "SNAPSHOTTER_FLEET_WEBHOOK"
NOTIFY: Final = "SNAPSHOTTER_FLEET_NOTIFY"
DIGEST: Final = "SNAPSHOTTER_FLEET_DIGEST"
_SECONDS: Final = 10.0  # for one request, its answer's head included
_APPRISE_SECONDS: Final = 60.0  # for all of its places
_TRIES: Final = 3
_LIMITS: Final = WireLimits(connect_seconds=_SECONDS, idle_seconds=_SECONDS, stall_seconds=_SECONDS)
_BODY: Final = 10_000  # characters of what goes with a ping


@dataclass(frozen=True)
class Notifier:
    """Tells of a fleet's runs. With no place set, every method does nothing. None of them raises."""

    ping: str = ""
    webhook: str = ""
    notify: tuple[str, ...] = ()
    digest_every: timedelta = timedelta(days=7)
    ca_bundle: str | None = None
    observer: Observer = field(default_factory=Observer)
    pause: Callable[[Cancel, float], None] = lambda cancel, seconds: cancel.sleep(seconds)

    @classmethod
    def of(cls, settings: Settings, observer: Observer) -> Notifier:
        """The notifier of the settings. Raises UsageError for a place that cannot be used."""
        notify = settings.words(NOTIFY)
        if notify:
            _apprise(notify)
        return cls(
            _checked(PING, settings[PING]),
            _checked(WEBHOOK, settings[WEBHOOK]),
            notify,
            parse_span(settings[DIGEST]),
            settings["SNAPSHOTTER_CA_BUNDLE"] or None,
            observer,
        )

    @property
    def has_places(self) -> bool:
        """Whether anybody is told anything at the end of a run."""
        return bool(self.ping or self.webhook or self.notify)

    def started(self, cancel: Cancel) -> None:
        """Ping that a run starts."""
        if self.ping:
            self._post(PING, _below(self.ping, "start"), b"", "text/plain", cancel)

    def failed(self, error: SnapshotterError, cancel: Cancel) -> None:
        """Ping that a run was cut short, with what stood in its way."""
        if self.ping:
            body = printable(error.message)[:_BODY].encode()
            self._post(PING, _below(self.ping, "fail"), body, "text/plain", cancel)

    def ended(self, told: RunNotice, cancel: Cancel) -> bool:
        """Tell of a run whose results are stored. Returns whether all whom a digest is for have heard of it.

        The webhook hears of every run, apprise's places of one that ended badly and of a digest.
        """
        if self.ping:
            url = self.ping if told.ok else _below(self.ping, "fail")
            self._post(PING, url, told.text[:_BODY].encode(), "text/plain", cancel)
        heard = True
        if self.webhook:
            body = json.dumps(msgspec.to_builtins(told), sort_keys=True).encode()
            heard = self._post(WEBHOOK, self.webhook, body, "application/json", cancel)
        if self.notify and (told.digest or not told.ok):
            heard = self._notify(told, cancel) and heard
        return heard

    def _post(self, setting: str, url: str, body: bytes, kind: str, cancel: Cancel) -> bool:
        """Post to a place, a few times if it does not answer. Returns whether it took it; if not, that is told."""
        from snapshotter.transport.http_pool import HttpPool

        pool = HttpPool(_LIMITS, self.ca_bundle, connections=1)
        why = ""
        try:
            for attempt in range(1, _TRIES + 1):
                status, why = _asked(pool, url, body, kind, cancel)
                if status is not None and 200 <= status < 300:
                    return True
                if status is not None and status < 500 and status != 429:
                    break
                if attempt < _TRIES:
                    self.pause(cancel, attempt)
        except SnapshotterError as error:  # a cancellation
            why = error.message
        finally:
            pool.let_go()
        self.observer.warn(f"{setting}: {shown(url)} was not told: {why}")
        return False

    def _notify(self, told: RunNotice, cancel: Cancel) -> bool:
        late = Unavailable(f"no end within {_APPRISE_SECONDS:.0f} s", code="notice")
        try:
            sender = _apprise(self.notify)
            with cancel.limited(_APPRISE_SECONDS, late) as limit:
                sent = limit.abandonable(lambda: bool(sender(told.title, told.text)), lambda _: None)
        except Exception as error:  # noqa: BLE001 - a library of a hundred services: none may end a run that is done
            # By its kind alone: the text may hold a place's address, and so its secret.
            why = error.message if isinstance(error, SnapshotterError) else type(error).__name__
            self.observer.warn(f"{NOTIFY}: not everybody was told: {why}")
            return False
        if not sent:
            self.observer.warn(f"{NOTIFY}: not everybody was told: apprise says that a place did not take it")
        return sent


def shown(url: str) -> str:
    """What of a place's URL may be shown: its host. The rest is as good as a password."""
    return f"{urlsplit(url).scheme}://{printable(urlsplit(url).netloc)}/…"


def _asked(pool: HttpPool, url: str, body: bytes, kind: str, cancel: Cancel) -> tuple[int | None, str]:
    """The status of the answer to a POST, and what it means if it is no success; None without an answer."""
    late = Unavailable(f"no answer within {_SECONDS:.0f} s", code="notice")
    try:
        with cancel.limited(_SECONDS, late) as limit:
            status = limit.abandonable(lambda: _post(pool, url, body, kind), lambda _: None)
    except OSError as error:
        return None, f"no answer ({type(error).__name__})"
    except SnapshotterError as error:
        cancel.check()
        return None, error.message
    # No redirect is followed: it could lead a secret, and what is told, to another host.
    return status, f"HTTP {status}{', a redirect, which is not followed' if 300 <= status < 400 else ''}"


def _post(pool: HttpPool, url: str, body: bytes, kind: str) -> int:
    import urllib3
    from urllib3.exceptions import HTTPError

    try:
        response = pool.manager(url).request(
            "POST",
            url,
            body=body,
            headers={"Content-Type": f"{kind}; charset=utf-8", "User-Agent": "fruitful-snapshotter"},
            timeout=urllib3.Timeout(connect=_SECONDS, read=_SECONDS),
            preload_content=False,
            redirect=False,
            retries=False,
        )
    except (HTTPError, ValueError) as error:  # with the URL in its text
        raise Unavailable(f"no answer ({type(error).__name__})", code="notice") from None
    response.close()
    return int(response.status)


def _below(url: str, name: str) -> str:
    """The URL with another segment, before its query."""
    path, mark, query = url.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def _checked(setting: str, url: str) -> str:
    """A place's URL. Raises UsageError for one that cannot be used, which is not quoted."""
    if not url:
        return ""
    try:
        split = urlsplit(url)
        host, _ = split.hostname or "", split.port
    except ValueError:
        host, split = "", urlsplit("")
    if (
        not host
        or split.username is not None
        or split.fragment
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise UsageError(
            f"{setting} is no URL that can be used", hint="give it like https://host/path, without a user"
        )
    if split.scheme != "https" and not (split.scheme == "http" and is_loopback(host)):
        raise UsageError(
            f"{setting} is not https", hint="its URL is a secret: plain http goes to this machine alone"
        )
    return url


def _apprise(places: tuple[str, ...]) -> Callable[[str, str], object]:
    """What sends a title and a text to the places, and returns what is true if all took it.

    Raises UsageError without the extra, and for what is no place.
    """
    try:
        import apprise
    except ImportError:
        raise UsageError(
            f"{NOTIFY} needs apprise, which is not installed",
            hint="pip install 'fruitful-snapshotter[notify]'; or use SNAPSHOTTER_FLEET_WEBHOOK",
        ) from None
    logging.getLogger("apprise").disabled = True  # it logs the addresses that it does not reach
    sender = apprise.Apprise()
    for number, place in enumerate(places, 1):
        if not sender.add(place):
            raise UsageError(
                f"place {number} of {NOTIFY} is no URL that apprise knows",
                hint="its documentation lists them",
            )
    return lambda title, text: sender.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
