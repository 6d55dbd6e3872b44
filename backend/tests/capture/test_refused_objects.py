"""Objects that the origin refuses: what is a race, and what it lacks."""

from __future__ import annotations

from snapshotter.capture.refused_objects import LISTINGS, MAX_LACKING, RefusedObjects
from snapshotter.git.refs import Ref, RefListing
from snapshotter.transport import WantVanished

A, B = "a" * 40, "b" * 40


def refused(oid: str | None) -> WantVanished:
    return WantVanished("not our ref", oid=oid)


def listed(*oids: str) -> RefListing:
    return RefListing(tuple(Ref(b"refs/heads/%d" % number, oid) for number, oid in enumerate(oids)))


def test_an_object_that_is_listed_no_longer_was_a_race() -> None:
    refusals = RefusedObjects()
    assert not refusals.listed_again(refused(A), listed(B))
    assert not refusals.listed_again(refused(B), listed(B))
    assert refusals.lacking == set()


def test_an_object_that_is_refused_twice_and_still_listed_is_lacking() -> None:
    refusals = RefusedObjects()
    assert not refusals.listed_again(refused(A), listed(A, B))
    assert refusals.listed_again(refused(A), listed(A, B))
    assert refusals.listed_again(refused(B), listed(A, B)), "after one, the next is believed at once"
    assert refusals.lacking == {A, B}
    assert refusals.may_list_again()


def test_tries_are_bounded() -> None:
    racing = RefusedObjects()
    for _ in range(LISTINGS - 1):
        assert racing.may_list_again()
        racing.listed_again(refused(None), listed(A))
    assert not racing.may_list_again()
    sick = RefusedObjects()
    tries = 0
    while sick.may_list_again():
        oid = f"{len(sick.lacking) + 1:040x}"
        sick.listed_again(refused(oid), listed(oid))
        tries += 1
    assert tries <= MAX_LACKING + 2
