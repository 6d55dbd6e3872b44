"""A listing that is under way before it is asked for, and the verb that begins one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.cli.flags import Flags
from snapshotter.cli.session import Session
from snapshotter.cli.snapshot import SnapshotFlags, snapshot
from snapshotter.git.refs import Ref, RefListing
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, Sink, Transport
from snapshotter.transport.ahead import ListedAhead
from tests.support.git import Origin

PATIENCE = 30.0  # seconds after which what should happen counts as never happening
LISTING = RefListing((Ref(b"refs/heads/main", "1" * 40),), b"refs/heads/main", None, "sha1")


@dataclass
class Slow:
    """A transport that lists once it may, and notes what is done with it."""

    error: Exception | None = None
    may: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    done: list[str] = field(default_factory=list)

    def ls_refs(self) -> RefListing:
        self.begun.set()
        assert self.may.wait(PATIENCE)
        self.done.append("listed")
        if self.error:
            raise self.error
        return LISTING

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        self.done.append("fetched")

    def fork(self) -> Transport:
        self.done.append("forked")
        return self

    def close(self) -> None:
        self.done.append("closed")
        self.closed.set()


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.may.set()


def ahead_of(slow: Slow) -> ListedAhead:
    ahead = ListedAhead(slow)
    ahead.begin()
    assert slow.begun.wait(PATIENCE), "it began before anybody asked"
    return ahead


def test_the_first_listing_is_the_one_that_was_begun(slow: Slow) -> None:
    ahead = ahead_of(slow)
    slow.may.set()
    assert ahead.ls_refs() == LISTING
    assert slow.done == ["listed"]
    assert ahead.ls_refs() == LISTING
    assert slow.done == ["listed", "listed"], "another is a new question"


def test_what_failed_is_raised_where_it_is_asked_for(slow: Slow) -> None:
    slow.error = Unavailable("gone")
    ahead = ahead_of(slow)
    slow.may.set()
    with pytest.raises(Unavailable, match="gone"):
        ahead.ls_refs()


@pytest.mark.parametrize("use", ["fetch", "fork"])
@pytest.mark.parametrize("error", [None, Unavailable("gone")])
def test_no_two_threads_use_the_transport_at_once(slow: Slow, use: str, error: Exception | None) -> None:
    slow.error = error
    ahead = ahead_of(slow)
    threading.Timer(0.05, slow.may.set).start()
    ahead.fetch(FetchRequest([]), lambda _: None) if use == "fetch" else ahead.fork()
    assert slow.done[0] == "listed"
    assert len(slow.done) == 2


def test_a_transport_that_nobody_asked_is_closed_once_it_is_free_and_not_waited_for(slow: Slow) -> None:
    ahead = ahead_of(slow)
    ahead.close()
    assert slow.done == []
    slow.may.set()
    assert slow.closed.wait(PATIENCE)
    assert slow.done == ["listed", "closed"]


def test_a_transport_whose_listing_was_used_is_closed_at_once(slow: Slow) -> None:
    ahead = ahead_of(slow)
    slow.may.set()
    ahead.ls_refs()
    ahead.close()
    assert slow.done == ["listed", "closed"]


def test_the_verb_asks_an_origin_over_http_before_it_opens_the_store(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "srv" / "x.git")
    origin.commit()
    asked = threading.Event()

    class Watching(Session):
        def store(self, uri: str | None = None, *, allow_http: bool = False, reading: bool = False) -> Store:
            assert asked.wait(PATIENCE)
            return super().store(uri, allow_http=allow_http, reading=reading)

    settings = Settings({"SNAPSHOTTER_STORE": str(tmp_path / "store")})
    session = Watching(Flags(), settings, {}, Observer(), Cancel())
    with GitHost(tmp_path / "srv") as host:
        host.fault = lambda _: asked.set()
        made = snapshot(session, SnapshotFlags(host.url("x.git"), scan=False, no_lfs=True))
        assert len(host.requests) == 3, "and lists once"
    assert made.document["kind"] == "base"


def test_a_wrong_option_is_told_whatever_the_origin_does(tmp_path: Path) -> None:
    never = threading.Event()
    session = Session(Flags(), Settings({}), {}, Observer(), Cancel())
    (tmp_path / "srv").mkdir()
    with GitHost(tmp_path / "srv") as host:
        host.fault = lambda _: never.wait(PATIENCE) and None
        try:
            with pytest.raises(UsageError, match="without a scan"):
                snapshot(session, SnapshotFlags(host.url("x.git"), scan=False, ref="main"))
        finally:
            never.set()
