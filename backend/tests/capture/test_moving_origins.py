"""Origins that change between their listing and their pack."""

from __future__ import annotations

from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.errors import Unavailable
from snapshotter.transport import Transport
from tests.support.faults import Interposed
from tests.support.git import Origin
from tests.support.lab import Lab


@pytest.mark.parametrize("over_http", [False, True])
def test_a_want_that_vanishes_is_listed_again(
    lab: Lab, origin: Origin, tmp_path: Path, over_http: bool
) -> None:
    gone = []

    def vanish() -> None:
        if not gone:
            gone.append("refs/heads/brief")
            origin.ref("refs/heads/brief", None)
            origin.git("gc", "-q", "--prune=now")

    used: list[Interposed] = []

    def wrap(inner: Transport) -> Transport:
        used.append(Interposed(inner, fetching=vanish))
        return used[0]

    with GitHost(tmp_path / "srv") as host:
        place = host.url("x.git") if over_http else str(origin.path)
        lab.take(place)
        origin.commit("refs/heads/brief")
        taken = lab.take(place, wrap=wrap)
    assert used[0].listings == 2
    assert any("listing again" in warning for warning in lab.observer.warnings)
    assert lab.restored(taken, tmp_path / "r.git") == origin.state


def test_wants_that_keep_vanishing_end_the_run(lab: Lab, origin: Origin) -> None:
    number = iter(range(100))

    def appear() -> None:
        origin.commit("refs/heads/brief", {"n": b"%d" % next(number)}, parents=[])

    def vanish() -> None:
        origin.ref("refs/heads/brief", None)
        origin.git("gc", "-q", "--prune=now")

    with pytest.raises(Unavailable) as caught:
        lab.take(origin, wrap=lambda inner: Interposed(inner, listing=appear, fetching=vanish))
    assert caught.value.code == "want-vanished"
    assert lab.store.list("") == []


def test_refs_that_move_between_listing_and_fetching_over_http(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    """What was listed is what is recorded; what came later is left to the next snapshot."""
    before = origin.state

    def move(path: str) -> Fault | None:
        if path.endswith("#fetch"):
            origin.commit()
        return None

    with GitHost(tmp_path / "srv", fault=move) as host:
        taken = lab.take(host.url("x.git"))
    assert lab.restored(taken, tmp_path / "r.git") == before
