"""The contract of a Transport, kept over every wire and protocol version by the same tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from queue import Queue

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, Terminated, Unavailable
from snapshotter.git.origin_parsing import parse
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, FilterRefused, ShallowOrigin, WantVanished, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.ssh import SshClient
from tests.support.git import Origin, git
from tests.support.wires import NoCredentials, Servers, Way, pack_of

NO_OBJECT = "1234567890" * 4
_numbers = count()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("origins"), tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.fixture(params=Servers.NAMES)
def way(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Way]:
    try:
        way = servers.way(request.param)
    except LookupError as reason:
        pytest.skip(str(reason))
    yield way
    while way.open:
        way.open.pop().close()


@pytest.fixture(scope="module")
def rich(servers: Servers) -> Origin:
    """One of everything a ref can be. Read only."""
    repo = Origin(servers.root / "rich.git", filters=True)
    first = repo.commit_tree(ref="refs/heads/main", message="one", f=b"1\n" * 500)
    second = repo.commit_tree(first, ref="refs/heads/main", message="two", f=b"1\n" * 500 + b"2\n", g=b"g")
    repo.commit_tree(first, ref="refs/heads/side", message="three", h=b"h")
    repo.commit_tree(ref=b"refs/heads/not-utf-8-\xff\xfe", message="odd name", odd=b"odd")
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/side")
    repo.git("tag", "light", first)
    repo.git("tag", "-a", "-m", "annotated", "v1", second)
    repo.git("tag", "-a", "-m", "nested", "v1-signed-off", "v1")
    repo.git("tag", "a-blob", repo.blob(b"a blob of its own"))
    repo.git("tag", "a-tree", repo.tree(x=b"a tree of its own"))
    repo.git("update-ref", "refs/notes/commits", repo.commit_tree(message="notes", n=b"note"))
    return repo


@pytest.fixture
def fresh(servers: Servers) -> Origin:
    """A repository with one commit on main, for the test alone."""
    repo = Origin(servers.root / f"fresh-{next(_numbers)}.git", filters=True)
    repo.commit_tree(ref="refs/heads/main", message="first")
    return repo


def test_ls_refs_tells_names_ids_peeled_tags_and_aliases(way: Way, rich: Origin) -> None:
    ledger = way.connect(rich).ls_refs()
    assert dict(ledger.oids) == rich.refs()
    assert ledger.head_target == b"refs/heads/main"
    assert ledger.head_oid is None
    peeled = {ref.name: ref.peeled for ref in ledger if ref.peeled}
    commit = rich.oid("refs/heads/main")
    assert peeled == {b"refs/tags/v1": commit, b"refs/tags/v1-signed-off": commit}
    aliases = {ref.name: ref.symref for ref in ledger if ref.symref}
    assert aliases == ({} if way.name.endswith("v0") else {b"refs/heads/alias": b"refs/heads/side"})


def test_ls_refs_sees_each_moment_anew(way: Way, fresh: Origin) -> None:
    transport = way.connect(fresh)
    assert set(transport.ls_refs().oids) == {b"refs/heads/main"}
    fresh.commit_tree(ref="refs/heads/new")
    assert dict(transport.ls_refs().oids) == fresh.refs()


def test_a_dangling_head_is_told_where_the_protocol_can(way: Way, fresh: Origin) -> None:
    fresh.git("symbolic-ref", "HEAD", "refs/heads/not-yet")
    ledger = way.connect(fresh).ls_refs()
    assert ledger.head_oid is None
    assert ledger.head_target == (b"refs/heads/not-yet" if way.tells_dangling_head else None)
    assert dict(ledger.oids) == fresh.refs()


def test_a_detached_head_is_a_commit_of_its_own(way: Way, fresh: Origin) -> None:
    hidden = fresh.commit_tree(message="in no ref")
    (fresh.path / "HEAD").write_text(f"{hidden}\n")
    transport = way.connect(fresh)
    ledger = transport.ls_refs()
    assert (ledger.head_target, ledger.head_oid) == (None, hidden)
    assert hidden in ledger.tips
    assert pack_objects(pack_of(transport, FetchRequest([hidden]))) == 3


def test_an_empty_repository_has_no_refs(way: Way, servers: Servers) -> None:
    repo = Origin(servers.root / f"empty-{next(_numbers)}.git", filters=True)
    ledger = way.connect(repo).ls_refs()
    assert len(ledger) == 0
    assert ledger.tips == frozenset()
    assert ledger.head_target == (b"refs/heads/main" if way.tells_dangling_head else None)


def test_a_base_brings_everything(way: Way, rich: Origin, tmp_path: Path) -> None:
    transport = way.connect(rich)
    tips = sorted(transport.ls_refs().tips)
    copy = Origin(tmp_path / "copy.git")
    copy.index(pack_of(transport, FetchRequest(tips, thin=False)))
    assert copy.objects(*tips) == rich.objects(*tips)


def test_an_increment_brings_only_what_is_new(way: Way, fresh: Origin, tmp_path: Path) -> None:
    old = fresh.commit_tree(ref="refs/heads/main", message="old", f=b"line\n" * 2000)
    base = pack_of(way.connect(fresh), FetchRequest([old]))
    new = fresh.commit_tree(old, ref="refs/heads/main", message="new", f=b"line\n" * 2000 + b"more\n")
    transport = way.connect(fresh)
    transport.ls_refs()
    pack = pack_of(transport, FetchRequest([new], [old]))
    assert pack_objects(pack) == 3
    copy = Origin(tmp_path / "copy.git")
    copy.index(base)
    copy.index(pack)
    assert copy.objects(new) == fresh.objects(new)
    assert copy.count() == 6


def test_a_pack_that_is_not_thin_stands_alone(way: Way, fresh: Origin, tmp_path: Path) -> None:
    content = b"".join(b"%d: a line\n" % n for n in range(2000))
    old = fresh.commit_tree(ref="refs/heads/main", message="old", f=content)
    new = fresh.commit_tree(old, ref="refs/heads/main", message="new", f=content + b"more\n")
    copy = Origin(tmp_path / "copy.git")
    copy.git(
        "index-pack", "--stdin", data=pack_of(way.connect(fresh), FetchRequest([new], [old], thin=False))
    )
    assert copy.count() == 3


def test_more_than_256_haves_are_honoured(way: Way, servers: Servers) -> None:
    repo = Origin(servers.root / f"wide-{next(_numbers)}.git", filters=True)
    stream = b"".join(
        b"commit refs/heads/b%d\ncommitter c <c@example.com> 1700000000 +0000\ndata 0\n"
        b"M 100644 inline f\ndata %d\n%d\n\n" % (n, len(str(n)), n)
        for n in range(600)
    )
    repo.git("fast-import", "--quiet", data=stream)
    haves = sorted(repo.refs().values())
    wants = [repo.commit_tree(old, message="new", g=b"g%d" % n) for n, old in enumerate(haves[-3:])]
    for n, oid in enumerate(wants):
        repo.git("update-ref", f"refs/heads/new-{n}", oid)
    assert pack_objects(pack_of(way.connect(repo), FetchRequest(wants, haves))) == 9


def test_filter_tree_0_brings_commits_alone(way: Way, rich: Origin) -> None:
    tip = rich.oid("refs/heads/main")
    assert pack_objects(pack_of(way.connect(rich), FetchRequest([tip], filter="tree:0"))) == 2


def test_depth_1_brings_one_commit_with_its_files(way: Way, rich: Origin) -> None:
    tip = rich.oid("refs/heads/main")
    assert pack_objects(pack_of(way.connect(rich), FetchRequest([tip], depth=1))) == 4


@pytest.mark.parametrize(("left_out", "count"), [("blob:none", 2), ("blob:limit=100", 3)])
def test_depth_1_goes_with_a_filter(way: Way, rich: Origin, left_out: str, count: int) -> None:
    """Two commits, their trees, and of the newest tree only the blob below the limit: `f` has 1,000 bytes, `g` one."""
    tip = rich.oid("refs/heads/main")
    transport = way.connect(rich)
    pack = pack_of(transport, FetchRequest([tip], thin=False, filter=left_out, depth=1))
    assert pack_objects(pack) == count


def test_blobs_come_by_their_ids_and_alone(way: Way, rich: Origin) -> None:
    ids = [rich.oid(f"refs/heads/main:{name}") for name in ("f", "g")]
    transport = way.connect(rich)
    transport.ls_refs()
    assert pack_objects(pack_of(transport, FetchRequest(sorted(ids), thin=False))) == 2
    assert pack_objects(pack_of(transport, FetchRequest(ids[:1], thin=False))) == 1


def test_a_transport_serves_many_requests(way: Way, rich: Origin) -> None:
    transport = way.connect(rich)
    ledger = transport.ls_refs()
    tips = sorted(ledger.tips)[:3]
    packs = [pack_of(transport, FetchRequest([oid])) for oid in tips]
    assert [pack_objects(pack) for pack in packs] == [len(rich.objects(oid)) for oid in tips]
    assert transport.ls_refs() == ledger


def test_a_fork_works_beside_its_transport(way: Way, rich: Origin) -> None:
    transport = way.connect(rich)
    tips = sorted(transport.ls_refs().tips)
    forks = [transport, *(transport.fork() for _ in range(3))]
    with ThreadPoolExecutor(4) as pool:
        packs = list(pool.map(lambda fork: pack_of(fork, FetchRequest(tips)), forks))
    assert {pack_objects(pack) for pack in packs} == {len(rich.objects(*tips))}
    for fork in forks[1:]:
        fork.close()


def test_a_vanished_want_is_told_and_another_try_is_possible(way: Way, fresh: Origin) -> None:
    transport = way.connect(fresh)
    (tip,) = transport.ls_refs().tips
    with pytest.raises(WantVanished) as raised:
        pack_of(transport, FetchRequest([NO_OBJECT]))
    assert raised.value.hint
    assert transport.ls_refs().tips == {tip}
    assert pack_objects(pack_of(transport, FetchRequest([tip]))) == 3


def test_a_shallow_origin_is_refused_but_its_newest_files_are_not(
    way: Way, rich: Origin, servers: Servers
) -> None:
    path = servers.root / f"shallow-{next(_numbers)}.git"
    git(None, "clone", "--quiet", "--bare", "--depth=1", f"file://{rich.path}", str(path))
    shallow = Origin.at(path)
    transport = way.connect(shallow)
    tip = shallow.oid("HEAD")
    with pytest.raises(ShallowOrigin, match="shallow"):
        pack_of(transport, FetchRequest([tip]))
    assert pack_objects(pack_of(transport, FetchRequest([tip], depth=1))) == 4


def test_an_origin_without_filters_says_so(way: Way, fresh: Origin) -> None:
    if way.name.startswith(("local", "http")):
        pytest.skip("this way allows filters whatever the repository says")
    fresh.git("config", "uploadpack.allowFilter", "false")
    transport = way.connect(fresh)
    tip = fresh.oid("HEAD")
    with pytest.raises(FilterRefused):
        pack_of(transport, FetchRequest([tip], filter="tree:0"))
    assert pack_objects(pack_of(transport, FetchRequest([tip]))) == 3


def test_sha256_repositories_work_alike(way: Way, servers: Servers, tmp_path: Path) -> None:
    repo = Origin(servers.root / f"sha256-{next(_numbers)}.git", object_format="sha256", filters=True)
    tip = repo.commit_tree(ref="refs/heads/main", message="m")
    transport = way.connect(repo)
    assert dict(transport.ls_refs().oids) == {b"refs/heads/main": tip}
    copy = Origin(tmp_path / "copy.git", object_format="sha256")
    copy.index(pack_of(transport, FetchRequest([tip])))
    assert copy.objects(tip) == repo.objects(tip)


def test_no_repository_there_is_an_error_with_a_hint(way: Way, servers: Servers) -> None:
    transport = way.connect(Origin.at(servers.root / "none.git"))
    with pytest.raises(Unavailable) as raised:
        transport.ls_refs()
    assert raised.value.hint
    assert raised.value.code in ("origin-not-found", "origin-error", "not-git")


def test_too_many_refs_are_refused(way: Way, rich: Origin) -> None:
    with pytest.raises(Unavailable) as raised:
        way.connect(rich, limits=WireLimits(max_refs=5)).ls_refs()
    assert raised.value.code == "limit"
    assert "--max-refs" in raised.value.hint


@pytest.fixture
def stalled(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """A repository whose server never gets around to making a pack."""
    monkeypatch.setenv("HOME", str(servers.scratch))  # for a local origin: there, the user's git serves
    repo = Origin(servers.root / f"stalled-{next(_numbers)}.git", filters=True)
    repo.commit_tree(ref="refs/heads/main", message="first")
    return repo


def test_a_silent_server_is_given_up(way: Way, stalled: Origin) -> None:
    transport = way.connect(stalled, limits=WireLimits(idle_seconds=3))
    (tip,) = transport.ls_refs().tips
    with pytest.raises(Unavailable) as raised:
        pack_of(transport, FetchRequest([tip]))
    assert raised.value.code == "stalled"


def test_cancelling_from_another_thread_ends_a_blocked_fetch(way: Way, stalled: Origin) -> None:
    cancel, ends = Cancel(), Queue[BaseException | None]()
    transport = way.connect(stalled, cancel, WireLimits(idle_seconds=3600))
    (tip,) = transport.ls_refs().tips

    def fetch() -> None:
        try:
            pack_of(transport, FetchRequest([tip]))
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            ends.put(error)
        else:
            ends.put(None)

    why = Terminated("stopped by the test")
    threading.Thread(target=fetch, daemon=True).start()
    threading.Timer(0.5, cancel.cancel, [why]).start()
    assert ends.get(timeout=60) is why  # nothing else ends it, so the wait is guarded
    transport.close()


def test_a_cancelled_transport_does_nothing(way: Way, rich: Origin) -> None:
    cancel = Cancel()
    transport = way.connect(rich, cancel)
    transport.ls_refs()
    cancel.cancel()
    with pytest.raises(Interrupted):
        transport.ls_refs()
    with pytest.raises(Interrupted):
        transport.fetch(FetchRequest([NO_OBJECT]), lambda _: None)


def test_closing_twice_or_unused_is_fine(way: Way, rich: Origin) -> None:
    unused = way.connect(rich)
    unused.close()
    used = way.connect(rich)
    used.ls_refs()
    used.close()
    used.close()


@pytest.mark.parametrize("command", ["ssh 'unclosed", " ", "no-such-ssh-here"])
def test_an_ssh_command_that_is_none_is_told(command: str) -> None:
    connector = Connector(NoCredentials(), ssh=SshClient(command))
    with pytest.raises(SnapshotterError) as raised:
        connector(parse("git@host.test:x"), Cancel()).ls_refs()
    assert raised.value.hint
