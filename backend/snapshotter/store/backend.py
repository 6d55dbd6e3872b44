"""What a store asks of the place that holds its objects: a folder, memory or a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from snapshotter.base.errors import SnapshotterError

# Small objects that a caller reads at a time: on S3 each is a round trip, nearly all of it spent waiting.
READS_AT_ONCE: Final = 16


class Taken(Exception):
    """There is an object already under the key of one that was to be created."""


class OverLimit(Exception):
    """An object is larger than its reader allows: it has `bytes` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.bytes = size


class ListedObject(Struct, frozen=True):
    """One listed object: its key, relative to the store's root, and its size in bytes."""

    key: str
    bytes: int


class ListRequest(Struct, frozen=True):
    """What to list: below `folder` ('' is the root, no slash at the end), keys that sort after `after`.

    With `deep`, every object; without, only the folders directly there. A place that goes through folders one by one
    enters only those for which `ours` is true.
    """

    folder: str
    after: str = ""
    deep: bool = True
    ours: Callable[[str], bool] = lambda _: True


class ListPage(NamedTuple):
    """A part of a listing: objects, the names of folders directly there, how to go on (None at the end), and what is
    passed over there, in words for people."""

    entries: list[ListedObject]
    folders: list[str]
    token: str | None = None
    passed_over: Sequence[str] = ()


@dataclass(frozen=True)
class ObjectAttributes:
    """What a bucket keeps beside an object's bytes; `sha256` is theirs in hexadecimal, None if it is not known."""

    content_type: str = "application/octet-stream"
    tags: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None


class Backend(Protocol):
    """A place for objects. Keys are relative to the store's root, and plain (`objects.is_plain`).

    What goes wrong is raised as the place's own exceptions: `transient` tells whether trying again may help, and
    `translate` what it means to a user. Errors of ours pass as they are. Safe to share between threads.
    """

    troubles: tuple[type[Exception], ...]

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        """Create an object, whole or not at all. Raises Taken if there is one."""
        ...

    def read(self, key: str, limit: int | None) -> bytes:
        """An object's bytes. Raises OverLimit, with nothing read, beyond `limit`."""
        ...

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`."""
        ...

    def pieces(self, key: str, size: int) -> Iterator[memoryview]:
        """An object's bytes, about `size` at a time. The object is opened before this returns."""
        ...

    def file(self, key: str) -> Path | None:
        """The file that is an object; None where objects are no files."""
        ...

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """One part of a listing, in no order: the first, or the one that `token` stands for."""
        ...

    def transient(self, error: Exception, tries: int) -> bool:
        """Whether trying again may help, after so many tries."""
        ...

    def translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        """The error for people; `action` is S3's name of what was tried, `key` the object's or the listed folder's."""
        ...
