"""Smart HTTP. Networks that cut, flip and stall replies, and callers who give up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError
from snapshotter.git.origin_parsing import parse
from snapshotter.git.pack_frame import PackCheck
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.httpservers import ADVERTISEMENT, Scripted, Seen, pkt, reply
from tests.support.wires import NoCredentials, pack_of
from tests.transport.support import DISCOVERY, Hurried, Silence, error_listing, error_of, tip, with_secret

Position = int | Fraction

# The first bytes one by one, where the framing lies, then all along the reply; 1 stands for its last byte.
POSITIONS: list[Position] = [*range(24), *(Fraction(n, 25) for n in range(1, 25)), Fraction(1)]


def byte(position: Position, length: int) -> int:
    """The offset that a position means in a reply of `length` bytes."""
    return position if isinstance(position, int) else int(position * (length - 1))


@pytest.fixture(scope="module")
def whole(root: Path) -> tuple[FetchRequest, int]:
    """A request for everything, and the least length of its answer: more packets make it longer."""
    with GitHost(root) as host, ExitStack() as stack:
        transport = Connector(NoCredentials(), WireLimits())(parse(host.url("x.git")), Cancel())
        stack.callback(transport.close)
        request = FetchRequest(sorted(transport.ls_refs().tips))
        return request, len(pack_of(transport, request)) + len(pkt(b"packfile\n") + pkt(b"\x01") + b"0000")


def spoil(host: GitHost, reply_to: str, fault: Fault) -> None:
    """From now on, every reply to such a request has the fault."""
    host.fault = lambda label: fault if label.endswith(reply_to) else None


@pytest.mark.parametrize("cleanly", [False, True], ids=["hung up", "ended cleanly"])
@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_a_pack_cut_anywhere_is_an_error(
    host: GitHost,
    connect: Callable[..., Transport],
    whole: tuple[FetchRequest, int],
    position: Position,
    cleanly: bool,
) -> None:
    request, length = whole
    spoil(host, "#fetch", Fault(cut_at=byte(position, length), cut_cleanly=cleanly))
    error = error_of(pack_of, connect(host.url("x.git")), request)
    assert error.code in ("stream-cut", "protocol")


@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_a_pack_flipped_anywhere_never_passes_for_whole(
    host: GitHost, connect: Callable[..., Transport], whole: tuple[FetchRequest, int], position: Position
) -> None:
    request, length = whole
    spoil(host, "#fetch", Fault(flip_at=byte(position, length)))
    check = PackCheck("sha1")
    with pytest.raises(SnapshotterError):
        connect(host.url("x.git")).fetch(request, check.update)
        check.finish()


@pytest.mark.parametrize("at", range(0, 120, 3))
@pytest.mark.parametrize("reply_to", [DISCOVERY, "#ls-refs"])
def test_a_listing_cut_anywhere_is_an_error(
    host: GitHost, connect: Callable[..., Transport], reply_to: str, at: int
) -> None:
    spoil(host, reply_to, Fault(cut_at=at, cut_cleanly=at % 2 == 0))
    assert error_listing(connect, host.url("x.git")).exit_code == 4


@pytest.mark.parametrize("at", range(0, 150, 2))
def test_a_listing_flipped_anywhere_is_read_or_refused(
    host: GitHost, connect: Callable[..., Transport], at: int
) -> None:
    spoil(host, DISCOVERY if at % 4 else "#ls-refs", Fault(flip_at=at))
    try:
        connect(host.url("x.git")).ls_refs()
    except SnapshotterError as error:
        assert error.hint


@pytest.mark.parametrize("reply_to", [DISCOVERY, "#ls-refs", "#fetch"])
@pytest.mark.parametrize("at", [0, 30])
def test_a_stalled_server_is_given_up_after_the_idle_timeout_and_not_asked_again(
    host: GitHost, connect: Callable[..., Transport], reply_to: str, at: int
) -> None:
    spoil(host, reply_to, Fault(stall_at=at))
    cancel = Hurried()
    transport = connect(host.url("x.git"), cancel=cancel, limits=WireLimits(idle_seconds=0.3))
    fetch = partial(pack_of, transport, FetchRequest([tip(host)]))
    assert error_of(fetch if reply_to == "#fetch" else transport.ls_refs).code == "stalled"
    assert [request.path for request in host.requests if request.path.endswith(reply_to)] == [
        f"/x.git{DISCOVERY}" if reply_to == DISCOVERY else f"/x.git/git-upload-pack{reply_to}"
    ]
    assert cancel.naps == []


def test_a_server_that_does_not_even_begin_is_given_up_once_and_not_for_each_try(
    connect: Callable[..., Transport],
) -> None:
    silence, cancel = Silence(), Hurried()
    with Scripted(lambda _: silence.of(server.closing)) as server:
        limits = WireLimits(idle_seconds=0.3)
        error = error_listing(connect, with_secret(server.url()), cancel=cancel, limits=limits)
        assert error.code == "stalled"
        assert len(server.seen) == 1
    assert cancel.naps == []


@pytest.mark.parametrize("begins", [True, False])
def test_cancelling_ends_a_wait_that_nothing_else_would_end(
    connect: Callable[..., Transport], begins: bool
) -> None:
    silence, cancel = Silence(), Cancel()

    def answer(_: Seen) -> Iterable[bytes]:
        if begins:
            yield reply(200, {"Content-Type": ADVERTISEMENT}, b"x" * 100)[:-98]
        threading.Timer(0.1, cancel.cancel).start()  # the client is in its wait by then, or about to be
        yield from silence.of(server.closing)

    with Scripted(answer) as server:
        with pytest.raises(Interrupted):
            connect(server.url(), cancel=cancel, limits=WireLimits(idle_seconds=3600)).ls_refs()
        assert not silence.broken
        assert len(server.seen) == 1


def test_cancelling_ends_a_pause_between_tries(host: GitHost, connect: Callable[..., Transport]) -> None:
    class AtOnce(Hurried):
        """A caller who cancels as soon as the work pauses."""

        def sleep(self, seconds: float) -> None:
            self.cancel()
            super().sleep(seconds)

    cancel = AtOnce()
    host.fault = lambda _: Fault(status=503, headers={"Retry-After": "30"})
    with pytest.raises(Interrupted):
        connect(host.url("x.git"), cancel=cancel).ls_refs()
    assert (cancel.naps, len(host.requests)) == ([30], 1)
