"""A pack that is read object by object once all of it has come: in memory, or in a file without a name."""

from __future__ import annotations

from typing import IO

from snapshotter.base.errors import TooLarge
from snapshotter.git.pack_frame import PackCheck
from snapshotter.git.refs import ObjectFormat


class FetchedPack:
    """A pack on its way into `file` and, once finished, for reading. `too_large` is raised beyond `limit` bytes."""

    def __init__(self, file: IO[bytes], fmt: ObjectFormat, limit: int, too_large: TooLarge) -> None:
        self._file, self._limit, self._too_large = file, limit, too_large
        self.check = PackCheck(fmt)

    @property
    def size(self) -> int:
        """Bytes of the pack so far."""
        return self.check.bytes

    def take(self, data: memoryview) -> None:
        """The next bytes. Raises TooLarge beyond the limit."""
        if self.check.bytes + len(data) > self._limit:
            raise self._too_large
        self.check.update(data)
        self._file.write(data)

    def finish(self) -> None:
        """Raises Unusable for a pack that was cut or altered on its way."""
        self.check.finish()

    def read(self, at: int, size: int) -> bytes:
        """Up to `size` bytes from `at`."""
        self._file.seek(at)
        return self._file.read(size)
