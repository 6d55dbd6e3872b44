"""Repositories that an attacker made: the snapshot stands, every path has its row or its reason, nothing is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snapshotter.archive.sealed import Sealed
from snapshotter.scan import listing
from snapshotter.scan.staging import private_folder
from tests.support import hostile
from tests.support.cli import Done, cli, cli_env, command
from tests.support.git import Origin
from tests.support.hostile import BOMBS, FILE, HTML, NAMES, TREE
from tests.support.lab import Lab
from tests.support.scans import options, quickly, rows, rule_cache, scan_of, scan_options

MIB = 1 << 20


@dataclass(frozen=True)
class Taken:
    """A snapshot by a process: what it said, how much memory it took at most, and its store."""

    done: Done
    peak: int
    lab: Lab

    @property
    def sealed(self) -> Sealed:
        run = self.lab.catalog.latest(self.done.json["repo"])
        assert run is not None
        return self.lab.catalog.manifest(run.key)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return rows(self.lab, self.sealed, sql)

    def gaps(self) -> dict[str, int]:
        return {gap.kind: gap.count for gap in scan_of(self.sealed).gaps}


# Runs the arguments after the first and writes their peak to the first, in bytes. A small process between: a child's
# peak begins with the memory of the process that started it, and that of the tests grows with each test.
MEASURED = """
import os, sys
from pathlib import Path
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
Path(sys.argv[1]).write_text(str(used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def take(origin: Origin, folder: Path, **env: str) -> Taken:
    """`snapshotter snapshot` in a process of its own; the peak is that of it and of its children."""
    temp = folder / "temp"
    temp.mkdir(parents=True)
    env = {
        "SNAPSHOTTER_RULE_CACHE": str(rule_cache()),
        "SNAPSHOTTER_TEMP": str(temp),
        "TMPDIR": str(temp),
    } | env
    argv = command("snapshot", origin.path, "--store", folder / "store", "--scan", "--json")
    measured = [sys.executable, "-c", MEASURED, str(folder / "peak"), *argv]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        code = subprocess.run(measured, env=cli_env(**env), stdout=out, stderr=err, check=False).returncode
    done = Done(code, (folder / "out").read_text(), (folder / "err").read_text())
    assert done.code == 0, done.err
    assert list(temp.iterdir()) == []
    return Taken(done, int((folder / "peak").read_text()), Lab(folder / "store"))


@pytest.fixture(scope="module")
def horrors(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("horrors")
    return take(hostile.horrors(folder / "x.git"), folder)


def test_the_snapshot_stands_and_verifies(horrors: Taken) -> None:
    assert horrors.sealed.manifest.scan is not None, horrors.sealed.manifest.gaps
    horrors.lab.assert_whole(horrors.sealed)


def test_every_name_has_its_row_as_it_is(horrors: Taken) -> None:
    found = dict(horrors.rows("SELECT path, kind FROM files WHERE path NOT LIKE 'deep/%'"))
    for path in NAMES.values():
        assert found[path] == "file", repr(path)
    assert found[".git/config"] == "file"
    assert dict(horrors.rows("SELECT path, path_bytes FROM files WHERE path_bytes IS NOT NULL")) == {
        "\\xff\\xfe.py": "//4ucHk="
    }


def test_links_are_rows_and_nothing_of_their_targets_is_read(horrors: Taken) -> None:
    found = horrors.rows("SELECT path, bytes, lines FROM files WHERE kind = 'symlink' ORDER BY path")
    assert found == [(path, None, None) for path in ("passwd", "self", "up.py", "zero")]
    first = Path("/etc/passwd").read_bytes().splitlines()[0]
    for artifact in horrors.sealed.manifest.artifacts:
        assert first not in horrors.lab.store.get(artifact.key)


def test_what_could_not_be_listed_is_a_gap(horrors: Taken) -> None:
    gaps = horrors.gaps()
    assert gaps["odd-paths"] == 3  # twice dup.py, and the one whose folders are too long
    assert gaps["submodules"] == 2
    assert gaps["lfs"] == 1
    assert horrors.rows("SELECT count(*) FROM files WHERE path = 'dup.py'") == [(1,)]
    assert horrors.rows("SELECT count(*) FROM files WHERE path LIKE 'deep/d/%'") == [(1,)]


def test_modes_that_are_none_are_skipped_and_said(horrors: Taken) -> None:
    found = dict(
        horrors.rows(
            "SELECT path, skip_reason FROM files WHERE path IN ('device', 'socket', 'odd', 'group.py')"
        )
    )
    assert found == {
        "device": "of no known mode (20666)",
        "socket": "of no known mode (140000)",
        "odd": "of no known mode (1)",
        "group.py": None,
    }


def test_pointers_of_absurd_size_are_what_they_say_or_files(horrors: Taken) -> None:
    found = horrors.rows(
        "SELECT path, kind, lfs_bytes FROM files WHERE path IN ('absurd.bin', 'more.bin') ORDER BY 1"
    )
    assert found == [("absurd.bin", "lfs", 999_999_999_999_999_999), ("more.bin", "file", None)]


def test_every_bomb_is_told_and_costs_nothing_else(horrors: Taken) -> None:
    found = {
        path: (skipped, error)
        for path, skipped, error in horrors.rows("SELECT path, skip_reason, parse_error FROM files")
        if path in BOMBS
    }
    assert found.keys() == BOMBS.keys()
    assert {skipped for skipped, _ in found.values()} == {None}
    said = {path for path, (_, error) in found.items() if error}
    harmless = {"many/requirements.txt", "wide.py"}
    assert {path for path in BOMBS if path.rpartition("/")[2] in _MANIFESTS} - harmless <= said
    assert horrors.rows("SELECT count(*) FROM dependencies WHERE path = 'many/requirements.txt'") in (
        [(200_000,)],
        [(0,)],
    )
    assert horrors.rows("SELECT name FROM symbols WHERE path = 'con.py'") == [("f",)]


_MANIFESTS = {path.rpartition("/")[2] for path in BOMBS} - {
    "parens.py",
    "braces.js",
    "angles.cpp",
    "wide.py",
    "line.js",
}


def test_nothing_that_people_see_holds_markup_or_control_characters(horrors: Taken) -> None:
    scan = scan_of(horrors.sealed)
    report, text = (horrors.lab.store.get(_key(scan, name)).decode() for name in ("report.html", "digest.md"))
    for markup in ("<script>alert", "<img", "<svg onload", '="javascript:', "onerror=alert(1)>"):
        assert markup not in report
    assert "&lt;script&gt;alert" in report
    for said in (report, text, horrors.done.err):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", said)
    assert json.loads(horrors.done.out)["scan"]


def _key(scan: Any, name: str) -> str:
    return next(artifact.key for artifact in scan.artifacts if artifact.name == name)


def test_people_are_told_in_plain_text_too(horrors: Taken) -> None:
    shown = cli("show", horrors.done.json["repo"], "--store", horrors.lab.root)
    assert shown.code == 0, shown.err
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown.out)


def test_its_memory_is_bounded(horrors: Taken) -> None:
    assert horrors.peak < 1000 * MIB, horrors.peak // MIB


def test_texts_with_markup_are_in_the_tables_as_they_are(horrors: Taken) -> None:
    assert set(HTML) <= {path for (path,) in horrors.rows("SELECT path FROM files")}
    docs = {doc for (doc,) in horrors.rows("SELECT doc FROM symbols WHERE path = 'doc.py' AND name = 'f'")}
    assert docs == {f"{hostile.SCRIPT} {hostile.IMAGE}"}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    origin = Origin(tmp_path_factory.mktemp("sparse") / "x.git")
    zeros, small = hostile.sparse(origin, 2048 * MIB), origin.blob(b"x = 1\n")
    hostile.commit(origin, hostile.tree(origin, [(FILE, b"a.py", small), (FILE, b"zeros", zeros)]))
    return origin


@pytest.mark.parametrize("allowed", [True, False], ids=["filtered", "unfiltered"])
def test_two_gibibytes_of_zeros_are_a_row_with_a_reason(
    sparse: Origin, tmp_path: Path, allowed: bool
) -> None:
    sparse.git("config", "uploadpack.allowFilter", str(allowed).lower())
    taken = take(sparse, tmp_path / "lab")
    assert taken.rows("SELECT path, bytes, skip_reason FROM files ORDER BY path") == [
        ("a.py", 6, None),
        ("zeros", None, "larger than 4,194,304 bytes, or not sent by the origin"),
    ]
    assert taken.peak < 600 * MIB, taken.peak // MIB


def test_a_million_files_are_listed_up_to_the_limit(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    source = origin.blob(b"x = 1\n")
    inner = hostile.tree(origin, [(FILE, b"f%03d.py" % n, source) for n in range(1000)])
    hostile.commit(origin, hostile.tree(origin, [(TREE, b"d%03d" % n, inner) for n in range(1000)]))
    taken = take(origin, tmp_path / "lab", SNAPSHOTTER_SCAN_MAX_FILES="10000")
    found = taken.rows("SELECT skip_reason, count(*) FROM files GROUP BY 1 ORDER BY 1 NULLS FIRST")
    assert found == [(None, 10_000), ("over the limit of 10,000 files", 10_000)]
    assert taken.gaps() == {"files-skipped": 10_000, "tree-cut": 1}
    assert taken.peak < 600 * MIB, taken.peak // MIB
    taken.lab.assert_whole(taken.sealed)


Make = Callable[[Origin, str], str]
BOMBED: dict[str, Make] = {
    "doubling": lambda origin, blob: hostile.nested(origin, 60, leaf(origin, blob), copies=2),
    "doubling, empty": lambda origin, _: hostile.nested(origin, 60, hostile.tree(origin, []), copies=2),
    "long folders": lambda origin, blob: hostile.nested(
        origin, 4, hostile.tree(origin, [(FILE, b"%d.py" % n, blob) for n in range(20_000)]), name=b"x" * 4000
    ),
    "many of one name": lambda origin, blob: hostile.tree(
        origin, [(TREE, b"d", hostile.tree(origin, [(FILE, b"f.py", blob)] * 20_000))] * 100
    ),
    "very deep": lambda origin, blob: hostile.nested(origin, 9000, leaf(origin, blob)),
}


def leaf(origin: Origin, blob: str) -> str:
    return hostile.tree(origin, [(FILE, b"f.py", blob)])


@pytest.mark.parametrize("bomb", BOMBED)
def test_a_bomb_of_trees_ends_at_the_limits(tmp_path: Path, bomb: str) -> None:
    origin = Origin(tmp_path / "x.git")
    hostile.commit(origin, BOMBED[bomb](origin, origin.blob(b"x = 1\n")))
    taken = take(origin, tmp_path / "lab", SNAPSHOTTER_SCAN_MAX_FILES="5000")
    assert taken.peak < 800 * MIB, taken.peak // MIB
    gaps = taken.gaps()
    assert gaps.get("tree-cut") == 1 or gaps.get("odd-paths"), gaps
    assert taken.rows("SELECT count(*) FROM files")[0][0] <= 10_000


def test_a_malformed_tree_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git refuses to send one, so it comes from a server of the attacker's own: here, by the reader's eyes."""
    quickly(monkeypatch)
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit()
    tree = "1" * 40
    monkeypatch.setattr(
        "snapshotter.capture.commit_tree.walk",
        lambda *_, **__: listing.walk({tree: b"100644 a"}, "2" * 40, tree, limit=9),
    )
    taken = lab.take(origin, options())
    assert taken.manifest.scan is None
    assert [(gap.kind, gap.sample) for gap in taken.manifest.gaps] == [
        ("scan", ["the tree cannot be read: a tree object is malformed"])
    ]
    lab.assert_whole(taken)


def test_a_commit_whose_tree_is_missing_has_no_history_and_so_no_snapshot(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    hostile.commit(origin, "11" * 20)
    done = cli("snapshot", origin.path, "--store", tmp_path / "store", "--scan")
    assert done.code == 4, done.err
    assert not list((tmp_path / "store").rglob("manifest.json"))


def test_memory_that_runs_out_is_a_gap(tmp_path: Path) -> None:
    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit()
    taken = lab.take(origin, options(scan_options(temp=tmp_path, resources={"count_lines": starve})))
    assert [gap.sample for gap in taken.manifest.gaps] == [["unexpected MemoryError"]]
    with private_folder(tmp_path):
        pass
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("snapshotter-")]
