"""`snapshotter push` as users run it, into real repositories: over HTTP, SSH and on the disk; cut, refused, resumed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from githost import Fault, GitHost
from lfshost import LfsHost
from tests.support import lfs
from tests.support.cli import Done, cli, cli_env, command, wait_for
from tests.support.git import Origin, git
from tests.support.lab import Lab
from tests.support.wires import Servers


@pytest.fixture
def rich(origin: Origin) -> Origin:
    """An origin with an annotated tag, notes, and refs that its host made."""
    origin.git("tag", "-a", "-m", "one", "v1", "main")
    origin.git("notes", "add", "-m", "note", "main")
    origin.ref("refs/pull/7/head", origin.oid("bulk"))
    origin.ref("refs/remotes/old/main", origin.oid("bulk"))
    return origin


@pytest.fixture
def target(tmp_path: Path) -> Origin:
    (tmp_path / "hosts").mkdir()
    made = Origin(tmp_path / "hosts" / "new.git")
    made.git("config", "http.receivepack", "true")
    return made


@pytest.fixture
def host(target: Origin) -> Iterator[GitHost]:
    with GitHost(target.path.parent, basic=("someone", "secret-token")) as host:
        yield host


def push(lab: Lab, origin: Origin, url: str | Path, *argv: str, **env: str) -> Done:
    return cli("push", str(origin.path), str(url), *argv, "--store", lab.root, **env)


def tokens(host: GitHost, token: str) -> str:
    return json.dumps({host.url().removeprefix("http://"): token})


def refs(repo: Origin) -> dict[str, str]:
    lines = repo.text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def own(repo: Origin) -> dict[str, str]:
    """The refs that no host makes by itself."""
    return {
        name: oid for name, oid in refs(repo).items() if not name.startswith(("refs/pull/", "refs/remotes/"))
    }


def no_clone_is_left(temp: Path) -> bool:
    return [path.name for path in temp.iterdir()] == []


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


def test_into_an_empty_repository_over_http(
    lab: Lab, rich: Origin, target: Origin, host: GitHost, temp: Path
) -> None:
    lab.take(rich)
    env = {"SNAPSHOTTER_TEMP": str(temp), "SNAPSHOTTER_GIT_TOKENS": tokens(host, "someone:secret-token")}
    done = push(lab, rich, host.url("new.git"), "--json", **env)
    assert done.code == 0, done.err
    assert refs(target) == own(rich)
    assert git(target.path, "fsck", "--strict") == b""
    assert done.json["left_out"] == ["refs/pull/7/head", "refs/remotes/old/main"]
    assert {each["kind"] for each in done.json["updates"]} == {"create"}
    assert all(each["taken"] for each in done.json["updates"])
    assert no_clone_is_left(temp)
    pushes = [one.path for one in host.requests if "git-receive-pack" in one.path and one.method == "POST"]
    again = push(lab, rich, host.url("new.git"), **env)
    assert (again.code, "already" in again.out) == (0, True)
    assert [
        one.path for one in host.requests if "git-receive-pack" in one.path and one.method == "POST"
    ] == pushes, "nothing is sent twice"


@pytest.mark.parametrize("name", ["ssh-v2", "local-v2"])
def test_over_other_ways(name: str, lab: Lab, rich: Origin, target: Origin, tmp_path: Path) -> None:
    lab.take(rich)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    servers = Servers(target.path.parent, scratch)
    try:
        way = servers.way(name)
        done = push(lab, rich, f"{way.prefix}/new.git", SNAPSHOTTER_SSH_COMMAND=way.ssh_command)
        assert done.code == 0, done.err
        assert refs(target) == own(rich)
        assert "left out, as hosts make them themselves: refs/pull/7/head, refs/remotes/old/main" in done.out
    finally:
        servers.close()


def test_what_would_be_lost_is_shown_and_lost_only_with_its_digest(
    lab: Lab, rich: Origin, target: Origin, temp: Path
) -> None:
    lab.take(rich)
    assert push(lab, rich, target.path).code == 0
    target.ref("refs/heads/kept", rich.oid("main"))
    target.ref("refs/pull/1/head", target.commit("refs/heads/aside"))
    target.ref("refs/heads/main", target.commit("refs/heads/other", {"o": b"other"}, parents=[]))
    before = refs(target)

    plain = push(lab, rich, target.path)
    assert (plain.code, "is not empty" in plain.err, "--prune --dry-run" in plain.err) == (2, True, True)
    shown = push(lab, rich, target.path, "--prune", "--dry-run", SNAPSHOTTER_TEMP=str(temp))
    assert shown.code == 0
    assert "- refs/heads/kept, at" in shown.out
    assert "! refs/heads/main, at" in shown.out
    assert shown.out.count("it would be lost") == 3, "aside, other and main"
    assert "untouched, as the host made them: refs/pull/1/head" in shown.out
    assert no_clone_is_left(temp)
    digest = push(lab, rich, target.path, "--prune", "--dry-run", "--json").json["digest"]
    assert f"--prune --digest {digest}" in shown.out
    for argv in (["--prune"], ["--prune", "--digest", "0" * 16], ["--digest", digest]):
        assert push(lab, rich, target.path, *argv).code == 2
    assert refs(target) == before, "nothing was sent"

    target.commit("refs/heads/kept")  # somebody works on it meanwhile
    late = push(lab, rich, target.path, "--prune", "--digest", digest)
    assert (late.code, "digest" in late.err) == (2, True)
    digest = push(lab, rich, target.path, "--prune", "--dry-run", "--json").json["digest"]
    done = push(lab, rich, target.path, "--prune", "--digest", digest)
    assert done.code == 0, done.err
    assert refs(target) == own(rich) | {"refs/pull/1/head": before["refs/pull/1/head"]}


def test_a_repository_that_is_behind_is_brought_forward_without_prune(
    lab: Lab, rich: Origin, target: Origin
) -> None:
    lab.take(rich)
    assert push(lab, rich, target.path).code == 0
    rich.commit()
    lab.take(rich)
    done = push(lab, rich, target.path)
    assert (done.code, "1 brought forward" in done.out) == (0, True)
    assert refs(target) == own(rich)


def test_a_name_that_is_in_the_way_goes_first(lab: Lab, origin: Origin, target: Origin) -> None:
    origin.ref("refs/heads/a/b", origin.oid("main"))
    origin.ref("refs/heads/c", origin.oid("main"))
    lab.take(origin)
    git(target.path, "fetch", "-q", origin.path, "refs/heads/main")
    target.ref("refs/heads/a", origin.oid("main"))
    target.ref("refs/heads/c/d", origin.oid("main"))
    digest = push(lab, origin, target.path, "--prune", "--dry-run", "--json").json["digest"]
    done = push(lab, origin, target.path, "--prune", "--digest", digest)
    assert done.code == 0, done.err
    assert refs(target) == refs(origin)


def heavy(origin: Origin, commits: int = 12) -> None:
    rng = random.Random(11)
    for _ in range(commits):
        origin.commit(files={"blob": rng.randbytes(64 * 1024)})
    origin.git("tag", "-a", "-m", "last", "last", "main")


def test_a_heavy_history_comes_in_batches_below_the_limit(
    lab: Lab, origin: Origin, target: Origin, host: GitHost
) -> None:
    heavy(origin)
    lab.take(origin)
    limit = 200 * 1024
    target.git("config", "receive.maxInputSize", str(limit + 8 * 1024))
    url = host.url("new.git").replace("//", "//someone:secret-token@")
    whole = push(lab, origin, url)
    assert (whole.code, "--batch-size" in whole.err) == (4, True), whole.err
    done = push(lab, origin, url, "--batch-size", str(limit), "--json")
    assert done.code == 0, done.err
    assert refs(target) == refs(origin)
    assert done.json["pushes"] >= 5


def test_a_push_that_was_cut_goes_on_where_it_ended(
    lab: Lab, origin: Origin, target: Origin, temp: Path, tmp_path: Path
) -> None:
    """The host's hook hangs in the third push, in which the process is killed; another one goes on."""
    heavy(origin)
    lab.take(origin)
    count, marker = tmp_path / "count", tmp_path / "marker"
    hook = target.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\necho >>{count}\n[ $(wc -l <{count}) -ne 3 ] || {{ touch {marker}; sleep 60; }}\n"
    )
    hook.chmod(0o755)
    argv = command("push", origin.path, target.path, "--batch-size", "200KiB", "--store", lab.root)
    with subprocess.Popen(argv, env=cli_env(TMPDIR=str(temp)), stderr=subprocess.PIPE) as process:
        wait_for(process, marker.exists)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 143
    assert no_clone_is_left(temp)
    (step,) = refs(target).values()
    assert step != origin.oid("main")
    whole = int(origin.text("rev-list", "--objects", "--disk-usage", "main"))
    rest = int(origin.text("rev-list", "--objects", "--disk-usage", "main", f"^{step}"))
    shown = push(lab, origin, target.path, "--dry-run", "--json").json
    assert rest <= shown["bytes"] < whole
    done = push(lab, origin, target.path, "--batch-size", "200KiB")
    assert done.code == 0, done.err
    assert refs(target) == refs(origin)


