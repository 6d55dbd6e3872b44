"""Every verb as users run it: a real process, its two streams, its exit code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter import __version__
from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions
from tests.support.cli import Done, cli, cli_env, command
from tests.support.git import Origin, git, state_of
from tests.support.lab import START, Lab

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True)
class World:
    """Three snapshots on three days of one origin: base, increment with every kind of change, unchanged."""

    origin: Origin
    lab: Lab
    taken: list[Sealed]

    @property
    def repo(self) -> str:
        return self.taken[0].manifest.repo

    @property
    def store(self) -> tuple[str, Path]:
        return ("--store", self.lab.root)

    def run_id(self, number: int) -> str:
        return self.taken[number].manifest.run_id


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("cli")
    origin, lab = Origin(folder / "x.git"), Lab(folder / "store")
    first = origin.commit(files={"bulk": os.urandom(40_000), "a": b"a"})
    origin.commit("refs/heads/rewritten", {"x": b"1"}, parents=[first])
    origin.ref("refs/heads/deleted", first)
    taken = [lab.take(origin, CaptureOptions(labels={"team": "core"}))]
    origin.commit(files={"a": b"b"})
    origin.commit("refs/heads/rewritten", {"x": b"2"}, parents=[first])
    origin.ref("refs/heads/deleted", None)
    origin.git("tag", "-a", "-m", "t", "created", "main")
    taken.append(lab.take(origin, advance=timedelta(days=1)))
    taken.append(lab.take(origin, advance=timedelta(days=1)))
    assert [sealed.manifest.kind for sealed in taken] == ["base", "increment", "unchanged"]
    return World(origin, lab, taken)


def test_version() -> None:
    assert cli("--version") == Done(0, f"snapshotter {__version__}\n", "")


@pytest.mark.parametrize("verb", ["snapshot", "list", "show", "diff", "get", "restore", "verify"])
def test_help_has_an_example(verb: str) -> None:
    done = cli(verb, "--help", COLUMNS="120")
    assert done.code == 0
    assert f"snapshotter {verb}" in done.out


def test_snapshot_of_a_path_and_of_a_url(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "srv" / "x.git")
    origin.commit()
    with GitHost(tmp_path / "srv") as host:
        for place in (str(origin.path), host.url("x.git")):
            done = cli("snapshot", place, "--store", tmp_path / "store", "--label", "a=b", "--label", "c=d=e")
            assert done.code == 0, done.err
            assert RUN_ID.search(done.out.splitlines()[0])
            assert "base (the first snapshot): 1 ref, 3 objects" in done.out
            assert "streaming" in done.err
            document = cli("snapshot", place, "--store", tmp_path / "store", "--json", "--quiet")
            assert (document.code, document.err) == (0, "")
            assert document.json["kind"] == "unchanged"
            assert document.json["ok"] is True
            assert document.json["origin"] == place
            stored = tmp_path / "store" / document.json["folder"] / "manifest.json"
            assert hashlib.sha256(stored.read_bytes()).hexdigest() == document.json["manifest_sha256"]
            plain = json.loads(stored.read_bytes())
            assert {key: document.json[key] for key in plain} == plain
    assert cli("list", "--store", tmp_path / "store", "--json").json["snapshots"][0]["kind"] == "unchanged"


def test_snapshot_flags_and_settings(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    origin.commit(files={"noise": os.urandom(200_000)})
    origin.ref("refs/pull/1/merge", origin.oid("main"))
    origin.ref("refs/tags/v1", origin.oid("main"))
    env = {"SNAPSHOTTER_STORE": str(tmp_path / "env"), "SNAPSHOTTER_SEGMENT_SIZE": "64KiB"}
    document = cli("snapshot", origin.path, "--json", **env).json
    assert document["limits"]["segment_bytes"] == 65536
    assert len(document["history"]["segments"]) == 4
    assert [gap["count"] for gap in document["gaps"]] == [1]
    document = cli(
        "snapshot", origin.path, "--json", "--segment-size", "1MiB", "--exclude-refs", "", "--full", **env
    ).json
    assert (document["kind"], document["gaps"], document["refs"]["count"]) == ("base", [], 3)
    document = cli("snapshot", origin.path, "--json", "--refs", "refs/tags/*", **env).json
    assert document["refs"]["count"] == 1
    (tmp_path / ".env").write_text(f"SNAPSHOTTER_STORE={tmp_path}/dotenv\nPATH=/nowhere\n")
    assert cli("snapshot", origin.path, "-q", cwd=tmp_path).code == 0
    assert (tmp_path / "dotenv").is_dir()


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["snapshot"], 2, "ORIGIN"),
        (["snapshot", "x", "--no-such-flag"], 2, "--no-such-flag"),
        (["snapshot", "--", "-x"], 2, "begin with '-'"),
        (["snapshot", "ext::sh -c id"], 2, "not allowed"),
        (["snapshot", "ftp://h/x"], 2, "not allowed"),
        (["snapshot", "http://example.com/x"], 2, "plain http"),
        (["snapshot", "https://h/../../x"], 2, "climbs"),
        (["snapshot", "https://u:secret@h/%2e%2e/x"], 2, "climbs"),
        (["snapshot", "/no/such/folder"], 4, "no such folder"),
        (["snapshot", "ORIGIN", "--label", "x"], 2, "not a label"),
        (["snapshot", "ORIGIN", "--segment-size", "1KiB"], 2, "segment size"),
        (["snapshot", "ORIGIN", "--segment-size", "much"], 2, "not a size"),
        (["snapshot", "ORIGIN", "--max-chain-age", "soon"], 2, "not a span"),
        (["snapshot", "ORIGIN", "--refs", "refs/none/*"], 2, "leave no ref"),
        (["snapshot", "ORIGIN", "--store", "ftp://x"], 2, "not a store"),
        (["snapshot", "ORIGIN", "--max-refs", "1"], 4, "more than 1 ref"),
        (["list", "nothing__here"], 4, "no snapshot"),
        (["list", "REPO", "--since", "yesterday"], 2, "not a time"),
        (["show", "REPO@0001-01-01"], 4, "no snapshot"),  # weeks before which there is no calendar
        (["show", "nothing__here"], 4, "no snapshot"),
        (["show", "REPO@20200101T000000Z-00000000"], 4, "no snapshot"),
        (["show", "REPO@2020-01-01"], 4, "no snapshot"),
        (["get", "REPO", "nothing.txt"], 2, "has no artifact"),
        (["get", "REPO", "report.html"], 2, "`snapshotter scan "),
        (["get", "REPO", "refs.txt", "--json"], 2, "-o"),
        (["restore", "REPO"], 2, "DEST"),
        (["restore", "REPO", "x", "--bare", "--mirror"], 2, "exclude"),
        (["verify"], 2, "--all"),
        (["verify", "REPO", "--all"], 2, "--all"),
    ],
)
def test_bad_input_gets_a_clear_error(
    world: World, tmp_path: Path, argv: list[str], code: int, says: str
) -> None:
    argv = [word.replace("ORIGIN", str(world.origin.path)).replace("REPO", world.repo) for word in argv]
    store = [] if "--store" in argv or "--" in argv else list(world.store)
    before = world.lab.store.list("")
    done = cli(*argv, *store, cwd=tmp_path)
    assert done.code == code, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.err + done.out
    if "Usage:" not in done.err:
        assert done.err.splitlines()[-1].strip()
        assert "\nhint: " in done.err or says in ("not a number",), done.err
    assert done.out == "" or "--json" in argv
    assert world.lab.store.list("") == before


def test_an_error_with_json_is_a_document(world: World) -> None:
    done = cli("show", "nothing__here", "--json", *world.store)
    assert done.code == 4
    assert done.json["ok"] is False
    assert done.json["error"]["code"] == "no-snapshot"
    assert done.json["error"]["exit_code"] == 4
    assert done.json["error"]["hint"]


def test_a_date_before_the_first_snapshot_is_answered_with_that_snapshot(world: World) -> None:
    repo = cli("list", "--json", *world.store).json["snapshots"][0]["repo"]
    first = cli("list", repo, "--json", *world.store).json["snapshots"][0]["run_id"]
    done = cli("show", f"{repo}@2001-02-03", "--json", *world.store)
    error = done.json["error"]
    assert (done.code, error["code"]) == (4, "no-snapshot")
    assert f"no snapshot of {repo} is as old as 2001-02-0" in error["message"]
    day = f"{first[:4]}-{first[4:6]}-{first[6:8]}T"
    assert f"the first is of {day}" in error["message"]
    assert f"{repo}@{first}" in error["hint"]


def test_list(world: World, tmp_path: Path) -> None:
    done = cli("list", *world.store)
    assert done.code == 0
    assert len(done.out.splitlines()) == 2
    assert f"{world.repo}@{world.run_id(2)}" in done.out
    done = cli("list", world.repo, *world.store)
    assert [RUN_ID.search(line).group() for line in done.out.splitlines()[1:]] == [
        world.run_id(n) for n in range(3)
    ]  # type: ignore[union-attr]
    assert "created 1, deleted 1, moved 1, rewritten 1" in done.out
    rows = cli("list", str(world.origin.path), "--json", *world.store).json["snapshots"]
    assert [row["kind"] for row in rows] == ["base", "increment", "unchanged"]
    assert rows[0]["verified"] is None
    (tmp_path / "empty").mkdir()
    assert cli("list", "--store", tmp_path / "empty").out.startswith("no snapshots")


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2024-03-01", 3),
        ("2024-03-02", 2),
        ("2024-03-03", 1),
        ("2024-03-04", 0),
        ("2024-03-02T13:00Z", 2),
        ("2024-03-02T13:01Z", 1),
        ("2024-03-02T13:00:00Z", 2),
        ("2024-03-02T13:00:01Z", 1),
    ],
)
def test_list_since(world: World, since: str, count: int) -> None:
    assert datetime.fromisoformat("2024-03-01T13:00:00+00:00") == START + timedelta(hours=1)
    rows = cli("list", world.repo, "--since", since, "--json", *world.store).json["snapshots"]
    assert len(rows) == count


def names(world: World) -> list[tuple[str, int]]:
    """Every form of a SNAPSHOT's name, and which it is."""
    path, repo = str(world.origin.path), world.repo
    folder = world.taken[0].manifest.key.folder
    return [
        (repo, 2),
        (path, 2),
        (f"file://{path}", 2),
        (f"{repo}@{world.run_id(1)}", 1),
        (f"{path}@{world.run_id(0)}", 0),
        (f"{repo}@2024-03-01", 0),
        (f"{repo}@2024-03-02", 1),
        (f"{path}@2024-03-02T13:00Z", 1),
        (f"{repo}@2024-03-02T12:59Z", 0),
        (f"{repo}@2024-03-02T12:59:59Z", 0),
        (f"{repo}@2024-03-02T13:00:00Z", 1),
        (f"{repo}@2030-01-01", 2),
        (folder, 0),
        (f"{folder}/", 0),
        (f"{folder}/manifest.json", 0),
        (f"file:{world.lab.root}/{folder}", 0),
    ]


