"""What the tests of smart HTTP share: how they connect, and what every error of theirs must hold to."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable

import pytest

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.transport import Transport
from tests.support.git import Origin

SECRET = "s3cr3t-Tok3n"
DISCOVERY = "/info/refs?service=git-upload-pack"


class Hurried(Cancel):
    """Notes how long the work would have waited, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.check()


class Silence:
    """The rest of an answer that never comes. `broken` tells that the client outlasted the guard, 30 seconds."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.broken = False

    def of(self, closing: threading.Event) -> Iterable[bytes]:
        """No bytes, until the server is closed."""
        self.begun.set()
        self.broken = not closing.wait(30)
        return []


def error_of(call: Callable[..., object], *args: object) -> SnapshotterError:
    """The error that a call ends with. Always with advice, never with the secret."""
    with pytest.raises(SnapshotterError) as raised:
        call(*args)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value.as_dict())
    assert SECRET not in shown
    assert raised.value.hint
    return raised.value


def error_listing(connect: Callable[..., Transport], url: str, **options: object) -> SnapshotterError:
    return error_of(connect(url, **options).ls_refs)


def with_secret(url: str) -> str:
    return url.replace("://", f"://user:{SECRET}@")


def tip(host: GitHost) -> str:
    return Origin.at(host.root / "x.git").oid("HEAD")
