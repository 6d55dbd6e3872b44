import os
import signal
import threading
import time
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.scan.runner import Command, ScannerFailed, program, run, versions
from tests.support.processes import until_gone


@pytest.fixture
def script(tmp_path):
    """Makes a program of a shell script; returns its path."""

    def make(body: str) -> str:
        path = tmp_path / "scanner"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return make


def start(argv, folder: Path, *, cancel=None, seconds=60.0, limit=1 << 20, **more) -> bytes:
    command = Command("it", argv, **more)
    return run(command, folder=folder, seconds=seconds, limit=limit, cancel=cancel or Cancel())


def test_what_it_writes_is_returned(tmp_path, script):
    assert start([script("printf '%s|' \"$@\"; pwd"), "a b", "$(id)", ";"], tmp_path) == (
        b"a b|$(id)|;|" + os.fsencode(tmp_path) + b"\n"
    )


def test_nothing_of_our_environment_reaches_it(tmp_path, script, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-in-the-environment")
    said = start([script("/usr/bin/env; cat")], tmp_path, environment={"MORE": "1"}).decode()
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names <= {"LC_ALL", "HOME", "TMPDIR", "MORE", "PWD", "SHLVL", "OLDPWD", "_", "PATH"}
    assert {"MORE", "HOME", "TMPDIR"} <= names
    assert "planted" not in said


def test_the_kernel_holds_its_limits(tmp_path, script):
    said = start(
        [script("sleep 0.3; ulimit -c; ulimit -f; ulimit -v; ulimit -t")], tmp_path, seconds=30
    ).split()
    assert int(said[0]) == 0
    assert int(said[1]) > 0, "a number, not `unlimited`"
    assert int(said[2]) == 4 << 20, "KiB"
    assert int(said[3]) == 30 * os.cpu_count() + 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo a value >&2; echo a value; exit 3", "exited with status 3"),
        ("kill -SEGV $$", f"was killed by signal {signal.SIGSEGV.value}"),
        ("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", "wrote more than 1,048,576 bytes"),
        ("cat /dev/zero", "wrote more than 1,048,576 bytes"),
    ],
)
def test_a_scanner_that_fails_is_one_error_without_its_words(tmp_path, script, body, reason):
    with pytest.raises(ScannerFailed) as failed:
        start([script(body)], tmp_path)
    assert (failed.value.scanner, failed.value.reason) == ("it", reason)
    assert failed.value.exit_code == 4
    assert failed.value.hint
    assert "a value" not in repr(failed.value.as_dict())


@pytest.mark.parametrize("path", ["/nonexistent/scanner", "/etc/passwd"])
def test_a_scanner_that_does_not_start(tmp_path, path):
    with pytest.raises(ScannerFailed, match="did not start"):
        start([path], tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "echo $$ > pids; exec sleep 600",
        "echo $$ > pids; sleep 600 & echo $! >> pids; wait",
        "echo $$ > pids; exec >&- 2>&-; sleep 600 & echo $! >> pids; wait",
        "echo $$ > pids; sleep 600 & echo $! >> pids; exit 0",
        "trap '' TERM INT; echo $$ > pids; while :; do :; done",
    ],
    ids=["hangs", "its-child-hangs", "closes-stdout", "leaves-a-child", "ignores-signals"],
)
def test_a_scanner_that_hangs_is_ended_with_its_children(tmp_path, script, body):
    with pytest.raises(ScannerFailed, match=r"ran for over 0\.7 s"):
        start([script(body)], tmp_path, seconds=0.7)
    assert_ended(tmp_path / "pids")


def test_a_cancellation_ends_it_and_its_children(tmp_path, script):
    cancel = Cancel()
    threading.Thread(target=cancel_when, args=(cancel, tmp_path / "started")).start()
    with pytest.raises(Interrupted, match="enough"):
        start(
            [script("echo $$ > pids; sleep 600 & echo $! >> pids; : > started; wait")],
            tmp_path,
            cancel=cancel,
        )
    assert_ended(tmp_path / "pids")


def test_a_cancellation_ends_it_also_where_a_child_escapes(tmp_path, script):
    """A child in a session of its own holds stdout open; it ends by itself when the test is over."""
    cancel, started = Cancel(), tmp_path / "started"
    threading.Thread(target=cancel_when, args=(cancel, started)).start()
    escapes = "setsid sh -c ': > started; while [ -e started ]; do sleep 0.1; done' & wait"
    try:
        with pytest.raises(Interrupted, match="enough"):
            start([script(escapes)], tmp_path, cancel=cancel)
    finally:
        started.unlink()


def test_nothing_starts_after_a_cancellation(tmp_path, script):
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(Interrupted):
        start([script(": > started; sleep 600")], tmp_path, cancel=cancel)


def test_a_status_may_mean_findings(tmp_path, script):
    assert start([script("echo found; exit 200")], tmp_path, exits=frozenset({0, 200})) == b"found\n"


def test_the_scanners_come_from_their_packages(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert versions() == {"kingfisher": "2.14.0", "scc": "4.1.0"}
    for scanner in versions():
        assert os.access(program(scanner), os.X_OK)
        assert program(scanner).read_bytes()[:4] == b"\x7fELF", (
            "the program itself, not a script that starts it"
        )


def cancel_when(cancel: Cancel, path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)
    cancel.cancel(Interrupted("enough"))


def assert_ended(pids: Path) -> None:
    """Every listed process ends: it was killed, which the kernel may do a moment after the caller was told."""
    for pid in pids.read_text().split():
        until_gone(int(pid))