def test_names_of_snapshots(world: World) -> None:
    for name, number in names(world):
        found = world.lab.catalog.resolve(name)
        assert str(found.key.run_id) == world.run_id(number), name
    for name, number in [names(world)[n] for n in (1, 3, 7, 12)]:
        assert cli("show", name, "--json", *world.store).json["run_id"] == world.run_id(number), name


def test_a_user_at_a_host_is_an_origin(tmp_path: Path) -> None:
    """`git@host:x` holds an @ and a colon, and means a repository; here by an ssh that is none."""
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec git upload-pack {origin.path}\n')
    ssh.chmod(0o755)
    env = {"SNAPSHOTTER_SSH_COMMAND": str(ssh)}
    taken = cli("snapshot", "git@host.example:x", "--store", tmp_path / "store", "--json", **env)
    assert taken.code == 0, taken.err
    assert taken.json["origin"] == "git@host.example:x"
    assert taken.json["repo"] == "host.example__x"
    assert "-- git@host.example git-upload-pack 'x'" in (tmp_path / "argv").read_text()
    for name in (
        "git@host.example:x",
        "host.example__x",
        "ssh://git@host.example/x",
        f"git@host.example:x@{taken.json['run_id']}",
    ):
        shown = cli("show", name, "--store", tmp_path / "store", "--json")
        assert shown.json.get("run_id") == taken.json["run_id"], name


