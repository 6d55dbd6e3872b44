"""LFS from end to end, with the real git-lfs client as writer and as second reader."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfshost import LfsHost
from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.cli import describe
from tests.support.cli import cli
from tests.support.git import Origin, git
from tests.support.lab import Lab
from tests.support.lfs import add, contents, git_lfs, lfs_of, pointer_to
from tests.support.scans import options, quickly, scan_options

WITH = CaptureOptions(lfs=LfsOptions(), segment_bytes=64 * 1024)

SCANNED = dataclasses.replace(options(scan_options()), lfs=LfsOptions())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LfsHost]:
    with LfsHost(tmp_path / "srv", config={"http.receivepack": "true"}) as host:
        yield host


class Author:
    """Somebody who works with git-lfs."""

    def __init__(self, host: LfsHost, folder: Path) -> None:
        self.folder = folder
        Origin(host.root / "x.git")
        git_lfs(None, "clone", "-q", host.url("x.git"), folder)
        git_lfs(folder, "lfs", "install", "--local")
        git_lfs(folder, "lfs", "track", "*.bin")

    def commit(self, files: dict[str, bytes | None], branch: str) -> None:
        """Commit to a branch, made where there is none, and push it with its objects."""
        git_lfs(self.folder, "checkout", "-q", "-B", branch, check=False)
        for name, data in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if data is None else path.write_bytes(data)
        git_lfs(self.folder, "add", "-A")
        git_lfs(self.folder, "commit", "-q", "--allow-empty", "-m", "work")
        git_lfs(self.folder, "push", "-q", "--force", "origin", branch)


def checked_out(folder: Path, commit: str) -> dict[str, bytes]:
    """The files of a commit as git-lfs checks them out, by what the repository itself holds."""
    git_lfs(folder, "config", "--replace-all", "remote.origin.url", "https://127.0.0.1:1/no-network")
    git_lfs(folder, "lfs", "install", "--local")
    git_lfs(folder, "checkout", "-q", "--force", commit)
    git_lfs(folder, "lfs", "checkout")
    return contents(folder)


@pytest.mark.parametrize("seed", range(2))
def test_every_snapshot_of_a_random_history_checks_out_as_its_author_had_it(
    lab: Lab, host: LfsHost, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    author = Author(host, tmp_path / "author")
    moments: list[tuple[Sealed, str, dict[str, bytes]]] = []
    names = [
        f"{folder}{number}.{end}"
        for folder in ("", "a/", "b/c/")
        for number in range(3)
        for end in ("bin", "txt")
    ]
    for step in range(24):
        sizes = [0, 1, 900, 5_000, 66_000, 200_000]
        files: dict[str, bytes | None] = {
            name: None if chance.random() < 0.2 else chance.randbytes(chance.choice(sizes))
            for name in chance.sample(names, chance.randint(1, 4))
        }
        author.commit(files, chance.choice(["main", "main", "side", "other"]))
        if step % 3 == 2:
            taken = lab.take(host.url("x.git"), WITH)
            tip = git(author.folder, "rev-parse", "HEAD").decode().strip()
            moments.append((taken, tip, contents(author.folder)))
    for number, (taken, tip, files_then) in enumerate(moments):
        assert not [gap for gap in taken.manifest.gaps if gap.kind.startswith("lfs")]
        assert lfs_of(taken).held == lfs_of(taken).objects
        made = tmp_path / f"restored-{number}"
        lab.restore(taken, made, mode="worktree")
        assert checked_out(made, tip) == files_then
    lab.assert_whole(moments[0][0])
    stored = [entry.key for entry in lab.store.list("_lfs")]
    assert len({key.split("/")[4][:64] for key in stored}) == lfs_of(moments[-1][0]).objects


def test_every_verb_tells_of_lfs(host: LfsHost, tmp_path: Path) -> None:
    origin = Origin(host.root / "x.git")
    add(host, origin, b"one", b"two")
    origin.commit(files={"gone.bin": pointer_to(b"gone")})
    url, store = host.url("x.git"), ["--store", str(tmp_path / "store")]
    told = "LFS 2 of 3 objects, 6 B"
    taken = cli("snapshot", url, *store)
    assert taken.code == 0 and told in taken.out and "gap: lfs-not-found, 1 (like " in taken.out
    assert told in cli("show", url, *store).out
    listed = cli("list", *store)
    assert "2 of 3 objects, 6 B" in listed.out and listed.out.splitlines()[0].split()[-2] == "LFS"
    (row,) = cli("list", *store, "--json").json["snapshots"]
    assert (row["lfs_objects"], row["lfs_held"]) == (3, 2)
    restored = cli("restore", url, tmp_path / "out", *store)
    assert restored.code == 0 and told in restored.out and "git lfs checkout" in restored.out
    proven = cli("verify", url, *store)
    assert proven.code == 0 and f"ref, {told}, " in proven.out
    (verdict,) = cli("verify", url, "--quick", *store, "--json").json["snapshots"]
    assert [verdict[name] for name in ("lfs_objects", "lfs_held", "lfs_bytes")] == [3, 2, 6]
    asked = cli("query", "SELECT lfs_objects, lfs_held, lfs_bytes FROM snapshots", *store, "--json").json
    assert asked["rows"] == [{"lfs_objects": 3, "lfs_held": 2, "lfs_bytes": 6}]
    job = json.dumps({"origin": url, "store": store[1]})
    (result,) = cli("job", SNAPSHOTTER_JOB=job, SNAPSHOTTER_SCAN="0").json["origins"]
    assert [result[name] for name in ("kind", "lfs_objects", "lfs_held")] == ["unchanged", 3, 2]
    key = next(path for path in (tmp_path / "store" / "_lfs").rglob("*") if path.is_file())
    key.write_bytes(b"bad")
    assert cli("verify", url, *store).code == 1
    damaged = cli("restore", url, tmp_path / "damaged", *store)
    assert damaged.code == 1 and "1 damaged in the store" in damaged.out and (tmp_path / "damaged").is_dir()


def pages(lab: Lab, taken: Sealed) -> list[bytes]:
    """The report and the digest of a snapshot."""
    assert taken.manifest.scan
    artifacts = [taken.manifest.scan.artifact(name) for name in ("report.html", "digest.md")]
    return [lab.catalog.artifact(artifact) for artifact in artifacts if artifact]


def test_report_and_digest_tell_what_the_snapshot_holds(
    host: LfsHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, lab = Origin(host.root / "x.git"), Lab(tmp_path / "store")
    add(host, origin, b"one", b"two")
    origin.commit(files={"gone.bin": pointer_to(b"gone")})
    quickly(monkeypatch)
    taken = lab.take(host.url("x.git"), SCANNED)
    report, digest = pages(lab, taken)
    assert b"<dt>LFS</dt><dd>2 of 3 objects, 6 B</dd>" in report
    assert b"\n- LFS: 2 of 3 objects, 6 B in the snapshot" in digest
    told = "\n".join(describe.snapshot(taken.manifest, "the store"))
    assert "  gap: lfs-not-found, 1 (like " in told
    assert "  gap of the scan: lfs, 3 (like " in told, "of which the snapshot lacks but one"


def test_where_nothing_is_in_lfs_no_page_speaks_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit()
    quickly(monkeypatch)
    assert not any(b"LFS" in page for page in pages(lab, lab.take(origin, SCANNED)))


def test_lfs_is_left_out_where_it_is_not_wanted(host: LfsHost, tmp_path: Path) -> None:
    origin = Origin(host.root / "x.git")
    add(host, origin, b"one")
    url, store = host.url("x.git"), ["--store", str(tmp_path / "store"), "--json"]
    assert "lfs" not in cli("snapshot", url, *store, "--no-lfs").json
    assert "lfs" not in cli("snapshot", url, *store, SNAPSHOTTER_LFS="none").json
    assert not host.lfs_requests
    assert cli("snapshot", url, *store, "--lfs", "tips").json["lfs"]["searched"] == "tips"
    assert cli("snapshot", url, *store, "--lfs", "tips", "--no-lfs").code == 2
    assert cli("snapshot", url, *store, SNAPSHOTTER_LFS="some").code == 2
