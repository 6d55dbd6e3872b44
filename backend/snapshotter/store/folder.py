"""A folder as the place of a store: an object is a regular file, and its key the path to it.

An object is written under a name of its own beside its place and flushed to the disk; only then does it get its
key. So nothing can be seen that is not whole, also after a power cut, and what a killed run left has no key.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.new_names import NeitherLinkNorRename, take_name
from snapshotter.store import errors
from snapshotter.store.backend import ListedObject, ListPage, ListRequest, ObjectAttributes, OverLimit, Taken
from snapshotter.store.flushed_file import write_flushed
from snapshotter.store.links import FolderLinks

_UNNAMED: Final = ".partial-"
# What killed writers leave; the second form by releases before schema 2.
_LEFT_BEHIND: Final = re.compile(r"\.partial-[0-9a-f]{8}|.+#[0-9]+")
# A pipe or a terminal in an object's place must neither block the reader nor become its terminal.
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
# What fsync(2) of a folder answers on some shares, which cannot do it.
_NOT_FLUSHED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
_IRREGULAR: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FolderBackend:
    """See Backend."""

    troubles: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, root: Path) -> None:
        self._root = root
        self._links = FolderLinks(root)

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        """See Backend."""
        path = self._root / key
        self._prepare(path.parent)
        unnamed = path.with_name(f"{_UNNAMED}{secrets.token_hex(4)}")
        try:
            write_flushed(unnamed, data)
            take_name(unnamed, path)
        except FileExistsError:
            raise Taken from None
        except NeitherLinkNorRename as error:
            raise errors.neither_link_nor_rename(self._root) from error
        finally:
            with suppress(OSError):
                unnamed.unlink()
        self._confirm(path)

    def read(self, key: str, limit: int | None) -> bytes:
        """See Backend."""
        with os.fdopen(self._open(key), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if limit is not None and size > limit:
                raise OverLimit(size)
            return file.read()

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """See Backend."""
        with os.fdopen(self._open(key), "rb", buffering=0) as file:
            return os.pread(file.fileno(), end - start, start)

    def pieces(self, key: str, size: int) -> Iterator[memoryview]:
        """See Backend."""
        return _pieces(os.fdopen(self._open(key), "rb", buffering=0), size)

    def file(self, key: str) -> Path:
        """See Backend. Raises Damaged for what is no regular file, and for what a link leads out of the store."""
        path = self._root / key
        if not self._links.stay(path.parent):
            raise errors.irregular(key, "behind a link that leads out of the store")
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and not self._links.stay(path):
                raise errors.irregular(key, "a link that leads out of the store")
        _check_regular(key, mode)
        return path

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """See Backend. What a link leads out of the store is not there."""
        place = self._root / request.folder
        passed_over: list[str] = []
        try:
            if not self._links.stay(place):
                return ListPage([], [], None, [_led_out(Path(request.folder))])
        except (FileNotFoundError, NotADirectoryError):
            return ListPage([], [])
        if request.deep:
            return ListPage(list(self._walk(place, request, passed_over)), [], None, passed_over)
        folders = (entry for entry in _entries(place) if _is_folder(entry))
        within = [entry.name for entry in folders if self._stays(entry, passed_over)]
        return ListPage([], within, None, passed_over)

    def transient(self, error: Exception, tries: int) -> bool:
        """See Backend."""
        return False

    def translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        """See Backend."""
        return errors.in_folder(error, f"file:{self._root}", action, key)

    def _walk(self, place: Path, request: ListRequest, passed_over: list[str]) -> Iterator[ListedObject]:
        """Every file below `place`. A folder that was met on the way down is not entered again through a link."""
        waiting: list[tuple[Path, str, frozenset[tuple[int, int]]]] = [(place, request.folder, frozenset())]
        while waiting:
            at, key, above = waiting.pop()
            for entry in _entries(at):
                inner = f"{key}/{entry.name}" if key else entry.name
                if not _is_folder(entry):
                    if inner > request.after:
                        yield ListedObject(inner, _size(entry))
                elif f"{inner}/" <= request.after and not request.after.startswith(f"{inner}/"):
                    continue  # all in it sorts before
                elif not request.ours(inner) or not self._stays(entry, passed_over):
                    continue
                elif (here := _identity(entry)) not in above:
                    waiting.append((Path(entry.path), inner, above | {here}))

    def _stays(self, entry: os.DirEntry[str], passed_over: list[str]) -> bool:
        """Whether a listed folder lies in the store; if not, it joins those that are passed over."""
        stays = not entry.is_symlink() or self._links.stay(Path(entry.path))
        if not stays:
            passed_over.append(_led_out(Path(entry.path).relative_to(self._root)))
        return stays

    def _prepare(self, folder: Path) -> None:
        """Make the folder of a new object, and those above it, each with its name flushed to the disk. Raises
        Unavailable, with nothing made, where a link leads out of the store."""
        try:
            stays = self._links.stay(folder)
        except FileNotFoundError:
            if folder != self._root:
                self._prepare(folder.parent)
            _make_folder(folder)
            stays = self._links.stay(folder)  # somebody else may have been faster
        if not stays:
            raise errors.behind_link(str(folder.relative_to(self._root)))

    def _open(self, key: str) -> int:
        """A descriptor of an object's file. Raises as `file` does."""
        descriptor = os.open(self.file(key), _READ)
        try:
            _check_regular(key, os.fstat(descriptor).st_mode)  # it may have been replaced meanwhile
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _confirm(self, path: Path) -> None:
        """Flush a new name to the disk. Raises Unavailable, which says that the object is there all the same."""
        try:
            _flush(path.parent)
        except OSError as error:
            raise Unavailable(
                f"{path.relative_to(self._root)} is written and stands, but the disk did not confirm its name: "
                f"{error.strerror}",
                code="store",
                hint="check the disk; after a power cut the object may be gone. `snapshotter list` shows what there is",
            ) from error


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each with its name flushed to the disk."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
    _flush(folder.parent)


def _flush(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the file system knows how to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_FLUSHED:
            raise
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, less what killed writers left; nothing if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not _LEFT_BEHIND.fullmatch(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one. A link that cannot be followed is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _led_out(folder: Path) -> str:
    return f"{folder}/ (a link leads it out of the store)"


def _size(entry: os.DirEntry[str]) -> int:
    """A file's size in bytes; 0 for what is no file, or a link that leads nowhere."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0


def _identity(entry: os.DirEntry[str]) -> tuple[int, int]:
    """What tells a folder from every other, whatever path leads to it."""
    status = entry.stat()
    return status.st_dev, status.st_ino


def _check_regular(key: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise errors.irregular(key, next((what for test, what in _IRREGULAR if test(mode)), "no file"))


def _pieces(file: io.FileIO, size: int) -> Iterator[memoryview]:
    with file:
        while data := file.read(size):
            yield memoryview(data)
