"""What a run asks of the origin and the store: as docs/format.md says, and what can be at once is."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.segments import MIN_SEGMENT
from snapshotter.capture import stream
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.recover.restore import restore
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.transport import Transport
from tests.support.faults import Interposed, RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import scan_options

FORMAT = (Path(__file__).resolve().parents[3] / "docs" / "format.md").read_text(encoding="utf-8")
PATIENCE = 30.0  # seconds after which what should come at the same time counts as never coming


def documented() -> dict[str, list[str]]:
    """The table "What a run asks": the cells behind each kind."""
    rows = re.search(r"## What a run asks\n.*?\n\|---.*?\n(.*?)\n\n", FORMAT, re.S)
    assert rows
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]
    return {first: rest for first, *rest in cells}


@pytest.fixture
def host(tmp_path: Path, origin: Origin) -> Iterator[GitHost]:
    with GitHost(tmp_path / "srv") as host:
        yield host


def asked(host: GitHost) -> str:
    """The requests to the origin, in words."""
    words = {"info/refs": "discovery", "#ls-refs": "ls-refs", "#fetch": "fetch"}
    named = [next(word for part, word in words.items() if part in request.path) for request in host.requests]
    return ", ".join(f"{named.count(word)} {word}" for word in words.values() if word in named)


def called(store: RecordingStore) -> str:
    """The calls to the store, in S3's words."""
    words = {"list": "LIST", "folders": "LIST", "get": "GET", "put_new": "PUT"}
    named = [words[name] for name, _ in store.calls]
    return ", ".join(f"{named.count(word)} {word}" for word in dict.fromkeys(words.values()) if word in named)