def test_show(world: World) -> None:
    done = cli("show", f"{world.repo}@{world.run_id(0)}", *world.store)
    for text in (
        "base (the first snapshot)",
        "label team=core",
        "HEAD refs/heads/main",
        "history.bundle",
        "sha1",
    ):
        assert text in done.out
    document = cli("show", world.repo, "--json", *world.store).json
    assert document["chain"] == [world.run_id(0), world.run_id(1)]
    assert document["manifest_sha256"] == world.taken[2].sha256


def test_get(world: World, tmp_path: Path) -> None:
    name = f"{world.repo}@{world.run_id(1)}"
    folder = world.lab.root / world.taken[1].manifest.key.folder
    for artifact in ("refs.txt", "history.bundle", "manifest.json"):
        done = subprocess.run(
            command("get", name, artifact, *world.store), env=cli_env(), capture_output=True, check=True
        )
        assert done.stdout == (folder / artifact).read_bytes()
    out = tmp_path / "out"
    done_ = cli("get", name, "refs.txt", "-o", out, "--json", *world.store)
    assert done_.json == {"artifact": "refs.txt", "bytes": out.stat().st_size, "ok": True, "output": str(out)}
    again = cli("get", name, "refs.txt", "-o", out, *world.store)
    assert again.code == 2
    assert "exists" in again.err
    # An unchanged snapshot's refs are those of the snapshot that wrote them.
    assert cli("get", world.repo, "refs.txt", *world.store).out == (folder / "refs.txt").read_text()
    assert "no artifact" in cli("get", world.repo, "../../x", *world.store).err


