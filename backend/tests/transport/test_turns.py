"""A host's limits over HTTP: connections at once and requests a second, whatever a snapshot does beside its listing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.snapshot import take
from snapshotter.git.origin_parsing import parse
from snapshotter.store.opening import open_store
from snapshotter.transport import OriginBusy
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.turns import HostTurns
from tests.support.git import Origin


class Time:
    """A clock that only naps move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Napping(Cancel):
    """A cancellation whose naps move a clock."""

    def __init__(self, clock: Time) -> None:
        super().__init__()
        self.clock = clock

    def sleep(self, seconds: float) -> None:
        self.clock.now += seconds
        self.check()


class Counted(HostTurns):
    """Turns that keep how many were held at once."""

    most = held = 0

    def begin(self, cancel: Cancel) -> None:
        super().begin(cancel)
        self.held += 1
        self.most = max(self.most, self.held)

    def end(self) -> None:
        self.held -= 1
        super().end()


def test_requests_are_evenly_spaced_and_the_first_waits_for_those_before() -> None:
    clock = Time()
    turns, sent = HostTurns(100, rate=4, wait=0.25, clock=clock), []
    for _ in range(9):
        turns.begin(Napping(clock))
        sent.append(clock.now)
    assert sent == [100.25 + 0.25 * n for n in range(9)]
    assert (turns.requests, turns.since_last) == (9, 0.0)


def test_a_throttled_host_is_left_alone_by_every_thread() -> None:
    clock = Time()
    turns = HostTurns(2, clock=clock)
    turns.begin(Napping(clock))
    turns.throttled(30)
    assert turns.pause == 30
    turns.begin(Napping(clock))
    assert clock.now == 130


def test_a_host_that_asks_for_longer_than_anybody_waits_is_not_asked() -> None:
    clock = Time()
    turns = HostTurns(1, clock=clock)
    turns.throttled(86_400)
    for _ in range(2):  # the turn is given back
        with pytest.raises(OriginBusy, match="left alone for 86400 s"):
            turns.begin(Napping(clock))
    assert (turns.requests, clock.now) == (0, 100.0)


def test_a_cancellation_ends_the_wait_for_a_turn_and_for_its_time() -> None:
    for turns in (HostTurns(0), HostTurns(1, wait=1000)):
        cancel = Cancel()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(turns.begin, cancel)
            cancel.cancel()
            with pytest.raises(Interrupted):
                waiting.result(30)


@pytest.mark.parametrize("connections", [1, 3])
def test_no_snapshot_holds_more_turns_than_there_are(tmp_path: Path, connections: int) -> None:
    """Six at once through one host: bases, then increments, which fetch and judge branches at the same time."""
    names = [f"r{n}.git" for n in range(6)]
    origins = [Origin(tmp_path / "srv" / name) for name in names]
    store = open_store(f"file:{tmp_path / 'store'}")
    with GitHost(tmp_path / "srv") as host:
        for kind in ("base", "increment"):
            for origin in origins:
                origin.commit()
            turns = Counted(connections)
            connect = Connector(GitCredentials({})).with_turns(turns)

            def one(name: str, connect: Connector = connect) -> str:
                cancel = Cancel()
                origin = parse(host.url(name))
                transport = connect(origin, cancel)
                try:
                    return take(origin, transport, store, CaptureOptions(), cancel=cancel).manifest.kind
                finally:
                    transport.close()

            host.requests.clear()
            opened = host.connections
            with ThreadPoolExecutor(len(names)) as pool:
                assert {*pool.map(one, names)} == {kind}
            assert (turns.held, turns.requests) == (0, len(host.requests))
            assert turns.most <= connections
            assert host.connections - opened <= connections
            connect.let_go()


def test_every_failed_try_gives_its_turn_back(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "srv" / "x.git")
    origin.commit()
    with GitHost(tmp_path / "srv") as host:
        left = [Fault(status=503, headers={"Retry-After": "0"}), Fault(status=401), Fault(status=404)]
        host.fault = lambda _: left.pop(0) if left else None
        turns = Counted(1)
        connect = Connector(GitCredentials({})).with_turns(turns)
        for _ in range(4):
            transport = connect(parse(host.url("x.git")), Cancel())
            with suppress(SnapshotterError):
                transport.ls_refs()
            transport.close()
            assert turns.held == 0
        assert turns.requests == len(host.requests) == 6  # the last one's host was heard: ls-refs alone
