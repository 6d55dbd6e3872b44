"""What a repo's objects show without git: each is read once, and each problem is its own run's."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from snapshotter.archive import layout
from snapshotter.archive.canonical import canonical
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.manifest import SCHEMA_VERSION
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Damaged, NewerSchema, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.recover.evidence import Evidence
from snapshotter.recover.outline import Outline
from snapshotter.recover.verdict import Problem
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.store.objects import Store
from tests.support.faults import FaultyStore, RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import options, scan_options

TROUBLE = [Unavailable("no answer", code="store"), AccessDenied("refused", code="store-denied")]


class StreamingStore(FaultyStore):
    """Asks `before` what to do before the object at a key is streamed."""

    def __init__(self, inner: Store, before: Callable[[str], None]) -> None:
        super().__init__(inner)
        self.before = before

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        self.before(key)
        return super().stream(key, **options)


@dataclass
class Repo:
    """A base, an increment, and an unchanged snapshot, which has the increment's refs."""

    lab: Lab
    taken: list[Sealed]

    def evidence(self, *, chosen: slice = slice(None), store: Store | None = None) -> Evidence:
        """What is known before anything is read, with `chosen` snapshots to verify."""
        repo = self.taken[0].manifest.repo
        runs = self.lab.catalog.snapshots(repo)[chosen]
        return Evidence(Catalog(store or self.lab.store), repo, runs, Observer(), Cancel())

    def file(self, which: int, name: str) -> Path:
        return self.lab.file(self.taken[which].manifest.key.key(name))

    def forge(self, which: int, **changes: object) -> Sealed:
        """A manifest that was edited and sealed anew."""
        forged = seal(structs.replace(self.taken[which].manifest, **changes))
        self.file(which, layout.MANIFEST).write_bytes(forged.data)
        return forged


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    origin, lab = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store")
    origin.commit(files={"big": random.Random(1).randbytes(20_000)})  # so that increments do not outweigh it
    taken = [lab.take(origin)]
    origin.commit()
    taken += [lab.take(origin), lab.take(origin)]
    assert [sealed.manifest.kind for sealed in taken] == ["base", "increment", "unchanged"]
    return Repo(lab, taken)


def test_an_object_is_read_once_however_often_its_run_is_checked(repo: Repo) -> None:
    read: list[str] = []
    evidence = repo.evidence(store=StreamingStore(repo.lab.store, read.append))
    keys = [sealed.manifest.key for sealed in repo.taken]
    before = [evidence.unread(key) for key in keys]
    for _ in range(3):
        assert [evidence.check_objects(key, segments=True) for key in keys] == [(), (), ()]
    assert sorted(read) == sorted(
        artifact.key for sealed in repo.taken for artifact in sealed.manifest.artifacts
    )
    assert before == [sum(a.bytes for a in sealed.manifest.artifacts) for sealed in repo.taken]
    assert [evidence.unread(key) for key in keys] == [0, 0, 0]


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (Path.unlink, "it is missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes, not"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), "SHA-256 differs"),
    ],
    ids=["removed", "grown", "altered"],
)
@pytest.mark.parametrize("name", [layout.REFS, "history.bundle"])
def test_a_harmed_object_is_a_problem_of_its_run_and_of_no_other(
    repo: Repo, harm: Callable[[Path], object], what: str, name: str
) -> None:
    harm(repo.file(1, name))
    evidence = repo.evidence()
    for sealed in repo.taken:
        evidence.check_objects(sealed.manifest.key, segments=True)
    key = repo.taken[1].manifest.key
    (problem,) = evidence.problems(key)
    assert problem.where == key.key(name)
    assert what in problem.what
    assert str(problem) == f"{problem.where}: {problem.what}"
    assert evidence.damaged_runs() == [key]