def test_a_get_that_cannot_be_written_leaves_no_half_of_it(world: World, tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    name, out = f"{world.repo}@{world.run_id(0)}", tmp_path / "out"
    no_cache = {"PYTHONDONTWRITEBYTECODE": "1"}  # which would be cut short, too
    done = cli("get", name, "history.bundle", "-o", out, *world.store, before=small_files, **no_cache)
    assert (done.code, done.out) == (4, "")
    assert f"cannot write {out}: File too large" in done.err
    assert not out.exists()
    nowhere = cli("get", name, "refs.txt", "-o", tmp_path / "no" / "out", *world.store)
    assert (nowhere.code, f"cannot write {tmp_path}/no/out" in nowhere.err) == (4, True)


def test_a_store_with_other_peoples_names_in_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "some__repo").mkdir()
    (tmp_path / "some__repo" / os.fsdecode(b"a\xff")).write_text("x")
    done = cli("list", "some__repo", "--store", tmp_path)
    assert done.code == 4
    assert "holds what is not snapshotter's, which is passed over: some__repo/a" in done.err


def test_get_refuses_an_altered_artifact(world: World, tmp_path: Path) -> None:
    path = world.lab.file(world.taken[1].manifest.key.key("history.bundle"))
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    try:
        done = cli(
            "get", f"{world.repo}@{world.run_id(1)}", "history.bundle", "-o", tmp_path / "x", *world.store
        )
    finally:
        path.write_bytes(kept)
    assert done.code == 4
    assert "SHA-256 differs" in done.err
    assert not (tmp_path / "x").exists()


