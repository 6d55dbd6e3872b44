"""A plan's repositories come out as they went in, although none of them is kept as an object."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.entries import Entries, Entry
from snapshotter.git.origin_parsing import parse


def entry(text: str, **more: object) -> Entry:
    known = Entry(parse(text), "listed", "github x/y", "y/z", "17", {"team": "a"}, RequestedOptions())
    return replace(known, **more)  # type: ignore[arg-type]


ODD = [
    entry("https://git.example.org/a/b"),
    entry("https://git.example.org:8443/a/b.git", bytes=0),
    entry("ssh://me@git.example.org/a/b%20c", bytes=(1 << 63) - 1, optional=True),
    entry("git@git.example.org:a/b", id="", labels={}),
    entry("git://[::1]/ü/ä", why="named in the inventory", path="\udcff\ud800"),
    entry("/srv/git/a.git", options=RequestedOptions(scan=False, max_chain_age="30d")),
    entry("https://git.example.org/a/c", labels={"team": "b"}),
]


def test_entries_come_out_as_they_went_in() -> None:
    entries = Entries()
    assert [entries.add(each) for each in ODD] == list(range(len(ODD)))

    assert list(entries) == ODD
    assert [each.origin.url for each in entries] == [each.origin.url for each in ODD]
    assert (entries[-1], entries[2:4], len(entries)) == (ODD[-1], ODD[2:4], len(ODD))
    with pytest.raises(IndexError):
        entries[len(ODD)]


def test_another_can_take_the_place_of_one() -> None:
    entries = Entries()
    for each in ODD[:3]:
        entries.add(each)
    entries.put(1, ODD[5])

    assert list(entries) == [ODD[0], ODD[5], ODD[2]]


def test_what_keeps_them_apart_may_be_in_a_forges_words() -> None:
    entries = Entries()
    entries.add(entry("https://git.example.org/a/b", path="a\0b", id="\0"))

    assert (entries[0].path, entries[0].id) == ("a\ufffdb", "\ufffd")


def test_a_credential_is_not_kept() -> None:
    entries = Entries()
    entries.add(entry("https://user:secret@git.example.org/a/b"))

    assert entries[0].origin.credential is None


def test_what_many_have_alike_is_kept_once() -> None:
    entries = Entries()
    for number in range(100):
        entries.add(entry(f"https://git.example.org/a/{number}"))

    assert len({id(each.labels) for each in entries}) == 1
