"""How counts read."""

from __future__ import annotations

import pytest

from snapshotter.base.text import noun, plural


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
