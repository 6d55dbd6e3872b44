"""Where stdout and stderr lead: talk that nobody can take costs nothing, a result that nobody can take is an error."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from snapshotter.cli.streams import Talk
from tests.support.cli import cli_env, command, wait_for
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.processes import heeds

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    return origin


@pytest.fixture
def lab(tmp_path: Path, origin: Origin) -> Lab:
    lab = Lab(tmp_path / "store")
    lab.take(origin)
    return lab


def ended(*argv: str | Path, out: str = "/dev/null", err: str = "/dev/null") -> int:
    with Path(out).open("wb") as stdout, Path(err).open("wb") as stderr:
        return subprocess.run(
            command(*argv), env=cli_env(), stdout=stdout, stderr=stderr, check=False, timeout=60
        ).returncode


def test_a_stderr_that_takes_nothing_costs_no_work(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    full = {"err": str(FULL)}
    assert ended("snapshot", origin.path, "--store", tmp_path / "other", **full) == 0
    assert list((tmp_path / "other").rglob("manifest.json"))
    assert ended("verify", "--all", "--store", lab.root, **full) == 0
    assert ended("restore", origin.path, tmp_path / "back", "--store", lab.root, **full) == 0
    assert (tmp_path / "back" / ".git").is_dir()


def test_a_stderr_that_takes_nothing_changes_no_exit_code(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    full = {"err": str(FULL)}
    assert ended("list", "--no-such-flag", **full) == 2
    assert ended("list", "--no-such-flag", "--json", **full) == 2
    assert ended("no-such-verb", **full) == 2
    assert ended("restore", origin.path, lab.root, "--store", lab.root, **full) == 2
    assert ended("list", "--store", tmp_path / "nothing", **full) == 4
    next(lab.root.rglob("history.bundle")).write_bytes(b"spoiled")
    assert ended("verify", "--all", "--store", lab.root, **full) == 1


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_cost_no_work(origin: Origin, tmp_path: Path, closed: str) -> None:
    argv = command("snapshot", origin.path, "--store", tmp_path / "other")
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *argv], env=cli_env(), check=False)
    assert done.returncode == 0
    assert list((tmp_path / "other").rglob("manifest.json"))


@pytest.mark.parametrize(
    "argv", [["--version"], ["--help"], ["list", "--help"], ["list"], ["list", "--json"]]
)
def test_a_result_that_stdout_does_not_take_is_an_error(lab: Lab, argv: list[str], tmp_path: Path) -> None:
    store = ["--store", str(lab.root)] if argv[0] == "list" and "--help" not in argv else []
    said = tmp_path / "said"
    assert ended(*argv, *store, out=str(FULL), err=str(said)) == 4
    assert "could not be written" in said.read_text()
    assert "Traceback" not in said.read_text()


def test_a_finding_stays_one_where_stdout_takes_nothing(lab: Lab, tmp_path: Path) -> None:
    next(lab.root.rglob("history.bundle")).write_bytes(b"spoiled")
    said = tmp_path / "said"
    for flags in ([], ["--json"]):
        assert ended("verify", "--all", "--store", lab.root, *flags, out=str(FULL), err=str(said)) == 1
        assert "damaged" in said.read_text()


@pytest.mark.parametrize("verb", ["list", "--help", "--version"])
def test_a_reader_that_has_seen_enough_is_no_failure(lab: Lab, verb: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        argv = command("list", "--store", lab.root) if verb == "list" else command(verb)
        done = subprocess.run(argv, env=cli_env(), stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_stdout_that_knows_few_characters_gets_them_escaped(lab: Lab) -> None:
    name = lab.root / "h__ünïcode"
    name.mkdir()
    argv = command("list", "--store", name)
    env = cli_env(PYTHONIOENCODING="ascii")
    done = subprocess.run(argv, env=env, capture_output=True, check=False)
    assert (done.returncode, b"h__\\xfcn\\xefcode" in done.stdout) == (0, True)


def test_a_stderr_that_knows_few_characters_gets_them_escaped(tmp_path: Path) -> None:
    argv = command("list", "--store", tmp_path / "ünïcode")
    done = subprocess.run(argv, env=cli_env(PYTHONIOENCODING="ascii"), capture_output=True, check=False)
    assert (done.returncode, b"\\xfcn\\xefcode" in done.stderr) == (4, True)


def test_talk_loses_what_cannot_be_written() -> None:
    class Broken(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            raise OSError(errno.EIO, "the terminal is gone")

    talk = Talk(io.BufferedWriter(Broken()), "utf-8", line_buffering=True)
    for _ in range(100):
        assert talk.write("x" * 1000 + "\n") == 1001
        talk.flush()


@contextmanager
def unread() -> Iterator[int]:
    """The end of a full pipe whose other end nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x")
    os.set_blocking(write, True)
    try:
        yield write
    finally:
        os.close(read)
        os.close(write)