def test_segments_are_left_to_the_replay_until_it_is_known_not_to_come(repo: Repo) -> None:
    bundle, key = repo.file(0, "history.bundle"), repo.taken[0].manifest.key
    bundle.write_bytes(bundle.read_bytes()[:-1] + b"?")
    evidence = repo.evidence()
    assert evidence.check_objects(key, segments=False) == ()
    assert len(evidence.check_objects(key, segments=True)) == 1
    bundle.unlink()
    (problem,) = repo.evidence().check_objects(key, segments=False)
    assert problem.what == "it is missing"


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (Path.unlink, "it is missing"),
        (lambda path: path.write_bytes(b"{}"), "cannot be used"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"base", b"bass")), "cannot be used"),
    ],
    ids=["removed", "empty", "altered"],
)
def test_a_manifest_that_cannot_be_used_is_none_and_its_run_has_the_problem(
    repo: Repo, harm: Callable[[Path], object], what: str
) -> None:
    evidence, key = repo.evidence(chosen=slice(1, None)), repo.taken[0].manifest.key
    harm(repo.file(0, layout.MANIFEST))
    assert [evidence.manifest(key), evidence.manifest(key)] == [None, None]
    (problem,) = evidence.problems(key)
    assert problem.where == key.key(layout.MANIFEST)
    assert what in problem.what
    assert evidence.check_objects(key, segments=True) == (problem,)
    assert (evidence.unread(key), evidence.history_bytes(key)) == (0, 0)
    assert evidence.check_parents(Outline.of(repo.taken[2])) == (problem,)


@pytest.mark.parametrize("name", [layout.REFS, "elsewhere"])
def test_refs_that_cannot_be_used_are_none_and_the_snapshot_that_needs_them_has_the_problem(
    repo: Repo, name: str
) -> None:
    unchanged = repo.taken[2]
    if name == layout.REFS:
        repo.file(1, name).write_bytes(b"no refs\n")
    else:
        unchanged = repo.forge(2, refs=structs.replace(unchanged.manifest.refs, artifact="../x"))
    evidence = repo.evidence()
    assert evidence.ledger(Outline.of(unchanged)) is None
    assert len(evidence.problems(unchanged.manifest.key)) == 1


def test_a_manifest_that_was_replaced_is_a_problem_of_whatever_was_built_on_it(repo: Repo) -> None:
    repo.forge(0, labels={"a": "b"})
    evidence, (base, increment, unchanged) = repo.evidence(), repo.taken
    (problem,) = evidence.check_parents(Outline.of(unchanged))
    assert problem == Problem(
        base.manifest.key.key(layout.MANIFEST),
        f"it is not the manifest that {increment.manifest.run_id} was built on (SHA-256 differs)",
    )
    assert evidence.damaged_runs() == [base.manifest.key]


def test_what_was_before_the_base_is_asked_for_only_if_it_is_verified_too(repo: Repo, tmp_path: Path) -> None:
    """It may have expired, and a snapshot does not rest on it."""
    origin = Origin.at(tmp_path / "origin.git")
    repo.file(2, layout.MANIFEST).rename(tmp_path / "kept")
    repo.file(1, "history.bundle").unlink()
    base = repo.lab.take(origin)
    assert (base.manifest.kind, base.manifest.parent and base.manifest.parent.run_id) == (
        "base",
        repo.taken[1].manifest.run_id,
    )
    repo.forge(1, labels={"a": "b"})
    alone, together = repo.evidence(chosen=slice(2, None)), repo.evidence()
    assert (alone.check_parents(Outline.of(base)), alone.damaged_runs()) == ((), [])
    assert together.check_parents(Outline.of(base)) == ()
    assert together.damaged_runs() == [repo.taken[1].manifest.key]


def test_a_parent_that_is_no_run_is_never_looked_up(repo: Repo) -> None:
    parent = repo.taken[1].manifest.parent
    assert parent is not None
    forged = repo.forge(1, parent=structs.replace(parent, run_id="../../x"))
    store = RecordingStore(repo.lab.store)
    (problem,) = repo.evidence(store=store).check_parents(Outline.of(forged))
    assert problem.what == "its parent is no run: '../../x'"
    assert store.calls == []