def test_diff(world: World) -> None:
    first, second = f"{world.repo}@{world.run_id(0)}", f"{world.repo}@{world.run_id(1)}"
    document = cli("diff", first, world.repo, "--json", *world.store).json
    found = {
        kind: [change["ref"] for change in document[kind]["refs"]]
        for kind in ("created", "deleted", "moved", "rewritten", "unknown")
    }
    assert found == {
        "created": ["refs/tags/created"],
        "deleted": ["refs/heads/deleted"],
        "moved": ["refs/heads/main", "refs/heads/rewritten"],
        "rewritten": ["refs/heads/rewritten"],
        "unknown": [],
    }
    assert all(document[kind]["count"] == len(document[kind]["refs"]) for kind in found)
    text = cli("diff", first, second, *world.store).out
    for line in (
        "created: 1",
        "+ refs/tags/created",
        "- refs/heads/deleted",
        "~ refs/heads/main",
        "! refs/heads/rewritten",
        "moved: 1",
        "rewritten: 1",
        "of unknown ancestry: 0",
    ):
        assert line in text
    assert text.count("refs/heads/rewritten") == 1, "a rewritten branch is listed twice"
    nothing = cli("diff", second, world.repo, "--json", *world.store).json
    assert all(nothing[kind]["count"] == 0 for kind in found)
    # Backwards, the manifests cannot tell.
    assert cli("diff", second, first, "--json", *world.store).json["unknown"]["count"] == 2


@pytest.mark.parametrize("flags", [[], ["--bare"], ["--mirror"]])
def test_restore(world: World, tmp_path: Path, flags: list[str]) -> None:
    done = cli("restore", world.repo, tmp_path / "r", *flags, *world.store)
    assert done.code == 0, done.err
    assert "every object is there" in done.out
    assert state_of(tmp_path / "r") == world.origin.state
    bare = git(tmp_path / "r", "rev-parse", "--is-bare-repository") == b"true\n"
    assert bare == bool(flags)
    mirror = git(tmp_path / "r", "config", "remote.origin.mirror", check=False) == b"true\n"
    assert mirror == (flags == ["--mirror"])
    if not flags:
        assert (tmp_path / "r" / "a").read_bytes() == b"b"
        assert git(tmp_path / "r", "status", "--porcelain") == b""
    keys = git(tmp_path / "r", "config", "--local", "--name-only", "--list").splitlines()
    assert len(keys) == len(set(keys)), "a key has two values, of which tools may take either"
    hooks = tmp_path / "r" / ("hooks" if flags else ".git/hooks")
    assert not hooks.exists()
    if flags == ["--mirror"]:
        git(tmp_path / "r", "fetch", "-q")


def test_a_restore_runs_no_hook_and_no_filter_of_anybody(tmp_path: Path) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit(files={".gitattributes": b"* filter=harm\n", "a": b"a\n"})
    lab.take(origin)
    ran, hooks, template = tmp_path / "ran", tmp_path / "hooks", tmp_path / "template"
    for folder in (hooks, template / "hooks"):
        folder.mkdir(parents=True)
        for name in ("post-checkout", "post-index-change", "reference-transaction", "post-update"):
            (folder / name).write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
            (folder / name).chmod(0o700)
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {template}\n"
        f'[filter "harm"]\n\tsmudge = touch {ran}; cat\n\trequired = true\n'
    )
    env = {"GIT_CONFIG_GLOBAL": str(config), "HOME": str(tmp_path), "GIT_TEMPLATE_DIR": str(template)}
    (tmp_path / ".gitconfig").write_bytes(config.read_bytes())
    for flags in ([], ["--bare"]):
        done = cli("restore", origin.path, tmp_path / f"out{len(flags)}", *flags, "--store", lab.root, **env)
        assert done.code == 0, done.err
    assert (tmp_path / "out0" / "a").read_bytes() == b"a\n"
    assert not ran.exists(), ran.read_text()
    assert not list(tmp_path.glob("out*/**/hooks/*"))
    # The trap is one: git itself, in that environment, falls into it.
    subprocess.run(
        ["git", "clone", "--quiet", origin.path, tmp_path / "trap"],
        env=cli_env(**env),
        check=False,
        capture_output=True,
    )
    assert ran.exists()


def test_restore_to_an_older_moment(world: World, tmp_path: Path) -> None:
    document = cli(
        "restore", f"{world.repo}@2024-03-01", tmp_path / "deep" / "r", "--json", *world.store
    ).json
    assert document["chain"] == [world.run_id(0)]
    assert document["refs"] == 3
    assert b"refs/heads/deleted" in git(tmp_path / "deep" / "r", "for-each-ref")


