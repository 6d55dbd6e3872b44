"""The children of a run, looked at while they run: none has a secret in its environment that it has no use for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.cli import cli
from tests.support.git import ISOLATED, Origin

SECRET = "s3cr3t-Tok3n"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SECRET,
    "SNAPSHOTTER_GIT_TOKEN": SECRET,
    "SNAPSHOTTER_FINGERPRINT_KEY": SECRET,
    "SNAPSHOTTER_SSH_KEY": SECRET,
    "SNAPSHOTTER_JOB": SECRET,
}


@pytest.fixture
def spied(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment whose git and ssh write down theirs, and where."""
    seen, programs = tmp_path / "seen", tmp_path / "programs"
    programs.mkdir()
    for name, real in {"git": shutil.which("git"), "ssh": "false"}.items():
        (programs / name).write_text(f'#!/bin/sh\necho "<{name}>" >>{seen}\nenv >>{seen}\nexec {real} "$@"\n')
        (programs / name).chmod(0o755)
    return SECRETS | {"PATH": f"{programs}:{ISOLATED['PATH']}"}, seen


def test_git_at_work_knows_no_secret(tmp_path: Path, spied: tuple[dict[str, str], Path]) -> None:
    env, seen = spied
    origin = Origin(tmp_path / "project.git")
    origin.commit_tree(ref="refs/heads/main", message="first", f=b"text")
    store = ["--store", f"file:{tmp_path / 'store'}"]
    for verb in (
        ["snapshot", origin.path],
        ["verify", "--all"],
        ["restore", str(origin.path), tmp_path / "back"],
    ):
        assert cli(*verb, *store, **env).code == 0, verb
    assert seen.read_text().count("<git>") > 3
    assert SECRET not in seen.read_text()


def test_ssh_and_a_token_command_know_none_of_ours(
    tmp_path: Path, spied: tuple[dict[str, str], Path]
) -> None:
    env, seen = spied
    env |= {"SSH_AUTH_SOCK": "/agent", "SNAPSHOTTER_GIT_TOKEN_COMMAND": f"sh -c 'env >>{seen}; echo t'"}
    cli("snapshot", "git@host.test:x", "--store", f"file:{tmp_path / 'store'}", **env)
    assert "<ssh>" in seen.read_text()
    assert SECRET not in seen.read_text()
    assert "SSH_AUTH_SOCK=/agent" in seen.read_text()
    cli("snapshot", "http://127.0.0.1:9/x", "--store", f"file:{tmp_path / 'store'}", **env)
    assert "AWS_SESSION_TOKEN=" in seen.read_text()  # it may well be what asks AWS for the token
    assert "SNAPSHOTTER_" not in seen.read_text()