@pytest.mark.parametrize("trouble", TROUBLE, ids=["unavailable", "denied"])
@pytest.mark.parametrize("where", ["manifest", "ledger", "objects", "receipts"])
def test_a_store_in_trouble_is_no_problem_of_a_snapshot(
    repo: Repo, trouble: SnapshotterError, where: str
) -> None:
    repo.lab.verify(repo.taken[0])
    base = repo.taken[0]

    def fail(*_: str) -> None:
        raise trouble

    store = RecordingStore(repo.lab.store, lambda method, _: fail() if method == "get" else None)
    if where == "objects":
        evidence = repo.evidence(store=StreamingStore(repo.lab.store, fail))
    else:
        evidence = repo.evidence(store=store)
    run = repo.lab.catalog.folder(base.manifest.key)
    ask: dict[str, Callable[[], object]] = {
        "manifest": lambda: evidence.manifest(base.manifest.key),
        "ledger": lambda: evidence.ledger(Outline.of(base)),
        "objects": lambda: evidence.check_objects(base.manifest.key, segments=True),
        "receipts": lambda: evidence.check_receipts(run, Outline.of(base)),
    }
    with pytest.raises(type(trouble), match=trouble.message):
        ask[where]()
    assert evidence.damaged_runs() == []


def test_a_manifest_of_a_newer_release_is_raised_and_noted_nowhere(repo: Repo) -> None:
    newer = structs.replace(repo.taken[0].manifest, schema_version=SCHEMA_VERSION + 1)
    repo.file(0, layout.MANIFEST).write_bytes(canonical(newer))
    evidence = repo.evidence()
    with pytest.raises(NewerSchema):
        evidence.manifest(newer.key)
    assert evidence.damaged_runs() == []


def test_a_receipt_pins_the_manifest_that_it_proved(repo: Repo) -> None:
    repo.lab.verify(repo.taken[0])
    run = repo.lab.catalog.folder(repo.taken[0].manifest.key)
    evidence = repo.evidence()
    assert evidence.check_receipts(run, Outline.of(repo.taken[0])) == ()
    (problem,) = evidence.check_receipts(run, Outline.of(repo.forge(0, labels={"a": "b"})))
    assert problem.where == run.key.key(layout.MANIFEST)
    assert "verified before" in problem.what


def test_a_problem_is_the_same_whoever_found_it_and_kept_once(repo: Repo) -> None:
    evidence, key = repo.evidence(), repo.taken[0].manifest.key
    where = key.key("history.bundle")
    error = Damaged(f"{where}: it is missing", key=where)
    for problem in (Problem(where, "it is missing"), Problem.of(error, key.folder)):
        evidence.note(key, problem)
    assert evidence.problems(key) == (Problem(where, "it is missing"),)


def test_a_problem_names_its_place_once() -> None:
    assert str(Problem("r/x", "it is missing")) == "r/x: it is missing"
    assert str(Problem("r/x", "the manifest of r/x cannot be used")) == "the manifest of r/x cannot be used"


