"""LFS objects of snapshots: which are found, stored once, and asked for again where they were missing."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gitfaults import Fault
from lfshost import LfsHost
from snapshotter.archive import layout
from snapshotter.archive.manifest import Lfs
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.room import Room, Stay
from snapshotter.capture import stream
from snapshotter.capture.lfs_fetching import LfsFetch
from snapshotter.capture.lfs_storing import LfsStorage
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.scan.lfs_rows import LfsRow
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, Sink, Transport, WireLimits
from snapshotter.transport.lfs.source import LfsPointer
from tests.capture.test_stream import has_place
from tests.support import fixtures
from tests.support.batches import until
from tests.support.faults import FaultyStore, Interposed
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.lfs import add, lfs_of, pointer_to, table

WITH = CaptureOptions(lfs=LfsOptions())
TIPS = CaptureOptions(lfs=LfsOptions("tips"))
SMALL = CaptureOptions(lfs=LfsOptions(), segment_bytes=64 * 1024)
MIB = 1024 * 1024
host = fixtures.lfs_host


@pytest.fixture
def origin(tmp_path: Path, host: LfsHost) -> Origin:
    origin = Origin(tmp_path / "srv" / "x.git")
    origin.commit(files={"readme": b"plain", ".gitattributes": b"*.bin filter=lfs\n"})
    return origin


@pytest.fixture
def large_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every pack there is more than a front, so that pointers are asked for."""
    monkeypatch.setattr(stream, "FRONT_BYTES", 12)


def stored(lab: Lab, row: LfsRow) -> bytes:
    return b"".join(lab.store.get(key) for key in row.keys)


def gaps(taken: Sealed) -> dict[str, int]:
    return {gap.kind: gap.count for gap in taken.manifest.gaps}


def test_a_repository_without_pointers_says_so(lab: Lab, host: LfsHost, origin: Origin) -> None:
    taken = lab.take(host.url("x.git"), WITH)
    assert lfs_of(taken) == Lfs(
        asked="all", searched="all", objects=0, held=0, bytes=0, held_bytes=0, table=None
    )
    assert not host.lfs_requests and not taken.manifest.gaps


def test_every_object_of_the_history_is_stored(lab: Lab, host: LfsHost, origin: Origin) -> None:
    contents = [b"one", b"two" * 1000, b"\0" * 300_000]
    for data in contents:
        add(host, origin, data)
    origin.commit(files={"deleted.bin": pointer_to(b"old")})
    host.put(b"old")
    origin.commit_tree(origin.oid("refs/heads/main"), ref="refs/heads/main", message="all gone")
    taken = lab.take(host.url("x.git"), SMALL)
    assert (lfs_of(taken).objects, lfs_of(taken).held, lfs_of(taken).searched) == (4, 4, "all")
    rows = table(lab, taken)
    for data in [*contents, b"old"]:
        oid = hashlib.sha256(data).hexdigest()
        assert stored(lab, rows[oid]) == data and rows[oid].bytes == len(data)
    whole = hashlib.sha256(b"one").hexdigest()
    assert rows[whole].keys == [layout.lfs_key(taken.manifest.repo, whole)]
    assert len(rows[hashlib.sha256(contents[2]).hexdigest()].keys) == 5
    assert host.batches() == 1 and len(host.downloads()) == 4
    assert not taken.manifest.gaps


def test_an_increment_asks_for_new_objects_alone(lab: Lab, host: LfsHost, origin: Origin) -> None:
    first = add(host, origin, b"one", b"two")
    lab.take(host.url("x.git"), WITH)
    host.lfs_requests.clear()
    second = add(host, origin, b"three")
    taken = lab.take(host.url("x.git"), WITH)
    assert taken.manifest.kind == "increment" and host.downloads() == second
    rows = table(lab, taken)
    assert rows.keys() == {*first, *second} and all(row.held for row in rows.values())
    assert rows[second[0]].path and rows[second[0]].path.startswith("dir/")
    assert rows[first[0]].path and rows[first[0]].path.startswith("dir/")


def test_an_increment_without_pointers_refers_to_the_table(lab: Lab, host: LfsHost, origin: Origin) -> None:
    add(host, origin, b"one")
    before = lab.take(host.url("x.git"), WITH)
    host.lfs_requests.clear()
    origin.commit(files={"plain": b"text"})
    taken = lab.take(host.url("x.git"), WITH)
    assert taken.manifest.kind == "increment" and lfs_of(taken) == lfs_of(before)
    assert not host.lfs_requests and taken.manifest.artifact(layout.LFS_TABLE) is None


