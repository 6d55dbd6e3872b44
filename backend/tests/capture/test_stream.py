"""An origin's stream that is cut or altered anywhere: always an error, never a manifest."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from githost import Fault, GitHost
from snapshotter.archive import layout
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.sealed import Sealed
from snapshotter.archive.transfer import RunFolder
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.room import Room
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.capture.pack_front import FRONT_BYTES, AwaitedFront
from snapshotter.capture.stream import base, streamed
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.store.backend import ObjectAttributes
from snapshotter.store.memory import MemoryBackend
from snapshotter.store.objects import Place, Store
from snapshotter.transport import FetchRequest, Sink, Transport, WireLimits
from tests.support.batches import until
from tests.support.git import Origin
from tests.support.lab import Lab, Words
from tests.support.packs import pack_of

SMALL = CaptureOptions(segment_bytes=64 * 1024)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    made = Origin(tmp_path_factory.mktemp("srv") / "x.git")
    noise = random.Random(5)
    for number in range(5):
        made.commit(files={f"f{number}": noise.randbytes(30_000), "text": b"line\n" * number})
    made.git("tag", "-a", "-m", "t", "v1", "main")
    made.git("repack", "-adq")
    return made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store", limits=WireLimits(idle_seconds=5, connect_seconds=5))


def manifests(lab: Lab) -> list[str]:
    return [entry.key for entry in lab.store.list("") if entry.key.endswith(layout.MANIFEST)]


def fails(lab: Lab, url: str | Origin, what: object, **options: Any) -> SnapshotterError:
    """The snapshot fails with an error fit for users, and is none."""
    before = manifests(lab)
    with pytest.raises(SnapshotterError) as caught:
        lab.take(url, SMALL, **options)
    assert manifests(lab) == before, what
    assert caught.value.exit_code == 4, what
    assert caught.value.message and caught.value.hint, what
    return caught.value


class Altered:
    """A transport whose pack is altered or cut after the wire's own checks."""

    def __init__(
        self, inner: Transport, *, cut: int | None = None, flip: int | None = None, extra: bytes = b""
    ) -> None:
        self._inner, self._cut, self._flip, self._extra = inner, cut, flip, extra
        self.bytes = 0

    def ls_refs(self) -> Any:
        return self._inner.ls_refs()

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        pack = bytearray()
        self._inner.fetch(request, lambda data: pack.extend(data))
        self.bytes = len(pack)
        if self._flip is not None:
            pack[self._flip] ^= 0x40
        data = bytes(pack[: self._cut]) + self._extra
        for start in range(0, len(data), 10_000):
            sink(memoryview(data)[start : start + 10_000])

    def fork(self) -> Transport:
        return self._inner.fork()

    def close(self) -> None:
        self._inner.close()


def pack_bytes(origin: Origin, lab: Lab) -> int:
    made: list[Altered] = []

    def wrap(inner: Transport) -> Transport:
        made.append(Altered(inner))
        return made[0]

    whole = Lab(lab.root.parent / "whole")
    assert whole.take(origin, SMALL, wrap=wrap).manifest.kind == "base"
    return made[0].bytes


def offsets(size: int, count: int, seed: int) -> list[int]:
    """The edges, and others at random."""
    edges = {
        0,
        1,
        3,
        4,
        7,
        8,
        11,
        12,
        13,
        65_535,
        65_536,
        131_072,
        size - 33,
        size - 21,
        size - 20,
        size - 19,
        size - 1,
    }
    return sorted(
        {edge for edge in edges if 0 <= edge < size}
        | set(random.Random(seed).sample(range(size), min(count, size)))
    )


def alter_everywhere(origin: Origin, lab: Lab, count: int) -> None:
    size = pack_bytes(origin, lab)
    for at in offsets(size, count, 1):
        fails(lab, origin, ("cut", at), wrap=lambda inner, at=at: Altered(inner, cut=at))
    for at in offsets(size, count, 2):
        fails(lab, origin, ("flip", at), wrap=lambda inner, at=at: Altered(inner, flip=at))
    for extra in (b"\0", b"x" * 20, b"PACK" + bytes(16)):
        fails(lab, origin, ("extra", extra), wrap=lambda inner, extra=extra: Altered(inner, extra=extra))


def test_a_pack_cut_or_flipped_anywhere_is_no_snapshot(origin: Origin, lab: Lab) -> None:
    alter_everywhere(origin, lab, 40)


@pytest.mark.full
def test_a_pack_cut_or_flipped_at_hundreds_of_places(origin: Origin, lab: Lab) -> None:
    alter_everywhere(origin, lab, 400)


