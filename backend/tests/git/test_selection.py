"""Which listed refs are taken: patterns first, and then whatever a repository can hold."""

from __future__ import annotations

import pytest

from snapshotter.base.errors import Unusable
from snapshotter.git.refs import SYNTHETIC_MERGES, Ref, RefListing
from snapshotter.git.selection import select

A, B, NULL = "a" * 40, "b" * 40, "0" * 40


def listing(
    *names: bytes, oid: str = A, head: bytes | None = None, head_oid: str | None = None
) -> RefListing:
    return RefListing(tuple(Ref(name, oid) for name in names), head, head_oid)


def test_patterns_choose_refs() -> None:
    every = [
        b"refs/heads/main",
        b"refs/heads/f/x",
        b"refs/pull/7/head",
        b"refs/pull/7/merge",
        b"refs/heads/\xc3\xa9",
    ]
    listed = listing(*every, head=b"refs/heads/main")

    def chosen(include: list[str], exclude: list[str]) -> set[bytes]:
        selection = select(listed, include, exclude)
        assert set(selection.ledger.oids) | set(selection.by_pattern) == set(every)
        assert selection.ledger.head_target == b"refs/heads/main"
        return set(selection.ledger.oids)

    assert chosen([], list(SYNTHETIC_MERGES)) == set(every) - {b"refs/pull/7/merge"}
    assert chosen(["refs/heads/*"], []) == {b"refs/heads/main", b"refs/heads/f/x", b"refs/heads/\xc3\xa9"}
    assert chosen(["refs/heads/é"], []) == {b"refs/heads/\xc3\xa9"}
    assert chosen(["refs/heads/main", "refs/pull/*"], ["*/merge"]) == {
        b"refs/heads/main",
        b"refs/pull/7/head",
    }
    assert chosen(["refs/heads/ma"], []) == set()
    assert select(listed, [], []).by_pattern == []


@pytest.mark.parametrize(
    "name",
    [
        b"refs/tags/v4~pre1",
        b"refs/heads/a..b",
        b"refs/heads/a.lock",
        b"heads/a",
        b"refs/heads/\x07",
        b"refs/" + b"n" * 5000,
    ],
)
def test_a_name_that_git_refuses_is_left_out_alone(name: bytes) -> None:
    selection = select(listing(b"refs/heads/main", name), [], [])
    assert set(selection.ledger.oids) == {b"refs/heads/main"}
    assert selection.impossible == [name]


def test_a_null_id_is_left_out_alone() -> None:
    listed = RefListing((Ref(b"refs/heads/empty", NULL), Ref(b"refs/heads/main", A)), None, NULL)
    selection = select(listed, [], [])
    assert dict(selection.ledger.oids) == {b"refs/heads/main": A}
    assert selection.impossible == [b"HEAD", b"refs/heads/empty"]


def test_a_head_that_points_at_no_possible_name_is_left_out() -> None:
    selection = select(listing(b"refs/heads/main", head=b"refs/heads/a..b"), [], [])
    assert (selection.ledger.head_target, selection.impossible) == (None, [b"HEAD"])


def test_patterns_come_before_names_are_judged() -> None:
    listed = listing(b"refs/heads/a..b", b"refs/heads/main", b"refs/tags/t", b"refs/tags/t")
    selection = select(listed, [], ["refs/heads/a*", "refs/tags/*"])
    assert selection.by_pattern == [b"refs/heads/a..b", b"refs/tags/t", b"refs/tags/t"]
    assert selection.impossible == []
    with pytest.raises(Unusable, match=r"lists refs/tags/t twice"):
        select(listed, [], [])


def test_refs_whose_object_the_origin_lacks_are_left_out_with_their_heads() -> None:
    listed = RefListing(
        (Ref(b"refs/heads/gone", B), Ref(b"refs/heads/main", A), Ref(b"refs/tags/gone", B)), None, B
    )
    selection = select(listed, [], [], {B})
    assert dict(selection.ledger.oids) == {b"refs/heads/main": A}
    assert selection.lacking == [b"HEAD", b"refs/heads/gone", b"refs/tags/gone"]


def test_an_alias_of_what_is_left_out_is_a_plain_ref() -> None:
    listed = RefListing((Ref(b"refs/heads/alias", A, symref=b"refs/heads/a..b"), Ref(b"refs/heads/a..b", A)))
    assert select(listed, [], []).ledger.refs == (Ref(b"refs/heads/alias", A),)


def test_ids_of_another_format_than_the_origins_are_refused_by_name() -> None:
    listed = RefListing((Ref(b"refs/heads/main", A), Ref(b"refs/heads/odd", "1" * 64)), object_format="sha1")
    with pytest.raises(Unusable, match=r"not sha1, of refs/heads/odd"):
        select(listed, [], [])
    assert select(listed, [], ["refs/heads/odd"]).ledger.object_format == "sha1"
    with pytest.raises(Unusable, match=r"not sha256, of refs/heads/main"):
        select(RefListing(listed.refs[:1], object_format="sha256"), [], [])


def test_a_listing_without_refs_keeps_its_format() -> None:
    assert (
        select(RefListing((), b"refs/heads/main", object_format="sha256"), [], []).ledger.object_format
        == "sha256"
    )
