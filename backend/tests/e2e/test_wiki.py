"""An origin with its wiki, as users take them: two repositories that name each other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from githost import Fault, GitHost
from snapshotter.archive.catalog import Catalog
from snapshotter.capture.wiki import origin_of_wiki, repo_of_wiki
from snapshotter.git.origin_parsing import parse
from snapshotter.store.opening import open_store
from tests.support.cli import Done, cli
from tests.support.git import Origin
from tests.support.lab import Lab


@pytest.fixture
def wiki(origin: Origin) -> Origin:
    made = Origin(origin.path.with_name("x.wiki.git"))
    made.commit("refs/heads/master", {"Home.md": b"# Home"})
    made.git("symbolic-ref", "HEAD", "refs/heads/master")
    return made


def take(lab: Lab, url: str | Path, *argv: str) -> Done:
    return cli("snapshot", str(url), "--wiki", "--json", *argv, "--store", lab.root)


@pytest.mark.parametrize(
    ("origin", "wiki"),
    [
        ("https://github.com/a/b", "https://github.com/a/b.wiki.git"),
        ("https://gitlab.com/a/b/c.git", "https://gitlab.com/a/b/c.wiki.git"),
        ("git@host:a/b.git", "git@host:a/b.wiki.git"),
        ("ssh://git@host:2222/a/b/", "ssh://git@host:2222/a/b.wiki.git"),
        ("https://github.com/a/b.git/", "https://github.com/a/b.wiki.git"),
        ("/srv/x.git", "/srv/x.wiki.git"),
    ],
)
def test_where_a_wiki_is(origin: str, wiki: str) -> None:
    assert origin_of_wiki(parse(origin)).url == wiki


def test_a_wiki_is_a_snapshot_of_its_own_and_both_name_each_other(
    lab: Lab, origin: Origin, wiki: Origin, tmp_path: Path
) -> None:
    with GitHost(origin.path.parent) as host:
        done = take(lab, host.url("x.git"), "--refs", "refs/heads/main")
    assert done.code == 0, done.err
    page = done.json["wiki_snapshot"]
    assert done.json["wiki"] == f"{page['repo']}@{page['run_id']}"
    assert page["wiki_of"] == done.json["repo"]
    restored = cli("restore", done.json["wiki"], tmp_path / "pages", "--bare", "--store", lab.root)
    assert restored.code == 0, restored.err
    assert Origin.at(tmp_path / "pages").oid("master") == wiki.oid("master"), "patterns are not the wiki's"
    shown = cli("show", done.json["repo"], "--store", lab.root).out
    assert f"wiki {done.json['wiki']}" in shown
    assert f"the wiki of {done.json['repo']}" in cli("show", page["repo"], "--store", lab.root).out


def test_a_later_run_takes_what_is_new_in_each(lab: Lab, origin: Origin, wiki: Origin) -> None:
    take(lab, origin.path)
    wiki.commit("refs/heads/master", {"Home.md": b"# Another"})
    done = take(lab, origin.path)
    assert (done.json["kind"], done.json["wiki_snapshot"]["kind"]) == ("unchanged", "increment")
    assert done.json["wiki"].endswith(done.json["wiki_snapshot"]["run_id"])


@pytest.mark.parametrize("status", [404, 401, 403])
def test_no_wiki_is_no_error(lab: Lab, origin: Origin, status: int) -> None:
    fault = Fault(status=status)
    with GitHost(origin.path.parent, fault=lambda path: fault if ".wiki" in path else None) as host:
        done = take(lab, host.url("x.git"))
    assert done.code == 0, done.err
    assert (done.json["wiki_snapshot"], "wiki" in done.json) == (None, False)
    assert ("no wiki is taken" in done.err) == (status != 404), "a refusal is told"


def test_an_empty_wiki_is_no_error(lab: Lab, origin: Origin) -> None:
    Origin(origin.path.with_name("x.wiki.git"))
    done = take(lab, origin.path)
    assert (done.code, done.json["wiki_snapshot"]["kind"]) == (0, "empty")


def test_a_wiki_that_fails_costs_its_origin_nothing_and_is_told(
    lab: Lab, origin: Origin, wiki: Origin
) -> None:
    fault = Fault(status=451)
    with GitHost(origin.path.parent, fault=lambda path: fault if ".wiki" in path else None) as host:
        done = take(lab, host.url("x.git"))
        job = {"origins": [host.url("x.git")], "store": f"file:{lab.root}", "options": {"wiki": True}}
        ran = cli("job", SNAPSHOTTER_JOB=json.dumps(job))
    assert (done.code, done.json["kind"]) == (3, "base")
    assert re.search("that of the wiki was not\\s.*451", done.err, re.S)
    (result,) = ran.json["origins"]
    assert (ran.code, result["kind"]) == (3, "unchanged")


@pytest.mark.parametrize("over_http", [True, False])
def test_a_fleet_s_wiki_names_its_origin(
    lab: Lab, origin: Origin, wiki: Origin, tmp_path: Path, over_http: bool
) -> None:
    with GitHost(origin.path.parent) as host:
        url = host.url("x.git") if over_http else str(origin.path)
        inventory = tmp_path / "fleet.toml"
        inventory.write_text(f"[[repo]]\norigin = {json.dumps(url)}\noptions = {{ wiki = true }}\n")
        settings = {"SNAPSHOTTER_REFS": "refs/heads/main", "SNAPSHOTTER_EXCLUDE_REFS": "refs/heads/master"}
        done = cli("fleet", "run", inventory, "--store", lab.root, **settings)
        assert done.code == 0, done.err
        pages = lab.catalog.manifest(lab.catalog.resolve(url.replace("x.git", "x.wiki.git")).key)
        assert pages.manifest.wiki_of == lab.catalog.repo_of(url)
        assert pages.manifest.refs.count == 1, "patterns are not the wiki's"
    assert repo_of_wiki(parse("https://h/a/b.git")) is None


def test_a_job_takes_wikis_too(lab: Lab, origin: Origin, wiki: Origin) -> None:
    job = {"origins": [str(origin.path)], "store": f"file:{lab.root}", "options": {"wiki": True}}
    assert cli("job", SNAPSHOTTER_JOB=json.dumps(job)).code == 0
    assert lab.catalog.manifest(lab.catalog.resolve(str(wiki.path)).key).manifest.wiki_of


def test_in_a_fleet_a_wiki_and_what_it_belongs_to_name_each_other(
    origin: Origin, wiki: Origin, tmp_path: Path
) -> None:
    lone = Origin(origin.path.with_name("lone.git"))
    lone.commit()
    with GitHost(origin.path.parent) as host:
        tables = (
            f'[[repo]]\norigin = "{host.url(name)}"\noptions = {{ wiki = true }}\n'
            for name in ("x.git", "lone.git")
        )
        (tmp_path / "fleet.toml").write_text("".join(tables))
        for _ in range(2):  # the first time they may be taken at the same time
            done = cli("fleet", "run", tmp_path / "fleet.toml", "--store", tmp_path / "store")
            assert done.code == 0, done.err
        names = {name: parse(host.url(name)).repo for name in ("x.git", "x.wiki.git", "lone.git")}
    catalog = Catalog(open_store(f"file:{tmp_path / 'store'}"))
    newest = {name: catalog.latest(repo) for name, repo in names.items()}
    manifests = {name: catalog.manifest(run.key).manifest for name, run in newest.items() if run}
    assert manifests["x.wiki.git"].wiki_of == names["x.git"]
    pages = [f"{run.key.repo}@{run.key.run_id}" for run in catalog.snapshots(names["x.wiki.git"])]
    assert manifests["x.git"].wiki in pages
    assert manifests["lone.git"].wiki is msgspec.UNSET
    assert manifests["x.git"].wiki_of is manifests["x.wiki.git"].wiki is msgspec.UNSET
