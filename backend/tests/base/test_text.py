"""How counts and spans read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from snapshotter.base.text import human_span, noun, plural


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("ref",), "0 refs"),
        (1, ("ref",), "1 ref"),
        (2345, ("ref",), "2,345 refs"),
        (1, ("dependency", "dependencies"), "1 dependency"),
        (2, ("dependency", "dependencies"), "2 dependencies"),
    ],
)
def test_one_is_singular_and_every_other_count_plural(count: int, words: tuple[str, ...], said: str) -> None:
    assert plural(count, *words) == said
    assert noun(count, *words) == said.partition(" ")[2]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=30), "30 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(seconds=1.5), "1 second"),
        (timedelta(), "0 seconds"),
    ],
)
def test_a_span_reads_without_a_clock(span: timedelta, words: str) -> None:
    assert human_span(span) == words