def refusing(target: Origin, name: str, script: str) -> Path:
    """A hook of the target."""
    hook = target.path / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    return hook


def test_what_the_host_refuses_is_named_and_costs_no_other(lab: Lab, rich: Origin, target: Origin) -> None:
    lab.take(rich)
    target.git("config", "transfer.hideRefs", "refs/notes")
    hook = refusing(target, "update", '[ "$1" != refs/heads/bulk ] || { echo "bulk is protected"; exit 1; }')
    done = push(lab, rich, target.path, "--json")
    assert done.code == 3
    assert "refs/heads/bulk" in done.err
    assert "bulk is protected" in done.err, "the hook's own word"
    assert {each["ref"] for each in done.json["refused"]} == {"refs/heads/bulk", "refs/notes/commits"}
    assert refs(target) == {
        name: oid for name, oid in own(rich).items() if name not in ("refs/heads/bulk", "refs/notes/commits")
    }
    hook.unlink()
    again = push(lab, rich, target.path)
    assert (again.code, "left out, as hosts make them themselves: refs/pull/7/head" in again.out) == (0, True)
    assert "left out, as the host hides them: refs/notes/commits" in again.out


def test_a_token_goes_to_its_host_alone_and_is_never_told(
    lab: Lab, rich: Origin, target: Origin, host: GitHost
) -> None:
    lab.take(rich)
    for token, code in (("someone:wrong-token", 5), ("", 5)):
        env = {"SNAPSHOTTER_GIT_TOKENS": tokens(host, token)} if token else {}
        done = push(lab, rich, host.url("new.git"), **env)
        assert (done.code, "wrong-token" in done.err) == (code, False)
    assert refs(target) == {}


