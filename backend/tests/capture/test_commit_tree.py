"""A commit's tree and blobs, asked of real origins that grant filters and wants by id, or refuse them."""

from __future__ import annotations

import hashlib
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.capture.commit_tree import Blobs, TreeLimits
from snapshotter.git.origin_parsing import parse
from snapshotter.git.pack import Pack
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.git import Origin
from tests.support.scans import RefusingIds
from tests.support.wires import NoCredentials

MIB = 1024 * 1024
FILES = {"a": b"a\n", "b": b"b\n" * 10, "large": bytes(range(256)) * 20}
FILTER, BY_ID = "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"
ORIGINS: dict[str, tuple[bool, Mapping[str, str]]] = {
    "all granted": (False, {}),
    "no filters": (False, {FILTER: "false"}),
    "v0": (True, {}),
    "v0, filters alone": (True, {BY_ID: "false"}),
    "v0, nothing": (True, {BY_ID: "false", FILTER: "false"}),
}


@contextmanager
def transport_of(url: str) -> Iterator[Transport]:
    transport = Connector(NoCredentials(), WireLimits())(parse(url), Cancel())
    try:
        yield transport
    finally:
        transport.close()


def blobs_of(
    transport: Transport,
    commit: str,
    *,
    cancel: Cancel | None = None,
    temp: Path | None = None,
    **limits: int,
) -> Blobs:
    """With small limits unless the test sets them; see `TreeLimits`."""
    within = TreeLimits(**{"file": 1000, "total": MIB, "paths": 1000} | limits)
    return Blobs(transport, commit, within, temp=temp, cancel=cancel or Cancel())


def refused(blobs: Blobs, why: str, *, with_blobs: bool) -> None:
    with pytest.raises(Unavailable, match=why) as caught:
        blobs.listing(with_blobs=with_blobs)
    assert caught.value.hint


@pytest.fixture
def repo(tmp_path: Path) -> Origin:
    (tmp_path / "srv").mkdir()
    return Origin(tmp_path / "srv" / "x.git", filters=True)


@pytest.fixture(params=list(ORIGINS))
def host(request: pytest.FixtureRequest, repo: Origin) -> Iterator[GitHost]:
    v0, config = ORIGINS[request.param]
    for name in config:
        repo.git("config", "--unset", name)
    with GitHost(repo.path.parent, v0=v0, config=config) as host:
        yield host


@pytest.mark.parametrize("with_blobs", [True, False])
def test_the_listing_and_the_blobs_are_the_same_whatever_the_origin_grants(
    host: GitHost, repo: Origin, with_blobs: bool
) -> None:
    commit = repo.commit_tree(
        repo.commit_tree(ref="refs/heads/main", old=b"old"), ref="refs/heads/main", **FILES
    )
    ids = {name: repo.blob(content) for name, content in FILES.items()}
    with transport_of(host.url("x.git")) as transport, blobs_of(transport, commit) as blobs:
        listing = blobs.listing(with_blobs=with_blobs)
        assert {entry.path.decode(): entry.oid for entry in listing.entries} == ids
        assert listing.tree == repo.oid(f"{commit}^{{tree}}")
        read = {item.oid: item.data for item in blobs.read(set(ids.values())) if item.whole}
        again = {item.oid: item.data for item in blobs.read({ids["b"]})}
    assert read == {ids["a"]: FILES["a"], ids["b"]: FILES["b"]}
    assert again == {ids["b"]: FILES["b"]}


def test_nothing_is_asked_for_where_nothing_is_wanted(repo: Origin) -> None:
    commit = repo.commit_tree(ref="refs/heads/main", **FILES)
    with GitHost(repo.path.parent) as host, transport_of(host.url("x.git")) as transport:
        with blobs_of(transport, commit) as blobs:
            blobs.listing(with_blobs=False)
            asked = len(host.requests)
            assert list(blobs.read(set())) == []
        assert len(host.requests) == asked


def test_a_later_scan_costs_the_trees_and_its_own_blobs(repo: Origin) -> None:
    noise = {f"n{n}": hashlib.sha256(b"%d" % n).digest() * 20 for n in range(50)}
    commit = repo.commit_tree(ref="refs/heads/main", **noise)
    wanted = {repo.blob(noise["n7"])}
    with transport_of(str(repo.path)) as transport:
        counting = Counting(transport)
        with blobs_of(counting, commit) as blobs:
            blobs.listing(with_blobs=False)
            assert [item.data for item in blobs.read(wanted)] == [noise["n7"]]
    assert [request.filter for request in counting.requests] == ["blob:none", None]
    assert counting.bytes < 4000


def test_where_nothing_is_sent_by_id_all_is_fetched_once(repo: Origin) -> None:
    commit = repo.commit_tree(ref="refs/heads/main", **FILES)
    with transport_of(str(repo.path)) as transport:
        counting = Counting(transport)
        refusing = RefusingIds(counting)  # type: ignore[arg-type]
        with blobs_of(refusing, commit) as blobs:  # type: ignore[arg-type]
            blobs.listing(with_blobs=False)
            assert [item.data for item in blobs.read({repo.blob(FILES["a"])})] == [FILES["a"]]
            assert [item.data for item in blobs.read({repo.blob(FILES["b"])})] == [FILES["b"]]
    assert refusing.refused == 1
    assert [request.filter for request in counting.requests] == ["blob:none", "blob:limit=1001"]


