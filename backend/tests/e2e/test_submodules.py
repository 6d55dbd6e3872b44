"""Submodules of a scanned tree: told by path, URL and commit, found in the store, offered as origins of a fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.text import printable
from snapshotter.scan.submodules import resolved
from tests.support.cli import cli
from tests.support.git import Origin, git
from tests.support.lab import Lab
from tests.support.scans import options, quickly, scan_options


@pytest.fixture
def quick(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    quickly(monkeypatch)
    return lab


def commit_links(origin: Origin, gitmodules: bytes, links: dict[str, str], **files: bytes) -> str:
    """A commit on main with submodules in its root."""
    blobs = {".gitmodules": gitmodules, **files}
    lines = [f"100644 blob {origin.blob(data)}\t{name}" for name, data in blobs.items()]
    lines += [f"160000 commit {oid}\t{name}" for name, oid in links.items()]
    tree = origin.text("mktree", "--missing", data=("\n".join(lines) + "\n").encode())
    oid = origin.text("commit-tree", "-m", "x", tree)
    origin.ref("refs/heads/main", oid)
    return oid


def modules(**urls: str) -> bytes:
    return "".join(
        f'[submodule "{name}"]\n\tpath = {name}\n\turl = {url}\n' for name, url in urls.items()
    ).encode()


@pytest.mark.parametrize(
    ("url", "origin", "expected"),
    [
        ("../x.git", "https://github.com/a/b.git", "https://github.com/a/x.git"),
        ("../../c/x", "https://github.com/a/b", "https://github.com/c/x"),
        ("../../../x", "https://github.com/a/b", None),
        ("./x", "https://h/a/b", "https://h/a/b/x"),
        ("../x", "git@host:a/b.git", "git@host:a/x"),
        ("../x", "git@host:b.git", "git@host:x"),
        ("../../x", "git@host:b.git", None),
        ("../x", "git@host:/b.git", None),
        ("../x", "/srv/git/b.git", "/srv/git/x"),
        ("https://user:secret@h/x.git", "https://h/a", "https://h/x.git"),
        ("/etc", "https://h/a", None),
        ("/srv/x", "/srv/a", "/srv/x"),
        ("ext::sh -c evil", "https://h/a", None),
        ("-oProxyCommand=evil", "https://h/a", None),
        ("name", "https://h/a", None),
        ("name", "/srv/a", None),
        ("file:///srv/x", "https://h/a", None),
        ("", "https://h/a", None),
    ],
)
def test_a_url_is_resolved_as_git_does(url: str, origin: str, expected: str | None) -> None:
    assert resolved(url, origin) == expected


@given(st.text(), st.sampled_from(["https://h/a/b", "git@h:a", "/srv/x"]))
def test_whatever_a_repository_calls_a_url_costs_nothing(url: str, origin: str) -> None:
    for text in (url, f"../{url}", f"./{url}", f"https://{url}"):
        found = resolved(text, origin)
        assert found is None or printable(found) == found


def test_each_is_told_and_looked_up_in_the_store(quick: Lab, origin: Origin, tmp_path: Path) -> None:
    other = Origin(origin.path.with_name("lib.git"))
    first, last = other.commit(), other.commit()
    quick.take(other)
    urls = modules(
        new="../lib.git", old="../lib.git", far="https://user:secret@h/far.git", odd="ext::sh evil"
    )
    links = {"new": last, "old": first, "far": "1" * 40, "odd": "2" * 40, "unnamed": "3" * 40}
    commit_links(origin, urls, links)
    taken = quick.take(origin, options(scan_options()))
    done = cli("show", str(origin.path), "--submodules", "--json", "--store", quick.root)
    assert done.code == 0, done.err
    found = {each["path"]: each for each in done.json["submodules"]}
    assert {path: each["commit"] for path, each in found.items()} == links
    assert [found[path]["held"] for path in ("new", "old", "far", "odd", "unnamed")] == [
        True,
        None,
        False,
        False,
        False,
    ]
    assert found["far"]["url"] == "https://h/far.git"
    assert (found["odd"]["url"], found["unnamed"]["url"]) == (None, None)
    assert "user:secret" not in json.dumps(done.json)
    told = cli("show", str(origin.path), "--submodules", "--store", quick.root).out
    assert f"new  {last[:12]}  {other.path}  in {taken.manifest.repo.rpartition('x-')[0]}" in told
    assert "no URL that can be taken" in told


def test_a_later_scan_of_another_tree_knows_them_though_their_file_is_as_it_was(
    quick: Lab, origin: Origin
) -> None:
    urls = modules(a="https://h/a.git")
    commit_links(origin, urls, {"a": "1" * 40})
    quick.take(origin, options(scan_options()))
    commit_links(origin, urls, {"a": "2" * 40}, more=b"x")
    scan = quick.take(origin, options(scan_options())).manifest.scan
    assert scan is not None
    assert [(each.commit, each.url) for each in scan.submodules or ()] == [("2" * 40, "https://h/a.git")]
    again = quick.take(origin, options(scan_options())).manifest.scan
    assert again is not None
    assert again.submodules == scan.submodules


def test_a_repository_without_says_so(quick: Lab, origin: Origin) -> None:
    quick.take(origin)
    unknown = cli("show", str(origin.path), "--submodules", "--store", quick.root)
    assert "submodules are not known: there is no scan" in unknown.out
    origin.commit()
    quick.take(origin, options(scan_options()))
    none = cli("show", str(origin.path), "--submodules", "--store", quick.root)
    assert none.out.rstrip().endswith("no submodules")


def test_a_file_that_git_cannot_read_says_nothing(quick: Lab, origin: Origin) -> None:
    commit_links(origin, b"[submodule \x00\n[[[", {"a": "1" * 40})
    scan = quick.take(origin, options(scan_options())).manifest.scan
    assert scan is not None
    assert [each.url for each in scan.submodules or ()] == [None]


def test_a_fleet_is_offered_what_its_inventory_has_not(quick: Lab, origin: Origin, tmp_path: Path) -> None:
    commit_links(origin, modules(a="https://h/a.git", b="../b.git"), {"a": "1" * 40, "b": "2" * 40})
    git(None, "init", "-q", "--bare", origin.path.with_name("b.git"))
    quick.take(origin, options(scan_options()))
    inventory = tmp_path / "fleet.toml"
    repos = [str(origin.path), str(origin.path.with_name("b.git"))]
    inventory.write_text("".join(f"[[repo]]\norigin = {json.dumps(path)}\n" for path in repos))
    plan = ("fleet", "plan", inventory, "--with-submodules", "--store", quick.root)
    document = cli(*plan, "--json").json
    assert document["submodules"] == [{"origin": "https://h/a.git", "of": [str(origin.path)]}]
    assert document["submodules_unknown"] == [repos[1]]
    told = cli(*plan).out
    assert f"of 1 repository (like {repos[1]}) the submodules are not known" in told
    assert '[[repo]]\norigin = "https://h/a.git"' in told
    inventory.write_text(inventory.read_text() + told[told.index("\n[[repo]]") :].partition("  #")[0])
    assert "every submodule that the newest scans name is in the plan" in cli(*plan).out
