"""SSH origins of a task, whose key and known hosts come as text: with a real sshd, as `job` and `doctor` run there."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.base.settings import Settings
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import WireLimits
from snapshotter.transport.ssh import KEY, SshClient, SshDialer
from tests.support.cli import cli, cli_env, command
from tests.support.git import Origin
from tests.support.wires import Servers, Way


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("origins"), tmp_path_factory.mktemp("servers"))
    Origin(servers.root / "project.git").commit_tree(ref="refs/heads/main", message="first")
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def way(servers: Servers) -> Way:
    try:
        return servers.way("ssh-v2")
    except LookupError as reason:
        pytest.skip(str(reason))


def secrets(servers: Servers) -> dict[str, str]:
    """The settings as a task has them: a key pasted with Windows line ends and without its last one."""
    folder = servers.scratch / "ssh-v2"
    return {
        "SNAPSHOTTER_SSH_KEY": (folder / "user").read_text().strip().replace("\n", "\r\n"),
        "SNAPSHOTTER_SSH_KNOWN_HOSTS": (folder / "known").read_text(),
        "SNAPSHOTTER_SSH_COMMAND": "ssh -F /dev/null -o GlobalKnownHostsFile=/dev/null",
    }


def ran(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*argv),
        env=cli_env(SNAPSHOTTER_SCAN="0", **env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(way: Way, store: Path) -> str:
    return json.dumps({"origin": f"{way.prefix}/project.git", "store": f"file:{store}"})


def test_a_job_reaches_its_origin_and_no_secret_is_in_an_argv_or_in_what_it_prints(
    way: Way, servers: Servers, tmp_path: Path
) -> None:
    given = secrets(servers)
    temp, modes = tmp_path / "tmp", tmp_path / "modes"
    client = tmp_path / "client"
    client.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nstat -c %a {temp}/*/* {temp}/* > {modes}\n'
        f'exec {given["SNAPSHOTTER_SSH_COMMAND"]} "$@"\n'
    )
    client.chmod(0o755)
    temp.mkdir()
    env = given | {"SNAPSHOTTER_SSH_COMMAND": str(client), "TMPDIR": str(temp)}
    done = ran("job", "--verbose", SNAPSHOTTER_JOB=document(way, tmp_path / "store"), **env)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr + (tmp_path / "argv").read_text()
    assert not [line for line in given["SNAPSHOTTER_SSH_KEY"].splitlines()[1:-1] if line in said]
    assert modes.read_text().split() == ["600", "600", "700"]
    assert list(temp.iterdir()) == []


def test_the_doctor_reaches_it_too(way: Way, servers: Servers, tmp_path: Path) -> None:
    store = ["--store", f"file:{tmp_path / 'store'}"]
    done = ran("doctor", f"{way.prefix}/project.git", *store, TMPDIR=str(tmp_path), **secrets(servers))
    assert done.returncode == 0, done.stdout


def test_an_unknown_host_is_refused_and_a_wrong_key_denied(
    way: Way, servers: Servers, tmp_path: Path
) -> None:
    key = tmp_path / "another"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, capture_output=True
    )
    job = document(way, tmp_path / "store")
    other = secrets(servers)["SNAPSHOTTER_SSH_KNOWN_HOSTS"].replace("127.0.0.1", "127.0.0.2")
    for name, value, code, exit_code in (
        ("KNOWN_HOSTS", other, "host-key", 4),
        ("KEY", key.read_text(), "origin-denied", 5),
    ):
        env = secrets(servers) | {f"SNAPSHOTTER_SSH_{name}": value, "TMPDIR": str(tmp_path)}
        done = ran("job", SNAPSHOTTER_JOB=job, **env)
        error = json.loads(done.stdout)["error"]
        assert (done.returncode, error["code"]) == (exit_code, code), error


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, empty."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    return tmp_path / "temp"


def client_at(path: Path, script: str, **settings: str) -> SshClient:
    """A client of our own making, with a key."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return SshClient.of(Settings({KEY: "hunter2", "SNAPSHOTTER_SSH_COMMAND": str(path)} | settings))


