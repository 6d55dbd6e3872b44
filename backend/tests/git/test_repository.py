"""A repository of ours: filled by packs and refs, checked, and never anybody else's configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.git import program
from snapshotter.git.errors import GitFailed
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.git.repository import NotWhole, Repository
from tests.support.git import Origin, git


@pytest.fixture(params=["sha1", "sha256"])
def origin(request: pytest.FixtureRequest, tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "origin.git", object_format=request.param)
    origin.commit(files={"file": b"one\n"})
    origin.commit(files={"file": b"two\n"})
    return origin


def ours(origin: Origin, path: Path) -> Repository:
    return Repository.create(path, origin.text("rev-parse", "--show-object-format"), Cancel())


def pack_of(origin: Origin) -> list[memoryview]:
    origin.git("repack", "-adq")
    (path,) = origin.path.glob("objects/pack/*.pack")
    data = memoryview(path.read_bytes())
    return [data[at : at + 100] for at in range(0, len(data), 100)]


def test_packs_and_refs_come_back_as_git_reads_them(origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("refs/heads/main")
    alias = Ref(b"refs/heads/alias", tip, symref=b"refs/heads/main")
    ledger = RefsLedger.build([Ref(b"refs/heads/main", tip), alias], b"refs/heads/main")
    repository = ours(origin, tmp_path / "ours.git")
    repository.index_pack(pack_of(origin))
    repository.write_refs(ledger)
    assert Origin.at(repository.path).refs() == {b"refs/heads/alias": tip, b"refs/heads/main": tip}
    assert repository.differences(ledger) == []
    assert git(repository.path, "symbolic-ref", "refs/heads/alias") == b"refs/heads/main\n"
    assert git(repository.path, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
    repository.check_held(ledger)
    assert repository.fsck() == []


def filled(origin: Origin, path: Path) -> Repository:
    repository = ours(origin, path)
    repository.index_pack(pack_of(origin))
    return repository


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda r: git(r, "update-ref", "refs/heads/side", "refs/heads/main"), "refs/heads/side"),
        (lambda r: git(r, "update-ref", "-d", "refs/heads/side"), "refs/heads/side"),
        (lambda r: git(r, "update-ref", "refs/heads/other", "refs/heads/main"), "refs/heads/other"),
        (lambda r: git(r, "symbolic-ref", "refs/heads/alias", "refs/heads/side"), "refs/heads/alias"),
        (
            lambda r: git(r, "update-ref", "--no-deref", "refs/heads/alias", "refs/heads/main"),
            "refs/heads/alias",
        ),
        (lambda r: git(r, "symbolic-ref", "HEAD", "refs/heads/side"), "HEAD"),
        (lambda r: git(r, "update-ref", "--no-deref", "HEAD", "refs/heads/main"), "HEAD"),
        (lambda r: (r / "HEAD").write_text(f"ref: refs/heads/{'n' * 300}\n"), "HEAD"),
    ],
)
def test_every_difference_from_the_ledger_is_told(
    origin: Origin, tmp_path: Path, harm: Callable[[Path], object], told: str
) -> None:
    main, side = origin.oid("main"), origin.oid("main^")
    refs = [Ref(b"refs/heads/main", main), Ref(b"refs/heads/side", side)]
    refs += [Ref(b"refs/heads/alias", main, symref=b"refs/heads/main")]
    ledger = RefsLedger.build(refs, b"refs/heads/main")
    repository = filled(origin, tmp_path / "ours.git")
    repository.write_refs(ledger)
    harm(repository.path)
    (difference,) = repository.differences(ledger)
    assert told in difference


@pytest.mark.parametrize("target", [b"refs/heads/alias", b"refs/heads/none", b"refs/heads/" + b"n" * 300])
def test_a_head_of_any_kind_is_read_back(origin: Origin, tmp_path: Path, target: bytes) -> None:
    main = origin.oid("main")
    refs = [Ref(b"refs/heads/main", main), Ref(b"refs/heads/alias", main, symref=b"refs/heads/main")]
    repository = filled(origin, tmp_path / "ours.git")
    for ledger in (RefsLedger.build(refs, target), RefsLedger.build(refs, None, main)):
        repository.write_refs(ledger)
        assert repository.differences(ledger) == []


def test_tags_are_peeled_by_what_they_hold(origin: Origin, tmp_path: Path) -> None:
    """Whatever the ledger says: a tag of a tag, one that the origin did not peel, a branch that it did."""
    main, older = origin.oid("main"), origin.oid("main^")
    origin.git("tag", "-a", "-m", "t", "v1", "main")
    origin.git("tag", "-a", "-m", "t", "v2", "v1")
    v1, v2 = origin.oid("v1"), origin.oid("v2")
    origin.git("repack", "-adq")
    repository = filled(origin, tmp_path / "ours.git")
    listed = [Ref(b"refs/heads/main", main, peeled=older), Ref(b"refs/tags/v1", v1)]
    listed += [Ref(b"refs/tags/v2", v2, peeled=main), Ref(b"refs/tags/v3", v2, peeled=v1)]
    ledger = RefsLedger.build(listed, b"refs/heads/main")
    repository.write_refs(ledger)
    assert repository.wrongly_peeled(ledger) == [b"refs/heads/main", b"refs/tags/v3"]
    assert repository.differences(ledger) == []
    lines = (repository.path / "packed-refs").read_text().splitlines()
    assert lines[1:] == [
        f"{main} refs/heads/main",
        *(f"{v1} refs/tags/v1", f"^{main}"),
        *(f"{v2} refs/tags/v2", f"^{main}"),
        *(f"{v2} refs/tags/v3", f"^{main}"),
    ]


def test_a_ref_whose_object_is_missing_is_told(origin: Origin, tmp_path: Path) -> None:
    repository = ours(origin, tmp_path / "ours.git")
    tip = origin.oid("refs/heads/main")
    for ledger in (
        RefsLedger.build([Ref(b"refs/heads/main", tip)], b"refs/heads/main"),
        RefsLedger.build([], None, tip),
    ):
        with pytest.raises(NotWhole, match=tip):
            repository.check_held(ledger)


@pytest.mark.parametrize("lost", ["main:f", "main^:", "main^"])
def test_a_pack_that_lacks_what_its_objects_name_is_refused(
    origin: Origin, tmp_path: Path, lost: str
) -> None:
    origin.commit(files={"f": b"one"})
    origin.commit(files={"f": b"two"})
    oids = set(origin.git("rev-list", "--objects", "--no-object-names", "main").decode().split())
    oid = origin.oid(lost)
    assert oid in oids
    listed = "\n".join(sorted(oids - {oid})).encode()
    pack = origin.git("pack-objects", "--stdout", "-q", data=listed)
    with pytest.raises(GitFailed, match=oid):
        ours(origin, tmp_path / "ours.git").index_pack([memoryview(pack)])


def test_a_pack_may_name_what_came_before_it(origin: Origin, tmp_path: Path) -> None:
    repository = filled(origin, tmp_path / "ours.git")
    old, new = origin.oid("main"), origin.commit(files={"f": b"more"})
    thin = origin.git("pack-objects", "--stdout", "-q", "--revs", "--thin", data=f"{new}\n^{old}\n".encode())
    with pytest.raises(GitFailed):
        ours(origin, tmp_path / "other.git").index_pack([memoryview(thin)])
    repository.index_pack([memoryview(thin)])
    repository.check_held(RefsLedger.build([Ref(b"refs/heads/main", new)], b"refs/heads/main"))


def test_a_pack_that_is_not_whole_is_git_s_to_refuse(origin: Origin, tmp_path: Path) -> None:
    with pytest.raises(GitFailed) as raised:
        ours(origin, tmp_path / "ours.git").index_pack(pack_of(origin)[:-1])
    assert "index-pack" in raised.value.message


def test_an_error_while_a_pack_is_read_is_raised_and_ends_git(origin: Origin, tmp_path: Path) -> None:
    def chunks() -> Iterator[memoryview]:
        yield pack_of(origin)[0]
        raise Unavailable("the store is gone")

    repository = ours(origin, tmp_path / "ours.git")
    with pytest.raises(Unavailable, match="the store is gone"):
        repository.index_pack(chunks())
    assert list((repository.path / "objects" / "pack").glob("*.pack")) == []


def test_a_cancelled_run_of_git_is_an_interruption_and_no_failure(tmp_path: Path) -> None:
    cancel = Cancel()
    repository = Repository.create(tmp_path / "ours.git", "sha1", cancel)

    def chunks() -> Iterator[memoryview]:
        cancel.cancel()
        yield memoryview(b"PACK")

    with pytest.raises(Interrupted):
        repository.index_pack(chunks())


def test_the_user_s_configuration_and_hooks_have_no_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".gitconfig", "config"):
        (tmp_path / name).write_text("[core]\n\tbare = nonsense\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    repository = Repository.create(tmp_path / "ours.git", "sha1", Cancel())
    assert Origin.at(repository.path).refs() == {}
    assert not (repository.path / "hooks").exists()


def test_git_that_was_killed_gave_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\nkill -9 $$\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(Unavailable) as raised:
        program.ask(["rev-list"], Cancel())
    assert raised.value.code == "machine"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_full_disk_is_the_machine_s_trouble_whatever_the_exit_code(
    exit_code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\necho 'fatal: write error: No space left on device' >&2\nexit {exit_code}\n")
    fake.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(Unavailable) as raised:
        program.ask(["rev-list"], Cancel())
    assert (type(raised.value), raised.value.code) == (Unavailable, "machine")
