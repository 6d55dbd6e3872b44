"""A wiki is taken beside its origin by the same plan, less what is the origin's own, and costs the origin nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lfshost import LfsHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, PartialFailure, SnapshotterError, Unavailable
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.capture.plan import Plan
from snapshotter.capture.wiki import TakenEach, take_each
from snapshotter.git.origin import Origin as ParsedOrigin
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import Transport
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.upload_pack import UploadPack
from tests.support import fixtures
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.lfs import add, lfs_of
from tests.support.scans import options, quickly, scan_options

host = fixtures.lfs_host


class Noted(UploadPack):
    """Knows whether it was closed."""

    closed = False

    def close(self) -> None:
        """See Transport."""
        super().close()
        self.closed = True


@dataclass
class Connections(Connector):
    """Notes its transports, by the paths of their origins; `before` is asked first."""

    before: Callable[[str], object] = str
    opened: dict[str, Noted] = field(default_factory=dict)

    def __call__(self, origin: ParsedOrigin, cancel: Cancel) -> Transport:
        self.before(Path(origin.path).name)
        return self.opened.setdefault(
            Path(origin.path).name, Noted(self._wire(origin, cancel), self.limits, cancel)
        )


@pytest.fixture
def connect() -> Connections:
    return Connections(GitCredentials({}))


@pytest.fixture
def wiki(origin: Origin) -> Origin:
    made = Origin(origin.path.with_name("x.wiki.git"))
    made.commit()
    return made


def take(lab: Lab, origin: Origin | str, plan: Plan) -> TakenEach:
    parsed, cancel = parse(str(origin.path) if isinstance(origin, Origin) else origin), Cancel()
    with closing(plan.connect(parsed, cancel)) as transport:
        return take_each(parsed, transport, lab.store, plan, observer=lab.observer, cancel=cancel)


def test_none_is_looked_for_unless_it_is_asked_for(
    lab: Lab, origin: Origin, wiki: Origin, connect: Connections
) -> None:
    taken = take(lab, origin, Plan(CaptureOptions(), connect))
    assert (taken.wiki, taken.ending, [*connect.opened]) == (None, None, ["x.git"])
    asked = take(lab, origin, Plan(CaptureOptions(), connect, wiki=True))
    assert asked.wiki is not None and asked.wiki.manifest.refs.count == 1


def test_its_connection_is_closed_also_when_it_fails(
    lab: Lab, origin: Origin, wiki: Origin, connect: Connections
) -> None:
    take(lab, origin, Plan(CaptureOptions(), connect, wiki=True))
    assert connect.opened.pop("x.wiki.git").closed
    wiki.commit()
    for path in (wiki.path / "objects").rglob("??/*"):
        path.write_bytes(b"")
    assert take(lab, origin, Plan(CaptureOptions(), connect, wiki=True)).error is not None
    assert connect.opened["x.wiki.git"].closed


def test_patterns_of_refs_and_the_ref_to_scan_are_the_origin_s_alone(
    lab: Lab, origin: Origin, wiki: Origin, connect: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    scanned = options(scan_options(ref="refs/heads/bulk"))
    asked = replace(scanned, refs=("refs/heads/bulk",), exclude_refs=("refs/heads/main",))
    taken = take(lab, origin, Plan(asked, connect, wiki=True))
    assert taken.ending is None and taken.wiki is not None
    found = {each.manifest.scan.ref for each in (taken.sealed, taken.wiki) if each.manifest.scan}
    assert found == {"refs/heads/bulk", "refs/heads/main"}
    assert [each.manifest.refs.count for each in (taken.sealed, taken.wiki)] == [1, 1]


def test_each_has_its_own_lfs_objects_from_its_own_place(
    lab: Lab, host: LfsHost, connect: Connections
) -> None:
    add(host, Origin(host.root / "x.git"), b"code")
    add(host, Origin(host.root / "x.wiki.git"), b"a picture", b"another")
    taken = take(lab, host.url("x.git"), Plan(CaptureOptions(lfs=LfsOptions()), connect, wiki=True))
    assert taken.wiki is not None
    assert [lfs_of(each).held for each in (taken.sealed, taken.wiki)] == [1, 2]
    batches = [seen.path for seen in host.lfs_requests if seen.path.endswith("/batch")]
    assert batches == [f"/{name}.git/info/lfs/objects/batch" for name in ("x.wiki", "x")]


def test_what_keeps_it_from_being_taken_is_told_with_its_hint(
    lab: Lab, origin: Origin, connect: Connections
) -> None:
    connect.before = failing(Unavailable("the host is down", hint="wait for it"))
    taken = take(lab, origin, Plan(CaptureOptions(), connect, wiki=True))
    assert taken.sealed.manifest.refs.count == 2
    ending = taken.ending
    assert isinstance(ending, PartialFailure)
    assert (ending.details, ending.hint) == (("the host is down",), "wait for it")


def test_an_interruption_ends_all_and_no_snapshot_is_taken(
    lab: Lab, origin: Origin, wiki: Origin, connect: Connections
) -> None:
    connect.before = failing(Interrupted("stopped"))
    with pytest.raises(Interrupted):
        take(lab, origin, Plan(CaptureOptions(), connect, wiki=True))
    assert lab.catalog.repos() == []


def failing(error: SnapshotterError) -> Callable[[str], None]:
    """Keeps from connecting to the wiki."""

    def before(name: str) -> None:
        if name == "x.wiki.git":
            raise error

    return before
