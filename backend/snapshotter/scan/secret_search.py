"""The search for secrets, for all scans of one process: it is made ready in time, and shared.

One process of kingfisher answers every scan that asks while it is made ready, or while the one before is at work. What
it says of a scan's blobs is the same alone and together. Its report is of all of them: a blob that took the process
over could make up or hide findings of the scans beside it, as with the processes that analyse source. Whoever trusts
no repository with another's rows gives each scan its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.scan import secrets
from snapshotter.scan.held_search import Answer, HeldSearch
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.secrets import Searched, SecretFinding
from snapshotter.scan.staging import TMPFS, Staging, has_room

_PATIENCE: Final = 3.0  # seconds that a scan waits for others that are under way
_SETTLED: Final = 0.3  # seconds in which none begins, asks or ends, as long as the rules take: more may come
_SLICE: Final = 0.1  # seconds between looks at the time and the cancellation
_ROOM: Final = 64 << 20  # bytes: what kingfisher may write for itself


class _Asked:
    """One scan that asks, and in the end its answer."""

    def __init__(self, searched: Searched) -> None:
        self.searched, self.since = searched, time.monotonic()
        self.answer: Answer | None = None


class SecretSearch:
    """Searches the blobs of scans, for at most `scans` of them at once, each in a thread. A context manager.

    `temp` is for kingfisher's files where `tmpfs` has no room; both as `Staging` takes them.
    """

    def __init__(
        self,
        scans: int = 1,
        *,
        rule_cache: Path | None = None,
        temp: Path | None = None,
        tmpfs: Path = TMPFS,
        kingfisher: Path | None = None,
    ) -> None:
        self._scans, self._temp, self._tmpfs = scans, temp, tmpfs
        self._rule_cache, self._kingfisher = rule_cache, kingfisher
        self._changed = threading.Condition()
        self._held: HeldSearch | None = None
        self._asking: list[_Asked] = []
        self._searching = False
        self._stirred = 0.0  # when a scan last began, asked or ended
        self._expected: set[ExpectedSearch] = set()  # scans under way

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            if self._held is not None:
                self._held.close()
            self._held = None

    def prepare(self, seconds: float) -> None:
        """Start a process that will search for at most `seconds`, if none waits. Returns before it is ready.

        Never raises: the search itself says what is wrong.
        """
        with self._changed:
            if self._held is None:
                with suppress(SnapshotterError):
                    self._held = self._start(seconds)

    @contextmanager
    def expected(self) -> Iterator[ExpectedSearch]:
        """A scan is under way: those that ask wait until it asks too, or ends and another asks, though not for long."""
        one = ExpectedSearch(self)
        with self._changed:
            self._expected.add(one)
            self._stirred = time.monotonic()
        try:
            yield one
        finally:
            with self._changed:
                self._expected.discard(one)
                self._stirred = time.monotonic()

    def find(
        self, staging: Staging, *, key: bytes | None, rule_cache: Path | None, seconds: float, cancel: Cancel
    ) -> list[SecretFinding]:
        """The secrets in every staged blob, under the promises of `secrets.find`."""
        if not staging.blobs:
            return []
        answer = self._answer(_Asked(Searched(staging, key)), seconds, cancel)
        if not isinstance(answer, ScannerFailed):
            return answer
        # The fault of another's blobs, or of the way they were searched: alone it is told.
        return secrets.find(
            staging,
            key=key,
            seconds=seconds,
            cancel=cancel,
            rule_cache=rule_cache,
            kingfisher=self._kingfisher,
        )

    def _start(self, seconds: float) -> HeldSearch:
        parent = self._tmpfs if has_room(self._tmpfs, _ROOM) else self._temp
        return HeldSearch.start(
            parent, self._scans, seconds, rule_cache=self._rule_cache, kingfisher=self._kingfisher
        )

    def _answer(self, asked: _Asked, seconds: float, cancel: Cancel) -> Answer:
        """Wait for the answer, or for this scan's turn to search for all that ask."""
        with self._changed:
            self._asking.append(asked)
            self._stirred = asked.since
            self._changed.notify_all()
            try:
                while asked.answer is None and not self._turn():
                    self._changed.wait(_SLICE)
                    cancel.check()
            except BaseException:
                self._asking = [one for one in self._asking if one is not asked]
                raise
            if asked.answer is not None:
                return asked.answer
            self._searching, held, self._held = True, self._held, None
            others = [one for one in self._asking if one is not asked]
            batch, self._asking = [asked, *others[: self._scans - 1]], others[self._scans - 1 :]
        try:
            self._search(held, batch, seconds, cancel)
        finally:
            with self._changed:
                self._searching = False
                self._asking += [one for one in batch if one.answer is None and one is not asked]
                self._changed.notify_all()
        assert asked.answer is not None  # noqa: S101 - the search gave it, or raised
        return asked.answer

    def _turn(self) -> bool:
        """Whether it is time to search: everybody asks whom it is worth to wait for."""
        if self._searching:
            return False
        if len(self._asking) >= self._scans:
            return True
        now = time.monotonic()
        awaited = any(one.is_awaited(now - _PATIENCE) for one in self._expected)
        settled = not awaited and now - self._stirred > _SETTLED
        return settled or now - min(one.since for one in self._asking) > _PATIENCE

    def _search(self, held: HeldSearch | None, batch: list[_Asked], seconds: float, cancel: Cancel) -> None:
        """Give each of the batch its answer. Raises ScannerFailed for the fault of a scan that was alone in it, and
        the cancellation's error; those that have no answer then ask again."""
        try:
            if held is not None and not held.waits:
                held.close()
                held = None
            process = held or self._start(seconds)
        except ScannerFailed as failed:
            answers: list[Answer] = [failed] * len(batch)
        else:
            with closing(process):
                try:
                    answers = process.search([one.searched for one in batch], seconds, cancel)
                except ScannerFailed as failed:
                    if len(batch) == 1:
                        raise
                    answers = [failed] * len(batch)
        for one, answer in zip(batch, answers, strict=True):
            one.answer = answer


class ExpectedSearch:
    """The search of one scan that is under way; a `SecretFinder`."""

    def __init__(self, search: SecretSearch) -> None:
        self._search = search
        self._asks, self._since = False, time.monotonic()

    def is_awaited(self, since: float) -> bool:
        """Whether it may soon ask, or end so that another may: not if it has done neither for longer than that."""
        return not self._asks and self._since > since

    def __call__(
        self, staging: Staging, *, key: bytes | None, rule_cache: Path | None, seconds: float, cancel: Cancel
    ) -> list[SecretFinding]:
        """See `SecretSearch.find`."""
        self._asks = True
        try:
            return self._search.find(staging, key=key, rule_cache=rule_cache, seconds=seconds, cancel=cancel)
        finally:
            self._asks, self._since = False, time.monotonic()
