"""Whatever happens to a stored object, `verify` finds it, names it, says what rests on it, and the next
snapshot does not build on it."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from msgspec import structs

from snapshotter.archive import layout
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.errors import Finding, SnapshotterError
from snapshotter.capture.options import CaptureOptions
from snapshotter.recover.verify import VerifyOptions
from tests.support.cli import cli_env, command
from tests.support.git import Origin
from tests.support.lab import Lab

SMALL = CaptureOptions(segment_bytes=64 * 1024)


@dataclass
class Stored:
    """A repo with base (several segments), two increments (the second with several segments), unchanged."""

    lab: Lab
    origin: Origin
    taken: list[Sealed]

    @property
    def repo(self) -> str:
        return self.taken[0].manifest.repo

    def key(self, run: int, name: str) -> str:
        """Where an object of one of the runs lies."""
        return self.taken[run].manifest.key.key(name)

    def copy(self, where: Path) -> Stored:
        copytree(self.lab.root, where)
        return replace(self, lab=Lab(where, now=self.lab.now))

    def resting_on(self, key: str) -> list[str]:
        """The run ids whose restore needs the object, or whose record it is."""
        run_id = key.split("/")[-2]
        return [
            sealed.manifest.run_id
            for sealed in self.taken
            if run_id
            in {sealed.manifest.run_id, *sealed.manifest.chain, sealed.manifest.refs.artifact.split("/")[-2]}
        ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("damage")
    origin = Origin(folder / "x.git")
    noise, number = random.Random(14), count()

    def big(kib: int) -> dict[str | bytes, bytes]:
        return {f"big{next(number)}": noise.randbytes(kib * 1024)}

    lab = Lab(folder / "store")
    origin.commit(files=big(300))
    taken = [lab.take(origin, SMALL)]
    origin.commit()
    origin.git("tag", "-a", "-m", "one", "v1", "main")
    taken.append(lab.take(origin, SMALL))
    origin.commit(files=big(100))
    taken.append(lab.take(origin, SMALL))
    taken.append(lab.take(origin, SMALL))
    assert [sealed.manifest.kind for sealed in taken] == ["base", "increment", "increment", "unchanged"]
    assert len(taken[0].manifest.history.segments) > 3  # type: ignore[union-attr]
    assert len(taken[2].manifest.history.segments) > 1  # type: ignore[union-attr]
    return Stored(lab, origin, taken)


def objects(stored: Stored) -> list[str]:
    return [entry.key for entry in stored.lab.store.list("")]


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 0x01
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


HARMS: dict[str, Callable[[Path], None]] = {
    "flip the first": lambda path: flip(path, 0),
    "flip the middle": flip,
    "flip the last": lambda path: flip(path, 1),
    "truncate": truncate,
    "empty": lambda path: path.write_bytes(b"") and None,
    "grow": lambda path: path.write_bytes(path.read_bytes() + b"\n") and None,
    "remove": Path.unlink,
}


# What the fixture stores: which run of it, and the object's name.
OBJECTS = [
    *((0, f"history.bundle.{n:04}") for n in range(5)),
    (1, "history.bundle"),
    *((2, f"history.bundle.{n:04}") for n in range(2)),
    *((run, "refs.txt") for run in range(3)),
    *((run, "manifest.json") for run in range(4)),
]
# Every harm to every object, but one: without its manifest the newest run is no snapshot.
DAMAGES = [
    (run, name, harm)
    for run, name in OBJECTS
    for harm in HARMS
    if (run, name, harm) != (3, "manifest.json", "remove")
]


def test_the_objects_to_harm_are_all_that_is_stored(stored: Stored) -> None:
    assert sorted(stored.key(run, name) for run, name in OBJECTS) == objects(stored)
    stored.lab.assert_whole(stored.repo)


@pytest.mark.parametrize(("run", "name", "harm"), DAMAGES)
def test_a_harm_is_found_by_digests(stored: Stored, run: int, name: str, harm: str) -> None:
    check_found(stored, run, name, harm, quick=True)


# A third of them: a replay costs more, and the digests are the same code.
@pytest.mark.parametrize(("run", "name", "harm"), DAMAGES[::3])
def test_a_harm_is_found_by_a_replay(stored: Stored, run: int, name: str, harm: str) -> None:
    check_found(stored, run, name, harm, quick=False)


def check_found(stored: Stored, run: int, name: str, harm: str, *, quick: bool) -> None:
    """Every snapshot that rests on the object is bad, the object is named, and no other is."""
    key = stored.key(run, name)
    with harmed(stored, key, harm):
        verdicts = stored.lab.verify(stored.repo, VerifyOptions(quick=quick, receipts=False))
    bad = {str(verdict.run.run_id) for verdict in verdicts if not verdict.ok}
    gone = {key.split("/")[-2]} if (harm, name) == ("remove", layout.MANIFEST) else set()
    assert bad >= set(stored.resting_on(key)) - gone
    said = {str(problem) for verdict in verdicts for problem in verdict.problems}
    assert any(key in problem or _manifest_of(key) in problem for problem in said)
    assert [other for other in objects(stored) if other != key and any(other in p for p in said)] == []


@contextmanager
def harmed(stored: Stored, key: str, harm: str) -> Iterator[None]:
    """One stored object is not what it was, until the block ends."""
    path = stored.lab.file(key)
    kept = path.read_bytes()
    HARMS[harm](path)
    try:
        yield
    finally:
        path.write_bytes(kept)


def _manifest_of(key: str) -> str:
    """How a problem names a manifest that does not read."""
    folder, _, name = key.rpartition("/")
    return f"the manifest of {folder} " if name == layout.MANIFEST else key


def run_json(stored: Stored, *argv: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        command(*argv, "--json", "--store", stored.lab.root),
        capture_output=True,
        text=True,
        env=cli_env(),
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("place", "harm"),
    [
        ((0, "history.bundle.0002"), "flip the middle"),
        ((0, "history.bundle.0002"), "remove"),
        ((1, "refs.txt"), "flip the middle"),
        ((1, "refs.txt"), "remove"),
        ((0, "manifest.json"), "flip the middle"),
        ((0, "manifest.json"), "remove"),
        ((3, "manifest.json"), "flip the middle"),
    ],
)
def test_a_failed_verification_says_so_and_the_next_snapshot_is_a_base(
    stored: Stored, tmp_path: Path, place: tuple[int, str], harm: str
) -> None:
    copy = stored.copy(tmp_path / "store")
    which, name = place
    key = copy.taken[which].manifest.key.key(name)
    HARMS[harm](copy.lab.file(key))
    code, document, stderr = run_json(copy, "verify", copy.repo)
    assert code == 1
    assert document["ok"] is False
    assert document["error"]["code"] == "damaged"
    assert "hint: " in stderr
    assert "affected" in document
    gone = {copy.taken[which].manifest.run_id} if (name, harm) == (layout.MANIFEST, "remove") else set()
    expected = {f"{copy.repo}@{run_id}" for run_id in copy.resting_on(key) if run_id not in gone}
    assert set(document["affected"]) == expected
    for row in document["snapshots"]:
        receipt = json.loads(copy.lab.file(row["receipt"]).read_bytes())
        assert receipt["ok"] is row["ok"]
        assert receipt["problems"] == row["problems"]
    # The next snapshot of the same, unchanged origin does not build on it, and is whole.
    following = copy.lab.take(copy.origin, SMALL)
    assert following.manifest.kind == "base"
    assert copy.lab.restored(following, tmp_path / "r.git") == copy.origin.state
    (verdict,) = [v for v in copy.lab.verify(copy.repo) if v.run == following.manifest.key]
    assert verdict.ok, verdict.problems
    # And the one after that builds on the good one.
    assert copy.lab.take(copy.origin, SMALL).manifest.kind == "unchanged"


def test_text_output_names_the_object_and_the_affected_snapshots(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    key = copy.taken[1].manifest.key.key("history.bundle")
    flip(copy.lab.file(key))
    done = subprocess.run(
        command("verify", copy.repo, "--store", copy.lab.root),
        capture_output=True,
        text=True,
        env=cli_env(),
        check=False,
    )
    assert done.returncode == 1
    assert f"{key}: its bytes are not what was written (SHA-256 differs)" in done.stdout
    affected = done.stdout.partition("affected snapshots:")[2]
    assert [sealed.manifest.run_id in affected for sealed in copy.taken] == [False, True, True, True]
    assert done.stdout.count("ok  ") == 1
    assert "damaged: 3 of 4 snapshots checked" in done.stderr


def test_a_manifest_replaced_by_another_runs_is_found(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    newest, other = (copy.taken[n].manifest.key.key(layout.MANIFEST) for n in (3, 0))
    copy.lab.file(newest).write_bytes(copy.lab.file(other).read_bytes())
    code, document, _ = run_json(copy, "verify", copy.repo)
    assert code == 1
    problems = {row["run_id"]: row["problems"] for row in document["snapshots"]}
    assert any("it is the record of" in problem for problem in problems[copy.taken[3].manifest.run_id])
    assert all(problems[sealed.manifest.run_id] == [] for sealed in copy.taken[:3])
    assert copy.lab.take(copy.origin, SMALL).manifest.kind == "base"


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_forged_manifest_breaks_the_hash_chain(stored: Stored, tmp_path: Path, which: int) -> None:
    """Whoever edits a manifest and seals it anew is found by the child's record of its digest."""
    copy = stored.copy(tmp_path / "store")
    manifest = copy.taken[which].manifest
    forged = seal(
        manifest.__class__(
            **{f: getattr(manifest, f) for f in manifest.__struct_fields__} | {"labels": {"a": "b"}}
        )
    )
    copy.lab.file(manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    code, document, _ = run_json(copy, "verify", copy.repo, "--quick")
    assert code == 1
    (problem,) = {problem for row in document["snapshots"] for problem in row["problems"]}
    assert manifest.key.key(layout.MANIFEST) in problem
    assert "is not the manifest that" in problem


def test_a_forged_newest_manifest_is_found_by_its_receipt(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    assert run_json(copy, "verify", copy.repo)[0] == 0
    manifest = copy.taken[-1].manifest
    forged = seal(
        manifest.__class__(
            **{f: getattr(manifest, f) for f in manifest.__struct_fields__} | {"labels": {"a": "b"}}
        )
    )
    copy.lab.file(manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    code, document, _ = run_json(copy, "verify", copy.repo, "--quick")
    assert code == 1
    assert "verified before" in " ".join(document["snapshots"][-1]["problems"])


@pytest.mark.parametrize(
    ("which", "name"),
    [
        (0, "manifest.json"),
        (0, "history.bundle.0001"),
        (1, "history.bundle"),
        (2, "refs.txt"),
        (0, "*"),
        (1, "*"),
        (0, "history.bundle*"),
    ],
)
def test_a_chain_that_lost_an_object_is_not_built_on_though_nobody_verified_it(
    stored: Stored, tmp_path: Path, which: int, name: str
) -> None:
    """An expiry that forgot the chain, or a copy that lacks a folder, must not make snapshots that do not restore."""
    copy = stored.copy(tmp_path / "store")
    for lost in copy.lab.file(copy.taken[which].manifest.key.folder).glob(name):
        lost.unlink()
    following = copy.lab.take(copy.origin, SMALL)
    assert following.manifest.kind == "base"
    assert copy.taken[which].manifest.run_id in following.manifest.reason
    assert copy.lab.restored(following, tmp_path / "r.git") == copy.origin.state
    assert copy.lab.take(copy.origin, SMALL).manifest.kind == "unchanged"


@pytest.mark.parametrize("key", ["../../../../etc/passwd", "..", "", "a\0b", "x/" * 3000, "/etc/passwd"])
def test_a_forged_manifest_whose_refs_are_nowhere_is_a_finding(
    stored: Stored, tmp_path: Path, key: str
) -> None:
    """A store may refuse to look such a key up: that is no trouble of the store."""
    copy = stored.copy(tmp_path / "store")
    manifest = copy.taken[2].manifest
    forge(copy, 2, refs=structs.replace(manifest.refs, artifact=key))
    code, document, _ = run_json(copy, "verify", f"{copy.repo}@{manifest.run_id}")
    assert (code, document["snapshots"][0]["ok"]) == (1, False)


def test_a_forged_manifest_without_segments_is_a_finding(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    manifest = copy.taken[2].manifest
    assert manifest.history is not None
    forge(copy, 2, history=structs.replace(manifest.history, segments=[]))
    code, document, _ = run_json(copy, "verify", f"{copy.repo}@{manifest.run_id}")
    assert code == 1
    assert "no segments" in " ".join(document["snapshots"][0]["problems"])


def test_a_forged_manifest_whose_parent_is_no_run_is_a_finding(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    manifest = copy.taken[2].manifest
    assert manifest.parent is not None
    forge(copy, 2, parent=structs.replace(manifest.parent, run_id="../../x"))
    code, document, _ = run_json(copy, "verify", f"{copy.repo}@{manifest.run_id}")
    assert code == 1
    assert "its parent is no run" in " ".join(document["snapshots"][0]["problems"])
    newest = copy.taken[3].manifest
    code, document, _ = run_json(
        copy, "diff", f"{copy.repo}@{copy.taken[0].manifest.run_id}", f"{copy.repo}@{newest.run_id}"
    )
    assert (code, document["unknown"]["count"]) == (0, 1)


def forge(stored: Stored, which: int, **changes: Any) -> None:
    """Edit a snapshot's manifest, and seal it anew."""
    forged = seal(structs.replace(stored.taken[which].manifest, **changes))
    stored.lab.file(forged.manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)


# What the newest snapshot is restored from: its own record is not asked for again.
NEEDED = [(run, name) for run, name in OBJECTS if run < 3]


@pytest.mark.parametrize("harm", ["flip the middle", "truncate", "remove"])
@pytest.mark.parametrize(("run", "name"), NEEDED)
def test_a_restore_of_a_damaged_chain_leaves_nothing(
    stored: Stored, tmp_path: Path, run: int, name: str, harm: str
) -> None:
    (tmp_path / "out").mkdir()
    with harmed(stored, stored.key(run, name), harm), pytest.raises(SnapshotterError) as caught:
        stored.lab.restore(stored.taken[-1], tmp_path / "out" / "r.git")
    assert caught.value.exit_code in (Finding.exit_code, 4)
    assert caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_restore_keeps_an_empty_destination(stored: Stored, tmp_path: Path) -> None:
    copy = stored.copy(tmp_path / "store")
    flip(copy.lab.file(copy.taken[0].manifest.key.key("history.bundle.0001")))
    (tmp_path / "out" / "r").mkdir(parents=True)
    with pytest.raises(SnapshotterError):
        copy.lab.restore(copy.taken[0], tmp_path / "out" / "r")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["r"]


def test_what_only_a_replay_finds(tmp_path: Path) -> None:
    """Digests in order, the repository not: a blob that the origin lacked when its pack was made."""
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit(files={"a": b"a" * 100, "b": b"b" * 100})
    taken = lab.take(origin)
    origin.commit(files={"c": b"other"})
    second = lab.take(origin)
    base, key = taken.manifest, taken.manifest.key
    # A forger drops the increment's parent from the chain and seals everything anew: all digests hold.
    fields = {f: getattr(second.manifest, f) for f in second.manifest.__struct_fields__}
    forged = seal(type(base)(**fields | {"chain": [second.manifest.run_id]}))
    lab.file(second.manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    assert all(verdict.ok for verdict in lab.verify(key.repo, VerifyOptions(quick=True, receipts=False)))
    first, last = lab.verify(key.repo)
    assert first.ok
    assert not last.ok
    assert lab.take(origin, advance=timedelta(hours=1)).manifest.kind == "base"