class Counting(Cancel):
    """Counts how often work asks whether to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def check(self) -> None:
        self.asked += 1
        super().check()


def test_what_a_run_scanned_is_not_read_again_for_a_snapshot_that_shares_its_scan(tmp_path: Path) -> None:
    origin, lab, read = Origin(tmp_path / "x.git"), Lab(tmp_path / "store"), list[str]()
    origin.commit(files={"a.py": b"a = 1\n"})
    scanned = options(scan_options())
    taken = [lab.take(origin, scanned), lab.take(origin, scanned)]
    evidence = Repo(lab, taken).evidence(store=StreamingStore(lab.store, read.append))
    for sealed in taken:
        assert evidence.check_objects(sealed.manifest.key, segments=True) == ()
    assert sorted(read) == sorted(artifact.key for artifact in taken[0].manifest.artifacts)


@pytest.fixture
def quiet(repo: Repo, tmp_path: Path) -> Repo:
    """A repo that nothing happens in: twenty more snapshots with the same refs."""
    origin = Origin.at(tmp_path / "origin.git")
    repo.taken += [repo.lab.take(origin) for _ in range(20)]
    assert {sealed.manifest.kind for sealed in repo.taken[2:]} == {"unchanged"}
    return repo


def test_each_step_along_the_parents_is_taken_once(quiet: Repo) -> None:
    evidence, steps = quiet.evidence(), Counting()
    for sealed in quiet.taken:
        assert evidence.check_parents(Outline.of(sealed), steps) == ()
    assert steps.asked == len(quiet.taken)


def test_damage_behind_a_step_that_was_taken_before_is_told_again(quiet: Repo) -> None:
    quiet.forge(5, labels={"a": "b"})
    evidence = quiet.evidence()
    found = [evidence.check_parents(Outline.of(sealed)) for sealed in quiet.taken]
    assert [len(problems) for problems in found] == [0] * 6 + [1] * 17
    assert len({problems[0] for problems in found if problems}) == 1


def test_a_quick_verification_asks_the_store_for_one_object_more_for_each_unchanged_snapshot(
    quiet: Repo,
) -> None:
    counts = []
    for number in (10, 20):
        store = RecordingStore(quiet.lab.store)
        runs = quiet.lab.catalog.snapshots(quiet.taken[0].manifest.repo)[:number]
        options = VerifyOptions(quick=True, receipts=False)
        assert all(verdict.ok for verdict in verify(Catalog(store), runs[0].key.repo, runs, options))
        counts.append(len(store.calls))
    assert counts[1] - counts[0] == 10


def test_only_the_last_ledger_is_held_and_one_that_snapshots_share_is_read_once(quiet: Repo) -> None:
    store = RecordingStore(quiet.lab.store)
    evidence = quiet.evidence(store=store)
    outlines = [Outline.of(sealed) for sealed in quiet.taken]
    ledgers = [weakref.ref(ledger) for each in outlines if (ledger := evidence.ledger(each)) is not None]
    gc.collect()
    assert [ledger() is None for ledger in ledgers] == [True] + [False] * 22
    assert [evidence.check_ledger(each) for each in outlines] == [()] * 23
    assert len([key for method, key in store.calls if method == "get"]) == 2


def test_what_was_not_read_to_its_end_counts_as_unread(repo: Repo) -> None:
    evidence, key, stopped = repo.evidence(), repo.taken[0].manifest.key, Cancel()
    repo.file(0, layout.REFS).write_bytes(b"?" * repo.taken[0].manifest.artifacts[-1].bytes)
    stopped.cancel(Unavailable("it took too long"))
    with pytest.raises(Unavailable, match="too long"):
        evidence.check_objects(key, segments=True, cancel=stopped)
    assert evidence.unread(key) > 0
    assert len(evidence.check_objects(key, segments=True)) == 1


def test_a_manifest_s_list_of_foreign_objects_is_a_problem_and_none_is_looked_for(repo: Repo) -> None:
    manifest = repo.taken[0].manifest
    elsewhere = [
        structs.replace(manifest.artifacts[0], key=f"r/2024/03/01/20240301T1200{n:02}Z-00000000/x")
        for n in range(50)
    ]
    repo.forge(0, artifacts=elsewhere)
    store = RecordingStore(repo.lab.store)
    problems = repo.evidence(store=store).check_objects(manifest.key, segments=True)
    assert len(problems) == 50
    assert "it lists what is not its own" in problems[0].what
    assert [method for method, _ in store.calls if method == "list"] == ["list"]


def test_of_very_many_problems_of_a_run_the_first_thousand_are_kept(repo: Repo) -> None:
    evidence, key = repo.evidence(), repo.taken[0].manifest.key
    for number in range(1100):
        evidence.note(key, Problem(key.folder, f"problem {number}"))
    assert [problem.what for problem in evidence.problems(key)] == [f"problem {n}" for n in range(1000)]
