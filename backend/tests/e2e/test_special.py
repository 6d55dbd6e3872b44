"""Repositories and moments that are out of the ordinary."""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from githost import Fault, GitHost
from snapshotter.archive import layout
from snapshotter.archive.canonical import canonical
from snapshotter.archive.catalog import RECENT
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Sealed
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.capture.options import CaptureOptions
from snapshotter.git.origin import parse
from snapshotter.recover.verify import VerifyOptions
from snapshotter.store.objects import Store, open_store
from snapshotter.transport import FetchRequest, ShallowOrigin, Sink, Transport
from tests.support.cli import command
from tests.support.git import Origin, git, state_of
from tests.support.lab import Lab

Options = CaptureOptions


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "srv" / "x.git")
    made.commit(
        "refs/heads/bulk", {"bulk": random.Random(3).randbytes(40_000)}
    )  # no increment outweighs the base
    made.commit()
    return made


def check(lab: Lab, origin: Origin, taken: Sealed, tmp_path: Path) -> None:
    folder = tmp_path / f"r-{taken.manifest.run_id}.git"
    assert lab.restored(taken, folder) == origin.state
    lab.assert_whole(taken)


# Kinds of repositories


def test_sha256(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git", object_format="sha256")
    assert lab.take(origin).manifest.kind == "empty"
    origin.commit(files={"a": b"a" * 9000})
    origin.git("tag", "-a", "-m", "t", "v1", "main")
    base = lab.take(origin)
    origin.commit()
    taken = lab.take(origin)
    assert [base.manifest.object_format, taken.manifest.object_format] == ["sha256", "sha256"]
    assert [base.manifest.kind, taken.manifest.kind] == ["base", "increment"]
    assert len(taken.manifest.history.pack_checksum) == 64  # type: ignore[union-attr]
    check(lab, origin, taken, tmp_path)


def test_refs_that_lie_in_one_another_come_back_both(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git itself cannot clone such an origin: its packed-refs hold what no folder of refs could."""
    tip = origin.oid("main")
    lines = [f"{tip} refs/heads/a", f"{tip} refs/heads/a/b", f"{tip} refs/heads/main"]
    head = "# pack-refs with: peeled fully-peeled sorted \n"
    for name in ("main", "bulk"):
        (origin.path / "refs" / "heads" / name).unlink(missing_ok=True)
    (origin.path / "packed-refs").write_text(head + "\n".join(lines) + "\n")
    mirror = subprocess.run(["git", "clone", "-q", "--mirror", origin.path, tmp_path / "mirror"], check=False)
    assert mirror.returncode != 0
    check(lab, origin, lab.take(origin), tmp_path)
    (origin.path / "packed-refs").write_text(head + "\n".join([*lines, f"{tip} refs/heads/main/c"]) + "\n")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    check(lab, origin, taken, tmp_path)
    assert lab.restore(taken, tmp_path / "tree", "worktree").refs == 4


def test_fifty_thousand_refs(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    kinds = ("tags", "heads/many")
    held = {f"refs/{kind}/r{n:05}": tip for n in range(25_000) for kind in kinds}

    def write() -> None:  # as git packs them; one by one they would take it half a minute
        lines = [f"{oid} {name}\n" for name, oid in sorted(held.items())]
        (origin.path / "packed-refs").write_text("# pack-refs with: sorted \n" + "".join(lines))

    held["refs/heads/bulk"] = origin.oid("bulk")
    write()
    taken = lab.take(origin)
    assert taken.manifest.refs.count == 50_002
    moved = origin.commit()
    held |= {name: moved for name in held if name.startswith("refs/heads/many/")}
    write()
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    changes = taken.manifest.ref_changes
    assert changes is not None
    assert changes.moved.count == 25_001  # with main
    assert len(changes.moved.refs) == 1000
    assert changes.unknown.count == 25_001  # far more than are judged
    check(lab, origin, taken, tmp_path)


def test_head_that_shares_its_commit_with_other_branches(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git guesses the default branch by commit, and guesses wrong; the ledger knows it."""
    origin.ref("refs/heads/zz", origin.oid("main"))
    origin.ref("refs/heads/aa", origin.oid("main"))
    origin.git("symbolic-ref", "HEAD", "refs/heads/zz")
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/zz"
    check(lab, origin, taken, tmp_path)


def test_dangling_head(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.git("symbolic-ref", "HEAD", "refs/heads/none")
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/none"
    check(lab, origin, taken, tmp_path)
    lab.restore(taken, tmp_path / "tree", mode="worktree")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == [".git"]


def test_only_head_moves(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    origin.git("symbolic-ref", "HEAD", "refs/heads/bulk")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    assert taken.manifest.ref_changes.moved.refs[0].ref == "HEAD"  # type: ignore[union-attr]
    check(lab, origin, taken, tmp_path)


def test_detached_head_whose_commit_no_ref_holds(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    for number in range(3):
        aside = (
            origin.git("commit-tree", "-p", tip, "-m", f"aside {number}", f"{tip}^{{tree}}").decode().strip()
        )
        origin.git("update-ref", "--no-deref", "HEAD", aside)
        if number == 2:
            origin.commit()
        taken = lab.take(origin)
        assert taken.manifest.head == aside
        check(lab, origin, taken, tmp_path)
    assert taken.manifest.kind == "increment"
    lab.restore(taken, tmp_path / "tree", mode="worktree")
    assert git(tmp_path / "tree", "rev-parse", "HEAD").decode().strip() == aside
    assert git(tmp_path / "tree", "status", "--porcelain") == b""


def test_branch_aliases(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    origin.git("symbolic-ref", "refs/heads/deep/alias", "refs/heads/main")
    lab.take(origin)
    origin.commit()
    origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/bulk")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    check(lab, origin, taken, tmp_path)
    assert (
        git(tmp_path / f"r-{taken.manifest.run_id}.git", "symbolic-ref", "refs/heads/alias")
        == b"refs/heads/bulk\n"
    )


def test_names_that_are_not_utf8(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    latin, tip = b"refs/heads/caf\xe9", origin.oid("main")
    origin.git("update-ref", latin, tip)
    origin.git("update-ref", "refs/tags/ü-✓".encode(), tip)
    origin.commit(files={b"na\xefve/\xff\xfe.txt": b"x", b'quo"te\\\n': b"y"})
    origin.git("symbolic-ref", b"HEAD", latin)
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/caf\\xe9"
    assert taken.manifest.head_bytes is not None
    check(lab, origin, taken, tmp_path)
    assert lab.restore(taken, tmp_path / "tree", mode="worktree").head == "refs/heads/caf\\xe9"
    origin.git("update-ref", "-d", latin)
    changed = lab.take(origin)
    gone = changed.manifest.ref_changes.deleted.refs[0]  # type: ignore[union-attr]
    assert gone.ref == "refs/heads/caf\\xe9"
    assert gone.ref_bytes == "cmVmcy9oZWFkcy9jYWbp"
    check(lab, origin, changed, tmp_path)
    ledger = lab.file(changed.manifest.refs.artifact).read_bytes()
    assert b"@refs/heads/caf\xe9 HEAD\n" in ledger


def test_a_parent_without_branches_makes_a_base(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.ref("refs/tags/v1", origin.oid("main"))
    for branch in ("refs/heads/main", "refs/heads/bulk"):
        origin.ref(branch, None)
    first = lab.take(origin)
    check(lab, origin, first, tmp_path)
    origin.ref("refs/tags/v2", origin.blob(b"x"))
    second = lab.take(origin)
    assert [first.manifest.kind, second.manifest.kind] == ["base", "base"]
    assert "no branches" in second.manifest.reason
    check(lab, origin, second, tmp_path)


def test_an_empty_repository(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    first, second = lab.take(origin), lab.take(origin)
    for taken in (first, second):
        assert taken.manifest.kind == "empty"
        assert taken.manifest.history is None
        made = tmp_path / f"{taken.manifest.run_id}.git"
        lab.restore(taken, made)
        assert git(made, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
        assert git(made, "for-each-ref") == b""
    origin.commit()
    third = lab.take(origin)
    assert third.manifest.kind == "base"
    check(lab, origin, third, tmp_path)
    origin.ref("refs/heads/main", None)
    assert lab.take(origin).manifest.kind == "empty"
    lab.assert_whole(first)


def test_a_local_origins_grafts_do_not_cut_its_history(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git's upload-pack would send what the grafts leave of it, which is no whole repository."""
    origin.commit()
    (origin.path / "info").mkdir(exist_ok=True)
    (origin.path / "info" / "grafts").write_text(f"{origin.oid('main')}\n")
    taken = lab.take(origin)
    (origin.path / "info" / "grafts").unlink()
    check(lab, origin, taken, tmp_path)


def test_a_shallow_origin_is_refused(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.commit()
    git(
        None,
        "clone",
        "-q",
        "--bare",
        "--depth=1",
        f"file://{origin.path}",
        str(tmp_path / "srv" / "shallow.git"),
    )
    with GitHost(tmp_path / "srv") as host, GitHost(tmp_path / "srv", v0=True) as old:
        for place in (str(tmp_path / "srv" / "shallow.git"), host.url("shallow.git"), old.url("shallow.git")):
            with pytest.raises(ShallowOrigin) as caught:
                lab.take(place)
            assert "unshallow" in caught.value.hint
    assert lab.store.list("") == []


# Unchanged


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name.startswith("_") or not callable(found):
            return found

        def counted(key: str, *args: Any, **options: Any) -> Any:
            self.calls.append((name, key))
            return found(key, *args, **options)

        return counted


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=400)])
def test_unchanged_costs_two_requests_and_writes_the_manifest_only(
    lab: Lab, origin: Origin, tmp_path: Path, age: timedelta
) -> None:
    with GitHost(tmp_path / "srv") as host:
        lab.take(host.url("x.git"))
        for _ in range(3):
            origin.commit()
            lab.take(host.url("x.git"))
        if age > RECENT:
            lab.take(host.url("x.git"), advance=age)  # in between a quiet day: the base is old
        before = {entry.key for entry in lab.store.list("")}
        host.requests.clear()
        counting = Counting(lab.store)
        taken = lab.take(host.url("x.git"), store=counting)  # type: ignore[arg-type]
    assert taken.manifest.kind == "unchanged"
    assert len(host.requests) <= 2
    written = {entry.key for entry in lab.store.list("")} - before
    assert written == {taken.manifest.key.key(layout.MANIFEST)}
    assert Counter(name for name, _ in counting.calls)["put_new"] == 1
    assert len(counting.calls) <= 4, counting.calls


def test_unchanged_restores_and_diffs_to_nothing(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    origin.commit()
    lab.take(origin)
    taken = [lab.take(origin), lab.take(origin)]
    assert [sealed.manifest.kind for sealed in taken] == ["unchanged", "unchanged"]
    assert len({tuple(sealed.manifest.chain) for sealed in taken}) == 1
    check(lab, origin, taken[1], tmp_path)


# Which refs


def test_synthetic_merges_are_left_out_and_said_to_be(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    for number in range(7):
        origin.ref(f"refs/pull/{number}/head", tip)
        origin.ref(f"refs/pull/{number}/merge", origin.commit(f"refs/pull/{number}/merge", parents=[tip]))
    origin.ref("refs/merge-requests/3/merge", tip)
    taken = lab.take(origin)
    (gap,) = taken.manifest.gaps
    assert (gap.kind, gap.count, len(gap.sample)) == ("refs-left-out", 8, 5)
    lab.restore(taken, tmp_path / "r.git")
    assert len(git(tmp_path / "r.git", "for-each-ref", "refs/pull").splitlines()) == 7
    origin.commit("refs/pull/1/merge")
    assert lab.take(origin).manifest.kind == "unchanged"
    everything = lab.take(origin, Options(exclude_refs=()))
    assert everything.manifest.gaps == []
    check(lab, origin, everything, tmp_path)


def test_ref_patterns(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.ref("refs/tags/v1", origin.oid("main"))
    taken = lab.take(origin, Options(refs=("refs/heads/ma*",)))
    assert taken.manifest.filters.refs == ["refs/heads/ma*"]
    lab.restore(taken, tmp_path / "r.git")
    assert git(tmp_path / "r.git", "for-each-ref", "--format=%(refname)") == b"refs/heads/main\n"
    with pytest.raises(UsageError):
        lab.take(origin, Options(refs=("refs/nothing/*",)))
    wider = lab.take(origin)
    assert wider.manifest.kind == "increment"
    check(lab, origin, wider, tmp_path)


# When a base is due


def reasons(lab: Lab, origin: Origin, count: int, options: Options = Options()) -> list[tuple[str, str]]:  # noqa: B008
    taken = []
    for _ in range(count):
        origin.commit()
        taken.append(lab.take(origin, options).manifest)
    return [(manifest.kind, manifest.reason) for manifest in taken]


def test_a_base_after_twenty_four_increments(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    kinds = reasons(lab, origin, 27)
    assert [kind for kind, _ in kinds] == ["base"] + ["increment"] * 24 + ["base", "increment"]
    assert "24 increments" in kinds[25][1]
    lab.assert_whole(lab.take(origin))


def test_a_base_is_due_even_if_nothing_changed(lab: Lab, origin: Origin) -> None:
    few = Options(max_increments=2)
    reasons(lab, origin, 3, few)
    assert lab.take(origin, few).manifest.kind == "base"
    assert lab.take(origin, few).manifest.kind == "unchanged"


def test_a_base_when_the_increments_outweigh_the_base(lab: Lab, tmp_path: Path) -> None:
    light = Origin(tmp_path / "light.git")
    light.commit()
    lab.take(light)
    light.commit(files={"big": random.Random(1).randbytes(3000)})
    assert lab.take(light).manifest.kind == "increment"
    taken = lab.take(light)
    assert (taken.manifest.kind, taken.manifest.reason) == ("base", "the increments outweigh the base")


def test_a_base_when_the_chain_is_old(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    options = Options(max_chain_age=timedelta(days=30))
    lab.take(origin, options)
    assert lab.take(origin, options, advance=timedelta(days=29)).manifest.kind == "unchanged"
    taken = lab.take(origin, options, advance=timedelta(days=2))
    assert taken.manifest.kind == "base"
    assert "older than" in taken.manifest.reason
    check(lab, origin, taken, tmp_path)


def test_a_base_when_asked_for(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    taken = lab.take(origin, Options(full=True))
    assert taken.manifest.kind == "base"
    assert taken.manifest.parent is not None
    check(lab, origin, taken, tmp_path)


def test_a_base_after_a_failed_receipt_and_not_after_a_good_one(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    first = lab.take(origin)
    path = lab.file(first.manifest.key.key(layout.HISTORY))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")
    assert not lab.verify(first)[0].ok
    path.write_bytes(good)
    origin.commit()
    # The next base may come weeks later: the receipt is then no longer in the first listing.
    taken = lab.take(origin, advance=RECENT + timedelta(days=9))
    assert taken.manifest.kind == "base"
    assert first.manifest.run_id in taken.manifest.reason
    path.write_bytes(good)
    assert all(verdict.ok for verdict in lab.verify(first))
    origin.commit()
    assert lab.take(origin).manifest.kind == "increment"
    lab.assert_whole(first)


# Clocks and company


def test_a_clock_set_backwards_loses_nothing(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    first = lab.take(origin)
    origin.commit()
    future = lab.take(origin, advance=timedelta(days=40))
    then = origin.state
    origin.commit()
    lab.now -= timedelta(days=39)
    taken = lab.take(origin)
    assert taken.manifest.parent is not None
    assert taken.manifest.parent.run_id == first.manifest.run_id
    assert future.manifest.run_id not in taken.manifest.chain
    (warning,) = lab.observer.warnings
    assert "clock" in warning
    check(lab, origin, taken, tmp_path)
    assert lab.restored(future, tmp_path / "future.git") == then
    lab.now += timedelta(days=50)
    later = lab.take(origin)
    assert later.manifest.parent.run_id == future.manifest.run_id  # type: ignore[union-attr]
    check(lab, origin, later, tmp_path)


def test_a_future_snapshot_alone_is_no_parent(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin, advance=timedelta(days=40))
    lab.now -= timedelta(days=40)
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert taken.manifest.parent is None
    check(lab, origin, taken, tmp_path)
    assert lab.catalog.latest(taken.manifest.repo, now=lab.now).key == taken.manifest.key  # type: ignore[union-attr]


class Wrapped:
    """A transport with something before each listing and each fetch of history."""

    def __init__(
        self, inner: Transport, *, listing: Callable[[], Any] = int, fetching: Callable[[], Any] = int
    ) -> None:
        self._inner, self._listing, self._fetching = inner, listing, fetching
        self.listings = 0

    def ls_refs(self) -> Any:
        self.listings += 1
        self._listing()
        return self._inner.ls_refs()

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        self._fetching()
        self._inner.fetch(request, sink)

    def fork(self) -> Transport:
        return self._inner.fork()

    def close(self) -> None:
        self._inner.close()


def test_two_runs_at_once(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """Both build on one parent, of the same second, and both are whole; so is what comes after."""
    lab.take(origin)
    origin.commit()
    states, taken = [origin.state], []

    def another() -> None:
        origin.commit("refs/heads/other")
        states.append(origin.state)
        taken.append(lab.take(origin, advance=timedelta()))

    taken.append(lab.take(origin, wrap=lambda inner: Wrapped(inner, fetching=another)))
    other, first = taken
    assert first.manifest.parent == other.manifest.parent
    assert first.manifest.chain[0] == other.manifest.chain[0]
    assert lab.restored(first, tmp_path / "first.git") == states[0]
    assert lab.restored(other, tmp_path / "other.git") == states[1]
    origin.commit()
    after = lab.take(origin)
    assert after.manifest.kind == "increment"
    check(lab, origin, after, tmp_path)
    # Damage to either branch of the family is found.
    for sealed in taken:
        path = lab.file(sealed.manifest.key.key(layout.HISTORY))
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        bad = {str(v.run.run_id) for v in lab.verify(after, VerifyOptions(receipts=False)) if not v.ok}
        assert bad == {
            s.manifest.run_id for s in (first, other, after) if sealed.manifest.run_id in s.manifest.chain
        }
        path.write_bytes(good)


def test_two_processes_at_once(origin: Origin, tmp_path: Path) -> None:
    from tests.support.cli import cli_env

    running = [
        subprocess.Popen(
            command("snapshot", origin.path, "--store", tmp_path / "store"),
            env=cli_env(),
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in running:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    lab = Lab(tmp_path / "store")
    repo = parse(str(origin.path)).repo
    assert len(lab.catalog.snapshots(repo)) == 3
    lab.assert_whole(repo)


def test_children_of_one_second_sort_after_their_parents(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = []
    for _ in range(12):
        origin.commit()
        taken.append(lab.take(origin, advance=timedelta()).manifest)
    assert [manifest.run_id for manifest in taken] == sorted(manifest.run_id for manifest in taken)
    assert [manifest.parent.run_id for manifest in taken[1:] if manifest.parent] == [
        m.run_id for m in taken[:-1]
    ]
    assert lab.catalog.latest(taken[0].repo, now=lab.now).key == taken[-1].key  # type: ignore[union-attr]
    lab.assert_whole(taken[0].repo)


def test_labels(lab: Lab, origin: Origin) -> None:
    labels = {"team": "core", "ü": "✓", "empty": ""}
    taken = lab.take(origin, Options(labels=labels))
    assert lab.catalog.manifest(taken.manifest.key).manifest.labels == labels


# A newest manifest that cannot be read


def replace_manifest(lab: Lab, taken: Sealed, data: bytes) -> None:
    lab.file(taken.manifest.key.key(layout.MANIFEST)).write_bytes(data)


def test_a_newer_schema_is_not_built_on_nor_over(lab: Lab, origin: Origin) -> None:
    taken = lab.take(origin)
    newer = msgspec.to_builtins(taken.manifest) | {"schema_version": 2, "news": True}
    replace_manifest(lab, taken, canonical(newer))
    before = lab.store.list("")
    with pytest.raises(Unavailable) as caught:
        lab.take(origin)
    assert caught.value.code == "manifest-newer"
    assert caught.value.exit_code == 4
    assert "release" in caught.value.hint
    assert lab.store.list("") == before


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"schema_version":1}', b"null"])
def test_an_unreadable_newest_manifest_makes_a_base(
    lab: Lab, origin: Origin, tmp_path: Path, data: bytes
) -> None:
    lab.take(origin)
    bad = lab.take(origin)
    replace_manifest(lab, bad, data)
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert any("cannot be built on" in warning for warning in lab.observer.warnings)
    assert lab.restored(taken, tmp_path / "r.git") == origin.state
    verdicts = {v.run: v for v in lab.verify(taken, VerifyOptions(receipts=False))}
    assert [verdict.run for verdict in verdicts.values() if not verdict.ok] == [bad.manifest.key]
    assert lab.take(origin).manifest.kind == "unchanged"


def test_unreadable_refs_of_the_parent_make_a_base(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    first = lab.take(origin)
    lab.file(first.manifest.refs.artifact).write_bytes(b"nonsense\n")
    origin.commit()
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert lab.restored(taken, tmp_path / "r.git") == origin.state


# An origin that changes while it is asked


def test_a_want_that_vanishes_is_listed_again(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    origin.commit("refs/heads/brief")
    left = [1]

    def vanish() -> None:
        if left.pop() if left else 0:
            origin.ref("refs/heads/brief", None)
            origin.git("gc", "-q", "--prune=now")

    for place in ("path", "http"):
        with GitHost(tmp_path / "srv") as host:
            lab.take(origin if place == "path" else host.url("x.git"), Options(full=True))
            origin.commit("refs/heads/brief", {"n": place.encode()})
            left[:] = [1]
            wrapped: list[Wrapped] = []

            def wrap(inner: Transport, made: list[Wrapped] = wrapped) -> Transport:
                made.append(Wrapped(inner, fetching=vanish))
                return made[0]

            taken = lab.take(origin if place == "path" else host.url("x.git"), wrap=wrap)
        assert wrapped[0].listings == 2
        assert any("listing again" in warning for warning in lab.observer.warnings)
        assert lab.restored(taken, tmp_path / f"{place}.git") == origin.state


def test_wants_that_keep_vanishing_end_the_run(lab: Lab, origin: Origin) -> None:
    number = iter(range(100))

    def appear() -> None:
        origin.commit("refs/heads/brief", {"n": b"%d" % next(number)}, parents=[])

    def vanish() -> None:
        origin.ref("refs/heads/brief", None)
        origin.git("gc", "-q", "--prune=now")

    with pytest.raises(Unavailable) as caught:
        lab.take(origin, wrap=lambda inner: Wrapped(inner, listing=appear, fetching=vanish))
    assert caught.value.code == "want-vanished"
    assert lab.store.list("") == []


def test_refs_that_move_between_listing_and_fetching_over_http(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    """What was listed is what is recorded; what came later is left to the next snapshot."""
    before = origin.state

    def move(path: str) -> Fault | None:
        if path.endswith("#fetch"):
            origin.commit()
        return None

    with GitHost(tmp_path / "srv", fault=move) as host:
        taken = lab.take(host.url("x.git"))
    assert lab.restored(taken, tmp_path / "r.git") == before


def test_two_origins_of_one_store_do_not_mix(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = lab.take(origin)
    foreign = replace(parse(str(origin.path)), path="/somewhere/else")
    manifest = msgspec.structs.replace(taken.manifest, origin=foreign.url)
    from snapshotter.archive.manifest import seal

    replace_manifest(lab, taken, seal(manifest).data)
    with pytest.raises(Unavailable) as caught:
        lab.take(origin)
    assert caught.value.code == "repo-collision"


def test_runs_without_a_manifest_are_passed_over(lab: Lab, origin: Origin) -> None:
    first = lab.take(origin)
    aborted = RunKey(first.manifest.repo, RunId.new(lab.now + timedelta(minutes=1)))
    lab.store.put_new(aborted.key(layout.HISTORY), b"half")
    lab.store.put_new(f"{first.manifest.repo}/2024/03/01/notes.txt", b"somebody's")
    taken = lab.take(origin)
    assert taken.manifest.kind == "unchanged"
    assert taken.manifest.parent.run_id == first.manifest.run_id  # type: ignore[union-attr]
    assert [run.key for run in lab.catalog.snapshots(first.manifest.repo)] == [
        first.manifest.key,
        taken.manifest.key,
    ]


def test_a_memory_store_holds_a_chain_too(origin: Origin, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "none")
    lab.__dict__["store"] = open_store("memory:")
    lab.take(origin)
    origin.commit()
    taken = lab.take(origin)
    assert lab.restored(taken, tmp_path / "r.git") == state_of(origin.path)
    lab.assert_whole(taken)