@pytest.mark.parametrize("what", ["file", "full folder", "symlink"])
def test_restore_refuses_what_exists(world: World, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "file":
        out.write_text("mine")
    elif what == "symlink":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    done = cli("restore", world.repo, out, *world.store)
    assert done.code == 2
    assert "exists" in done.err
    assert "hint: " in done.err
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_restore_into_an_empty_folder(world: World, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    assert cli("restore", world.repo, tmp_path / "r", "--bare", *world.store).code == 0
    assert state_of(tmp_path / "r") == world.origin.state


def test_verify(tmp_path: Path) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit()
    first, second = lab.take(origin), lab.take(origin)
    repo, store = first.manifest.repo, ("--store", lab.root)
    done = cli("verify", f"{repo}@{first.manifest.run_id}", "--fsck", "--json", *store)
    assert done.code == 0
    (row,) = done.json["snapshots"]
    assert (row["ok"], row["problems"], row["fsck"]) == (True, [], [])
    receipt = json.loads(lab.file(row["receipt"]).read_bytes())
    assert (receipt["mode"], receipt["ok"], receipt["manifest_sha256"]) == ("full", True, first.sha256)
    assert [line.split()[0] for line in cli("verify", repo, *store).out.splitlines()] == ["ok", "ok"]
    assert len(cli("verify", "--all", "--newest", "--json", *store).json["snapshots"]) == 1
    assert cli("verify", "--all", "--quick", "--json", *store).json["mode"] == "quick"
    shown = cli("show", repo, *store).out
    assert "receipts/" in shown
    assert cli("list", *store, "--json").json["snapshots"][0]["verified"] is True
    assert cli("verify", "--all", "--store", tmp_path / "none").code == 4
    assert second.manifest.kind == "unchanged"


def test_terminal_escapes_are_neutralised(tmp_path: Path) -> None:
    """What a hostile name or origin holds reaches a terminal as text, never as its commands."""
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    names = ["refs/heads/\u202egnp.exe", "refs/heads/\u200bzero", "refs/heads/\x9b31m"]
    for name in names:
        origin.git("update-ref", name.encode(), "main")
    origin.git("symbolic-ref", b"HEAD", names[0].encode())
    store = ("--store", tmp_path / "store")
    outputs = [cli("snapshot", origin.path, *store)]
    repo = outputs[0].out.split("@")[0]
    run_id = RUN_ID.search(outputs[0].out).group()  # type: ignore[union-attr]
    for name in names:
        origin.ref(name.encode(), None)
    origin.git("symbolic-ref", "HEAD", "refs/heads/main")
    outputs += [
        cli("show", repo, *store),
        cli("snapshot", origin.path, *store),
        cli("diff", f"{repo}@{run_id}", repo, *store),
        cli("list", repo, *store),
        cli("show", "x\x1b[31m\u202e", *store),
        cli("get", repo, "a\x1b]0;b", *store),
        cli("snapshot", "https://h.example/\x1b[2J", *store),
        cli("restore", repo, tmp_path / "\x1b[2J", *store),
        cli("snapshot", "/no/\x1b[2J\u202e", *store),
        cli("snapshot", origin.path, "--store", "x\x1b://y"),
    ]
    for done in outputs:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", done.out + done.err), done
    assert "\\u202egnp.exe" in outputs[1].out + outputs[3].out


@contextmanager
def tiny_disk(folder: Path, kib: int) -> Iterator[None]:
    """A file system of a few KiB at `folder`; skips where mounting is not allowed."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def heavy(tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "heavy.git")
    origin.commit(files={"noise": os.urandom(1_000_000)})
    return origin


def test_a_full_disk_under_the_store(tmp_path: Path) -> None:
    origin = heavy(tmp_path)
    with tiny_disk(tmp_path / "disk", 512):
        done = cli("snapshot", origin.path, "--store", tmp_path / "disk" / "store", "--segment-size", "64KiB")
        assert (done.code, done.out) == (4, "")
        assert "the disk is full" in done.err
        assert "hint: free space" in done.err
        assert not list((tmp_path / "disk").rglob("manifest.json"))
        subprocess.run(["mount", "-o", "remount,size=8m", tmp_path / "disk"], check=True)
        assert cli("snapshot", origin.path, "--store", tmp_path / "disk" / "store").code == 0
        assert cli("verify", "--all", "--store", tmp_path / "disk" / "store").code == 0


def test_a_full_disk_under_a_restore_and_a_verification(tmp_path: Path) -> None:
    origin = heavy(tmp_path)
    store = ("--store", tmp_path / "store")
    assert cli("snapshot", origin.path, *store).code == 0
    with tiny_disk(tmp_path / "disk", 512):
        done = cli("restore", origin.path, tmp_path / "disk" / "r", *store)
        assert done.code == 4
        assert "hint: " in done.err
        assert list((tmp_path / "disk").iterdir()) == []
        done = cli("verify", origin.path, *store, TMPDIR=str(tmp_path / "disk"))
        assert done.code == 4, done.out  # could not check: nothing is said against the snapshot
        assert list((tmp_path / "disk").iterdir()) == []
    assert not list((tmp_path / "store").rglob("receipts"))
    assert cli("verify", origin.path, *store).code == 0


def test_a_file_size_limit_under_the_store(tmp_path: Path) -> None:
    """The same where nothing may be mounted: a write fails in the middle."""
    origin = heavy(tmp_path)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = cli("snapshot", origin.path, "--store", tmp_path / "store", before=limit)
    assert (done.code, done.out) == (4, "")
    assert "error: " in done.err
    assert "hint: " in done.err
    assert not list((tmp_path / "store").rglob("manifest.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_may_not_be_written(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    (tmp_path / "store").mkdir(mode=0o555)
    assert cli("snapshot", origin.path, "--store", tmp_path / "store").code == 5


def test_a_reader_that_goes_away_is_no_error(world: World) -> None:
    with subprocess.Popen(
        command("list", world.repo, *world.store),
        env=cli_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() == 0


@pytest.mark.parametrize("argv", [["list"], ["show", "a__b"], ["verify", "--all"], ["restore", "a__b", "x"]])
def test_a_mistyped_store_is_told_and_not_made(tmp_path: Path, argv: list[str]) -> None:
    done = cli(*argv, "--store", tmp_path / "typo", cwd=tmp_path)
    assert done.code == 4
    assert "no such store" in done.err
    assert not (tmp_path / "typo").exists()


def test_a_result_that_cannot_be_written_is_one_line_and_not_a_finding(world: World) -> None:
    with Path("/dev/full").open("wb") as full:
        argv = command("list", *world.store)
        done = subprocess.run(
            argv, env=cli_env(), stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr and b"could not be written" in done.stderr


def test_a_manifest_of_a_newer_schema_does_not_keep_the_others_from_being_verified(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "o.git")
    origin.commit()
    lab = Lab(tmp_path / "store")
    first = lab.take(origin)
    second = lab.take(origin)
    newer = lab.root / second.manifest.key.folder / "manifest.json"
    newer.write_bytes(newer.read_bytes().replace(b'"schema_version":2', b'"schema_version":3'))
    done = cli("verify", first.manifest.repo, "--json", "--store", lab.root)
    assert done.code == 4
    rows = {row["run_id"]: row for row in done.json["snapshots"]}
    assert rows[first.manifest.run_id]["ok"]
    assert "schema version 3" in rows[second.manifest.run_id]["unchecked"]
    assert rows[second.manifest.run_id]["receipt"] == ""


def test_a_base_after_an_unreadable_manifest_says_so(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "o.git")
    origin.commit()
    lab = Lab(tmp_path / "store")
    taken = lab.take(origin)
    (lab.root / taken.manifest.key.folder / "manifest.json").write_bytes(b"garbage")
    again = lab.take(origin).manifest
    assert (again.kind, again.reason) == ("base", "the newest snapshot's manifest cannot be read")
