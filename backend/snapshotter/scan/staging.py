"""Blobs as files for the scanners, under names of our own, in a private folder that is removed at the end.

    lines/a/<oid>              a blob without a key         `lines` is for scc: the name decides the language
    lines/a/<oid>.<key>        a blob with an extension
    lines/whole/a/<oid>/<key>  a blob with a whole name, such as `makefile`
    blobs/a/<oid>              the same files, as hard links, without any name, for kingfisher

`a` is the first digit of the object id: so a folder has a sixteenth of the files, some 6,000 where a scan reads 100,000
(SNAPSHOTTER_SCAN_MAX_FILES), and a small tree needs few folders. No path of the repository is ever used.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from snapshotter.base.errors import Unavailable
from snapshotter.base.folders import locked_folder, sweep

TMPFS: Final = Path("/dev/shm")  # noqa: S108 - only for a folder with mode 0700 and a name nobody knows before
_PREFIX: Final = "snapshotter-scan-"
_SPARE: Final = 64 << 20  # bytes beyond the blobs: the scanners' own files
_PER_FILE: Final = 8192  # bytes a file may take beyond its content: the rest of its last page, and its inode
_FIRST: Final = 8000  # bytes that git looks at for a NUL (buffer_is_binary)
_ZIP: Final = b"PK"  # kingfisher passes over a file that starts as a zip archive does, whatever follows

# Names that scc 4.1.0 knows, lower-cased. test_lines.py holds all three sets against `scc --languages`.
# First, whole file names:
_WHOLE: Final = frozenset(
    """.bash_login .bash_logout .bash_profile .bashrc .cshrc .dockerignore .gitignore .gvimrc .ignore .kshrc .tcshrc
    .vimrc .zlogin .zlogout .zprofile .zshenv .zshrc _gvimrc _vimrc bitbucket-pipelines.yml blade.php build.bazel
    cmakelists.txt copying copying3 copyright cs.st d.ts dockerfile gemfile gnumakefile gvimrc licence licence-apache
    licence-mit license license-apache license-mit makefile meson.build meson_options.txt pck.st rake rakefile
    snakefile tf.json unlicence unlicense vcxproj.filters vimrc xmake.lua xpack.lua""".split()
)
# Of those, the ones that are extensions too.
_ALSO: Final = frozenset("dockerfile gvimrc makefile vimrc".split())
_DOUBLE: Final = frozenset(  # of those, the ones with a dot that are extensions too
    """bitbucket-pipelines.yml blade.php build.bazel cmakelists.txt cs.st d.ts meson.build meson_options.txt pck.st
    tf.json vcxproj.filters""".split()
)
_EXTENSION: Final = re.compile(r"[a-z0-9+_-]{1,32}")
_OID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Staged(NamedTuple):
    """One staged file: its blob and key, its size in bytes, its lines, and whether git would call it binary."""

    blob: str
    key: str
    bytes: int
    lines: int
    binary: bool


def name_key(path: str) -> str:
    """The part of a path that decides the language. scc looks at nothing else of a path.

    That is a whole file name that scc knows (`makefile`), or else the extension (`py`, `d.ts`), both lower-cased,
    of ``[a-z0-9.+_-]`` and at most 32 characters; empty if there is neither, and then only the text can tell.
    """
    name = path.rpartition("/")[2].lower()
    if name in _WHOLE:
        return name
    parts = name.split(".")
    if len(parts) > 2 and ".".join(parts[-2:]) in _DOUBLE:
        return ".".join(parts[-2:])
    if len(parts) < 2 or not parts[-2] or not _EXTENSION.fullmatch(parts[-1]):
        return ""
    return "" if parts[-1] in _WHOLE - _ALSO else parts[-1]


class Staging:
    """The scanners' folder, as a context manager: made on entry with mode 0700, removed on every exit.

    It lies in `tmpfs`, so in memory, if that has room for `total` bytes in `files` files; else in `folder`, by
    default the system's temporary folder. It is locked while we live: one whose lock is free belonged to a
    process that was killed, and the next `Staging` of the same user in the same place removes it.
    """

    def __init__(
        self, total: int, files: int = 0, folder: Path | None = None, *, tmpfs: Path = TMPFS
    ) -> None:
        self._wanted = total + files * _PER_FILE + _SPARE
        self._tmpfs, self._folder = tmpfs, folder
        self._scope = ExitStack()
        self._staged: dict[str, Staged] = {}
        self._blobs: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}
        self._folders: set[str] = set()

    def __enter__(self) -> Self:
        parent = self._tmpfs if has_room(self._tmpfs, self._wanted) else self._folder
        self._root = self._scope.enter_context(private_folder(parent))
        return self

    def __exit__(self, *_: object) -> None:
        self._scope.close()

    @property
    def root(self) -> Path:
        """The folder that holds `lines` and `blobs`, and what a scanner writes for itself."""
        return self._root

    @property
    def staged(self) -> Mapping[str, Staged]:
        """What was added, by staged name: the file's path below `lines`."""
        return self._staged

    @property
    def blobs(self) -> Mapping[str, int]:
        """The size in bytes of every blob that was added, by its id."""
        return self._blobs

    def add(self, blob_oid: str, key: str, data: bytes) -> str:
        """Stage a blob under a key that `name_key` gave, once; returns the staged name.

        Raises Unavailable (code `machine`) if the folder has no room, and ValueError for what is no object id or no
        key.
        """
        name = _staged_name(blob_oid, key)
        if name in self._staged:
            return name
        plain = blob_place(blob_oid)
        try:
            if blob_oid not in self._blobs:
                # A space before it: kingfisher reads the rest then, and lines keep their numbers.
                self._write(plain, b" " + data if data.startswith(_ZIP) else data)
            if data.startswith(_ZIP):
                self._write(f"lines/{name}", data)
            else:
                os.link(f"{self._root}/{plain}", self._place(f"lines/{name}"), follow_symlinks=False)
        except OSError as error:
            raise _machine("stage a blob for the scanners", error.strerror) from error
        self._staged[name] = _facts(blob_oid, key, data)
        self._blobs[blob_oid] = len(data)
        self._names.setdefault(blob_oid, []).append(name)
        return name

    def read(self, name: str) -> bytes:
        """The blob of a staged name. Raises KeyError for a name that `add` did not return."""
        if name not in self._staged:
            raise KeyError(name)
        with open(f"{self._root}/lines/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - a Path takes half the time
            return file.readall()

    def discard(self, blob_oid: str) -> None:
        """Take back a blob, under all its names. Nothing happens if it was not added."""
        for name in self._names.pop(blob_oid, ()):
            del self._staged[name]
            (self._root / "lines" / name).unlink()
        if self._blobs.pop(blob_oid, None) is not None:
            (self._root / blob_place(blob_oid)).unlink()

    def _write(self, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor, left = os.open(self._place(name), flags, 0o600), memoryview(data)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)

    def _place(self, name: str) -> str:
        """The path of a file to make, in a folder that exists."""
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(f"{self._root}/{folder}", exist_ok=True)  # noqa: PTH103 - a Path takes half the time
            self._folders.add(folder)
        return f"{self._root}/{name}"


def blob_place(blob: str) -> str:
    """Where a blob lies below the folder of its staging, for the search for secrets."""
    return f"blobs/{blob[0]}/{blob}"


def _facts(blob: str, key: str, data: bytes) -> Staged:
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    return Staged(blob, key, len(data), lines, b"\0" in data[:_FIRST])


def _staged_name(blob: str, key: str) -> str:
    if not _OID.fullmatch(blob):
        raise ValueError("not an object id")
    if key in _WHOLE and key not in _DOUBLE:
        return f"whole/{blob[0]}/{blob}/{key}"
    if key and key not in _DOUBLE and not _EXTENSION.fullmatch(key):
        raise ValueError("not a key of name_key")
    return f"{blob[0]}/{blob}.{key}" if key else f"{blob[0]}/{blob}"


def has_room(tmpfs: Path, wanted: int) -> bool:
    """Whether a folder is there for us to write to, with so many bytes free."""
    if not (tmpfs.is_dir() and os.access(tmpfs, os.W_OK | os.X_OK)):
        return False
    room = os.statvfs(tmpfs)
    return room.f_bavail * room.f_frsize >= wanted


@contextmanager
def private_folder(parent: Path | None = None) -> Iterator[Path]:
    """A private folder of mode 0700 in `parent` (the system's temporary folder by default), removed on every exit.

    It is locked while we live; those of this user in `parent` whose owner was killed go first. Raises Unavailable
    (code `machine`).
    """
    place = parent or Path(tempfile.gettempdir())
    sweep(place, _PREFIX)
    with ExitStack() as scope:
        try:
            folder = scope.enter_context(locked_folder(place, _PREFIX))
        except OSError as error:
            raise _machine("make the scan's folder", error.strerror) from error
        yield folder
    if folder.exists():
        raise _machine("remove the scan's folder", "some of it is left")


def _machine(what: str, why: str | None) -> Unavailable:
    return Unavailable(
        f"could not {what}: {why}",
        code="machine",
        hint="check free space and permissions of /dev/shm and of the temporary folder, or lower the scan's limits",
    )
