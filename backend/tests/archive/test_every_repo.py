"""The same work for many repos: trouble with one costs no other, and trouble with all is the store's."""

from __future__ import annotations

import pytest

from snapshotter.archive.every_repo import of_each, raise_if_all_denied
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable

DENIED, DOWN = AccessDenied("refused"), Unavailable("no answer")


def work(repo: str) -> int:
    """The length of a repo's name, or the trouble that its name begins with."""
    for name, error in {"denied": DENIED, "down": DOWN, "stop": Interrupted("stopped")}.items():
        if repo.startswith(name):
            raise error
    return len(repo)


@pytest.mark.parametrize("at_once", [1, 16])
def test_results_come_in_the_order_asked_for_beside_what_could_not_be_read(at_once: int) -> None:
    each = of_each(["zz", "denied", "a", "down"], work, at_once=at_once)
    assert list(each.results.items()) == [("zz", 2), ("a", 1)]
    assert [(one.repo, one.error) for one in each.unread] == [("denied", DENIED), ("down", DOWN)]


@pytest.mark.parametrize(("repos", "error"), [(["denied", "down"], DENIED), (["down"], DOWN)])
def test_trouble_with_all_is_raised(repos: list[str], error: SnapshotterError) -> None:
    with pytest.raises(type(error)) as raised:
        of_each(repos, work)
    assert raised.value is error


def test_an_interruption_is_no_trouble_of_one_repo() -> None:
    with pytest.raises(Interrupted):
        of_each(["a", "stop"], work)


def test_nothing_to_do_is_nothing_done() -> None:
    assert of_each([], work).results == {}


def test_a_repo_that_could_not_be_read_is_shown_escaped() -> None:
    (unread,) = of_each(["denied\x1b[2J", "a"], work).unread
    assert str(unread) == "denied\\x1b[2J: refused"


@pytest.mark.parametrize("answers", [[], [1, DENIED], [DOWN, DENIED]])
def test_only_a_refusal_of_all_is_raised(answers: list[object]) -> None:
    raise_if_all_denied(answers)
    with pytest.raises(AccessDenied):
        raise_if_all_denied([DENIED, DENIED])
