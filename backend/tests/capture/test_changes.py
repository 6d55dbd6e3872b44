"""What changed between two listings, and which branches were rewritten: told exactly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snapshotter.archive.manifest import LIST_CAP, RefChange, RefChangeList, RefChanges
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.capture import changes, tips
from snapshotter.capture.changes import Moved, OriginJudge, by_record, compare, forward
from snapshotter.capture.pack_front import PackFront
from snapshotter.git.origin_parsing import parse
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.transport import FilterRefused, Transport, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.git import Origin
from tests.support.packs import came
from tests.support.wires import NoCredentials

A, B, C = "a" * 40, "b" * 40, "c" * 40


def ledger(head: bytes | None = None, **oids: str) -> RefsLedger:
    return RefsLedger.build([Ref(f"refs/heads/{name}".encode(), oid) for name, oid in oids.items()], head)


def names(listed: RefChangeList) -> list[str]:
    assert listed.count == len(listed.refs)
    return [change.ref.removeprefix("refs/heads/") for change in listed.refs]


@pytest.fixture
def repo(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "x.git", filters=True)


@pytest.fixture
def judged(repo: Origin) -> Iterator[Callable[..., tuple[list[str], list[str]]]]:
    transport = Connector(NoCredentials(), WireLimits())(parse(str(repo.path)), Cancel())

    def judged(
        before: dict[str, str], after: dict[str, str], fmt: str = "sha1"
    ) -> tuple[list[str], list[str]]:
        """Which branches were rewritten, and of which it is unknown."""
        for name, oid in after.items():
            repo.git("update-ref", f"refs/heads/{name}", oid)
        found = compare(ledger(**before), ledger(**after), OriginJudge(transport, fmt, came()))
        return names(found.rewritten), names(found.unknown)

    yield judged
    transport.close()


Judged = Callable[..., tuple[list[str], list[str]]]


def test_kinds_of_changes() -> None:
    before = RefsLedger.build(
        [
            Ref(b"refs/heads/gone", A),
            Ref(b"refs/heads/stays", A),
            Ref(b"refs/tags/v1", A),
            Ref(b"refs/heads/\xff", A),
        ],
        b"refs/heads/stays",
    )
    after = RefsLedger.build(
        [
            Ref(b"refs/heads/new", B),
            Ref(b"refs/heads/stays", A),
            Ref(b"refs/tags/v1", B),
            Ref(b"refs/heads/\xff", B),
        ],
        b"refs/heads/new",
    )
    asked: list[Moved] = []

    def judge(moved: list[Moved]) -> dict[bytes, bool | None]:
        asked.extend(moved)
        return {b"refs/heads/\xff": False}

    found = compare(before, after, judge)  # type: ignore[arg-type]
    assert found.created.refs == [RefChange(ref="refs/heads/new", new=B)]
    assert found.deleted.refs == [RefChange(ref="refs/heads/gone", old=A)]
    odd = RefChange(ref="refs/heads/\\xff", old=A, new=B, ref_bytes="cmVmcy9oZWFkcy//")
    head = RefChange(ref="HEAD", old="refs/heads/stays", new="refs/heads/new")
    assert found.moved.refs == [head, odd, RefChange(ref="refs/tags/v1", old=A, new=B)]
    assert found.rewritten.refs == [odd]
    assert found.unknown.count == 0
    assert asked == [(b"refs/heads/\xff", A, B)]  # a tag or HEAD is not rewritten, it moves


def test_nothing_changed() -> None:
    assert compare(ledger(a=A), ledger(a=A), lambda _: pytest.fail("asked")) == RefChanges()  # type: ignore[arg-type]


def test_long_lists_are_cut_and_counted() -> None:
    many = {f"b{n:05d}": A for n in range(LIST_CAP + 5)}
    found = compare(ledger(), ledger(**many), lambda _: {})
    assert (found.created.count, len(found.created.refs)) == (LIST_CAP + 5, LIST_CAP)


def test_a_fast_forward_is_none(repo: Origin, judged: Judged) -> None:
    first = repo.commit_tree(message="1")
    tip = first
    for n in range(2, 30):
        tip = repo.commit_tree(tip, message=str(n))
    assert judged({"main": first}, {"main": tip}) == ([], [])


def test_a_forced_push_is_a_rewrite(repo: Origin, judged: Judged) -> None:
    base = repo.commit_tree(message="base")
    old, new = repo.commit_tree(base, message="old"), repo.commit_tree(base, message="new")
    assert judged({"main": old}, {"main": new}) == (["main"], [])


def test_a_branch_set_back_is_a_rewrite(repo: Origin, judged: Judged) -> None:
    base = repo.commit_tree(message="base")
    assert judged({"main": repo.commit_tree(base, message="later")}, {"main": base}) == (["main"], [])


def test_an_unrelated_history_is_a_rewrite(repo: Origin, judged: Judged) -> None:
    assert judged({"main": repo.commit_tree(message="one")}, {"main": repo.commit_tree(message="other")}) == (
        ["main"],
        [],
    )


def test_a_merge_that_holds_the_old_tip_is_none_by_either_parent(repo: Origin, judged: Judged) -> None:
    base = repo.commit_tree(message="base")
    old, side = repo.commit_tree(base, message="old"), repo.commit_tree(base, message="side")
    assert judged({"main": old}, {"main": repo.commit_tree(old, side, message="m1")}) == ([], [])
    assert judged({"main": old}, {"main": repo.commit_tree(side, old, message="m2")}) == ([], [])


def test_reaching_the_old_tip_only_through_another_known_branch_is_none(repo: Origin, judged: Judged) -> None:
    # main's old tip is reached from its new one only by way of what `other` pointed at already: with that
    # named as held, the walk would end before it came to the old tip.
    old = repo.commit_tree(message="old main")
    other = repo.commit_tree(old, message="other, built on main")
    new = repo.commit_tree(other, message="main takes other")
    assert judged({"main": old, "other": other}, {"main": new, "other": other}) == ([], [])


def test_many_branches_at_once_are_each_judged(repo: Origin, judged: Judged) -> None:
    base = repo.commit_tree(message="base")
    before, after = {}, {}
    for n in range(12):
        before[f"b{n:02d}"] = old = repo.commit_tree(base, message=f"old {n}")
        after[f"b{n:02d}"] = repo.commit_tree(base if n % 3 == 0 else old, message=f"new {n}")
    assert judged(before, after) == ([f"b{n:02d}" for n in range(0, 12, 3)], [])


def test_sha256_is_judged_too(tmp_path: Path) -> None:
    repo = Origin(tmp_path / "x256.git", object_format="sha256", filters=True)
    first = repo.commit_tree(message="1")
    second, other = repo.commit_tree(first, message="2"), repo.commit_tree(message="other")
    repo.git("update-ref", "refs/heads/a", second)
    repo.git("update-ref", "refs/heads/b", other)
    transport = Connector(NoCredentials(), WireLimits())(parse(str(repo.path)), Cancel())
    try:
        judge = OriginJudge(transport, "sha256", came())
        assert judge([(b"refs/heads/a", first, second), (b"refs/heads/b", first, other)]) == {
            b"refs/heads/a": True,
            b"refs/heads/b": False,
        }
    finally:
        transport.close()


def test_what_a_pack_s_front_shows_is_not_asked_for(repo: Origin) -> None:
    """Of a branch that moved forward it shows so; of one that was rewritten it shows nothing."""
    first = repo.commit("refs/heads/a")
    moved = repo.commit("refs/heads/a", parents=[repo.commit("refs/heads/a")])
    other = repo.commit("refs/heads/b", parents=[first])
    pack = repo.git("pack-objects", "--revs", "--stdout", "-q", data=f"{moved}\n{other}\n^{first}\n".encode())
    silent: Transport = Failing(AssertionError("it is asked"))  # type: ignore[assignment]
    judge = OriginJudge(silent, "sha1", came(PackFront(pack)))
    assert judge([(b"refs/heads/a", first, moved), (b"refs/heads/b", first, other)]) == {
        b"refs/heads/a": True,
        b"refs/heads/b": True,
    }
    assert judge.committed_at.keys() == {moved, other}
    refusing: Transport = Failing(FilterRefused("no"))  # type: ignore[assignment]
    judge = OriginJudge(refusing, "sha1", came(PackFront(pack)))
    assert judge([(b"refs/heads/a", other, moved)]) == {b"refs/heads/a": None}


def test_too_many_to_ask_are_unknown(repo: Origin, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_JUDGED", 1)
    first = repo.commit_tree(message="1")
    second, third = repo.commit_tree(first, message="2"), repo.commit_tree(first, message="3")
    assert judged({"a": first, "b": first}, {"a": second, "b": third}) == ([], ["a", "b"])
    assert judged({"a": first, "b": first}, {"a": second, "b": second}) == ([], []), "they moved alike"


def test_commits_are_gone_through_so_often_and_no_more(repo: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MOST_STEPS", 4)
    oids = [repo.commit("refs/heads/a") for _ in range(4)]
    pack = repo.git("pack-objects", "--revs", "--stdout", "-q", data=f"{oids[3]}\n^{oids[0]}\n".encode())
    refusing: Transport = Failing(FilterRefused("no"))  # type: ignore[assignment]
    moved = [(b"refs/heads/a%d" % n, oids[n], oids[3]) for n in range(3)]
    verdicts = OriginJudge(refusing, "sha1", came(PackFront(pack)))(moved)
    assert sorted(map(str, verdicts.values())) == ["None", "None", "True"]


def test_a_walk_that_is_given_up_makes_no_false_alarm(
    repo: Origin, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repo.commit("refs/heads/a")
    for _ in range(4):
        repo.commit("refs/heads/a")
    other = repo.commit("refs/heads/b")
    assert judged({"a": first, "b": first}, {"a": repo.oid("a"), "b": other}) == (["b"], [])
    monkeypatch.setattr(changes, "_MOST_STEPS", 3)
    assert judged({"a": first, "b": first}, {"a": repo.oid("a"), "b": other}) == (["b"], ["a"])


def test_too_much_to_read_is_unknown(repo: Origin, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tips, "MAX_PACK", 100)
    first = repo.commit_tree(message="1")
    assert judged({"a": first}, {"a": repo.commit_tree(first, message="x" * 5000)}) == ([], ["a"])


def test_an_origin_that_lost_the_old_tip_makes_no_false_alarm(repo: Origin, judged: Judged) -> None:
    # The old tip is not there any more, so it is not held by the new one either.
    assert judged({"a": "9" * 40}, {"a": repo.commit_tree(message="1")}) == (["a"], [])


class Failing:
    """A transport whose forks fail with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = 0

    def fork(self) -> Failing:
        return self

    def fetch(self, *_: object) -> None:
        raise self.error

    def close(self) -> None:
        self.closed += 1