def test_another_object_format_is_refused(lab: Lab, rich: Origin, tmp_path: Path) -> None:
    other = Origin(tmp_path / "sha256.git", object_format="sha256")
    other.commit()
    lab.take(rich)
    done = push(lab, rich, other.path)
    assert (done.code, "object format" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("url", "code", "word"),
    [
        ("/no/such/place.git", 4, "place.git"),
        ("http://192.0.2.1/x.git", 2, "plain http"),
        ("http://127.0.0.1:1/x.git", 4, "127.0.0.1:1"),
    ],
)
def test_a_place_that_is_none(lab: Lab, rich: Origin, url: str, code: int, word: str) -> None:
    lab.take(rich)
    done = push(lab, rich, url)
    assert (done.code, word in done.err, "hint:" in done.err) == (code, True, True), done.err


@pytest.fixture
def lfs_host(tmp_path: Path) -> Iterator[LfsHost]:
    with LfsHost(tmp_path / "hosts") as host:
        yield host


def with_lfs(lab: Lab, origin: Origin, tmp_path: Path) -> list[bytes]:
    """A snapshot with three LFS objects; their contents."""
    contents = [b"one" * 1000, b"two" * 100_000, b"three"]
    (tmp_path / "other").mkdir()
    with LfsHost(tmp_path / "other") as host:
        there = Origin(tmp_path / "other" / "x.git", filters=True)
        git(there.path, "fetch", "-q", origin.path, "+refs/*:refs/*")
        lfs.add(host, there, *contents)
        git(origin.path, "fetch", "-q", there.path, "+refs/*:refs/*")
        for data in contents:
            oid = hashlib.sha256(data).hexdigest()
            place = origin.path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
    assert cli("snapshot", origin.path, "--store", lab.root).code == 0
    return contents


