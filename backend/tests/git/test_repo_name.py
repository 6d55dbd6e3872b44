"""The one-to-one rule from an origin to its repo name."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snapshotter.git.origin_parsing import parse
from snapshotter.git.repo_name import repo_name
from tests.support.origins import SECRET, parsed, paths


@given(st.lists(paths.map("https://h.test/{}".format), min_size=2, max_size=30, unique=True))
@settings(max_examples=200)
@example(["https://h.test/a__b", "https://h.test/a/b"])
@example(["https://h.test/a_/b", "https://h.test/a/_b"])
@example(["https://h.test/a//b", "https://h.test/a/b"])
@example(["https://h.test/A", "https://h.test/a"])
@example(["https://h.test/a-0123abcd", "https://h.test/a"])
def test_two_origins_never_share_a_name(urls: list[str]) -> None:
    by_repo: dict[str, set[str]] = {}
    for url in urls:
        if origin := parsed(url):
            by_repo.setdefault(origin.repo, set()).add(origin.canonical)
    assert all(len(origins) == 1 for origins in by_repo.values())


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "https://github.com/psf/requests",
            "https://GitHub.com/PSF/Requests.git",
            "git@github.com:psf/requests.git",
            "ssh://git@github.com:22/psf/requests/",
            "https://github.com:443/psf/requests",
            "https://github.com./psf/requests",
            f"https://user:{SECRET}@github.com/psf/requests",
            "git+ssh://git@github.com/psf/requests",
        ],
        ["https://h.test/a%20b", "ssh://h.test/a%20b", "h.test:/a b"],
        ["https://\u0433.test/a/b", "https://xn--c1a.test/a/b"],
        ["https://h.test/a/.git", "https://h.test/a"],
    ],
)
def test_spellings_of_one_origin_have_one_name(spellings: list[str]) -> None:
    assert len({parse(text).repo for text in spellings}) == 1


@pytest.mark.parametrize(
    "others",
    [
        ["https://h.test/a", "https://h.test:8443/a", "ssh://h.test:2222/a", "https://h2.test/a"],
        ["https://h.test/Repo", "https://h.test/repo"],
        ["https://h.test/a%2520b", "https://h.test/a%20b", "ssh://h.test/a%2520b-"],
        ["https://h.test/a%20b", "ssh://h.test/a%2520b"],  # "a b" and "a%20b" on one host
        ["alice@h.test:project", "bob@h.test:project"],
        ["https://github.com/psf/requests", "https://g\u0456thub.com/psf/requests"],
        ["https://h.test/a\uff0fb", "https://h.test/a/b"],
        ["https://h.test/" + "a" * 900, "https://h.test/" + "a" * 901],
        ["/srv/a", "https://h.test/srv/a", "file:///srv/b"],
    ],
)
def test_different_origins_have_different_names(others: list[str]) -> None:
    assert len({parse(text).repo for text in others}) == len(others)


@pytest.mark.parametrize(
    ("text", "repo"),
    [
        ("https://github.com/psf/requests", "github.com__psf__requests"),
        ("ssh://git@h.test/a/b/c.git", "h.test__a__b__c"),
        ("https://h.test/a.b_c-d/e", "h.test__a.b_c-d__e"),
    ],
)
def test_plain_origins_have_plain_names(text: str, repo: str) -> None:
    assert parse(text).repo == repo
    assert not re.search(r"-[0-9a-f]{8}$", repo)


@pytest.mark.parametrize(
    "canonical",
    [
        "h.test/a__b",
        "h.test/A",
        "h.test/a b",
        "h.test/a-0123abcd",
        "file:///srv/a",
        "h.test:1/a",
        "h.test//a",
        "h.test/" + "a" * 120,
        "h.test/\u00e9",
    ],
)
def test_what_is_not_one_to_one_bears_a_digest(canonical: str) -> None:
    assert re.search(r"-[0-9a-f]{8}$", repo_name(canonical))
