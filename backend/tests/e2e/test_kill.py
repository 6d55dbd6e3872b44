"""Processes that are stopped: killed at any point, or asked to end while something stalls."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.archive import layout
from snapshotter.git.origin_parsing import parse
from snapshotter.recover.verify import VerifyOptions, verify
from tests.infra.template import access_policy, bucket_policy
from tests.servers import put_bucket_with_policy, rgw
from tests.support.cli import cli_env, command, wait_for
from tests.support.git import Origin, state_of
from tests.support.lab import Lab
from tests.support.processes import alive

SEGMENT = "64KiB"
BUCKET, PREFIX = "fruitful-lab-snapshots-prod", "repo-scans/snapshotter/"


@contextmanager
def started(argv: list[str], **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end, whatever happens."""
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli_env(**env)
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_at_random(origin: Origin, lab: Lab, rng: random.Random, *flags: str) -> bool:
    """Run a snapshot and kill it at some moment: of a stage's start, after some of its objects are stored, or
    at any time; whether that was before its end."""
    stored = sum(1 for path in lab.root.rglob("*") if path.is_file())
    stage = rng.choice(("looking for", "streaming", "writing the manifest", "objects", "objects", ""))
    argv = command("snapshot", origin.path, "--store", lab.root, "--segment-size", SEGMENT, *flags)
    with started(argv) as process:
        assert process.stderr
        if stage == "objects":
            enough = stored + rng.choice((1, 2, 5))
            while process.poll() is None and sum(1 for p in lab.root.rglob("*") if p.is_file()) < enough:
                pass
        elif stage:
            for line in process.stderr:
                if line.decode().startswith(stage):
                    break
        time.sleep(rng.random() * (0.3 if not stage else rng.choice((0.0, 0.01, 0.05))))
        process.kill()
        return process.wait() == -signal.SIGKILL


def kill_many(tmp_path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    repo = parse(str(origin.path)).repo
    origin.commit(files={f"f{n}": rng.randbytes(400_000) for n in range(10)})
    in_time = 0
    for number in range(kills):
        origin.commit(files={"more": rng.randbytes(rng.choice((100, 900_000)))})
        flags = ["--full"] if rng.random() < 0.5 else []
        in_time += kill_at_random(origin, lab, rng, *flags)
        newest = lab.catalog.snapshots(repo)[-2:]  # all of them at the end
        verdicts = verify(lab.catalog, repo, newest, VerifyOptions(receipts=False))
        assert [problem for verdict in verdicts for problem in verdict.problems] == []
        if number % 4 == 3:
            lab.now = datetime.now(UTC)
            taken = lab.take(origin, advance=timedelta(0))  # a run of the future would stay the newest
            assert taken.manifest.kind in ("base", "increment", "unchanged")
            assert lab.restored(taken, tmp_path / f"r{number}.git") == origin.state
            shutil.rmtree(tmp_path / f"r{number}.git")
    aborted = [run for run in lab.catalog.runs(repo) if not run.is_snapshot]
    assert in_time > kills // 2
    assert aborted, "no kill struck between the first object and the manifest: the test proves nothing"
    done = subprocess.run(
        command("verify", repo, "--store", lab.root), env=cli_env(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_killed_run_is_no_snapshot_and_harms_none(tmp_path: Path) -> None:
    kill_many(tmp_path, 12, seed=4)


@pytest.mark.full
def test_a_hundred_kills(tmp_path: Path) -> None:
    kill_many(tmp_path, 120, seed=5)


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.full)])
def test_a_killed_run_on_s3(tmp_path: Path, kills: int) -> None:
    """The same as the least-privileged user of a real S3 server, by processes alone."""
    rng = random.Random(kills)
    origin = Origin(tmp_path / "x.git")
    origin.commit(files={f"f{n}": rng.randbytes(400_000) for n in range(5)})
    store = ("--store", f"s3://{BUCKET}/{PREFIX}")
    with rgw() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(), access_policy())
        env = server.environment(server.user)

        def succeeds(*argv: str | Path) -> bytes:
            done = subprocess.run(
                command(*argv, *store), env=cli_env(**env), capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        succeeds("snapshot", origin.path)
        for number in range(kills):
            origin.commit(files={"more": rng.randbytes(rng.choice((100, 900_000)))})
            argv = command(
                "snapshot", origin.path, *store, "--segment-size", SEGMENT, *["--full"][number % 2 :]
            )
            with started(argv, **env) as process:
                assert process.stderr
                stage = rng.choice((b"streaming", b"streaming", b"writing"))
                next((line for line in process.stderr if line.startswith(stage)), b"")
                time.sleep(rng.choice((0.0, 0.02, 0.1)) * rng.random())
            succeeds("verify", "--all", "--newest")
        succeeds("verify", "--all")
        assert b"refs/heads/main" in succeeds("snapshot", origin.path, "--full") + succeeds(
            "show", origin.path
        )
        succeeds("restore", origin.path, tmp_path / "r.git", "--bare")
    assert state_of(tmp_path / "r.git") == origin.state


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    origin = Origin(tmp_path_factory.mktemp("served") / "x.git")
    origin.commit(files={"noise": random.Random(0).randbytes(400_000)})
    return origin


SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


def stop(process: subprocess.Popen[bytes], number: signal.Signals, code: int) -> str:
    """Send the signal, and expect the end with the code; what was said on stderr.

    What stalls would do so for minutes, and would then end with another code.
    """
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == b""
    assert b"error: " in err
    assert b"Traceback" not in err
    return err.decode()


@SIGNALS
@pytest.mark.parametrize(
    ("where", "at"), [("info/refs", 0), ("#ls-refs", 10), ("#fetch", 0), ("#fetch", 250_000)]
)
def test_a_signal_ends_a_snapshot_of_a_stalled_server(
    served: Origin, tmp_path: Path, where: str, at: int, number: signal.Signals, code: int
) -> None:
    lab = Lab(tmp_path / "store")
    with GitHost(
        served.path.parent, fault=lambda path: Fault(stall_at=at) if where in path else None
    ) as host:
        argv = command("snapshot", host.url("x.git"), "--store", lab.root, "--segment-size", SEGMENT)
        with started(argv) as process:
            wait_for(process, lambda: any(where in request.path for request in host.requests))
            time.sleep(0.3)  # into the stall
            stop(process, number, code)
        assert not [entry for entry in lab.store.list("") if entry.key.endswith(layout.MANIFEST)]
        if at > 1000:
            assert lab.store.list(""), "the signal came before anything was stored"
        host.fault = None
        lab.now = datetime.now(UTC)
        assert lab.take(host.url("x.git")).manifest.kind == "base"


@SIGNALS
def test_a_signal_ends_a_snapshot_of_a_server_that_never_answers(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with started(command("snapshot", url, "--store", tmp_path / "store")) as process:
            connection, _ = silent.accept()
            with connection:
                connection.recv(4096)
                stop(process, number, code)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 131), (signal.SIGXCPU, 152)],
)
def test_a_signal_ends_the_child_of_a_snapshot_too(tmp_path: Path, number: signal.Signals, code: int) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nsleep 600 &\necho $$ $! > {tmp_path}/pid\nwait\n")
    ssh.chmod(0o755)
    argv = command("snapshot", "ssh://git@127.0.0.1/x.git", "--store", tmp_path / "store")
    with started(argv, SNAPSHOTTER_SSH_COMMAND=str(ssh)) as process:
        pid = tmp_path / "pid"
        wait_for(process, lambda: pid.exists() and pid.read_text().strip())
        stop(process, number, code)
    assert [number for number in pid.read_text().split() if alive(int(number))] == []


