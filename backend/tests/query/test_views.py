"""The views' columns and types, and the order of versions."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from snapshotter.query import locked_engine, views
from tests.query.stores import three_days
from tests.support.lake import Lake


def test_an_empty_store_has_all_views_without_rows(lake: Lake) -> None:
    for view in views.VIEWS:
        assert lake.ask(f"SELECT * FROM {view}") == []


def test_every_view_has_the_columns_and_types_that_it_says(lake: Lake) -> None:
    three_days(lake)
    for view, columns in views.VIEWS.items():
        described = lake.ask(f"SELECT column_name, column_type FROM (DESCRIBE {view})")
        assert described == [(column.name, column.type) for column in columns], view


def test_version_keys_order_as_people_mean() -> None:
    ordered = [
        "0.9",
        "1.0.dev1",
        "1.0a1",
        "1.0-beta2",
        "1.0-M1",
        "1.0-rc1",
        "1.0-rc2",
        "1.0-SNAPSHOT",
        "1.0",
        "1.0.post1",
        "1.0.1",
        "1.2",
        "1.9",
        "1.10",
        "2.9",
        "2.16.9",
        "2.17.0-rc1",
        "2.17",
        "2.17.1",
        "10.0",
        "20260101",
        "1!0.1",
        "1!2.0",
        "2:0.9-4+b1",
    ]
    lettered = (
        "1.1.1~rc1 1.1.1-alpha 1.1.1-alpha.1 1.1.1-rc.1 1.1.1.0-rc2 1.1.1 1.1.1a 1.1.1b-r0 1.1.1w 1.1.1z 1.1.1za"
        " 1.1.1zh 1.1.1-1 1.1.2 2024a 2024b"
    ).split()
    same = [
        ("1.0", "1"),
        ("v1.0", "1.0.0"),
        ("1.0+build7", "1.0"),
        ("V2", "2"),
        ("32.1.3-jre", "32.1.3"),
        ("1.0-rc1", "1.0.0-rc.1"),
        ("1:2", "1!2.0"),
        ("0:2", "2"),
        ("5.3.0.RELEASE", "5.3"),
    ]
    with closing(locked_engine.connect(2**28, 2)) as connection:
        for macro in views.MACROS:
            connection.execute(macro)

        def key(version: str) -> Any:
            found = connection.execute("SELECT version_key(?::VARCHAR)", [version]).fetchone()
            return found[0] if found else None

        for versions in (ordered, lettered):
            keys = [key(version) for version in versions]
            assert keys == sorted(keys)
            assert len({tuple(each) for each in keys}) == len(versions)
        assert [key(a) == key(b) for a, b in same] == [True] * len(same)
        assert [key(version) for version in ("", "main", "a" * 40, "1" * 40, "*")] == [None] * 5