def test_a_blob_that_is_too_large_by_id_is_left_out_by_the_filter_instead(repo: Origin) -> None:
    """Nobody filters what is asked for by id, so a later scan would fail where a full one does not."""
    large = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(3000))
    commit = repo.commit_tree(ref="refs/heads/main", small=b"small", large=large)
    wanted = {repo.blob(b"small"), repo.blob(large)}
    limits = {"total": 10_000, "trees": 20_000}
    with transport_of(str(repo.path)) as transport, blobs_of(transport, commit, **limits) as blobs:
        blobs.listing(with_blobs=False)
        assert [item.data for item in blobs.read(wanted)] == [b"small"]


def test_trees_may_be_larger_than_any_file_that_is_read(repo: Origin) -> None:
    files = {f"file-{n:04}": b"same" for n in range(300)}
    commit = repo.commit_tree(ref="refs/heads/main", **files)
    with transport_of(str(repo.path)) as transport:
        for with_blobs in (True, False):
            with blobs_of(transport, commit, file=100) as blobs:
                assert len(blobs.listing(with_blobs=with_blobs).entries) == 300


def test_a_tree_over_its_limit_is_an_error_and_no_empty_folder(repo: Origin) -> None:
    commit = repo.commit_tree(ref="refs/heads/main", **{f"file-{n:04}": b"same" for n in range(300)})
    with transport_of(str(repo.path)) as transport, blobs_of(transport, commit, tree=1000, file=100) as blobs:
        refused(blobs, "a tree of it exceeds the limit", with_blobs=True)


def test_trees_over_the_limit_of_all_are_an_error(repo: Origin) -> None:
    commit = repo.commit_tree(ref="refs/heads/main", **{f"file-{n:04}": b"same" for n in range(300)})
    with (
        transport_of(str(repo.path)) as transport,
        blobs_of(transport, commit, trees=5000, total=10_000) as blobs,
    ):
        refused(blobs, "its trees exceed the limit", with_blobs=False)


def test_a_pack_over_the_limit_ends_the_fetch(repo: Origin) -> None:
    noise = {f"n{n}": hashlib.sha256(b"%d" % n).digest() * 20 for n in range(100)}
    commit = repo.commit_tree(ref="refs/heads/main", **noise)
    with (
        transport_of(str(repo.path)) as transport,
        blobs_of(transport, commit, trees=1000, total=1000) as blobs,
    ):
        refused(blobs, "larger than the limit", with_blobs=True)


def test_more_blobs_than_are_scanned_are_no_error_up_to_a_multiple(repo: Origin) -> None:
    """They are told apart by their sizes, and skipped with a reason; what inflates further ends the scan."""
    some = {f"n{n}": b"%d" % n * 400 for n in range(10, 50)}
    many = {f"n{n}": b"%d" % n * 450 for n in range(10, 99)}
    for files, limit, fits in ((some, 10_000, True), (many, 10_000, False)):
        commit = repo.commit_tree(ref="refs/heads/main", **files)
        with (
            transport_of(str(repo.path)) as transport,
            blobs_of(transport, commit, trees=10_000, total=limit) as blobs,
        ):
            blobs.listing(with_blobs=True)
            wanted = {repo.blob(content) for content in files.values()}
            if fits:
                assert len(list(blobs.read(wanted))) == len(files)
            else:
                with pytest.raises(Unavailable, match="limit"):
                    list(blobs.read(wanted))


@pytest.mark.parametrize("with_blobs", [True, False])
def test_a_ref_that_names_no_commit_is_an_error(repo: Origin, with_blobs: bool) -> None:
    repo.commit_tree(ref="refs/heads/main", f=b"f")
    for oid in (repo.blob(b"a blob of its own"), repo.tree(x=b"a tree of its own")):
        repo.git("update-ref", "refs/tags/odd", oid)
        with transport_of(str(repo.path)) as transport, blobs_of(transport, oid) as blobs:
            refused(blobs, "did not send the commit", with_blobs=with_blobs)


def test_a_blob_that_the_origin_does_not_send_is_left_out(repo: Origin) -> None:
    commit = repo.commit_tree(ref="refs/heads/main", f=b"f")
    with transport_of(str(repo.path)) as transport, blobs_of(transport, commit) as blobs:
        blobs.listing(with_blobs=True)
        assert [item.data for item in blobs.read({repo.blob(b"f"), "1" * 40})] == [b"f"]


def test_sha256(tmp_path: Path) -> None:
    repo = Origin(tmp_path / "x.git", object_format="sha256", filters=True)
    commit = repo.commit_tree(ref="refs/heads/main", f=b"f\n")
    with transport_of(str(repo.path)) as transport, blobs_of(transport, commit) as blobs:
        assert [entry.oid for entry in blobs.listing(with_blobs=False).entries] == [repo.blob(b"f\n")]
        assert [item.data for item in blobs.read({repo.blob(b"f\n")})] == [b"f\n"]


