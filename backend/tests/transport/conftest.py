"""One repository, a host that serves it, and connections that are closed with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import Transport, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.fixtures import tls
from tests.support.git import Origin
from tests.support.wires import NoCredentials
from tests.transport.support import Hurried

__all__ = ["connect", "host", "root", "tls"]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one repository, `x.git`, with some kilobytes that do not compress. Read only."""
    root = tmp_path_factory.mktemp("http")
    repo = Origin(root / "x.git")
    noise = b"".join(b"%d" % (n * n * 7919 % 1000003) for n in range(3000))
    first = repo.commit_tree(ref="refs/heads/main", message="one", f=noise)
    repo.commit_tree(first, ref="refs/heads/main", message="two", f=noise, g=b"g")
    repo.git("tag", "-a", "-m", "tag", "v1", first)
    return root


@pytest.fixture
def host(root: Path) -> Iterator[GitHost]:
    with GitHost(root) as host:
        yield host


@pytest.fixture(autouse=True)
def no_settings_of_mine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def connect() -> Iterator[Callable[..., Transport]]:
    """Opens a transport to a URL; by default it asks for no credentials and does not wait between tries."""
    opened: list[Transport] = []

    def connect(url: str, *, cancel: Cancel | None = None, **options: object) -> Transport:
        settings = {"credentials": NoCredentials(), "limits": WireLimits(idle_seconds=5)} | options
        opened.append(Connector(**settings)(parse(url), cancel or Hurried()))  # type: ignore[arg-type]
        return opened[-1]

    yield connect
    for transport in opened:
        transport.close()
