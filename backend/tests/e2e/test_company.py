"""Others in the same store: runs at once, runs that ended early, origins of one name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.errors import Unavailable
from snapshotter.git.origin_parsing import parse
from snapshotter.recover.verify import VerifyOptions
from snapshotter.store.opening import open_store
from tests.support.cli import cli_env, command
from tests.support.faults import Interposed
from tests.support.git import Origin, state_of
from tests.support.lab import Lab, check


def replace_manifest(lab: Lab, taken: Sealed, data: bytes) -> None:
    lab.file(taken.manifest.key.key(layout.MANIFEST)).write_bytes(data)


def test_two_runs_at_once(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """Both build on one parent, of the same second, and both are whole; so is what comes after."""
    lab.take(origin)
    origin.commit()
    states, taken = [origin.state], []

    def another() -> None:
        origin.commit("refs/heads/other")
        states.append(origin.state)
        taken.append(lab.take(origin, advance=timedelta()))

    taken.append(lab.take(origin, wrap=lambda inner: Interposed(inner, fetching=another)))
    other, first = taken
    assert first.manifest.parent == other.manifest.parent
    assert first.manifest.chain[0] == other.manifest.chain[0]
    assert lab.restored(first, tmp_path / "first.git") == states[0]
    assert lab.restored(other, tmp_path / "other.git") == states[1]
    origin.commit()
    after = lab.take(origin)
    assert after.manifest.kind == "increment"
    check(lab, origin, after, tmp_path)
    # Damage to either branch of the family is found.
    for sealed in taken:
        path = lab.file(sealed.manifest.key.key(layout.HISTORY))
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        bad = {str(v.run.run_id) for v in lab.verify(after, VerifyOptions(receipts=False)) if not v.ok}
        assert bad == {
            s.manifest.run_id for s in (first, other, after) if sealed.manifest.run_id in s.manifest.chain
        }
        path.write_bytes(good)


def test_two_processes_at_once(origin: Origin, tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            command("snapshot", origin.path, "--store", tmp_path / "store"),
            env=cli_env(),
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    lab = Lab(tmp_path / "store")
    repo = parse(str(origin.path)).repo
    assert len(lab.catalog.snapshots(repo)) == 3
    lab.assert_whole(repo)


def test_two_origins_of_one_store_do_not_mix(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = lab.take(origin)
    foreign = replace(parse(str(origin.path)), path="/somewhere/else")
    manifest = msgspec.structs.replace(taken.manifest, origin=foreign.url)
    replace_manifest(lab, taken, seal(manifest).data)
    with pytest.raises(Unavailable) as caught:
        lab.take(origin)
    assert caught.value.code == "repo-collision"


def test_runs_without_a_manifest_are_passed_over(lab: Lab, origin: Origin) -> None:
    first = lab.take(origin)
    aborted = RunKey(first.manifest.repo, RunId.new(lab.now + timedelta(minutes=1)))
    lab.store.put_new(aborted.key(layout.HISTORY), b"half")
    lab.store.put_new(f"{first.manifest.repo}/2024/03/01/notes.txt", b"somebody's")
    taken = lab.take(origin)
    assert taken.manifest.kind == "unchanged"
    assert taken.manifest.parent.run_id == first.manifest.run_id  # type: ignore[union-attr]
    assert [run.key for run in lab.catalog.snapshots(first.manifest.repo)] == [
        first.manifest.key,
        taken.manifest.key,
    ]


def test_a_memory_store_holds_a_chain_too(origin: Origin, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "none")
    lab.__dict__["store"] = open_store("memory:")
    lab.take(origin)
    origin.commit()
    taken = lab.take(origin)
    assert lab.restored(taken, tmp_path / "r.git") == state_of(origin.path)
    lab.assert_whole(taken)