def test_without_texts_the_command_is_as_set_and_nothing_is_written(temp: Path) -> None:
    before = temp.stat().st_mtime_ns  # it changes also with what is made and removed again
    for settings in ({}, {KEY: " \n"}):
        with SshClient.of(Settings(settings)).options(Cancel()) as options:
            assert options == []
    assert temp.stat().st_mtime_ns == before


def test_a_run_without_ssh_writes_no_key(temp: Path, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "project.git")
    origin.commit_tree(ref="refs/heads/main", message="first")
    store = ["--store", f"file:{tmp_path / 'store'}"]
    before = temp.stat().st_mtime_ns  # it changes also with what is made and removed again
    assert cli("snapshot", origin.path, *store, TMPDIR=str(temp), SNAPSHOTTER_SSH_KEY="k").code == 0
    assert temp.stat().st_mtime_ns == before


def test_the_key_is_gone_once_the_other_side_has_spoken(temp: Path, tmp_path: Path) -> None:
    client = client_at(tmp_path / "ssh", "printf 000eversion\\ 2; exec cat")
    channel = SshDialer.of(parse("git@h:x"), client, Cancel())(WireLimits())
    assert [path.read_text() for path in temp.glob("*/key")] == ["hunter2\n"]
    channel.read_into(memoryview(bytearray(64)))
    assert list(temp.iterdir()) == []
    channel.end()


def test_a_client_that_cannot_be_started_leaves_no_key(temp: Path) -> None:
    client = SshClient("/no/such/ssh", key="hunter2")
    with pytest.raises(Unavailable):
        SshDialer.of(parse("git@h:x"), client, Cancel())(WireLimits())
    assert list(temp.iterdir()) == []


def test_a_stopped_run_leaves_no_key_and_what_a_killed_one_left_goes(temp: Path, tmp_path: Path) -> None:
    client_at(tmp_path / "ssh", f"touch {tmp_path}/dialled; exec cat")
    settings = {"TMPDIR": str(temp), KEY: "hunter2", "SNAPSHOTTER_SSH_COMMAND": str(tmp_path / "ssh")}
    argv = command("snapshot", "git@h:x", "--store", f"file:{tmp_path / 'store'}")
    for signal, left in (("kill", 1), ("terminate", 0)):
        with subprocess.Popen(argv, env=cli_env(**settings), stderr=subprocess.DEVNULL) as process:
            while not (tmp_path / "dialled").exists():
                time.sleep(0.02)
            assert len(list(temp.glob("*/key"))) == 1  # what the run before left is gone
            getattr(process, signal)()
        (tmp_path / "dialled").unlink()
        assert len(list(temp.iterdir())) == left


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable) as raised, SshClient(key="hunter2").options(Cancel()):
        pass
    assert "TMPDIR" in raised.value.hint
    assert "hunter2" not in str(raised.value.as_dict())


@pytest.mark.parametrize(("named", "given"), [(False, ""), (True, "the user's")])
def test_a_client_that_the_user_named_has_the_user_s_variables_and_none_of_our_settings(
    tmp_path: Path, named: bool, given: str
) -> None:
    client = tmp_path / "bin" / "ssh"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\necho "$OWN+$SNAPSHOTTER_GIT_TOKEN" > {tmp_path}/seen\n')
    client.chmod(0o755)
    ran(
        *("snapshot", "ssh://git@127.0.0.1/x.git", "--store", str(tmp_path / "store")),
        OWN="the user's",
        SNAPSHOTTER_GIT_TOKEN="token",
        PATH=f"{client.parent}:{os.environ['PATH']}",
        SNAPSHOTTER_SSH_COMMAND=str(client) if named else "ssh",
    )
    assert (tmp_path / "seen").read_text() == f"{given}+\n"