# A `git` that hangs in one command, and a store that hangs at one object: what restore and verify wait for.

HANGING_GIT = """#!/bin/sh
for word do case $word in {command}) : > {marker}; exec sleep 600;; esac; done
exec {git} "$@"
"""
HANGING_STORE = """
import sys, time
from pathlib import Path
from snapshotter.store import objects as store
real = store.Store.get
def get(self, key, **options):
    if key.endswith({name!r}):
        Path({marker!r}).touch()
        time.sleep(600)
    return real(self, key, **options)
store.Store.get = get
sys.argv = ["snapshotter", *sys.argv[1:]]
from snapshotter.__main__ import main
main()
"""


@pytest.fixture(scope="module")
def stored(served: Origin, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("stored") / "store")
    lab.take(served)
    served.commit()
    lab.take(served)
    return lab


@pytest.mark.parametrize("verb", ["restore", "verify"])
@pytest.mark.parametrize(
    ("hang", "number", "code"),
    [
        ("git index-pack", signal.SIGINT, 130),
        ("git index-pack", signal.SIGHUP, 129),
        ("git cat-file", signal.SIGTERM, 143),
        ("store refs.txt", signal.SIGINT, 130),
        ("store history.bundle", signal.SIGTERM, 143),
    ],
)
def test_a_signal_ends_restore_and_verify_and_nothing_is_left(
    stored: Lab, served: Origin, tmp_path: Path, verb: str, hang: str, number: signal.Signals, code: int
) -> None:
    marker, temp, out = tmp_path / "marker", tmp_path / "temp", tmp_path / "out"
    temp.mkdir()
    out.mkdir()
    arguments: list[str | Path] = [
        verb,
        served.path,
        *([out / "r"] if verb == "restore" else []),
        "--store",
        stored.root,
    ]
    env = {"TMPDIR": str(temp)}
    what, _, name = hang.partition(" ")
    if what == "git":
        fake = tmp_path / "bin" / "git"
        fake.parent.mkdir()
        fake.write_text(HANGING_GIT.format(command=name, marker=marker, git=shutil.which("git")))
        fake.chmod(0o755)
        env["PATH"] = f"{fake.parent}:{os.environ['PATH']}"
        argv = command(*arguments)
    else:
        script = HANGING_STORE.format(name=name, marker=str(marker))
        argv = [sys.executable, "-c", script, *map(str, arguments)]
    before = len(stored.store.list(""))
    with started(argv, **env) as process:
        wait_for(process, marker.exists)
        stop(process, number, code)
    assert list(out.iterdir()) == []
    assert list(temp.iterdir()) == []
    assert len(stored.store.list("")) == before, "an interrupted verification says nothing"


