"""Origins whose list of refs contradicts itself: what was taken comes back, and what is wrong is said."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snapshotter.archive import layout
from snapshotter.base.errors import Finding
from snapshotter.git.refs import Ref
from tests.support.cli import cli_env, command
from tests.support.faults import Relisted
from tests.support.git import Origin, git
from tests.support.lab import Lab

Edit = Callable[[list[Ref]], None]
WRONG = "1" * 40


def aliases(*pairs: str) -> Edit:
    """An edit that adds `name>target` aliases of the id that main has; `name<target` of the commit before it."""

    def edit(refs: list[Ref]) -> None:
        tips = {ref.name: ref.oid for ref in refs}
        for pair in pairs:
            name, target = (b"refs/heads/" + part.encode() for part in pair.replace("<", ">").split(">"))
            refs.append(
                Ref(name, tips[b"refs/tags/old" if "<" in pair else b"refs/heads/main"], symref=target)
            )

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        aliases("alias<main"),
        aliases("alias<main", "second>main"),
        aliases("one>two", "two>main"),
        aliases("loop>loop"),
        aliases("one>two", "two>three", "three>one"),
        aliases("a>main", "a/b>main", "a/b/c>main"),
        aliases("main/below>main"),
        aliases("n" * 300 + ">main", "deep/" + "n" * 252 + "/x>main"),
    ],
)
def test_aliases_that_contradict_the_list_come_back_as_the_refs_they_are(
    lab: Lab, origin: Origin, tmp_path: Path, edit: Edit
) -> None:
    origin.ref("refs/tags/old", origin.oid("main"))
    origin.commit()
    taken = [lab.take(origin, wrap=lambda inner: Relisted(inner, edit))]
    origin.commit()
    taken.append(lab.take(origin, wrap=lambda inner: Relisted(inner, edit)))
    for number, sealed in enumerate(taken):
        ledger = lab.catalog.ledger(sealed.manifest)
        restored = lab.restore(sealed, tmp_path / f"{number}.git")
        assert Origin.at(tmp_path / f"{number}.git").refs() == dict(ledger.oids)
        assert restored.refs == len(ledger)
    lab.assert_whole(taken[0])


@pytest.mark.parametrize("name", [b"refs/tags/v1", b"refs/heads/main"])
def test_a_wrong_peeled_id_is_found_and_never_restored(
    lab: Lab, origin: Origin, tmp_path: Path, name: bytes
) -> None:
    origin.git("tag", "-a", "-m", "t", "v1", "main")

    def lie(refs: list[Ref]) -> None:
        refs[:] = [ref._replace(peeled=WRONG) if ref.name == name else ref for ref in refs]

    taken = lab.take(origin, wrap=lambda inner: Relisted(inner, lie))
    (verdict,) = lab.verify(taken)
    (problem,) = verdict.problems
    assert problem.sent
    assert name.decode() in problem.what
    done = subprocess.run(
        command("restore", origin.path, tmp_path / "r.git", "--bare", "--store", lab.root),
        env=cli_env(),
        capture_output=True,
        check=True,
    )
    assert name in done.stderr
    packed = (tmp_path / "r.git" / "packed-refs").read_text()
    assert WRONG not in packed
    assert f"^{origin.oid('v1^{}')}" in packed
    assert git(tmp_path / "r.git", "show-ref", "-d") == origin.git("show-ref", "-d")


def test_a_restore_whose_refs_git_reads_otherwise_is_none(
    lab: Lab, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that takes two names for one; here git is one that forgets the branch `bulk`."""
    taken = lab.take(origin)
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *for-each-ref*) {shutil.which("git")} "$@" | grep -v bulk;; '
        f'*) exec {shutil.which("git")} "$@";; esac\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    with pytest.raises(Finding, match="refs/heads/bulk"):
        lab.restore(taken, tmp_path / "r.git")
    assert not (tmp_path / "r.git").exists()
    (verdict,) = lab.verify(taken)
    assert "refs/heads/bulk" in verdict.problems[0].what


def _flip_in_pack(origin: Origin) -> None:
    origin.git("repack", "-adq")
    (pack,) = origin.path.glob("objects/pack/*.pack")
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 0x55
    pack.write_bytes(data)


def test_damage_that_the_origin_sent_is_told_from_damage_in_the_store(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    whole = Origin(tmp_path / "whole.git")
    whole.git("fetch", "-q", str(origin.path), "+refs/*:refs/*")
    _flip_in_pack(origin)
    taken = lab.take(origin)

    def run(*argv: str | Path) -> tuple[int, str]:
        done = subprocess.run(
            command(*argv, "--store", lab.root), env=cli_env(), capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    code, said = run("verify", origin.path)
    assert code == 1
    assert "the origin sent" in said
    assert "git fsck" in said
    code, said = run("restore", origin.path, tmp_path / "r")
    assert code == 4
    assert "git fsck" in said
    assert not (tmp_path / "r").exists()
    # The same pack, and a byte of it altered in the store: what git says first does not matter.
    bundle = lab.file(taken.manifest.key.key(layout.HISTORY))
    data = bytearray(bundle.read_bytes())
    data[-1] ^= 1
    bundle.write_bytes(data)
    code, said = run("verify", origin.path)
    assert code == 1
    assert "the origin sent" not in said
    assert "take a new snapshot" in said