def test_lfs_objects_go_along_and_only_those_that_are_not_there(
    lab: Lab, origin: Origin, target: Origin, lfs_host: LfsHost, tmp_path: Path
) -> None:
    contents = with_lfs(lab, origin, tmp_path)
    lfs_host.put(contents[0])
    shown = push(lab, origin, lfs_host.url("new.git"), "--dry-run")
    assert "LFS 3 of 3 objects" in shown.out
    done = push(lab, origin, lfs_host.url("new.git"), "--json")
    assert done.code == 0, done.err
    assert refs(target) == refs(origin)
    assert done.json["lfs"]["objects"] == 3
    held = {path.read_bytes() for path in lfs_host.objects.iterdir()}
    assert held == {*contents}
    puts = [seen for seen in lfs_host.lfs_requests if seen.method == "PUT"]
    assert len(puts) == 2, "what the host has is not sent"


def test_lfs_objects_go_into_a_folder(lab: Lab, origin: Origin, target: Origin, tmp_path: Path) -> None:
    contents = with_lfs(lab, origin, tmp_path)
    assert push(lab, origin, target.path).code == 0
    held = {path.read_bytes() for path in (target.path / "lfs").rglob("*") if path.is_file()}
    assert held == {*contents}


@pytest.mark.parametrize(
    ("status", "hint"), [(403, "allowed to write LFS"), (404, "turn LFS on"), (507, "make room for LFS")]
)
def test_a_host_without_room_for_lfs_gets_the_refs_and_it_is_told(
    lab: Lab, origin: Origin, target: Origin, lfs_host: LfsHost, tmp_path: Path, status: int, hint: str
) -> None:
    with_lfs(lab, origin, tmp_path)
    lfs_host.lfs_fault = lambda what: Fault(status=status) if what == "batch" else None
    done = push(lab, origin, lfs_host.url("new.git"))
    assert (done.code, "3 of 3 LFS objects are not" in done.err) == (3, True), done.err
    assert hint in done.err.partition("hint:")[2]
    assert "LFS 0 of 3 objects, 0 B" in done.out
    assert refs(target) == refs(origin)


def test_of_refs_and_lfs_objects_that_a_host_does_not_take_both_are_told(
    lab: Lab, origin: Origin, target: Origin, lfs_host: LfsHost, tmp_path: Path
) -> None:
    with_lfs(lab, origin, tmp_path)
    lfs_host.lfs_fault = lambda what: Fault(status=507) if what == "batch" else None
    refusing(target, "pre-receive", "exit 1")
    done = push(lab, origin, lfs_host.url("new.git"))
    assert done.code == 4
    assert "3 of 3 LFS objects are not there" in done.err and "507" in done.err
    assert "got no ref in 1 push\n" in done.out, "which says of nothing that it was read back"
