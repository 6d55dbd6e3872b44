"""The LFS objects of an origin on this machine: files of its own folder, as git-lfs keeps them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.transport import Sink
from snapshotter.transport.lfs.source import Download, LfsPointer, LfsUnavailable

_PIECE: Final = 1024 * 1024


class LocalLfs:
    """The folder `lfs/objects` of a repository at `path`. Links in it are not followed."""

    def __init__(self, path: str, cancel: Cancel) -> None:
        self._path, self._cancel = Path(path), cancel

    def locate(self, pointers: Sequence[LfsPointer]) -> dict[LfsPointer, Download | LfsUnavailable]:
        """See LfsSource."""
        folder = self._folder()
        return {pointer: self._located(folder, pointer) for pointer in pointers}

    def upload(self, files: Mapping[LfsPointer, Path]) -> dict[LfsPointer, LfsUnavailable]:
        """See LfsTarget: the files are copied, each under its name only when it is whole."""
        folder = self._folder()
        refused: dict[LfsPointer, LfsUnavailable] = {}
        for pointer, file in files.items():
            self._cancel.check()
            place = folder / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
            try:
                if not place.exists():
                    _copy_whole(file, place)
            except OSError as error:
                refused[pointer] = LfsUnavailable(
                    f"LFS object {pointer.oid} cannot be written there: {error.strerror}",
                    "forbidden",
                    hint="check the folder's owner and mode",
                )
        return refused

    def configured(self, url: str) -> LfsUnavailable | None:
        """See LfsSource: the folder is asked, whatever server is named."""
        return None

    def _folder(self) -> Path:
        inner = self._path / ".git"
        git_dir = inner if inner.is_dir() else self._path
        with suppress(OSError, UnicodeDecodeError):
            if inner.is_file():  # a worktree's: the objects are the repository's
                linked = self._path / inner.read_text("utf-8")[:4096].removeprefix("gitdir:").strip()
                git_dir = linked / (linked / "commondir").read_text("utf-8")[:4096].strip()
        return git_dir / "lfs" / "objects"

    def _located(self, folder: Path, pointer: LfsPointer) -> Download | LfsUnavailable:
        path = folder / pointer.oid[:2] / pointer.oid[2:4] / pointer.oid
        try:
            facts = path.lstat()
        except OSError:
            return LfsUnavailable(
                f"LFS object {pointer.oid}: the origin's folder does not hold it",
                "not-found",
                hint="run `git lfs fetch --all` there",
            )
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != pointer.bytes:
            return LfsUnavailable(
                f"LFS object {pointer.oid}: the origin's file is not of the pointer's size",
                "wrong-size",
                hint="run `git lfs fsck` there",
            )
        return partial(self._copy, path, pointer)

    def _copy(self, path: Path, pointer: LfsPointer, sink: Sink) -> None:
        """The file's bytes into the sink, no more than the pointer says, whatever lies there by now."""
        left = pointer.bytes
        try:
            # One that is a pipe by now would keep whoever opens it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                buffer = memoryview(bytearray(_PIECE))
                while count := file.readinto(buffer[: left + 1]):
                    self._cancel.check()
                    if count > left:
                        raise LfsUnavailable(
                            f"LFS object {pointer.oid}: the origin's file grows while it is read",
                            "wrong-size",
                            hint="run `git lfs fsck` there",
                        )
                    left -= count
                    sink(buffer[:count])
        except OSError as error:
            raise LfsUnavailable(
                f"an LFS object of the origin's folder cannot be read: {error.strerror}",
                "unreachable",
                hint="check the folder's owner and mode",
            ) from error


def _copy_whole(file: Path, place: Path) -> None:
    """Copy a file to `place`, where it appears once it is whole; if that fails, no file of it is left."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(file, part)
        part.replace(place)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