@pytest.mark.parametrize("kind", ["base", "increment", "unchanged"])
def test_a_run_asks_what_the_page_says(lab: Lab, origin: Origin, host: GitHost, kind: str) -> None:
    if kind != "base":
        lab.take(host.url("x.git"))
    if kind == "increment":
        origin.commit()
    host.requests.clear()
    opened = host.connections
    store = RecordingStore(lab.store)
    taken = lab.take(host.url("x.git"), store=store, ahead=True)
    assert taken.manifest.kind == kind
    connections = host.connections - opened
    assert [asked(host), str(connections), called(store)] == documented()[kind][:3]
    assert store.calls[-1] == ("put_new", taken.manifest.key.key(layout.MANIFEST))


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("kind", ["base", "increment", "unchanged"])
def test_lfs_adds_what_the_page_says_where_there_are_no_pointers(
    lab: Lab, origin: Origin, host: GitHost, kind: str, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the LFS pointers of a base and of a larger increment, or of one whose small deltas" in FORMAT
    if not small:
        monkeypatch.setattr(stream, "FRONT_BYTES", 12)
    options = CaptureOptions(lfs=LfsOptions())
    if kind != "base":
        lab.take(host.url("x.git"), options)
    if kind == "increment":
        origin.commit()
    host.requests.clear()
    opened = host.connections
    store = RecordingStore(lab.store)
    assert lab.take(host.url("x.git"), options, store=store, ahead=True).manifest.kind == kind
    requests, connections, calls, *_ = documented()[kind]
    # Of a base the pointers are asked for; of a large pack also what the tips hold, or how the branch moved.
    more = {"base": 1, "increment": 0, "unchanged": 0}[kind]
    if not small:
        more = {"base": 2, "increment": 2, "unchanged": 0}[kind]
    assert [asked(host), called(store)] == [requests.replace("1 fetch", f"{1 + more} fetch"), calls]
    assert host.connections - opened <= int(connections) + more


def test_the_page_s_round_trips_are_as_many_as_it_names() -> None:
    for kind, (*_, count, how) in documented().items():
        assert int(count) == len(how.split("; ")), kind


def test_a_ledger_that_a_listing_showed_is_not_listed_again(lab: Lab, origin: Origin, host: GitHost) -> None:
    lab.take(host.url("x.git"))
    lab.take(host.url("x.git"))  # unchanged: its ledger is the base's, in another folder
    origin.commit()
    store = RecordingStore(lab.store)
    assert lab.take(host.url("x.git"), store=store).manifest.kind == "increment"
    assert called(store).startswith("1 LIST")


def test_the_refs_and_the_history_are_put_at_the_same_time(lab: Lab, host: GitHost) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def meet(_: str, key: str) -> None:
        if key.endswith((layout.REFS, layout.segment_name(0, only=True))):
            both.wait()  # raises where the other one never comes

    lab.take(host.url("x.git"), store=RecordingStore(lab.store, meet))
    assert not both.broken


def test_the_tips_dates_are_asked_for_while_the_history_comes(
    lab: Lab, origin: Origin, host: GitHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FRONT_BYTES", 12)  # as for tips that are far behind in a large pack
    origin.commit(files={"large": os.urandom(1024 * 1024)})  # more than the segments' buffers hold
    told = threading.Event()
    host.fault = lambda path: told.set() if sum("#fetch" in each.path for each in host.requests) else None

    def wait(_: str, key: str) -> None:
        if layout.HISTORY in key:
            assert told.wait(PATIENCE)

    options = CaptureOptions(segment_bytes=MIN_SEGMENT, in_flight=1)
    taken = lab.take(host.url("x.git"), options, store=RecordingStore(lab.store, wait))
    assert taken.manifest.tip_dates
    assert asked(host) == "1 discovery, 1 ls-refs, 2 fetch"


def test_tips_that_were_not_told_while_the_history_came_are_asked_for_after_it(
    lab: Lab, host: GitHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FRONT_BYTES", 12)
    refused = Fault(status=403)
    host.fault = lambda _: refused if sum("#fetch" in each.path for each in host.requests) == 1 else None
    assert lab.take(host.url("x.git")).manifest.tip_dates
    assert asked(host) == "1 discovery, 1 ls-refs, 3 fetch"


def test_where_another_request_is_another_session_the_tips_are_asked_for_in_the_first(
    lab: Lab, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "FRONT_BYTES", 12)
    transports: list[Interposed] = []

    def wrap(transport: Transport) -> Transport:
        transports.append(Interposed(transport))
        return transports[-1]

    assert lab.take(str(origin.path), wrap=wrap).manifest.tip_dates
    assert [transport.forks for transport in transports] == [0]


def test_a_base_needs_no_connection_more_for_its_pointers(lab: Lab, host: GitHost) -> None:
    lab.take(host.url("x.git"), CaptureOptions(lfs=LfsOptions()), ahead=True)
    assert len(host.requests) == 4
    assert host.connections == 2


def test_nothing_is_stored_where_the_refs_cannot_be(lab: Lab, host: GitHost) -> None:
    def refuse(method: str, key: str) -> None:
        if key.endswith(layout.REFS):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        lab.take(host.url("x.git"), CaptureOptions(), store=RecordingStore(lab.store, refuse))
    assert not [entry for entry in lab.store.list("") if entry.key.endswith(layout.MANIFEST)]


def test_a_scan_s_files_are_put_at_the_same_time(lab: Lab, host: GitHost) -> None:
    several = threading.Barrier(3, timeout=PATIENCE)

    def meet(method: str, key: str) -> None:
        if method == "put_new" and key.endswith(("files.parquet", "report.html", "digest.md")):
            several.wait()

    options = CaptureOptions(scan=scan_options())
    assert lab.take(host.url("x.git"), options, store=RecordingStore(lab.store, meet)).manifest.scan
    assert not several.broken


@pytest.mark.parametrize("proof", ["restore", "verify"])
def test_nothing_that_was_stored_is_read_twice(
    lab: Lab, origin: Origin, host: GitHost, tmp_path: Path, proof: str
) -> None:
    taken = lab.take(host.url("x.git"))
    origin.commit()
    taken = lab.take(host.url("x.git"))
    store = RecordingStore(lab.store)
    catalog = Catalog(store)
    if proof == "restore":
        restore(catalog, catalog.folder(taken.manifest.key), tmp_path / "out.git", mode="bare")
    else:
        name = taken.manifest.repo
        assert all(each.ok for each in verify(catalog, name, catalog.snapshots(name), VerifyOptions()))
    read = [key for method, key in store.calls if method in ("get", "stream") and layout.HISTORY in key]
    assert len(read) == len(set(read)) == 2
