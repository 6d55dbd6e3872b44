import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.scan.staging import Staging, name_key

OID = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 64


def paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/b/c.py", "py"),
        ("A.PY", "py"),
        ("src/x.d.ts", "d.ts"),
        ("x.min.js", "js"),
        ("views/a.blade.php", "blade.php"),
        ("Makefile", "makefile"),
        ("sub/Dockerfile", "dockerfile"),
        ("Dockerfile.dev", "dev"),
        ("CMakeLists.txt", "cmakelists.txt"),
        ("LICENSE", "license"),
        (".bashrc", ".bashrc"),
        (".gitignore", ".gitignore"),
        ("a.gitignore", "gitignore"),
        ("a.rakefile", ""),
        ("a.makefile", "makefile"),
        ("go.mod", "mod"),
        ("package-lock.json", "json"),
        ("a.b.c++", "c++"),
        (".py", ""),
        ("README", ""),
        ("", ""),
        ("a.", ""),
        ("a.py/", ""),
        ("a.p y", ""),
        ("a.../..", ""),
        ("a.\N{LATIN SMALL LETTER E WITH ACUTE}", ""),
        ("a.\x1b[31m", ""),
        ("a.py\n", ""),
        ("a." + "x" * 33, ""),
        ("a." + "x" * 4000, ""),
        ("a.-rf", "-rf"),
    ],
)
def test_the_key_of_a_path_is_what_decides_its_language(path, key):
    assert name_key(path) == key


def test_the_layout_is_as_documented(tmp_path):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        assert staging.add(OID, "py", b"x = 1\n") == f"0/{OID}.py"
        assert staging.add(OID, "", b"x = 1\n") == f"0/{OID}"
        assert staging.add(OTHER, "makefile", b"all:") == f"whole/f/{OTHER}/makefile"
        assert staging.add(OTHER, "d.ts", b"all:") == f"f/{OTHER}.d.ts"
        assert paths(staging.root) == {
            f"blobs/0/{OID}",
            f"blobs/f/{OTHER}",
            f"lines/0/{OID}",
            f"lines/0/{OID}.py",
            f"lines/f/{OTHER}.d.ts",
            f"lines/whole/f/{OTHER}/makefile",
        }
        assert staging.read(f"0/{OID}.py") == b"x = 1\n"
        facts = staging.staged[f"0/{OID}.py"]
        assert facts == (OID, "py", 6, 1, False)
        assert staging.blobs == {OID: 6, OTHER: 4}


def test_an_equal_blob_and_key_are_staged_once(tmp_path):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        first = staging.add(OID, "py", b"x")
        file = staging.root / "lines" / first
        before = file.stat()
        assert staging.add(OID, "py", b"x") == first
        assert len(staging.staged) == 1
        assert file.stat() == before
        assert before.st_nlink == 2, "both views are one file"


def test_only_we_can_read_it(tmp_path):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        name = staging.add(OID, "py", b"x")
        assert staging.root.stat().st_mode & 0o777 == 0o700
        assert (staging.root / "lines" / name).stat().st_mode & 0o777 == 0o600


def test_a_link_in_a_blobs_place_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        staging.add(OTHER, "", b"y")
        (staging.root / "blobs" / "f" / ("f" * 40)).symlink_to(victim)
        with pytest.raises(Unavailable, match="stage a blob"):
            staging.add("f" * 40, "", b"written")
    assert victim.read_text() == "untouched"


@pytest.mark.parametrize(
    "oid", ["", "..", "/etc/passwd", "a" * 39, "A" * 40, "../" + "a" * 37, "a" * 40 + "\n"]
)
def test_what_is_no_object_id_is_refused(tmp_path, oid):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        with pytest.raises(ValueError, match="object id"):
            staging.add(oid, "py", b"")
        assert paths(staging.root) == set()


@pytest.mark.parametrize("key", ["..", "a/b", "/etc", "a.b", "PY", "py\n", "\0", "x" * 33])
def test_what_is_no_key_is_refused(tmp_path, key):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        with pytest.raises(ValueError, match="key"):
            staging.add(OID, key, b"")
        assert paths(staging.root) == set()


