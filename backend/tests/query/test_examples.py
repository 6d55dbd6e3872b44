"""The examples answer their questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from snapshotter.archive.manifest import RefChange, RefChangeList, RefChanges
from snapshotter.query.examples import EXAMPLES
from tests.support.lake import DAY, Lake, file_row

LOG4J = "org.apache.logging.log4j:log4j-core"


def dependency(name: str, version: str | None, **more: Any) -> dict[str, Any]:
    return {"path": "pom.xml", "ecosystem": "maven", "name": name, "version": version} | more


@pytest.fixture
def told(lake: Lake) -> Iterator[Callable[[str], Sequence[tuple[str | None, ...]]]]:
    """Answers the example whose question begins so, over a store in which each has an answer."""
    old, new = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    secret = {"path": ".env", "rule": "aws", "line": 3, "fingerprint": "f1"}
    change = RefChange(ref="refs/heads/main", old="1" * 40, new="2" * 40)
    rewrite = RefChanges(
        rewritten=RefChangeList(count=1, refs=[change]), moved=RefChangeList(count=1, refs=[change])
    )
    lake.made.add(
        "h__a",
        old,
        {
            "files": [file_row("gone.py", 5), file_row("a.py", 50), file_row("same.py", 60)],
            "dependencies": [dependency(LOG4J, "2.9.0")],
        },
    )
    lake.made.add(
        "h__a",
        new,
        {
            "files": [
                file_row("new.go", 300, language="Go"),
                file_row("u/u.go", 1, language="Go"),
                file_row("a.py", 51),
                file_row("same.py", 60),
                file_row("vendor/v.py", 7, vendored=True),
            ],
            "dependencies": [
                dependency(LOG4J, "2.9.1"),
                dependency("other:log4j-core", "1.0"),
                dependency("actions/checkout", "v4", requirement="v4", ecosystem="github"),
                dependency("actions/cache", "v4.0.2", requirement="c" * 40, ecosystem="github"),
            ],
            "secrets": [secret | {"path": "later.env"}],
            "imports": [
                {"path": "a.py", "language": "Python", "module": "same", "resolved_path": "same.py"},
                {"path": "new.go", "language": "Go", "module": "example.com/m/u", "resolved_path": "u"},
            ],
            "symbols": [
                {
                    "path": "a.py",
                    "name": "parse_url",
                    "kind": "function",
                    "line": 4,
                    "signature": "parse_url(x)",
                }
            ],
        },
        ref_changes=rewrite,
    )
    lake.made.add("h__b", old + DAY, {"secrets": [secret], "dependencies": [dependency(LOG4J, "2.17.0")]})
    lake.made.add(
        "h__c", datetime.now(UTC) - timedelta(hours=1), {"dependencies": [dependency(LOG4J, "2.100")]}
    )

    def answer(start: str) -> Sequence[tuple[str | None, ...]]:
        (example,) = [each for each in EXAMPLES if each.question.startswith(start)]
        assert '"' not in example.sql
        return lake.ask(example.sql, history="--history" in example.flags)

    yield answer


ANSWERS: dict[str, Sequence[tuple[str | None, ...]]] = {
    "Who still uses log4j": [("h__a", "pom.xml", "2.9.1")],
    "Where did each secret first appear": [("f1", "2026-10-21 00:00:00", "h__b", ".env", "3", "aws")],
    "What changed between two dates": [
        ("h__a", "a.py", "changed"),
        ("h__a", "gone.py", "removed"),
        ("h__a", "new.go", "added"),
        ("h__a", "u/u.go", "added"),
        ("h__a", "vendor/v.py", "added"),
    ],
    "Which files are the largest": [
        ("h__a", "new.go", "3000", "Go"),
        ("h__a", "same.py", "600", "Python"),
        ("h__a", "a.py", "510", "Python"),
        ("h__a", "vendor/v.py", "70", "Python"),
        ("h__a", "u/u.go", "10", "Go"),
    ],
    "Where did the languages shift most": [("h__a", "Go", "0", "301"), ("h__a", "Python", "115", "118")],
    "Which files does nobody import": [("h__a", "new.go", "300"), ("h__a", "a.py", "51")],
    "Which branches were rewritten": [("2026-11-20 00:00:00", "h__a", "refs/heads/main", "1" * 40, "2" * 40)],
    "Which GitHub Actions": [("actions/checkout", "v4", "1")],
    "Where is a function or class": [("h__a", "a.py", "4", "function", "parse_url(x)")],
}


@pytest.mark.parametrize("question", ANSWERS)
def test_the_examples_answer_their_questions(
    told: Callable[[str], Sequence[tuple[str | None, ...]]], question: str
) -> None:
    assert told(question) == ANSWERS[question]


def test_the_example_of_repositories_without_a_new_snapshot(
    told: Callable[[str], Sequence[tuple[str | None, ...]]],
) -> None:
    assert [row[0] for row in told("Which repositories lack")] == ["h__b", "h__a"]


def test_there_are_ten_examples_and_each_has_a_known_answer() -> None:
    assert len(EXAMPLES) == 10
    assert len(ANSWERS) == 9