@contextmanager
def spoiled(origin: Origin, where: str, fault: Fault) -> Iterator[GitHost]:
    with GitHost(origin.path.parent, fault=lambda path: fault if where in path else None) as host:
        yield host


def reply_bytes(origin: Origin, lab: Lab) -> int:
    """The least that a reply can have: a section line, a frame for each full packet of the pack, a flush."""
    pack = pack_bytes(origin, lab)
    return len(b"000dpackfile\n") + pack + 5 * -(-pack // 65515) + len(b"0000")


@pytest.mark.parametrize("cleanly", [False, True])
def test_a_reply_cut_on_the_wire(origin: Origin, lab: Lab, cleanly: bool) -> None:
    for at in offsets(reply_bytes(origin, lab), 12, 3):
        with spoiled(origin, "#fetch", Fault(cut_at=at, cut_cleanly=cleanly)) as host:
            fails(lab, host.url("x.git"), (at, cleanly))


def test_a_reply_flipped_on_the_wire(origin: Origin, lab: Lab) -> None:
    for at in offsets(reply_bytes(origin, lab), 20, 4):
        with spoiled(origin, "#fetch", Fault(flip_at=at)) as host:
            fails(lab, host.url("x.git"), at)


@pytest.mark.parametrize("cleanly", [False, True])
def test_a_listing_cut_on_the_wire(origin: Origin, lab: Lab, cleanly: bool) -> None:
    for at in (0, 1, 4, 30, 60, 100, 150):
        with spoiled(origin, "#ls-refs", Fault(cut_at=at, cut_cleanly=cleanly)) as host:
            fails(lab, host.url("x.git"), (at, cleanly))


def test_a_listing_flipped_on_the_wire(origin: Origin, lab: Lab) -> None:
    """Only a flip inside a name cannot be told from another name: no checksum covers a listing. The objects
    are the origin's all the same, or a gap says which ref is left out."""
    whole = origin.state.objects
    passed = []
    for at in range(0, 190, 7):
        with spoiled(origin, "#ls-refs", Fault(flip_at=at)) as host:
            try:
                taken = lab.take(host.url("x.git"), SMALL)
            except SnapshotterError as error:
                assert error.exit_code == 4
                assert error.hint
            else:
                passed.append(at)
                objects = lab.restored(taken, lab.root.parent / f"{at}.git").objects
                left_out = {"refs-impossible", "refs-lacking"} & {gap.kind for gap in taken.manifest.gaps}
                assert objects <= whole if left_out else objects == whole
    assert len(passed) < 20, passed


def test_an_increment_cut_or_flipped_leaves_the_chain_as_it_was(
    origin: Origin, lab: Lab, tmp_path: Path
) -> None:
    mine = Origin(tmp_path / "srv" / "x.git")
    mine.git("fetch", "-q", str(origin.path), "+refs/*:refs/*")
    with GitHost(tmp_path / "srv") as host:
        base = lab.take(host.url("x.git"), SMALL)
        mine.commit(files={"n": random.Random(9).randbytes(5000)})
        for fault in (Fault(cut_at=3000), Fault(flip_at=3000), Fault(cut_at=3000, cut_cleanly=True)):
            host.fault = lambda path, fault=fault: fault if path.endswith("#fetch") else None  # type: ignore[misc]
            fails(lab, host.url("x.git"), fault)
        host.fault = None
        taken: Sealed = lab.take(host.url("x.git"), SMALL)
    assert taken.manifest.parent is not None
    assert taken.manifest.parent.run_id == base.manifest.run_id
    assert lab.restored(taken, tmp_path / "r.git") == mine.state
    lab.assert_whole(taken)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", "not-git"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"
            b"Content-Length: 6\r\n\r\n<html>",
            "not-git",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", "not-git"),
        pytest.param(b"", "stream-cut", marks=pytest.mark.full),  # asked again, for 4 s
    ],
)
def test_something_else_than_a_git_server(lab: Lab, reply: bytes, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        assert fails(lab, f"http://127.0.0.1:{server.getsockname()[1]}/x.git", reply).code == code
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("where", ["info/refs", "#ls-refs", "#fetch"])
def test_chatter_without_end(origin: Origin, tmp_path: Path, where: str) -> None:
    limits = WireLimits(max_refs=5000, max_refs_bytes=1_000_000, chatter_bytes=200_000, idle_seconds=5)
    lab = Lab(tmp_path / "store", limits=limits)
    with spoiled(origin, where, Fault(chatter=True)) as host:
        assert fails(lab, host.url("x.git"), where).code in ("limit", "chatter", "protocol")


def test_a_stalled_server_ends_at_the_idle_timeout(origin: Origin, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store", limits=WireLimits(idle_seconds=0.5))
    with spoiled(origin, "#fetch", Fault(stall_at=70_000)) as host:
        assert fails(lab, host.url("x.git"), "stall").code == "stalled"


@pytest.mark.parametrize(("size", "early"), [(100, False), (FRONT_BYTES - 1, False), (FRONT_BYTES + 1, True)])
def test_the_front_of_a_pack_is_there_as_soon_as_it_came(
    lab: Lab, origin: Origin, size: int, early: bool
) -> None:
    pack, front, done = pack_of() + random.Random(size).randbytes(size), AwaitedFront(), []

    class Pieces:
        def fetch(self, request: FetchRequest, sink: Sink) -> None:
            sink(memoryview(pack)[:size])
            done.append(front.done())
            sink(memoryview(pack)[size:])

    refs = RefsLedger.build([Ref(b"refs/heads/main", origin.oid("main"))])
    folder = RunFolder(lab.store, RunKey("x", RunId.new(lab.now)), "base", Cancel())
    transport: Any = Pieces()
    with suppress(Unusable), streamed(base(refs), transport, folder, SMALL, Observer(), front) as arrived:
        arrived.finish()
    assert done == [early]
    came = front.result(timeout=0)
    assert came.data == pack[:FRONT_BYTES] and came.request == base(refs).fetch
    assert came.whole is (len(pack) < FRONT_BYTES)


def test_the_observer_hears_of_every_byte_and_not_of_every_packet(lab: Lab, origin: Origin) -> None:
    pack, told = pack_of() + random.Random(1).randbytes(1_000_000), []

    class Packets:
        def fetch(self, request: FetchRequest, sink: Sink) -> None:
            for at in range(0, len(pack), 1000):
                sink(memoryview(pack)[at : at + 1000])

    class Told(Observer):
        def advance(self, count: int) -> None:
            told.append(count)

    refs = RefsLedger.build([Ref(b"refs/heads/main", origin.oid("main"))])
    folder = RunFolder(lab.store, RunKey("x", RunId.new(lab.now)), "base", Cancel())
    transport: Any = Packets()
    with (
        suppress(Unusable),
        streamed(base(refs), transport, folder, SMALL, Told(), AwaitedFront()) as arrived,
    ):
        arrived.finish()
    assert sum(told) == len(pack)
    assert len(told) < 20


@pytest.mark.parametrize("kind", ["base", "increment"])
def test_an_error_before_the_pack_comes_ends_the_run(lab: Lab, tmp_path: Path, kind: str) -> None:
    """And nobody waits for its front."""
    origin = Origin(tmp_path / "y.git", filters=True)
    origin.commit()
    if kind == "increment":
        lab.take(origin)
        origin.commit()

    class Broken(Words):
        def stage(self, what: str, total: int | None = None) -> None:
            if what.startswith("streaming"):
                raise BrokenPipeError(what)

    lab.observer = Broken()
    with pytest.raises(BrokenPipeError):
        lab.take(origin, CaptureOptions(lfs=LfsOptions()))


class Stuck(MemoryBackend):
    """Takes segments once it is let go on, and then does not."""

    def __init__(self) -> None:
        super().__init__("memory:")
        self.segments: list[str] = []
        self.began, self.go_on = threading.Event(), threading.Event()

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        if layout.HISTORY not in key:
            return
        self.segments.append(key)
        self.began.set()
        assert self.go_on.wait(60)
        raise KeyError(key)

    def transient(self, error: Exception, tries: int) -> bool:
        return True


def has_place(room: Room) -> bool:
    try:
        room.take(1)
    except Interrupted:
        return False
    return True


def test_what_a_broken_pack_has_on_its_way_keeps_its_room_and_is_not_tried_again(
    lab: Lab, origin: Origin
) -> None:
    backend, looks = Stuck(), Cancel()
    looks.cancel()  # who looks for room does not wait for it
    room = Room(1, looks)

    class Breaking(Altered):
        def fetch(self, request: FetchRequest, sink: Sink) -> None:
            super().fetch(request, sink)
            assert backend.began.wait(60)
            raise ConnectionResetError

    options, store = replace(SMALL, room=room.of(1)), Store(backend, Place("memory:"))
    try:
        with pytest.raises(ConnectionResetError):
            lab.take(origin, options, store=store, wrap=lambda inner: Breaking(inner, cut=130_000))
        assert not has_place(room)
    finally:
        backend.go_on.set()
    until(lambda: has_place(room))
    assert sorted(backend.segments) == sorted(set(backend.segments))