def test_a_discarded_blob_is_gone_under_all_its_names(tmp_path):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        staging.add(OID, "py", b"x")
        staging.add(OID, "makefile", b"x")
        kept = staging.add(OTHER, "py", b"y")
        staging.discard(OID)
        staging.discard(OID)
        assert set(staging.staged) == {kept}
        assert set(staging.blobs) == {OTHER}
        assert paths(staging.root) == {f"blobs/f/{OTHER}", f"lines/{kept}"}
        with pytest.raises(KeyError):
            staging.read(f"0/{OID}.py")
        assert staging.add(OID, "py", b"x") == f"0/{OID}.py", "and may be added again"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "0/other"])
def test_only_staged_names_are_read(tmp_path, name):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging, pytest.raises(KeyError):
        staging.read(name)


@pytest.mark.parametrize(
    ("data", "lines", "binary"),
    [
        (b"", 0, False),
        (b"a", 1, False),
        (b"a\nb\n", 2, False),
        (b"a\r\nb", 2, False),
        (b"a\0b\n", 1, True),
        (b"x" * 7999 + b"\0", 1, True),
        (b"x" * 8000 + b"\0", 1, False),
        (b"PK\3\4 text\n", 1, False),
    ],
)
def test_lines_and_binary_are_told_as_git_tells_them(tmp_path, data, lines, binary):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        facts = staging.staged[staging.add(OID, "", data)]
        assert (facts.bytes, facts.lines, facts.binary) == (len(data), lines, binary)
        assert staging.read(f"0/{OID}") == data


def test_memory_is_taken_where_it_has_room(tmp_path):
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    with Staging(1, folder=disk, tmpfs=memory) as staging:
        assert staging.root.parent == memory
    with Staging(1 << 60, folder=disk, tmpfs=memory) as staging:
        assert staging.root.parent == disk
    with Staging(1, files=1 << 50, folder=disk, tmpfs=memory) as staging:
        assert staging.root.parent == disk


def test_nothing_is_left_after_an_exception(tmp_path):
    def fail() -> None:
        with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
            staging.add(OID, "py", b"x")
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_error_with_a_hint(tmp_path):
    with (
        pytest.raises(Unavailable, match="make the scan's folder") as failed,
        Staging(0, folder=tmp_path / "missing", tmpfs=tmp_path / "none"),
    ):
        pass
    assert failed.value.code == "machine"
    assert failed.value.hint


_KILLED = """
import sys, time
from pathlib import Path
from snapshotter.scan.staging import Staging
with Staging(0, folder=Path(sys.argv[1]), tmpfs=Path(sys.argv[1], "none")) as staging:
    staging.add("0" * 40, "py", b"left behind")
    print(staging.root, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_is_removed_by_the_next_and_only_then(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        left = Path(child.stdout.readline().strip())
        with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none"):
            assert left.is_dir(), "its owner lives"
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert left.is_dir()
        with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none"):
            assert not left.exists()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_only_folders_of_our_kind_are_removed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inside").mkdir(parents=True)
    place = tmp_path / "place"
    (place / "snapshotter-scandal").mkdir(parents=True)
    (place / "snapshotter-scan-link").symlink_to(elsewhere)
    (place / "snapshotter-scan-file").write_text("")
    (place / "snapshotter-scan-0123abcd").mkdir()
    (place / "snapshotter-scan-0123abcd" / "link").symlink_to(elsewhere)
    with Staging(0, folder=place, tmpfs=tmp_path / "none"):
        pass
    assert {path.name for path in place.iterdir()} == {
        "snapshotter-scandal",
        "snapshotter-scan-link",
        "snapshotter-scan-file",
    }
    assert (elsewhere / "inside").is_dir()


def test_many_runs_at_once_do_not_remove_each_others_folders(tmp_path):
    code = """
import sys
from pathlib import Path
from snapshotter.scan.staging import Staging
for turn in range(40):
    with Staging(0, folder=Path(sys.argv[1]), tmpfs=Path(sys.argv[1], "none")) as staging:
        for number in range(5):
            name = staging.add(f"{number:040x}", "py", b"x")
        assert staging.read(name) == b"x"
"""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(4)
    ]
    assert [child.wait() for child in children] == [0] * 4
    assert list(tmp_path.iterdir()) == []
