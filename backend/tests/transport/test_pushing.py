"""git's own client as we start it to push: leases, and a credential that stays with its host."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.pushing import PushedRef, Pusher
from tests.support import fixtures
from tests.support.git import Origin
from tests.support.httpservers import Scripted, Seen, reply

MAIN = b"refs/heads/main"
origin = fixtures.origin


def pusher(url: str, token: str = "") -> Pusher:
    settings = {"SNAPSHOTTER_GIT_TOKEN": token} if token else {}
    return Connector(GitCredentials(settings), WireLimits()).pusher(parse(url), Cancel())


@pytest.fixture
def target(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "target.git")


def test_a_ref_is_set_only_if_it_is_what_it_was_known_to_be(origin: Origin, target: Origin) -> None:
    host = pusher(str(target.path))
    new, other = origin.oid("main"), origin.oid("bulk")
    assert host.push(origin.path, [PushedRef(MAIN, None, new)]) == {}
    for old in (None, other):
        refused = host.push(origin.path, [PushedRef(MAIN, old, other)])
        assert "stale" in refused[MAIN].why
        assert not refused[MAIN].hidden
    assert target.oid("main") == new
    assert host.push(origin.path, [PushedRef(MAIN, new, other)]) == {}
    assert target.oid("main") == other
    target.git("symbolic-ref", "HEAD", "refs/heads/none")  # else it would not let it go
    assert host.push(origin.path, [PushedRef(MAIN, other, None)]) == {}
    assert host.ls_refs().refs == ()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_credential_goes_to_no_host_that_a_redirect_names(origin: Origin, status: int) -> None:
    asked: list[Seen] = []

    def note(request: Seen) -> Iterable[bytes]:
        asked.append(request)
        yield reply(404)

    with Scripted(note) as elsewhere:

        def redirect(request: Seen) -> Iterable[bytes]:
            asked.append(request)
            yield reply(status, {"Location": elsewhere.url()})

        with Scripted(redirect) as host, pytest.raises(SnapshotterError) as raised:
            pusher(host.url(), "the-secret-token").push(
                origin.path, [PushedRef(MAIN, None, origin.oid("main"))]
            )
        assert [request.headers["host"] for request in asked] == [host.url().split("/")[2]]
    assert "authorization" in asked[0].headers
    assert "the-secret-token" not in str(raised.value)


@pytest.mark.parametrize(("bearer", "scheme"), [("1", "Bearer "), ("", "Basic ")])
def test_a_token_is_sent_as_its_setting_says(origin: Origin, bearer: str, scheme: str) -> None:
    asked: list[Seen] = []

    def refuse(request: Seen) -> Iterable[bytes]:
        asked.append(request)
        yield reply(403)

    settings = {
        "SNAPSHOTTER_GIT_TOKEN": "the-secret-token",
        "SNAPSHOTTER_GIT_AUTH": "bearer" if bearer else "basic",
    }
    with Scripted(refuse) as host, pytest.raises(SnapshotterError) as raised:
        connector = Connector(GitCredentials(settings), WireLimits())
        connector.pusher(parse(host.url()), Cancel()).push(
            origin.path, [PushedRef(MAIN, None, origin.oid("main"))]
        )
    assert raised.value.exit_code == 5
    assert asked[0].headers["authorization"].startswith(scheme)
