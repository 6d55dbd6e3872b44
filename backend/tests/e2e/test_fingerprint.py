"""A known secret's value, given by stdin, leads to every place where a scan found it, and is never said back."""

from __future__ import annotations

import hmac
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.scan.planted import VALUES, in_source
from tests.support.cli import Done, cli, cli_env, command
from tests.support.git import Origin
from tests.support.scans import rule_cache

KEY = {"SNAPSHOTTER_FINGERPRINT_KEY": "a key for tests"}
PAT = VALUES["github-pat"]


def fingerprint(value: bytes, *more: str, **env: str) -> Done:
    done = subprocess.run(
        command("scan", "--fingerprint", *more),
        env=cli_env(**KEY | env),
        input=value,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_fingerprint_of_a_value_is_the_one_that_the_scans_have(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "leaky.git")
    origin.commit(files={"a.py": in_source(PAT), "b.py": in_source(VALUES["sendgrid"])})
    rules = {"SNAPSHOTTER_SCAN": "1", "SNAPSHOTTER_RULE_CACHE": str(rule_cache())}
    taken = cli("snapshot", origin.path, "--store", tmp_path / "store", **KEY | rules)
    assert taken.code == 0, taken.err

    (mark,) = fingerprint(PAT.encode() + b"\n").out.split()
    assert mark == hmac.new(b"a key for tests", PAT.encode(), "sha256").hexdigest()
    sql = f"SELECT path, line FROM secrets WHERE fingerprint = '{mark}'"
    asked = cli(
        "query", sql, "--json", "--store", tmp_path / "store", SNAPSHOTTER_CACHE=str(tmp_path / "cache")
    )
    assert [row["path"] for row in asked.json["rows"]] == ["a.py"]
    manifest = cli("show", origin.path, "--store", tmp_path / "store", "--json").json
    named = fingerprint(PAT.encode(), "--json").json
    assert named["fingerprint"] == mark, "a line end more or less changes nothing"
    assert named["fingerprint_key"] == manifest["scan"]["settings"]["fingerprint_key"]


@pytest.mark.parametrize("value", [b"", b"\n", b"hunter2\xff", b"hunter2" * 200_000])
def test_what_is_no_value_is_refused_and_nothing_of_it_is_said(value: bytes) -> None:
    done = fingerprint(value, "--verbose")
    assert done.code == 2
    assert "hint:" in done.err
    assert "hunter2" not in done.out + done.err
    assert "0xff" not in done.err


def test_without_the_key_there_is_nothing_to_compare_with() -> None:
    done = fingerprint(b"hunter2", SNAPSHOTTER_FINGERPRINT_KEY="")
    assert (done.code, "SNAPSHOTTER_FINGERPRINT_KEY" in done.err) == (2, True)


def test_a_terminal_that_would_show_the_value_is_refused() -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            command("scan", "--fingerprint", "--json"),
            env=cli_env(**KEY),
            stdin=theirs,
            capture_output=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert "read -rs" in json.loads(done.stdout)["error"]["hint"]


def test_a_fingerprint_is_asked_for_alone_and_a_scan_of_something() -> None:
    assert fingerprint(b"x", "h.example__a").code == 2
    assert cli("scan").code == 2
