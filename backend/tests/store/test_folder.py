"""A store in a folder: what stands in an object's place, what strangers put beside, and what a bad disk leaves."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from snapshotter.base.errors import AccessDenied, Damaged, Missing, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store

ROOT = os.geteuid() == 0


class Warnings(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, what: str) -> None:
        self.said.append(what)


@pytest.fixture
def warnings() -> Warnings:
    return Warnings()


@pytest.fixture
def store(tmp_path: Path, warnings: Warnings) -> Store:
    return open_store(str(tmp_path / "store"), env={}, observer=warnings)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def keys(store: Store, folder: str = "") -> list[str]:
    return [entry.key for entry in store.list(folder)]


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(place.parent)  # a socket's path is short
        try:
            bound.bind(place.name)
        finally:
            os.chdir(here)


def _device(place: Path) -> None:
    if not ROOT:
        pytest.skip("only root makes devices")
    os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends


IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a socket": _socket,
    "a device": _device,
    "a folder": Path.mkdir,
    "a link to a pipe": lambda place: (os.mkfifo(place.with_name("pipe")), place.symlink_to("pipe"))[1],
    "a link to an endless device": lambda place: place.symlink_to("/dev/zero"),
    "a link out of the store": lambda place: place.symlink_to(__file__),
    "a link out of the store by way of it": lambda place: place.symlink_to("../../outside"),
}


@pytest.mark.parametrize("what", IN_ITS_PLACE)
def test_what_is_no_file_of_the_store_is_damage_and_never_waited_for(
    store: Store, root: Path, tmp_path: Path, what: str
) -> None:
    (tmp_path / "outside").write_bytes(b"x")
    (root / "a").mkdir()
    IN_ITS_PLACE[what](root / "a" / "key")
    for read in (
        lambda: store.get("a/key", limit=10),
        lambda: store.get_range("a/key", 0, 1),
        lambda: list(store.stream("a/key")),
    ):
        with pytest.raises(Damaged) as raised:
            read()
        assert raised.value.key == "a/key"


# Where a link is put, and what it leads to: below `outside`, beside the store, there is what a store could hold.
LINKS_OUT: dict[str, tuple[str, str]] = {
    "a repository": ("r", "{outside}/r"),
    "a year": ("r/2026", "{outside}/r/2026"),
    "a run": ("r/2026/run", "{outside}/r/2026/run"),
    "by way of the store": ("r/2026", "../../outside/r/2026"),
}


@pytest.fixture(params=LINKS_OUT)
def outside(request: pytest.FixtureRequest, store: Store, root: Path, tmp_path: Path) -> Path:
    """A folder beside the store, to which a link of the store leads."""
    link, target = LINKS_OUT[request.param]
    outside = tmp_path / "outside"
    (outside / "r/2026/run").mkdir(parents=True)
    (outside / "r/2026/run/key").write_bytes(b"of another")
    store.put_new("r2/key", b"ours")
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(target.format(outside=outside))
    return outside


def test_nothing_is_read_through_a_folder_that_a_link_leads_out(store: Store, outside: Path) -> None:
    for read in (
        lambda: store.get("r/2026/run/key", limit=10),
        lambda: store.get_range("r/2026/run/key", 0, 1),
        lambda: list(store.stream("r/2026/run/key")),
        lambda: store.file("r/2026/run/key"),
    ):
        for _ in range(2):
            with pytest.raises(Damaged) as raised:
                read()
            assert "out of the store" in raised.value.message
            assert raised.value.key == "r/2026/run/key"


def test_a_folder_that_a_link_leads_out_is_listed_as_though_it_were_not_there(
    store: Store, outside: Path, warnings: Warnings
) -> None:
    assert keys(store) == ["r2/key"]
    assert keys(store, "r") == keys(store, "r/2026") == keys(store, "r/2026/run") == []
    assert store.folders("r/2026") == store.folders("r/2026/run") == []
    assert ("r" in store.folders("")) is not (store.place.folder / "r").is_symlink()  # type: ignore[operator]
    (said,) = warnings.said
    assert "a link leads it out of the store" in said


def test_nothing_is_written_through_a_folder_that_a_link_leads_out(store: Store, outside: Path) -> None:
    before = sorted(outside.rglob("*"))
    for key in ("r/2026/run/new", "r/2026/run/more/new"):
        with pytest.raises(Unavailable) as raised:
            store.put_new(key, b"x")
        assert "a link leads it out of the store" in raised.value.message
        assert raised.value.hint
    assert sorted(outside.rglob("*")) == before


def test_a_link_that_takes_a_read_folders_place_is_seen_and_a_folder_that_takes_its(
    store: Store, root: Path, tmp_path: Path
) -> None:
    store.put_new("r/2026/key", b"ours")
    assert store.get("r/2026/key") == b"ours"
    (root / "r/2026").rename(root / "r/kept")
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "key").write_bytes(b"of another")
    (root / "r/2026").symlink_to(tmp_path / "2026")
    with pytest.raises(Damaged):
        store.get("r/2026/key")
    (root / "r/2026").unlink()
    (tmp_path / "2026").rename(root / "r/2026")
    assert store.get("r/2026/key") == b"of another"


def test_links_within_the_store_are_followed(store: Store, root: Path) -> None:
    store.put_new("a/key", b"these bytes")
    (root / "a" / "same").symlink_to("key")
    (root / "b").symlink_to("a")
    (root / "b" / "round").symlink_to("../a")
    assert store.get("a/same") == store.get("b/key") == b"these bytes"
    assert {"a/key", "a/same", "b/key", "b/same"} <= set(keys(store))
    assert store.folders("") == ["a", "b"]
    store.put_new("b/c/new", b"new")
    assert (root / "a" / "c" / "new").read_bytes() == b"new"


def test_a_store_behind_a_link_is_a_store(tmp_path: Path, store: Store, root: Path) -> None:
    store.put_new("a/key", b"x")
    (root / "a" / "same").symlink_to("key")
    (tmp_path / "other-name").symlink_to(root)
    other = open_store(str(tmp_path / "other-name"), env={})
    assert other.get("a/same") == b"x"
    assert keys(other, "a") == ["a/key", "a/same"]
    other.put_new("b/new", b"new")
    assert store.get("b/new") == b"new"


def test_links_that_lead_nowhere_are_listed_and_missing(store: Store, root: Path) -> None:
    store.put_new("a/key", b"x")
    (root / "a" / "dangling").symlink_to("none")
    (root / "a" / "loop").symlink_to("loop")
    assert keys(store) == ["a/dangling", "a/key", "a/loop"]
    with pytest.raises(Missing):
        store.get("a/dangling")
    with pytest.raises(SnapshotterError):
        store.get("a/loop")


@pytest.mark.parametrize("name", [b"odd\x01", b"two\nlines", b"\xff\xfe", b"\xc2\x9b31m"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_odd_names_are_passed_over_and_told_once(
    store: Store, root: Path, warnings: Warnings, name: bytes, kind: str
) -> None:
    store.put_new("a/key", b"x")
    for place in (root, root / "a"):
        odd = place / os.fsdecode(name)
        if kind == "folder":
            odd.mkdir()
            odd /= "inner"
        odd.write_bytes(b"")
    assert keys(store) == keys(store, "a") == ["a/key"]
    assert store.folders("") == ["a"]
    assert len(warnings.said) == 1
    assert warnings.said[0].isprintable()


def test_a_folder_that_holds_nothing_wanted_is_not_entered(store: Store, root: Path) -> None:
    store.put_new("a/b/key", b"x")
    (root / "a" / "private").mkdir(mode=0)
    (root / "a" / "private.txt").write_text("")
    listed = store.list("a", ours=lambda folder: folder == "a/b")
    assert [entry.key for entry in listed] == ["a/b/key", "a/private.txt"]


@pytest.mark.skipif(ROOT, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_denied_by_its_name(store: Store, root: Path) -> None:
    (root / "a" / "private").mkdir(parents=True, mode=0)
    with pytest.raises(AccessDenied) as raised:
        store.list("a")
    assert "private" in str(raised.value.details)


def test_what_killed_writers_left_is_no_object(store: Store, root: Path) -> None:
    store.put_new("a/history.bundle.0000", b"x")
    for name in (".partial-0a1b2c3d", "history.bundle.0000#1"):
        (root / "a" / name).write_bytes(b"half")
    assert keys(store) == ["a/history.bundle.0000"]


def _failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_nothing_shows_before_it_is_flushed(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as bad_disk:
        bad_disk.setattr(os, "fsync", _failing(errno.EIO))
        (root / "a").mkdir()
        with pytest.raises(Unavailable) as raised:
            store.put_new("a/manifest.json", b"x")
    assert "manifest.json" in raised.value.message
    assert list((root / "a").iterdir()) == []


def test_a_name_that_the_disk_does_not_confirm_stands_and_that_is_said(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").mkdir()
    flush = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            _failing(errno.EIO)()
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    with pytest.raises(Unavailable) as raised:
        store.put_new("a/manifest.json", b"x")
    assert "a/manifest.json is written and stands" in raised.value.message
    assert keys(store) == ["a/manifest.json"]


def test_a_file_system_that_does_not_flush_folders_will_do(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: _failing(errno.EINVAL)() if stat.S_ISDIR(os.fstat(fd).st_mode) else flush(fd)
    )
    store.put_new("a/b/key", b"x")
    assert (root / "a" / "b" / "key").read_bytes() == b"x"


def test_a_file_system_without_hard_links_will_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _failing(errno.EPERM))
    store.put_new("a/key", b"x")
    with pytest.raises(Unavailable) as raised:
        store.put_new("a/key", b"other")
    assert raised.value.code == "exists"
    assert store.get("a/key") == b"x"
    assert keys(store) == ["a/key"]


def test_one_that_can_neither_link_nor_rename_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", _failing(errno.EPERM))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(Unavailable) as raised:
        store.put_new("a/key", b"x")
    assert "hard links" in raised.value.message
    assert "--store" in raised.value.hint
    assert keys(store) == []


@pytest.mark.parametrize(
    ("code", "kind", "slug"),
    [
        (errno.ENOSPC, Unavailable, "disk-full"),
        (errno.EDQUOT, Unavailable, "disk-full"),
        (errno.EACCES, AccessDenied, "access-denied"),
        (errno.EROFS, Unavailable, "store"),
    ],
)
def test_why_a_write_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[SnapshotterError], slug: str
) -> None:
    monkeypatch.setattr(os, "write", _failing(code))
    with pytest.raises(kind) as raised:
        store.put_new("a/key", b"x")
    assert (raised.value.code, bool(raised.value.hint)) == (slug, True)


def test_a_file_in_a_folders_place_is_no_missing_object(store: Store, root: Path) -> None:
    (root / "a").write_text("")
    with pytest.raises(Unavailable) as raised:
        store.put_new("a/key", b"x")
    assert raised.value.code == "store"
    with pytest.raises(Missing):
        store.get("a/key")


def test_a_dangling_link_in_a_folders_place_is_told(store: Store, root: Path) -> None:
    (root / "a").symlink_to("nowhere/at/all")
    with pytest.raises(Unavailable):
        store.put_new("a/b/key", b"x")
