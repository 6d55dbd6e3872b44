"""Repositories in arrays: what goes in comes out as a task, and a million of them take little."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.plan import Entry
from snapshotter.fleet.roll import Roll
from snapshotter.git.origin_parsing import parse

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT, st.booleans(), st.integers(0, 2**70)), max_size=20))
def test_what_goes_in_comes_out(rows: list[tuple[str, str, bool, int]]) -> None:
    roll, entries = Roll(), []
    for number, (path, label, optional, _) in enumerate(rows):
        origin = parse(f"https://h{number % 3}.test:8443/r{number}")
        options = RequestedOptions(full=optional)
        entries.append(
            Entry(origin, "why", f"s{number % 2}", path, label, {"team": label}, options, optional)
        )
    taken = [roll.add(entry, entry.origin.repo, row[3]) for entry, row in zip(entries, rows, strict=True)]
    assert taken == [*range(len(rows))]
    assert len(roll) == len(rows)
    assert roll.hosts == [*dict.fromkeys(entry.origin.netloc for entry in entries)]
    assert [*roll.tries] == [*roll.deaths] == [0] * len(rows)
    for index, entry in enumerate(entries):
        task = roll.task(index)
        assert (task.origin, task.repo) == (entry.origin.url, entry.origin.repo)
        assert (task.source, task.path, task.id) == (entry.source, entry.path, entry.id)
        assert (task.labels, task.options, task.optional) == (entry.labels, entry.options, entry.optional)
        assert roll.hosts[roll.host_of[index]] == entry.origin.netloc
        assert (task.weight, task.attempt) == (min(rows[index][3], 2**63 - 1), 1)
        roll.tries[index] = 3
        assert roll.task(index).attempt == 3


def test_paths_are_of_no_host_and_keep_bytes_that_are_no_text() -> None:
    roll = Roll()
    entry = Entry(parse("/srv/g.git"), "why", "folder x", "g\udcff", "", {}, RequestedOptions())
    roll.add(entry, entry.origin.repo, -5)
    assert roll.task(0).weight == 0, "whoever says less than nothing knows nothing"
    assert (roll.hosts, roll.task(0).origin, roll.task(0).path) == ([""], "/srv/g.git", "g\udcff")


def test_a_repository_takes_few_bytes() -> None:
    roll, count = Roll(), 20_000
    for number in range(count):
        origin = parse(f"https://git.example.org/team/project-{number}")
        roll.add(
            Entry(origin, "why", "github x", "", "", {"a": "b"}, RequestedOptions()), origin.repo, number
        )
    arrays = (roll.host_of, roll.weights, roll.tries, roll.deaths, roll._texts, roll._ends, roll._shared_of)
    assert sum(map(sys.getsizeof, arrays)) / count < 200
    assert len(roll._shared) == 1