def test_a_reader_who_sleeps_costs_talk_and_no_work() -> None:
    script = (
        "import sys\nfrom snapshotter.cli.streams import ending, open_standard_streams\n"
        "open_standard_streams(patience=0.01)\n"
        "def work():\n    [print('x' * 9000, file=sys.stderr) for _ in range(100)]\n    print('done')\n"
        "ending(work)"
    )
    with unread() as err:
        argv = [sys.executable, "-c", script]
        done = subprocess.run(
            argv, env=cli_env(), stdout=subprocess.PIPE, stderr=err, timeout=20, check=False
        )
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_a_reader_who_is_slow_gets_every_word() -> None:
    script = (
        "import sys\nfrom snapshotter.cli.streams import ending, open_standard_streams\n"
        "open_standard_streams()\nending(lambda: [print(n, 'x' * 5000, file=sys.stderr) for n in range(100)])"
    )
    with subprocess.Popen([sys.executable, "-c", script], env=cli_env(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        time.sleep(0.5)  # the pipe is full long before
        lines = process.stderr.read().split(b"\n")
    assert [line.split(b" ")[0] for line in lines] == [*(b"%d" % n for n in range(100)), b""]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_signal_ends_a_run_whose_words_nobody_reads(lab: Lab, stream: str) -> None:
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    verb = "list" if stream == "stdout" else "verify"
    with unread() as full:
        argv = command(verb, *(["--all"] if verb == "verify" else []), "--store", lab.root)
        with subprocess.Popen(argv, env=cli_env(), **streams | {stream: full}) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
            wait_for(process, lambda: heeds(process.pid, signal.SIGTERM))  # it had nobody to tell
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 143


def test_python_s_own_words_go_the_same_way(tmp_path: Path) -> None:
    """A thread's traceback is talk, too."""
    script = (
        "import threading\nfrom snapshotter.cli.streams import ending, open_standard_streams\n"
        "open_standard_streams()\n"
        "def work():\n    thread = threading.Thread(target=lambda: 1 / 0)\n    thread.start()\n    thread.join()\n"
        "ending(work)"
    )
    with FULL.open("wb") as full:
        done = subprocess.run([sys.executable, "-c", script], env=cli_env(), stderr=full, check=False)
    assert done.returncode == 0


def test_the_version_is_told_without_loading_anything() -> None:
    """Every start pays for what the entry point loads. `-S`: what a site has loaded would hide what we load."""
    script = (
        "import io, os, sys\nbefore = set(sys.modules)\nsys.path[:0] = sys.argv[2].split(os.pathsep)\n"
        "sys.argv = ['snapshotter', '--version']\nfrom snapshotter.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
        "print(code, *sorted(set(sys.modules) - before))"
    )
    argv = [sys.executable, "-S", "-c", script, "", os.pathsep.join(sys.path)]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    ours = ["snapshotter", "snapshotter.__main__", "snapshotter.cli", "snapshotter.cli.streams"]
    assert lines[1].split() == ["0", "__future__", *ours]


def test_a_list_of_a_folder_loads_nothing_of_aws(tmp_path: Path) -> None:
    """Whoever keeps snapshots in a folder does not pay for S3, SQL, pages or HTTP at every start."""
    (tmp_path / "store").mkdir()
    argv = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "snapshotter",
        "list",
        "--store",
        str(tmp_path / "store"),
    ]
    told = subprocess.run(argv, env=cli_env(), capture_output=True, text=True, check=True).stderr
    loaded = {
        line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")
    }
    assert "snapshotter.store.folder" in loaded
    heavy = {"snapshotter.aws", "boto3", "botocore", "urllib3", "ssl", "duckdb", "yaml", "email"}
    assert heavy & loaded == set()
