"""Stores that misbehave, each by one method of Store over any real one; and a transport to come between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from snapshotter.base.errors import AccessDenied, Unavailable
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, FilterRefused, Sink, Transport


class FaultyStore(Store):
    """A store with the backend of another, for faults to be put upon."""

    def __init__(self, inner: Store) -> None:
        vars(self).update(vars(inner))


class TruncatingStore(FaultyStore):
    """Objects come back short: the first `keep` bytes of those whose key holds `where`."""

    def __init__(self, inner: Store, keep: int, where: str = "") -> None:
        super().__init__(inner)
        self.keep, self.where = keep, where

    def get(self, key: str, **options: Any) -> bytes:
        data = super().get(key, **options)
        return data[: self.keep] if self.where in key else data

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        yield memoryview(self.get(key))


class FlippingStore(FaultyStore):
    """Objects come back with the byte at `offset` (from the end if negative) inverted."""

    def __init__(self, inner: Store, offset: int, where: str = "") -> None:
        super().__init__(inner)
        self.offset, self.where = offset, where

    def get(self, key: str, **options: Any) -> bytes:
        data = bytearray(super().get(key, **options))
        if self.where in key and data:
            data[self.offset % len(data)] ^= 0xFF
        return bytes(data)

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        yield memoryview(self.get(key))


class DenyingStore(FaultyStore):
    """Writes whose key holds `where` are refused."""

    def __init__(self, inner: Store, where: str = "") -> None:
        super().__init__(inner)
        self.where = where

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        if self.where in key:
            raise AccessDenied(f"refused: {key}", code="store-denied", hint="it was told to")
        super().put_new(key, data, **options)


class ClosedStore(FaultyStore):
    """What lies under keys that begin with `where` may be neither listed nor read."""

    def __init__(self, inner: Store, where: str) -> None:
        super().__init__(inner)
        self.where = where

    def get(self, key: str, **options: Any) -> bytes:
        self._check(key)
        return super().get(key, **options)

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        self._check(key)
        return super().stream(key, **options)

    def list(self, folder: str, **options: Any) -> Any:
        self._check(folder)
        return super().list(folder, **options)

    def _check(self, key: str) -> None:
        if key.startswith(self.where):
            raise AccessDenied(f"refused: {key}", code="store-denied", hint="it was told to")


class FailNthStore(FaultyStore):
    """The `nth` write (from 1) fails; `before` it is stored, or only `after` it was stored."""

    def __init__(self, inner: Store, nth: int, *, stored: bool = False) -> None:
        super().__init__(inner)
        self.nth, self.stored, self.writes = nth, stored, 0

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        self.writes += 1
        if self.writes != self.nth or self.stored:
            super().put_new(key, data, **options)
        if self.writes == self.nth:
            raise Unavailable(f"write {self.nth} failed: {key}", code="store", hint="it was told to")


class RecordingStore(FaultyStore):
    """Notes every call as (method, key or folder), and asks `before` what to do first."""

    def __init__(self, inner: Store, before: Callable[[str, str], None] = lambda *_: None) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, str]] = []
        self.before = before

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        self._note("put_new", key)
        super().put_new(key, data, **options)

    def get(self, key: str, **options: Any) -> bytes:
        self._note("get", key)
        return super().get(key, **options)

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        self._note("stream", key)
        return super().stream(key, **options)

    def list(self, folder: str, **options: Any) -> Any:
        self._note("list", folder)
        return super().list(folder, **options)

    def folders(self, folder: str) -> Any:
        self._note("folders", folder)
        return super().folders(folder)

    def _note(self, method: str, key: str) -> None:
        self.calls.append((method, key))
        self.before(method, key)


class HeldStore(RecordingStore):
    """A store that gives no answer where `held` says so, by method and key, until `go_on` is set.

    `asked` is set once such an answer is waited for; `answered` counts those that were given after all.
    """

    def __init__(self, inner: Store, held: Callable[[str, str], bool]) -> None:
        super().__init__(inner, self._hold)
        self.held, self.answered = held, 0
        self.asked, self.go_on = threading.Event(), threading.Event()

    def _hold(self, method: str, key: str) -> None:
        if self.held(method, key):
            self.asked.set()
            assert self.go_on.wait(60)
            self.answered += 1


class Interposed:
    """A transport with something before each listing and each fetch of history."""

    def __init__(
        self, inner: Transport, *, listing: Callable[[], Any] = int, fetching: Callable[[], Any] = int
    ) -> None:
        self._inner, self._listing, self._fetching = inner, listing, fetching
        self.listings = self.forks = 0

    def ls_refs(self) -> Any:
        self.listings += 1
        self._listing()
        return self._inner.ls_refs()

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        self._fetching()
        self._inner.fetch(request, sink)

    def fork(self) -> Transport:
        self.forks += 1
        return self._inner.fork()

    def close(self) -> None:
        self._inner.close()


class Relisted:
    """A transport whose listing is edited: refs as a hostile origin or a busy one may list them."""

    def __init__(self, inner: Transport, edit: Callable[[list[Ref]], None]) -> None:
        self._inner, self._edit = inner, edit

    def ls_refs(self) -> RefsLedger:
        listed = self._inner.ls_refs()
        refs = list(listed)
        self._edit(refs)
        return RefsLedger.build(refs, listed.head_target, listed.head_oid)

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        self._inner.fetch(request, sink)

    def fork(self) -> Transport:
        return self._inner.fork()

    def close(self) -> None:
        self._inner.close()


class NoFilters(Interposed):
    """An origin that refuses filters, as a server does by default: it tells nothing of what branches hold."""

    def fork(self) -> Transport:
        return NoFilters(super().fork())

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        if request.filter:
            raise FilterRefused("no filters here")
        super().fetch(request, sink)