def test_what_comes_back_to_a_restore_s_folder_after_a_signal_is_removed_too(
    stored: Lab, served: Origin, tmp_path: Path
) -> None:
    """A killed git, or a dead store's late answer, may write once more; the work is held, and clears nothing up."""
    out, marker = tmp_path / "out", tmp_path / "marker"
    out.mkdir()
    first = min(entry.key for entry in stored.store.list("") if entry.key.endswith("/refs.txt"))
    script = HANGING_STORE.format(name=first, marker=str(marker))  # which the work itself waits for
    verb = ["restore", str(served.path), str(out / "r"), "--store", str(stored.root)]
    with started([sys.executable, "-c", script, *verb]) as process:
        wait_for(process, marker.exists)
        (partial,) = out.iterdir()
        process.send_signal(signal.SIGTERM)
        wait_for(process, lambda: not partial.exists())
        (partial / "objects").mkdir(parents=True)
        process.communicate(timeout=60)
    assert process.returncode == 143
    assert list(out.iterdir()) == []


@SIGNALS
@pytest.mark.parametrize("exists", [False, True])
def test_a_signal_at_any_moment_of_a_restore_leaves_all_or_nothing(
    stored: Lab, served: Origin, tmp_path: Path, number: signal.Signals, code: int, exists: bool
) -> None:
    rng = random.Random(int(number))
    whole = 0
    for attempt in range(4):
        out = tmp_path / str(attempt)
        (out / "r" if exists else out).mkdir(parents=True)
        with started(command("restore", served.path, out / "r", "--bare", "--store", stored.root)) as process:
            assert process.stderr
            process.stderr.readline()  # from the first stage on
            time.sleep(0.08 * rng.random())
            process.send_signal(number)
            process.communicate(timeout=60)
        left = [path.name for path in out.iterdir()]
        assert left in (["r"] if exists else [], ["r"])
        if left and any((out / "r").iterdir()):
            whole += 1
            assert state_of(out / "r") == served.state
        else:
            assert process.returncode == code


@pytest.mark.parametrize("command_", ["index-pack", "cat-file"])
def test_a_git_that_was_killed_says_nothing_against_a_snapshot(
    stored: Lab, tmp_path: Path, command_: str
) -> None:
    """As by the kernel when memory runs out: the check could not be made (4), and did not fail (1)."""
    fake = tmp_path / "git"
    script = HANGING_GIT.replace("exec sleep 600", "kill -9 $$")
    fake.write_text(script.format(command=command_, marker=tmp_path / "marker", git=shutil.which("git")))
    fake.chmod(0o755)
    before = len(stored.store.list(""))
    env = cli_env(PATH=f"{tmp_path}:{os.environ['PATH']}")
    done = subprocess.run(
        command("verify", "--all", "--store", stored.root), env=env, capture_output=True, check=False
    )
    assert (tmp_path / "marker").exists()
    assert done.returncode == 4, done.stdout
    assert b"was killed (SIGKILL)" in done.stderr
    assert len(stored.store.list("")) == before


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_git_that_crashes_is_told_from_a_machine_without_memory(
    stored: Lab, served: Origin, tmp_path: Path, number: signal.Signals
) -> None:
    fake = tmp_path / "git"
    script = HANGING_GIT.replace("exec sleep 600", f"kill -{int(number)} $$")
    env = cli_env(PATH=f"{tmp_path}:{os.environ['PATH']}")
    for verb, crashing, hint in (
        (("verify", "--all"), "index-pack", "ulimit -s"),
        (("restore", served.path, tmp_path / "back"), "read-tree", "--bare"),
    ):
        fake.write_text(script.format(command=crashing, marker=tmp_path / "marker", git=shutil.which("git")))
        fake.chmod(0o755)
        argv = command(*verb, "--store", stored.root)
        done = subprocess.run(argv, env=env, capture_output=True, check=False)
        assert done.returncode == 4, done.stdout
        assert f"git {crashing} crashed ({number.name})" in done.stderr.decode()
        assert hint in done.stderr.decode()
        assert b"memory" not in done.stderr
    assert not (tmp_path / "back").exists()


def test_work_under_nohup_goes_on(served: Origin, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store")
    with (
        GitHost(
            served.path.parent, fault=lambda path: Fault(stall_at=0) if "info/refs" in path else None
        ) as host,
        started(["nohup", *command("snapshot", host.url("x.git"), "--store", lab.root)]) as process,
    ):
        wait_for(process, lambda: host.requests)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)  # a process that took the signal would be at its end
        assert process.poll() is None
        stop(process, signal.SIGTERM, 143)
