"""Objects of a store kept on this machine, by their SHA-256: private, bounded, and checked before they are kept.

`objects/` holds whole objects, whose bytes were hashed. A file gets its name last, by a rename, so a half-written
one is never taken for whole. `parts/` holds large objects of which only parts were read (see partial_file).
`index/` holds what was learned from objects that never change: for each store its manifests, and tables' columns.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from snapshotter.base.errors import Damaged, UsageError

_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")
_GRACE: Final = 3600.0  # seconds for which what was used is not removed: another query may have it open


class Cache:
    """A folder of this user alone. Safe to share between threads and between processes."""

    def __init__(self, root: Path, limit: int) -> None:
        """A cache in a folder that `prepared` has made. `limit` is bytes."""
        self.root, self.limit = root, limit

    @classmethod
    def prepared(cls, root: Path, limit: int) -> Cache:
        """The cache in `root`, made if it is not there.

        Raises UsageError for a folder that cannot be made, or that others may write to.
        """
        if has_glob(root):  # the engine would read the name as a pattern, however it is quoted
            raise UsageError(
                f"the cache folder {root} has one of * ? [ in its name",
                code="cache",
                hint="set SNAPSHOTTER_CACHE to a folder without them",
            )
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = root.stat()
            for folder in ("objects", "parts", "index"):
                (root / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the cache folder {root} cannot be used: {error.strerror}",
                code="cache",
                hint="set SNAPSHOTTER_CACHE to a folder of your own",
            ) from error
        if facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o022:
            raise UsageError(
                f"the cache folder {root} may be written to by others",
                code="cache",
                hint=f"`chmod 700 {root}`, or set SNAPSHOTTER_CACHE to a folder of your own",
            )
        return cls(root, limit)

    def find(self, sha256: str) -> Path | None:
        """The whole object with this digest, if it is kept."""
        return self._used(self._object(sha256))

    def keep(self, sha256: str, data: bytes) -> Path:
        """Keep an object whose digest the caller has checked; where it is now."""
        path = self._object(sha256)
        self.write(path, data)
        return path

    def read(self, sha256: str) -> bytes | None:
        """A kept object's bytes; None if it is not kept, or if its bytes no longer have this digest."""
        path = self.find(sha256)
        data = path.read_bytes() if path else b""
        # Nothing checks them later: a ledger is text, where a Parquet file has checks of its own.
        return data if path and hashlib.sha256(data).hexdigest() == sha256 else None

    def part(self, sha256: str) -> Path:
        """Where an object is kept of which only parts were read."""
        path = self.root / "parts" / f"{_digest(sha256)}.parquet"
        self._used(path)
        return path

    def index(self, name: str) -> Path:
        """Where the index called `name` is."""
        return self.root / "index" / name

    def write(self, path: Path, data: bytes) -> None:
        """Put a file in place whole, or not at all."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(partial).replace(path)
        except BaseException:  # an interruption too, or the half-written file would stay
            Path(partial).unlink(missing_ok=True)
            raise

    def shrink(self) -> None:
        """Remove what was not used for longest until the limit is kept, but nothing used within the last hour."""
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for used, size, path in files:
            if total <= self.limit or used > time.time() - _GRACE:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _object(self, sha256: str) -> Path:
        return self.root / "objects" / _digest(sha256)[:2] / f"{sha256}.parquet"

    def _used(self, path: Path) -> Path | None:
        try:
            os.utime(path)
        except FileNotFoundError:
            return None
        return path

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was last used, the bytes that it takes on disk, and where it is."""
        for path in self.root.rglob("*"):
            with suppress(FileNotFoundError):  # another process removed it
                facts = path.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    # By blocks, not by length: a file in `parts/` is mostly holes.
                    yield facts.st_mtime, facts.st_blocks * 512, path


def folder(setting: str, env: Mapping[str, str]) -> Path | None:
    """The cache's folder: the one that is set, else the user's (XDG base directories). None without a home folder."""
    if setting:
        return Path(setting).expanduser().absolute()
    if env.get("XDG_CACHE_HOME"):
        return Path(env["XDG_CACHE_HOME"]) / "snapshotter"
    home = Path(env.get("HOME") or os.devnull)
    return home / ".cache" / "snapshotter" if home.is_dir() else None


@contextmanager
def opened(root: Path | None, limit: int) -> Iterator[Cache]:
    """The cache in `root`, kept to its limit afterwards; for None, in a temporary folder that is removed."""
    if root is not None:
        cache = Cache.prepared(root, limit)
        try:
            yield cache
        finally:
            cache.shrink()
        return
    with tempfile.TemporaryDirectory(prefix="snapshotter-query-") as folder:
        yield Cache.prepared(Path(folder), limit)


def has_glob(path: Path) -> bool:
    """Whether DuckDB would take the path for a pattern of several."""
    return re.search(r"[*?\[]", str(path)) is not None


def _digest(sha256: str) -> str:
    """A manifest's digest becomes part of a path only if it is one. Raises Damaged."""
    if not _DIGEST.match(sha256):
        raise Damaged("a manifest's SHA-256 is not one", hint="run `snapshotter verify` on its snapshot")
    return sha256
