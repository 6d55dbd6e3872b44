"""SSH origins of a task, whose key and known hosts come as text: with a real sshd, as `job` and `doctor` run there."""

from __future__ import annotations

import json
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.base.settings import Settings
from snapshotter.transport.credentials import ssh_command
from tests.support.cli import cli_env, command
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
    client = tmp_path / "client"
    client.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec {given["SNAPSHOTTER_SSH_COMMAND"]} "$@"\n'
    )
    client.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    env = given | {"SNAPSHOTTER_SSH_COMMAND": str(client), "TMPDIR": str(tmp_path / "tmp")}
    done = ran("job", "--verbose", SNAPSHOTTER_JOB=document(way, tmp_path / "store"), **env)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr + (tmp_path / "argv").read_text()
    assert not [line for line in given["SNAPSHOTTER_SSH_KEY"].splitlines()[1:-1] if line in said]
    written = sorted((tmp_path / "tmp").rglob("*"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in written] == [0o700, 0o600, 0o600]


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


def test_without_them_the_command_is_as_set_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ssh_command(Settings({"SNAPSHOTTER_SSH_COMMAND": "ssh -v"})) == "ssh -v"
    assert ssh_command(Settings({"SNAPSHOTTER_SSH_KEY": " \n"})) == "ssh"
    assert list(tmp_path.iterdir()) == []
    words = shlex.split(ssh_command(Settings({"SNAPSHOTTER_SSH_KEY": "key"})))
    assert Path(words[words.index("-i") + 1]).read_text() == "key\n"


def test_a_folder_that_takes_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unavailable) as raised:
        ssh_command(Settings({"SNAPSHOTTER_SSH_KEY": "hunter2"}))
    assert "TMPDIR" in raised.value.hint
    assert "hunter2" not in str(raised.value.as_dict())