def test_an_unchanged_origin_is_asked_nothing_more(lab: Lab, host: LfsHost, origin: Origin) -> None:
    add(host, origin, b"one")
    before = lab.take(host.url("x.git"), WITH)
    host.requests.clear()
    taken = lab.take(host.url("x.git"), WITH)
    assert taken.manifest.kind == "unchanged" and lfs_of(taken) == lfs_of(before)
    assert len(host.requests) == 2


def test_a_base_downloads_nothing_that_is_held(lab: Lab, host: LfsHost, origin: Origin) -> None:
    oids = add(host, origin, b"one", b"two" * 100_000)
    lab.take(host.url("x.git"), SMALL)
    host.lfs_requests.clear()
    full = CaptureOptions(lfs=LfsOptions(), segment_bytes=64 * 1024, full=True)
    taken = lab.take(host.url("x.git"), full)
    assert taken.manifest.kind == "base" and not host.lfs_requests
    assert taken.manifest.artifact(layout.LFS_TABLE) == lfs_of(taken).table
    assert table(lab, taken).keys() == set(oids)


def test_what_was_missing_is_asked_for_again_and_heals(lab: Lab, host: LfsHost, origin: Origin) -> None:
    (here,) = add(host, origin, b"here")
    origin.commit(files={"late.bin": pointer_to(b"late")})
    taken = lab.take(host.url("x.git"), WITH)
    late = hashlib.sha256(b"late").hexdigest()
    assert (lfs_of(taken).objects, lfs_of(taken).held, gaps(taken)) == (2, 1, {"lfs-not-found": 1})
    assert taken.manifest.gaps[0].sample == [f"{late} 4 late.bin"]
    assert table(lab, taken)[late] == LfsRow(late, 4, False, [], "late.bin", "not-found")
    same = lab.take(host.url("x.git"), WITH)
    assert same.manifest.kind == "unchanged" and lfs_of(same) == lfs_of(taken) and gaps(same) == gaps(taken)
    host.put(b"late")
    host.lfs_requests.clear()
    healed = lab.take(host.url("x.git"), WITH)
    assert healed.manifest.kind == "unchanged" and host.downloads() == [late]
    assert (lfs_of(healed).objects, lfs_of(healed).held, gaps(healed)) == (2, 2, {})
    assert stored(lab, table(lab, healed)[late]) == b"late" and table(lab, healed)[late].path == "late.bin"
    assert table(lab, healed)[here].held


def test_a_chain_without_a_table_gets_one(lab: Lab, host: LfsHost, origin: Origin) -> None:
    (oid,) = add(host, origin, b"one")
    assert lab.take(host.url("x.git")).manifest.lfs is not Lfs
    taken = lab.take(host.url("x.git"), WITH)
    assert taken.manifest.kind == "unchanged" and table(lab, taken)[oid].held


def test_an_unchanged_run_without_lfs_leaves_nothing_to_be_searched(
    lab: Lab, host: LfsHost, origin: Origin
) -> None:
    add(host, origin, b"one")
    taken = lab.take(host.url("x.git"), WITH)
    assert lab.take(host.url("x.git")).manifest.lfs == taken.manifest.lfs
    host.requests.clear()
    assert lab.take(host.url("x.git"), WITH).manifest.lfs == taken.manifest.lfs
    assert len(host.requests) == 2


@pytest.mark.parametrize("base", [False, True])
def test_a_run_without_lfs_forgets_nothing(lab: Lab, host: LfsHost, origin: Origin, base: bool) -> None:
    first = add(host, origin, b"one")
    lab.take(host.url("x.git"), WITH)
    second = add(host, origin, b"two")
    without = lab.take(host.url("x.git"), CaptureOptions(full=base))
    assert (lfs_of(without).asked, lfs_of(without).searched, lfs_of(without).objects) == ("none", "none", 1)
    host.lfs_requests.clear()
    taken = lab.take(host.url("x.git"), WITH)
    assert host.downloads() == second and table(lab, taken).keys() == {*first, *second}
    assert lfs_of(taken).searched == "all"


