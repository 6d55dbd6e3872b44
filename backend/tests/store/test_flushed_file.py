"""A file that is on the disk once it is written, past the page cache or through it: the same bytes."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from pathlib import Path

import pytest

from snapshotter.store.flushed_file import write_flushed

MIB = 1024 * 1024
UNEVEN = 2 * MIB + 4096 + 777


def at_a_page(size: int) -> memoryview:
    """Bytes, all unlike, that begin at a page's start."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE)
    memory.write(os.urandom(size))
    return memoryview(memory)


def cached_pages(path: Path) -> int:
    """How many of a file's pages are in the page cache (mincore(2))."""
    size = path.stat().st_size
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        start = ctypes.c_char.from_buffer(mapped)
        seen = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        answer = ctypes.CDLL(None).mincore(ctypes.byref(start), ctypes.c_size_t(size), seen)
        del start
    assert answer == 0
    return sum(page & 1 for page in seen)


def is_on_a_disk(folder: Path) -> bool:
    """Whether the file system writes past the page cache, and is none that has nothing else (tmpfs)."""
    with (folder / "tried").open("wb") as file:
        file.write(bytes(MIB))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            fcntl.fcntl(file.fileno(), fcntl.F_SETFL, os.O_DIRECT)
        except OSError:
            return False
    return cached_pages(folder / "tried") == 0


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB, UNEVEN])
def test_a_file_has_the_bytes_that_it_was_given(tmp_path: Path, size: int) -> None:
    data = at_a_page(size or 1)[:size]
    write_flushed(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, UNEVEN])
def test_the_disk_is_asked_to_keep_all_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    kept, fsync = [], os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        kept.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", note)
    write_flushed(tmp_path / "file", at_a_page(size or 1)[:size])
    assert kept == [size]


def test_a_disk_that_does_not_keep_it_is_told_and_nothing_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def fail(descriptor: int) -> None:
        used.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_flushed(tmp_path / "file", b"some")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(used[0])


def test_who_may_read_a_file_is_the_umask_s_to_say(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_flushed(tmp_path / "file", b"some")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_large_file_leaves_the_page_cache_alone(tmp_path: Path) -> None:
    if not is_on_a_disk(tmp_path):
        pytest.skip("this file system has nothing but its cache")
    write_flushed(tmp_path / "file", at_a_page(UNEVEN))
    assert cached_pages(tmp_path / "file") <= 1, "only its uneven end goes through the cache"


@pytest.mark.parametrize("odd", [1, 512, 4095])
def test_bytes_that_begin_anywhere_will_do(tmp_path: Path, odd: int) -> None:
    data = at_a_page(UNEVEN)[odd:]
    write_flushed(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_file_system_without_direct_writes_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = fcntl.fcntl

    def refuse(descriptor: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return call(descriptor, command, flags)

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    data = at_a_page(UNEVEN)
    write_flushed(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_direct_write_that_is_cut_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: MIB // 2 + 100]))
    data = at_a_page(UNEVEN)
    write_flushed(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == data


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_flushed(tmp_path / "file", at_a_page(UNEVEN))


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"first")
    with pytest.raises(FileExistsError):
        write_flushed(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"