def test_reading_ends_when_cancelled(repo: Origin) -> None:
    commit, cancel = repo.commit_tree(ref="refs/heads/main", f=b"f"), Cancel()
    with transport_of(str(repo.path)) as transport, blobs_of(transport, commit, cancel=cancel) as blobs:
        blobs.listing(with_blobs=True)
        cancel.cancel(Interrupted("enough"))
        with pytest.raises(Interrupted):
            list(blobs.read({repo.blob(b"f")}))


def test_no_file_is_left_and_none_has_a_name(repo: Origin, tmp_path: Path) -> None:
    commit, temp = repo.commit_tree(ref="refs/heads/main", **FILES), tmp_path / "temp"
    temp.mkdir()
    with (
        transport_of(str(repo.path)) as transport,
        blobs_of(transport, commit, memory=10, paths=9, temp=temp) as blobs,
    ):
        assert len(blobs.listing(with_blobs=True).entries) == 3
        assert list(temp.iterdir()) == []


class Sent:
    """An origin that sends one pack, whatever it is asked for."""

    def __init__(self, pack: bytes) -> None:
        self.pack = pack

    def fetch(self, request: FetchRequest, sink: Callable[[memoryview], None]) -> None:
        sink(memoryview(self.pack))


class Counting:
    """A transport that notes what was asked for and how much came."""

    def __init__(self, inner: Transport) -> None:
        self.inner, self.bytes = inner, 0
        self.requests: list[FetchRequest] = []

    def fetch(self, request: FetchRequest, sink: Callable[[memoryview], None]) -> None:
        self.requests.append(request)

        def counted(data: memoryview) -> None:
            self.bytes += len(data)
            sink(data)

        self.inner.fetch(request, counted)


def head(kind: int, size: int) -> bytes:
    first, size = (kind << 4) | (size & 15), size >> 4
    out = bytearray()
    while size:
        out.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    return bytes(out) + bytes([first])


def plain(kind: int, data: bytes) -> bytes:
    return head(kind, len(data)) + zlib.compress(data)


def zeros(kind: int, size: int) -> bytes:
    """An object of `size` zeros, deflated without being made."""
    stream, piece = zlib.compressobj(9), bytes(MIB)
    return head(kind, size) + b"".join(stream.compress(piece) for _ in range(size // MIB)) + stream.flush()


def sealed(*objects: bytes) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def offset_delta(distance: int, source: int, insert: bytes) -> bytes:
    """A delta against the object that began `distance` bytes before: it makes `insert`."""
    delta = _varint(source) + _varint(len(insert)) + bytes([len(insert)]) + insert
    away = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        away.append(0x80 | (distance & 0x7F))
        distance >>= 7
    return head(6, len(delta)) + bytes(reversed(away)) + zlib.compress(delta)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | (number & 0x7F))
        number >>= 7
    return bytes(out) + bytes([number])


def oid_of(kind: str, data: bytes) -> str:
    return hashlib.sha1(b"%b %d\0%b" % (kind.encode(), len(data), data), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("first", ["blob", "tree"])
def test_the_order_of_a_pack_makes_no_difference(first: str) -> None:
    tree = b"100644 f\0" + bytes.fromhex(oid_of("blob", b"text"))
    commit = b"tree %b\n" % oid_of("tree", tree).encode()
    parts = [plain(1, commit), plain(3, b"text"), plain(2, tree)]
    sent = Sent(sealed(*(parts if first == "blob" else [parts[2], parts[0], parts[1]])))
    with blobs_of(sent, oid_of("commit", commit)) as blobs:  # type: ignore[arg-type]
        assert [entry.path for entry in blobs.listing(with_blobs=True).entries] == [b"f"]
        assert [item.data for item in blobs.read({oid_of("blob", b"text")})] == [b"text"]


def test_a_tree_that_is_missing_is_named() -> None:
    tree = b"40000 d\0" + b"\x11" * 20
    commit = b"tree %b\n" % oid_of("tree", tree).encode()
    sent = Sent(sealed(plain(1, commit), plain(2, tree)))
    with blobs_of(sent, oid_of("commit", commit)) as blobs:  # type: ignore[arg-type]
        refused(blobs, "did not send " + "11" * 20, with_blobs=True)


def test_a_huge_blob_is_hashed_and_never_held_not_even_as_the_base_of_a_small_one() -> None:
    size = 256 * MIB
    large = zeros(3, size)
    pack = sealed(large, offset_delta(len(large), size, b"small"), plain(3, b"plain"))
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for _ in range(256):
        digest.update(bytes(MIB))
    tracemalloc.start()
    try:
        found = list(
            Pack(
                lambda at, count: pack[at : at + count],
                len(pack),
                3,
                "sha1",
                max_bytes=2 << 30,
                max_object=1000,
            ).objects()
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(item.oid, item.whole, item.size) for item in found] == [
        (digest.hexdigest(), False, size),
        (oid_of("blob", b"plain"), True, 5),
    ]
    assert peak < 8 * MIB