def test_tips_alone_are_taken_when_they_are_asked_for(lab: Lab, host: LfsHost, origin: Origin) -> None:
    (old,) = add(host, origin, b"old")
    new = hashlib.sha256(b"new").hexdigest()
    host.put(b"new")
    origin.commit_tree(
        origin.oid("refs/heads/main"), ref="refs/heads/main", message="new", file=pointer_to(b"new")
    )
    taken = lab.take(host.url("x.git"), TIPS)
    assert (lfs_of(taken).asked, lfs_of(taken).searched, list(table(lab, taken))) == ("tips", "tips", [new])
    assert lab.take(host.url("x.git"), TIPS).manifest.lfs == taken.manifest.lfs
    more = lab.take(host.url("x.git"), WITH)
    assert more.manifest.kind == "unchanged" and table(lab, more).keys() == {old, new}
    assert host.downloads() == [new, old]


@pytest.mark.parametrize(
    "config",
    [
        {"uploadpack.allowFilter": "false"},
        {"uploadpackfilter.combine.allow": "false"},
        {"uploadpackfilter.object:type.allow": "false"},
        {"uploadpackfilter.allow": "false"},
    ],
)
def test_what_a_server_refuses_costs_history_at_most(
    lab: Lab, host: LfsHost, origin: Origin, config: dict[str, str], large_packs: None
) -> None:
    (old,) = add(host, origin, b"old")
    new = hashlib.sha256(host.put(b"new") and b"new").hexdigest()
    origin.commit_tree(
        origin.oid("refs/heads/main"), ref="refs/heads/main", message="new", file=pointer_to(b"new")
    )
    host.config |= config
    taken = lab.take(host.url("x.git"), WITH)
    no_filters = "uploadpack.allowFilter" in config or "uploadpackfilter.allow" in config
    assert table(lab, taken).keys() == ({new} if no_filters else {old, new})
    assert gaps(taken) == ({"lfs-history": 1} if no_filters else {})
    assert lab.take(host.url("x.git"), WITH).manifest.lfs == taken.manifest.lfs
    (third,) = add(host, origin, b"third")
    grown = lab.take(host.url("x.git"), WITH)
    assert grown.manifest.kind == "increment" and table(lab, grown).keys() == {*table(lab, taken), third}


def test_a_spent_quota_is_a_reason_of_its_own_and_ends_the_asking(
    lab: Lab, host: LfsHost, origin: Origin
) -> None:
    oids = add(host, origin, *(b"%d" % number for number in range(250)))
    host.lfs_fault = lambda what: Fault(status=509) if what != "batch" else None
    taken = lab.take(host.url("x.git"), WITH)
    assert taken.manifest.kind == "base" and gaps(taken) == {"lfs-over-quota": 250}
    assert host.batches() == 1 and len(host.downloads()) < 50
    host.lfs_fault = None
    assert lfs_of(lab.take(host.url("x.git"), WITH)).held == len(oids)


def test_a_host_without_an_lfs_server_is_asked_once_a_run(lab: Lab, host: LfsHost, origin: Origin) -> None:
    add(host, origin, *(b"%d" % number for number in range(250)))
    host.lfs_fault = lambda what: Fault(status=404)
    taken = lab.take(host.url("x.git"), WITH)
    assert gaps(taken) == {"lfs-no-server": 250} and host.batches() == 1
    assert lab.observer.warnings and "no LFS objects" in lab.observer.warnings[0]


