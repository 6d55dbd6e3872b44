"""What branches hold, read at a pack's front or asked without their history: every object by its kind, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.archive.manifest import LIST_CAP
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.capture import tips
from snapshotter.capture.pack_front import PackFront
from snapshotter.capture.tips import Tips, learn
from snapshotter.git.origin_parsing import parse
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.transport import FetchRequest, FilterRefused, Sink, Transport, WireLimits
from snapshotter.transport.connect import Connector
from tests.support.faults import Interposed
from tests.support.git import Origin
from tests.support.wires import NoCredentials


@pytest.fixture(params=["sha1", "sha256"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Origin:
    repo = Origin(tmp_path / "x.git", object_format=request.param, filters=True)
    for number in range(3):
        repo.commit(files={"f": b"%d" % number})
        repo.commit("refs/heads/side")
    repo.ref("refs/tags/of-a-blob", repo.blob(b"a tag may"))
    return repo


@pytest.fixture
def transport(repo: Origin) -> Iterator[Transport]:
    transport = Connector(NoCredentials(), WireLimits())(parse(str(repo.path)), Cancel())
    yield transport
    transport.close()


class Counting(Interposed):
    """Keeps what its forks were asked for, and may refuse it."""

    def __init__(self, inner: Transport, error: Exception | None = None) -> None:
        super().__init__(inner)
        self.asked: list[FetchRequest] = []
        self._error = error

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        self.asked.append(request)
        if self._error:
            raise self._error
        super().fetch(request, sink)


def ledger(repo: Origin, **branches: str) -> RefsLedger:
    refs = [Ref(name, oid) for name, oid in repo.refs().items()]
    refs += [Ref(b"refs/heads/" + name.encode(), oid) for name, oid in branches.items()]
    return RefsLedger.build(refs, b"refs/heads/main")


def test_commits_are_told_from_what_is_none(repo: Origin, transport: Transport) -> None:
    blob, tree = repo.blob(b"in a branch"), repo.tree(x=b"x")
    counting = Counting(transport)
    found = learn(counting, ledger(repo, blob=blob, tree=tree), frozenset())
    assert set(found.committed_at) == {repo.oid("main"), repo.oid("side")}
    assert found.others == {blob, tree}
    (request,) = counting.asked
    assert request.wants[0] == repo.oid("main"), "HEAD's comes first"
    assert (request.depth, request.filter) == (1, "tree:0")


def test_what_is_known_is_not_asked_for(repo: Origin, transport: Transport) -> None:
    counting = Counting(transport)
    assert learn(counting, ledger(repo), {repo.oid("main"), repo.oid("side")}) == Tips()
    assert counting.asked == []
    learn(counting, ledger(repo), {repo.oid("main")})
    assert [request.wants for request in counting.asked] == [[repo.oid("side")]]


def test_no_more_is_asked_for_than_is_kept(repo: Origin, transport: Transport) -> None:
    counting = Counting(transport)
    learn(counting, ledger(repo), {f"{number:040x}" for number in range(LIST_CAP - 1)})
    assert [request.wants for request in counting.asked] == [[repo.oid("main")]]
    assert learn(counting, ledger(repo), {f"{number:040x}" for number in range(LIST_CAP)}) == Tips()
    assert len(counting.asked) == 1


def test_a_branch_that_is_listed_as_a_tag_is_none(repo: Origin, transport: Transport) -> None:
    tag = Ref(b"refs/heads/odd", "1" * len(repo.oid("main")), peeled=repo.oid("main"))
    elsewhere = Ref(b"refs/tags/v1", "2" * len(repo.oid("main")), peeled=repo.oid("main"))
    refs = RefsLedger.build([*ledger(repo), tag, elsewhere], b"refs/heads/main")
    refusing = Counting(transport, FilterRefused("no"))
    assert learn(refusing, refs, frozenset()) == Tips(others=frozenset({tag.oid}))


def test_an_origin_that_refuses_or_sends_too_much_tells_nothing(
    repo: Origin, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert learn(Counting(transport, FilterRefused("no")), ledger(repo), frozenset()) == Tips()
    monkeypatch.setattr(
        tips, "MAX_PACK", 100
    )  # less than is sent, and an eighth of it is more than it inflates to
    assert learn(transport, ledger(repo), frozenset()) == Tips()


def test_a_cancellation_ends_it(repo: Origin, transport: Transport) -> None:
    with pytest.raises(Interrupted):
        learn(Counting(transport, Interrupted("stop")), ledger(repo), frozenset())


def front(repo: Origin, *objects: str) -> PackFront:
    """A pack of these objects in this order, as far as git keeps it, without those that they need."""
    asked = "\n".join(objects).encode() + b"\n"
    return PackFront(repo.git("pack-objects", "--stdout", "-q", "--window=0", data=asked))


def test_what_a_pack_begins_with_is_not_asked_for(repo: Origin, transport: Transport) -> None:
    counting = Counting(transport)
    asked = learn(counting, ledger(repo), frozenset())
    counting.asked.clear()
    everything = repo.git("pack-objects", "--stdout", "-q", "--revs", "--all", data=b"")
    read = learn(counting, ledger(repo), frozenset(), PackFront(everything))
    assert read == asked
    assert len(read.committed_at) == 2
    assert counting.asked == []


def test_only_what_a_pack_s_front_does_not_hold_is_asked_for(repo: Origin, transport: Transport) -> None:
    counting = Counting(transport)
    found = learn(counting, ledger(repo), frozenset(), front(repo, repo.oid("side")))
    assert [request.wants for request in counting.asked] == [[repo.oid("main")]]
    assert set(found.committed_at) == {repo.oid("main"), repo.oid("side")}


def test_other_commits_in_a_pack_s_front_are_passed_over(repo: Origin, transport: Transport) -> None:
    older = repo.git("rev-parse", "main~1").decode().strip()
    counting = Counting(transport)
    head = front(repo, older, repo.oid("main"), repo.oid("side"))
    assert set(learn(counting, ledger(repo), frozenset(), head).committed_at) == {
        repo.oid("main"),
        repo.oid("side"),
    }
    assert counting.asked == []


def test_a_front_that_is_cut_anywhere_or_broken_costs_a_question_and_nothing_else(
    repo: Origin, transport: Transport
) -> None:
    whole = front(repo, repo.oid("main"), repo.oid("side")).data
    expected = learn(transport, ledger(repo), frozenset())
    flipped = bytearray(whole)
    flipped[20] ^= 0xFF
    for head in (*(whole[:end] for end in range(0, len(whole), 7)), bytes(flipped), b"no pack at all, is it"):
        assert learn(transport, ledger(repo), frozenset(), PackFront(head)) == expected


def test_a_pack_is_not_searched_past_its_commits(repo: Origin, transport: Transport) -> None:
    """Trees and blobs follow, and in a large repository nothing else."""
    counting = Counting(transport)
    blob_first = front(repo, repo.blob(b"in front"), repo.oid("main"))
    assert blob_first.data[12] >> 4 & 7 == 3, "git keeps the order"
    learn(counting, ledger(repo), frozenset(), blob_first)
    assert len(counting.asked) == 1
    assert repo.oid("main") in counting.asked[0].wants
