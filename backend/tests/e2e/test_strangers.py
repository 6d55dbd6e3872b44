"""What strangers put into a store, where nobody may delete, costs nothing; what may not be read costs only itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from snapshotter.archive import snapshot_list
from snapshotter.archive.catalog import Catalog
from snapshotter.base.errors import AccessDenied, PartialFailure, Unavailable
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.recover.ending import ending
from snapshotter.recover.many import verify_named
from snapshotter.recover.verify import VerifyOptions
from snapshotter.store.opening import open_store
from tests.support.cli import cli
from tests.support.faults import ClosedStore
from tests.support.git import Origin
from tests.support.lab import Lab, Words

QUICK = VerifyOptions(quick=True)
SQL = "SELECT repo, kind FROM snapshots"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A store with two repos of one snapshot each."""
    lab = Lab(tmp_path / "store")
    for name in ("a", "b"):
        origin = Origin(tmp_path / f"{name}.git")
        origin.commit()
        lab.take(origin)
    return lab


STRANGERS: dict[str, Callable[[Path, Path], object]] = {
    "lost+found": lambda root, _: (root / "lost+found").mkdir(),
    "plain folder": lambda root, _: (root / "private" / "2026" / "11").mkdir(parents=True),
    "odd folder": lambda root, _: (root / "x\x1b]0;y__z").mkdir(),
    "not UTF-8": lambda root, _: (root / os.fsdecode(b"\xff__x")).mkdir(),
    "hidden folder": lambda root, _: (root / ".Trash-1000").mkdir(),
    "file": lambda root, _: (root / "a__file").write_text(""),
    "pipe": lambda root, _: os.mkfifo(root / "a__pipe"),
    "folder of a repo": lambda _, repo: (repo / "0private" / "x").mkdir(parents=True),
    "odd file of a repo": lambda _, repo: (repo / "x\n").write_text(""),
    "round": lambda _, repo: (repo / "2024" / "round").symlink_to(".."),
    "dangling": lambda _, repo: (repo / "2023").symlink_to("nowhere"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_costs_nothing(lab: Lab, stranger: str) -> None:
    a, b = lab.catalog.repos()
    STRANGERS[stranger](lab.root, lab.root / a)
    words = Words()
    catalog = Catalog(open_store(f"file:{lab.root}", observer=words))
    assert catalog.repos() == [a, b]
    found = snapshot_list.newest_of_each(catalog)
    assert ([each.run.key.repo for each in found.snapshots], found.ending) == ([a, b], None)
    verified = verify_named(catalog, None, QUICK)
    assert ([verdict.ok for verdict in verified.verdicts], verified.unread) == ([True, True], [])
    with ask(catalog.store, SQL, QueryOptions(history=True)) as answer:
        assert (len(list(answer.texts())), answer.left_out) == (2, [])
    assert len(words.warnings) <= 1


def test_a_folder_that_is_no_repo_is_told_once(lab: Lab) -> None:
    (lab.root / "lost+found").mkdir()
    done = cli("list", "--store", lab.root, "-q")
    assert (done.code, done.err.count("lost+found")) == (0, 1)


@pytest.fixture
def closed(lab: Lab) -> Catalog:
    """The store, of which the first repo may not be read."""
    return Catalog(ClosedStore(lab.store, lab.catalog.repos()[0]))


def test_a_repo_that_may_not_be_read_costs_no_other_its_line(closed: Catalog) -> None:
    a, b = closed.repos()
    found = snapshot_list.newest_of_each(closed)
    assert [each.run.key.repo for each in found.snapshots] == [b]
    assert [each.repo for each in found.unread] == [a]
    assert isinstance(found.ending, PartialFailure)


def test_a_repo_that_may_not_be_read_costs_no_other_its_verification(closed: Catalog) -> None:
    a, b = closed.repos()
    for newest in (False, True):
        found = verify_named(closed, None, QUICK, newest=newest)
        assert [(verdict.run.repo, verdict.ok) for verdict in found.verdicts] == [(b, True)]
        error = ending(found.verdicts, found.unread)
        assert isinstance(error, PartialFailure)
        assert a in str(error.details)
    with pytest.raises(AccessDenied):
        verify_named(closed, a, QUICK)


def test_a_repo_that_may_not_be_read_costs_no_other_its_rows(closed: Catalog) -> None:
    a, b = closed.repos()
    with ask(closed.store, SQL, QueryOptions()) as answer:
        assert list(answer.texts()) == [(b, "base")]
        assert [each.document()["repo"] for each in answer.left_out] == [a]


@pytest.mark.parametrize("what", ["manifest.json", "2024"])
def test_where_nothing_may_be_read_that_is_the_answer(lab: Lab, what: str) -> None:
    class Closed(ClosedStore):
        def _check(self, key: str) -> None:
            if self.where in key:
                super()._check(self.where)

    catalog = Catalog(Closed(lab.store, what))
    if what == "manifest.json":
        assert isinstance(snapshot_list.newest_of_each(catalog).ending, AccessDenied)
    with pytest.raises(AccessDenied), ask(catalog.store, SQL, QueryOptions(history=True)) as answer:
        list(answer.texts())
    with pytest.raises(AccessDenied):
        verify_named(catalog, None, QUICK)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.write_bytes(b"{}"), lambda path: (path.unlink(), os.mkfifo(path))]
)
def test_a_list_that_lacks_a_manifest_says_so(lab: Lab, spoil: Callable[[Path], object]) -> None:
    a, b = lab.catalog.repos()
    spoil(next((lab.root / a).rglob("manifest.json")))
    for name in ([], [a]):
        done = cli("list", *name, "--store", lab.root)
        assert done.code == 3
        assert "unreadable" in done.out
    document = cli("list", "--store", lab.root, "--json").json
    assert (document["ok"], [row["kind"] for row in document["snapshots"]]) == (False, [None, "base"])
    assert cli("list", b, "--store", lab.root).code == 0


def test_a_pipe_in_an_artifacts_place_is_damage(lab: Lab, tmp_path: Path) -> None:
    a, _ = lab.catalog.repos()
    bundle = next((lab.root / a).rglob("history.bundle"))
    bundle.unlink()
    os.mkfifo(bundle)
    for argv in (("get", a, "history.bundle"), ("restore", a, tmp_path / "back")):
        done = cli(*argv, "--store", lab.root)
        assert (done.code, "pipe" in done.err) == (4, True)
    assert cli("verify", a, "--store", lab.root).code == 1


def test_a_link_out_of_the_store_in_an_artifacts_place_is_damage(lab: Lab, tmp_path: Path) -> None:
    a, _ = lab.catalog.repos()
    for name in ("history.bundle", "refs.txt"):
        artifact = next((lab.root / a).rglob(name))
        artifact.rename(tmp_path / name)
        artifact.symlink_to(tmp_path / name)
        done = cli("verify", a, "--store", lab.root)
        assert (done.code, "a link that leads out of the store" in done.out) == (1, True)
        artifact.unlink()
        (tmp_path / name).rename(artifact)


def test_no_repos_at_all_is_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as raised:
        verify_named(Lab(tmp_path / "store").catalog, None, QUICK)
    assert raised.value.code == "no-snapshot"
