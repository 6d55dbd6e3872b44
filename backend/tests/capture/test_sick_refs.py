"""One ref that cannot be taken is left out and named; the others get their snapshot, run after run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.capture.options import CaptureOptions
from snapshotter.git.refs import Ref, RefListing
from snapshotter.transport import Transport
from tests.support.faults import Interposed
from tests.support.git import Origin
from tests.support.lab import Lab

ABSENT = ["1234567890" * 4, "abcdef1234" * 4]
NULL = "0" * 40


class Lister(Interposed):
    """An origin that lists some more refs than it has."""

    def __init__(self, inner: Transport, more: Callable[[], list[Ref]]) -> None:
        super().__init__(inner)
        self._more = more

    def ls_refs(self) -> RefListing:
        listed: RefListing = super().ls_refs()
        return replace(listed, refs=(*listed.refs, *self._more()))


def listing(*more: Ref) -> Callable[[Transport], Transport]:
    return lambda inner: Lister(inner, lambda: list(more))


def gaps(taken: Sealed) -> dict[str, list[str]]:
    return {gap.kind: gap.sample for gap in taken.manifest.gaps}


@pytest.mark.parametrize(
    "odd",
    [Ref(b"refs/tags/v4~pre1", NULL), Ref(b"refs/heads/a..b", ABSENT[0]), Ref(b"refs/heads/empty", NULL)],
)
def test_a_ref_that_no_repository_can_hold_is_a_gap(
    lab: Lab, origin: Origin, tmp_path: Path, odd: Ref
) -> None:
    taken = lab.take(origin, wrap=listing(odd))
    assert gaps(taken) == {"refs-impossible": [odd.name.decode()]}
    assert lab.restored(taken, tmp_path / "r.git") == origin.state
    assert lab.take(origin, wrap=listing(odd)).manifest.kind == "unchanged"
    without = CaptureOptions(exclude_refs=[odd.name.decode().replace("~", "?")])
    assert list(gaps(lab.take(origin, without, wrap=listing(odd)))) == ["refs-left-out"]


def test_refs_whose_objects_the_origin_lacks_are_a_gap_and_come_back_when_mended(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    sick = [Ref(b"refs/heads/lost", ABSENT[0]), Ref(b"refs/tags/lost", ABSENT[1])]
    taken = lab.take(origin, wrap=listing(*sick))
    assert gaps(taken) == {"refs-lacking": ["refs/heads/lost", "refs/tags/lost"]}
    (told,) = [warning for warning in lab.observer.warnings if ABSENT[0] in warning]
    assert "refs/heads/lost" in told and "git fsck" in told
    assert lab.restored(taken, tmp_path / "r.git") == origin.state
    origin.commit()
    assert lab.take(origin, wrap=listing(*sick)).manifest.kind == "increment"
    again = lab.take(origin, wrap=listing(*sick))
    assert (again.manifest.kind, list(gaps(again))) == ("unchanged", ["refs-lacking"])
    origin.commit("refs/heads/lost")
    mended = lab.take(origin)
    assert gaps(mended) == {}
    assert lab.restored(mended, tmp_path / "mended.git") == origin.state


def test_a_want_that_vanished_once_is_no_sick_ref(lab: Lab, origin: Origin) -> None:
    listed = iter([[Ref(b"refs/heads/brief", ABSENT[0])]])
    taken = lab.take(origin, wrap=lambda inner: Lister(inner, lambda: next(listed, [])))
    assert gaps(taken) == {}
    assert set(origin.refs()) == {b"refs/heads/bulk", b"refs/heads/main"}


def test_a_head_that_was_guessed_is_noted(lab: Lab, origin: Origin) -> None:
    class Guessing(Interposed):
        def ls_refs(self) -> RefListing:
            listed: RefListing = super().ls_refs()
            return replace(listed, head_guessed=True)

    for kind in ("base", "unchanged"):
        taken = lab.take(origin, wrap=Guessing).manifest
        assert (taken.kind, taken.head, taken.head_guessed) == (kind, "refs/heads/main", True)
    assert lab.take(origin).manifest.head_guessed is msgspec.UNSET


def test_an_origin_that_has_none_of_its_objects_is_refused_by_name(lab: Lab, tmp_path: Path) -> None:
    bare = Origin(tmp_path / "bare.git")
    for odd in (Ref(b"refs/heads/lost", ABSENT[0]), Ref(b"refs/heads/null", NULL)):
        with pytest.raises(Unavailable) as raised:
            lab.take(bare, wrap=listing(odd))
        assert odd.name.decode() in raised.value.message
        assert "fsck" in raised.value.hint
    with pytest.raises(UsageError):
        lab.take(bare, CaptureOptions(refs=["refs/tags/*"]), wrap=listing(Ref(b"refs/heads/a", ABSENT[0])))