def test_a_refusal_is_unknown_and_an_interruption_is_passed_on() -> None:
    moved = [(b"refs/heads/a", A, B), (b"refs/heads/b", A, C)]
    refusing = Failing(FilterRefused("no filters", hint="x"))
    transport: Transport = refusing  # type: ignore[assignment]
    assert OriginJudge(transport, "sha1", came())(moved) == {b"refs/heads/a": None, b"refs/heads/b": None}
    assert refusing.closed == 2
    stopped: Transport = Failing(Interrupted("stop"))  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        OriginJudge(stopped, "sha1", came())(moved)


def step(**lists: list[str]) -> RefChanges:
    made = {
        kind: RefChangeList(count=len(refs), refs=[RefChange(ref=f"refs/heads/{ref}") for ref in refs])
        for kind, refs in lists.items()
    }
    return RefChanges(**made)


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([], True),
        ([step()], True),
        ([step(moved=["a"])], True),
        ([step(moved=["a"]), step(), step(moved=["a", "b"], rewritten=["b"])], True),
        ([step(moved=["a"], rewritten=["a"])], False),
        ([step(moved=["a"]), step(moved=["a"], rewritten=["a"]), step(moved=["a"])], False),
        ([step(moved=["a"], unknown=["a"])], None),
        ([step(moved=["a"], unknown=["a"]), step(moved=["a"])], None),
        ([step(moved=["a"], unknown=["b"])], True),
        ([step(deleted=["a"]), step(created=["a"])], None),
        ([None], None),
        ([step(moved=["a"]), None], None),
        ([RefChanges(rewritten=RefChangeList(count=2000, refs=[]))], None),
    ],
)
def test_the_record_of_the_steps_tells(steps: list[RefChanges | None], verdict: bool | None) -> None:
    assert by_record(steps)([(b"refs/heads/a", A, B)]) == {b"refs/heads/a": verdict}


def test_people_are_told_each_moved_ref_once() -> None:
    found = step(moved=["a", "b", "c", "d"], rewritten=["b"], unknown=["d"])
    assert names(forward(found)) == ["a", "c"]
    assert names(found.moved) == ["a", "b", "c", "d"]


def test_and_counted_once_where_lists_are_cut() -> None:
    many = [f"{number:04d}" for number in range(LIST_CAP + 5)]
    found = compare(ledger(**dict.fromkeys(many, A)), ledger(**dict.fromkeys(many, B)), lambda _: {})
    assert (found.moved.count, found.unknown.count, len(found.moved.refs)) == (len(many), len(many), LIST_CAP)
    assert forward(found) == RefChangeList(count=0, refs=[])