@pytest.mark.parametrize("size", [1000, 300_000])
@pytest.mark.parametrize("fault", [Fault(cut_at=500), Fault(flip_at=500)])
def test_a_cut_is_tried_again_and_a_flip_is_no_object(
    lab: Lab, host: LfsHost, origin: Origin, size: int, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    (oid,) = add(host, origin, b"x" * size)
    faults = iter([fault])
    host.lfs_fault = lambda what: next(faults, None) if what == oid else None
    taken = lab.take(host.url("x.git"), SMALL)
    if fault.cut_at:
        assert stored(lab, table(lab, taken)[oid]) == b"x" * size
    else:
        assert gaps(taken) == {"lfs-wrong-digest": 1}
        healed = lab.take(host.url("x.git"), SMALL)
        assert stored(lab, table(lab, healed)[oid]) == b"x" * size


def test_what_somebody_put_in_an_object_s_place_is_passed_by(lab: Lab, host: LfsHost, origin: Origin) -> None:
    (oid,) = add(host, origin, b"good")
    repo = lab.take(host.url("x.git")).manifest.repo
    lab.store.put_new(layout.lfs_key(repo, oid), b"evil")
    taken = lab.take(host.url("x.git"), WITH)
    (key,) = table(lab, taken)[oid].keys
    assert key != layout.lfs_key(repo, oid) and lab.store.get(key) == b"good"


def test_pointers_that_lie(lab: Lab, host: LfsHost, origin: Origin) -> None:
    oid = host.put(b"data")
    origin.commit(
        files={
            "right": pointer_to(b"data"),
            "wrong": pointer_to(b"data", 3),
            "alone": pointer_to(b"other", 10**17),
            "large": pointer_to(b"large") + b"x" * 5_000_000,
        }
    )
    host.put(b"other")
    taken = lab.take(host.url("x.git"), WITH)
    rows = table(lab, taken)
    assert rows[oid].held and rows[oid].bytes == 4
    assert gaps(taken) == {"lfs-too-large": 1} and len(rows) == 2


def test_pointers_that_line_end_settings_were_at_are_pointers(
    lab: Lab, host: LfsHost, origin: Origin
) -> None:
    for name, data in (("crlf", b"one"), ("more", b"two")):
        host.put(data)
        pointer = pointer_to(data)
        origin.commit(files={name: pointer.replace(b"\n", b"\r\n") if name == "crlf" else pointer + b"\n"})
    assert lfs_of(lab.take(host.url("x.git"), WITH)).held == 2


def test_sizes_that_are_lies_together_are_a_number_that_every_reader_has(lab: Lab, origin: Origin) -> None:
    lies = {f"{number}": pointer_to(b"%d" % number, 2**63 - 1 - number) for number in range(5)}
    origin.commit(files=lies)
    taken = lab.take(origin, WITH)
    assert (lfs_of(taken).objects, lfs_of(taken).bytes) == (5, 2**53 - 1)
    lab.assert_whole(taken)
    assert lfs_of(lab.take(origin, WITH)).held == 0, "the table reads"


def test_a_configured_server_on_another_host_is_not_asked(lab: Lab, host: LfsHost, origin: Origin) -> None:
    add(host, origin, b"one")
    origin.commit(files={".lfsconfig": b"[lfs]\n\turl = https://evil.example.org/lfs\n"})
    taken = lab.take(host.url("x.git"), WITH)
    assert gaps(taken) == {"lfs-unsafe": 1} and not host.lfs_requests
    origin.commit(files={".lfsconfig": b"[lfs]\n\turl = %b/other.git/info/lfs\n" % host.url().encode()})
    taken = lab.take(host.url("x.git"), WITH)
    assert lfs_of(taken).held == 1 and host.lfs_requests[0].path == "/other.git/info/lfs/objects/batch"


@pytest.mark.parametrize("key", [b"[lfs]\n\turl", b'[remote "origin"]\n\tlfsurl'])
def test_an_origin_that_neither_filters_nor_gives_single_objects_names_its_server_too(
    lab: Lab, host: LfsHost, origin: Origin, key: bytes
) -> None:
    host.config |= {"uploadpack.allowFilter": "false", "uploadpack.allowAnySHA1InWant": "false"}
    add(host, origin, b"one")
    origin.commit(files={".lfsconfig": b"%b = %b/other.git/info/lfs\n" % (key, host.url().encode())})
    assert lfs_of(lab.take(host.url("x.git"), WITH)).held == 1
    assert host.lfs_requests[0].path == "/other.git/info/lfs/objects/batch"


def test_a_local_origin_s_own_folder_is_its_server(lab: Lab, origin: Origin) -> None:
    data = b"local" * 1000
    oid = hashlib.sha256(data).hexdigest()
    origin.commit(files={"a.bin": pointer_to(data), "b.bin": pointer_to(b"not there")})
    path = origin.path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    taken = lab.take(origin, WITH)
    assert stored(lab, table(lab, taken)[oid]) == data and gaps(taken) == {"lfs-not-found": 1}


def test_a_host_of_one_connection_at_a_time_gives_all(
    lab: Lab, host: LfsHost, origin: Origin, large_packs: None
) -> None:
    """The search runs beside the fetch: one of them waits for the connection that the other keeps."""
    host.serial = True
    lab.limits = WireLimits(idle_seconds=15)
    for number in range(3):
        add(host, origin, b"%d" % number)
        add(host, origin, b"side %d" % number, ref="refs/heads/side")
        taken = lab.take(host.url("x.git"), WITH)
        assert not taken.manifest.gaps
        assert lfs_of(taken).held == lfs_of(taken).objects == 2 * number + 2


class _DownBeside(Interposed):
    """The host is away for whoever asks it beside the fetch of the history, until that has come."""

    away = True

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        if self.away and request.filter:
            raise Unavailable("the host is away")
        super().fetch(request, sink)
        type(self).away = False

    def fork(self) -> Transport:
        return type(self)(super().fork())


def test_a_search_that_failed_beside_the_history_is_made_again_after_it(
    lab: Lab, host: LfsHost, origin: Origin, large_packs: None
) -> None:
    add(host, origin, b"one")
    taken = lab.take(host.url("x.git"), WITH, wrap=_DownBeside)
    assert not taken.manifest.gaps and lfs_of(taken).held == 1


class _Dead(FaultyStore):
    """A store that answers no write until it is let go on, and then refuses the first."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.cancels: list[Cancel] = []

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        self.cancels.append(options["cancel"])
        if len(self.cancels) == 1:
            self.asked.set()
            assert self.go_on.wait(60)
            raise AccessDenied("no")
        try:
            options["cancel"].sleep(60)  # between two tries, until the first one's error ends it
        finally:
            time.sleep(0.5)


def _fetch_of(store: Store, cancel: Cancel, room: Room) -> Callable[[], object]:
    """A fetch of three objects into a store."""
    data = [b"one", b"two", b"three"]
    pointers = {LfsPointer(hashlib.sha256(each).hexdigest(), len(each)): each for each in data}

    class Source:
        def locate(self, asked: Sequence[LfsPointer]) -> dict[LfsPointer, Callable[[Sink], None]]:
            return {each: lambda sink, each=each: sink(memoryview(pointers[each])) for each in asked}

    def fetch() -> object:
        with Stay(room.of(1)) as stay:
            storage = LfsStorage(store, "x", 64 * 1024, Observer(), cancel)
            source: Any = Source()
            return LfsFetch(source, storage, 100, stay).fetch([*pointers])

    return fetch


def test_a_slow_object_keeps_no_question_about_others_back(lab: Lab) -> None:
    data = {LfsPointer(hashlib.sha256(b"%d" % n).hexdigest(), len(b"%d" % n)): b"%d" % n for n in range(250)}
    slow, all_asked = next(iter(data)), threading.Event()

    class Source:
        left = len(data)

        def locate(self, asked: Sequence[LfsPointer]) -> dict[LfsPointer, Callable[[Sink], None]]:
            self.left -= len(asked)
            if not self.left:
                all_asked.set()
            return {each: lambda sink, each=each: self.send(each, sink) for each in asked}

        def send(self, pointer: LfsPointer, sink: Sink) -> None:
            if pointer == slow:
                assert all_asked.wait(60)
            sink(memoryview(data[pointer]))

    source: Any = Source()
    storage = LfsStorage(lab.store, "x", 64 * 1024, Observer(), Cancel())
    outcomes = LfsFetch(source, storage, 100).fetch([*data])
    assert outcomes == {each: [layout.lfs_key("x", each.oid)] for each in data}


def test_a_cancelled_fetch_waits_for_no_write_to_a_dead_store_and_keeps_its_room(lab: Lab) -> None:
    dead, cancel, looks = _Dead(lab.store), Cancel(), Cancel()
    looks.cancel()  # who looks for room does not wait for it
    room = Room(1, looks)
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(_fetch_of(dead, cancel, room))
        try:
            assert dead.asked.wait(60)
            cancel.cancel()
            with pytest.raises(Interrupted):
                fetching.result(20)
            assert not has_place(room)
        finally:
            dead.go_on.set()
    until(lambda: has_place(room))


def test_what_a_store_refuses_ends_the_other_writes_before_the_fetch_ends(lab: Lab) -> None:
    dead, looks = _Dead(lab.store), Cancel()
    looks.cancel()
    room = Room(1, looks)
    dead.go_on.set()
    with pytest.raises(AccessDenied):
        _fetch_of(dead, Cancel(), room)()
    assert all(cancel.cancelled for cancel in dead.cancels)
    assert has_place(room), "nothing is on its way"
