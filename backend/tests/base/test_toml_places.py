"""Where keys and values of a TOML document stand."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.toml_places import Path, TomlPlace, places, syntax_place

DOCUMENT = '''# fleet
name = "a"   # a comment with = and [brackets]

[[repo]]
origin = "https://git.example.org/a.git"
labels = { team = "core", "odd key" = 'x' }
options.refs = [
  "refs/heads/*", # one
  """refs/tags/""\\""*""",
]

  [[repo]]
origin = \'\'\'b\'\'\'
[repo.options]
scan = false
when = 1979-05-27 07:32:00
[repo.labels]
"dotted.key".more = 1
'''


def test_each_key_and_value_has_its_place() -> None:
    found = places(DOCUMENT)
    expected = {
        ("name",): (2, 1),
        ("repo", 0): (4, 1),
        ("repo", 0, "origin"): (5, 1),
        ("repo", 0, "labels", "team"): (6, 12),
        ("repo", 0, "labels", "odd key"): (6, 27),
        ("repo", 0, "options", "refs"): (7, 1),
        ("repo", 1): (12, 3),
        ("repo", 1, "options"): (14, 1),
        ("repo", 1, "options", "scan"): (15, 1),
        ("repo", 1, "labels", "dotted.key", "more"): (18, 1),
    }
    assert {path: found.keys[path] for path in expected} == {p: TomlPlace(*at) for p, at in expected.items()}
    assert found.values[("repo", 0, "origin")] == TomlPlace(5, 10)
    assert found.values[("repo", 0, "options", "refs", 1)] == TomlPlace(9, 3)
    assert found.values[("repo", 1, "options", "when")] == TomlPlace(16, 8)


def test_what_has_no_place_has_that_of_what_is_around_it() -> None:
    found = places(DOCUMENT)
    assert found.of_value(("repo", 1, "url")) == TomlPlace(12, 3)
    assert found.of_key(("nothing",)) == TomlPlace(1, 1)


def leaves(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [leaf for key, each in value.items() for leaf in leaves(each, (*path, key))]
    if isinstance(value, list):
        return [leaf for number, each in enumerate(value) for leaf in leaves(each, (*path, number))]
    return [path]


def at(text: str, place: TomlPlace) -> str:
    return text.split("\n")[place.line - 1][place.column - 1 :]


SCALARS = st.sampled_from(
    [
        '"a"',
        "'#'",
        '"\\"]"',
        '"""\n"x""\\\n"""',
        "'''\n[x]\n'''",
        "1_000",
        "-1.5e3",
        "true",
        "07:32:00",
        "[]",
        "{}",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: "[ " + " , # c]\n".join(each) + "]")
        | st.lists(inner.filter(lambda v: "\n" not in v), max_size=3).map(
            lambda each: "{" + ", ".join(f'k{n}."x y" = {value}' for n, value in enumerate(each)) + "}"
        )
    ),
    max_leaves=8,
)


@given(st.lists(VALUES, max_size=4), st.sampled_from(["", "[t]\n", "[[t]]\n[[t]]\n", "[[t]]\n[t.'u v']\n"]))
def test_every_value_of_every_document_has_a_place(values: list[str], header: str) -> None:
    text = header + "".join(f"key{number} = {value}\n" for number, value in enumerate(values))
    document, found = tomllib.loads(text), places(text)
    for path in leaves(document):
        place = found.values.get(path)
        assert place is not None, (text, path)
        value: Any = document
        for key in path:
            value = value[key]
        rest = "\n".join([at(text, place), *text.split("\n")[place.line :]])
        # What begins at the place is the value: cut anywhere later, nothing shorter is equal to it.
        assert any(_read(rest[:end]) == value for end in range(1, len(rest) + 1)), (text, path, rest)


def _read(token: str) -> object:
    try:
        return tomllib.loads(f"v = {token}")["v"]
    except tomllib.TOMLDecodeError:
        return object()


@pytest.mark.parametrize(
    ("text", "place"), [("a = \n", TomlPlace(1, 5)), ("a=1\na=2\n", TomlPlace(2, 4)), ("a = [", None)]
)
def test_the_place_of_a_slip_in_the_syntax_is_tomllib_s(text: str, place: TomlPlace | None) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as raised:
        tomllib.loads(text)
    assert syntax_place(raised.value) == place


def test_arrays_in_arrays_without_end_end() -> None:
    assert places("a = " + "[" * 100_000).keys[("a",)] == TomlPlace(1, 1)
