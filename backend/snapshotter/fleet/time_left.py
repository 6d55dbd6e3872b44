"""How long a run will still take, as far as anybody can tell: by the repositories and by the bytes that are left, of
the whole run and of each host, whose limits the others do not share.

What has not changed costs the same whatever it weighs, and what is new costs by its weight; which is which, nobody
knows beforehand. So the time is told only once both measures come to about the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

_AGREE: Final = 2.0  # times that one measure may be the other's, so that the longer one is told
_SLACK: Final = 10.0  # seconds by which they may differ anyway
_ENOUGH: Final = 20  # repositories that are done before anything is told, or a tenth of them


class Load(NamedTuple):
    """So many repositories, and their bytes."""

    repos: int
    bytes: int


class _Span(NamedTuple):
    """The seconds by the one measure and by the other, the shorter first."""

    least: float
    most: float


@dataclass
class _Share:
    """What is to be done, by a host or by all, since when, and what of it is done."""

    total: Load
    began: float
    repos: int = 0
    bytes: int = 0

    def left(self, now: float) -> _Span | None:
        """How long it will take. Returns None if nothing is done yet."""
        if not self.repos:
            return None
        seconds = now - self.began
        by_count = seconds * (self.total.repos - self.repos) / self.repos
        by_bytes = seconds * (self.total.bytes - self.bytes) / self.bytes if self.bytes else by_count
        return _Span(min(by_count, by_bytes), max(by_count, by_bytes))


class TimeLeft:
    """The estimate of one run that begins `now` with a load in all. Times are seconds that only grow."""

    def __init__(self, total: Load, now: float) -> None:
        self._all = _Share(total, now)
        self._hosts: dict[int, _Share] = {}  # that are at work

    def sent(self, host: int, total: Load, now: float) -> None:
        """Something of a host, which has a load in all, is on its way."""
        if host not in self._hosts:
            self._hosts[host] = _Share(total, now)

    def done(self, host: int, load: Load) -> None:
        """So much of a host has its verdict."""
        for share in (self._all, self._hosts.get(host)):
            if share is not None:
                share.repos += load.repos
                share.bytes += load.bytes
        share = self._hosts.get(host)
        if share is not None and share.repos >= share.total.repos:
            del self._hosts[host]

    @property
    def hosts(self) -> Iterable[int]:
        """The hosts at work, of which something is left."""
        return self._hosts

    def seconds(self, now: float) -> float | None:
        """About how long it will still take. Returns None while nobody can tell."""
        if self._all.repos < min(_ENOUGH, -(-self._all.total.repos // 10)):
            return None
        spans = [share.left(now) for share in (self._all, *self._hosts.values())]
        known = [span for span in spans if span is not None]
        if len(known) < len(spans):
            return None
        least, most = max(span.least for span in known), max(span.most for span in known)
        return most if most <= least * _AGREE + _SLACK else None
