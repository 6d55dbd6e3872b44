"""What counts as what: errors, snapshots, and which of them another try may turn."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from msgspec import structs

from snapshotter.archive.gap_kinds import GAP_KINDS
from snapshotter.archive.manifest import (
    ChainBytes,
    Gap,
    Manifest,
    RefChange,
    RefChangeList,
    RefChanges,
    Scan,
    ScanSettings,
)
from snapshotter.base.errors import (
    AccessDenied,
    Damaged,
    Defect,
    Interrupted,
    SnapshotterError,
    TooLarge,
    Unavailable,
    UsageError,
)
from snapshotter.base.settings import Settings
from snapshotter.capture.scan_step import NO_HEAD
from snapshotter.fleet.engine import WorkerLost
from snapshotter.fleet.outcome import GOOD, TAKEN, Trouble, Verdict
from snapshotter.fleet.verdict import Rules, missed, of_error, of_snapshot, passing
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import NoGitAnswer, OriginFailed, ShallowOrigin, Stalled, WantVanished
from snapshotter.transport.http_errors import status_error
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.results import outcome

X = parse("https://h.test/x")


def status(code: int) -> SnapshotterError:
    return status_error(code, X, had_credential=True)


@pytest.mark.parametrize(
    ("error", "verdict", "again"),
    [
        (status(401), "forbidden", False),
        (status(403), "forbidden", False),
        (status(404), "gone", False),
        (status(410), "gone", False),
        (status(429), "over-quota", True),
        (status(500), "unreachable", True),
        (status(503), "unreachable", True),
        (status(400), "failed", False),
        (status(451), "failed", False),
        (Unavailable("x", code="no-such-host"), "unreachable", True),
        (Unavailable("x", code="no-connection"), "unreachable", True),
        (Unavailable("x", code="tls"), "unreachable", False),
        (Unavailable("x", code="proxy"), "unreachable", True),
        (Unavailable("x", code="host-down"), "unreachable", False),
        (NoGitAnswer("x", code="stream-cut"), "unreachable", True),
        (Stalled("x"), "unreachable", True),
        (NoGitAnswer("x"), "failed", False),
        (OriginFailed("x"), "failed", False),
        (ShallowOrigin("x"), "failed", False),
        (WantVanished("x"), "failed", True),
        (Unavailable("x", code="store"), "failed", True),
        (Unavailable("x", code="disk-full"), "over-quota", False),
        (Unavailable("x", code="limit"), "over-quota", False),
        (TooLarge("x", code="pack-too-large"), "over-quota", False),
        (TooLarge("x", code="too-many-segments"), "over-quota", False),
        (Unavailable("x", code="os"), "failed", True),
        (Unavailable("x", code="memory"), "failed", True),
        (AccessDenied("x", code="store-denied"), "failed", False),
        (AccessDenied("x", code="store"), "failed", False),
        (Damaged("x", code="pack-checksum"), "failed", False),
        (UsageError("x"), "failed", False),
        (Defect("x"), "failed", False),
        (Interrupted("x"), "failed", False),
        (WorkerLost("x"), "failed", True),
    ],
)
def test_errors(error: SnapshotterError, verdict: Verdict, again: bool) -> None:
    assert (of_error(error), passing(error)) == (verdict, again)


@pytest.mark.parametrize(
    ("verdict", "code", "is_missed"),
    [
        ("unreachable", "no-connection", True),
        ("over-quota", "origin-http", True),
        ("over-quota", "disk-full", False),
        ("failed", "origin-http", False),
        ("gone", "origin-not-found", False),
    ],
)
def test_only_a_host_that_cannot_be_asked_is_missed(verdict: Verdict, code: str, is_missed: bool) -> None:
    assert missed(outcome("a", verdict, trouble=Trouble(code=code, message="x"))) == is_missed
    assert not missed(outcome("a"))


def test_no_error_is_good_and_every_verdict_is_one_or_the_other() -> None:
    assert GOOD < TAKEN < {*get_args(Verdict)}


@pytest.fixture
def rules() -> Rules:
    return Rules.of(Settings({}))


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    origin = Origin(tmp_path / "x.git")
    origin.commit(files={"a": b"x" * 100})
    return Lab(tmp_path / "store").take(origin).manifest


def changed(manifest: Manifest, **more: object) -> Manifest:
    return structs.replace(manifest, **more)


def judged(
    manifest: Manifest, rules: Rules, *, wrote: bool = True, was: int = 0, moved: bool = False
) -> Verdict:
    verdict, trouble = of_snapshot(manifest, rules, wrote=wrote, was=was, moved=moved)
    assert (trouble is None) == (verdict in GOOD)
    return verdict


def test_snapshots(manifest: Manifest, rules: Rules) -> None:
    assert judged(manifest, rules) == "new"
    assert judged(manifest, rules, wrote=False) == "unchanged"
    assert judged(changed(manifest, kind="unchanged"), rules) == "unchanged"
    assert judged(changed(manifest, kind="empty"), rules) == "empty"
    assert judged(manifest, rules, moved=True) == "renamed"
    assert judged(changed(manifest, kind="unchanged"), rules, moved=True) == "renamed"


def test_a_base_that_weighs_less_than_half_has_shrunk(manifest: Manifest, rules: Rules) -> None:
    def weighs(size: int) -> Manifest:
        return changed(manifest, chain_bytes=ChainBytes(base=size, increments=0))

    assert judged(weighs(24_000_000), rules, was=26_000_000_000) == "shrunk"
    assert judged(weighs(499_999), rules, was=1_000_000) == "shrunk"
    assert judged(weighs(500_000), rules, was=1_000_000) == "new"
    assert judged(weighs(1), rules, was=1000) == "new"  # of so little a share says nothing
    assert judged(weighs(1), rules, was=1_000_000, wrote=False) == "unchanged"
    assert judged(changed(weighs(0), kind="empty"), rules, was=1_000_000) == "shrunk"
    assert (
        judged(changed(weighs(1), kind="increment"), rules, was=1_000_000) == "new"
    )  # its base is an old one
    assert judged(weighs(1), rules, was=16 * 1024 - 1) == "new"
    assert judged(weighs(1), rules, was=16 * 1024) == "shrunk"
    lenient = Rules.of(Settings({"SNAPSHOTTER_FLEET_SHRUNK": "100%"}))
    assert judged(weighs(1), lenient, was=10**9) == "new"
    strict = Rules.of(Settings({"SNAPSHOTTER_FLEET_SHRUNK": "1%"}))
    assert judged(weighs(989_999), strict, was=1_000_000) == "shrunk"


def changes(**parts: int | list[str]) -> RefChanges:
    """Changes of refs: so many of a sort, or these."""
    return RefChanges(
        **{
            sort: RefChangeList(count=what)
            if isinstance(what, int)
            else RefChangeList(len(what), [RefChange(name) for name in what])
            for sort, what in parts.items()
        }
    )


@pytest.mark.parametrize(
    ("what", "may"),
    [
        (changes(), False),
        (changes(rewritten=["refs/heads/main"]), True),
        (changes(deleted=["refs/heads/main"]), True),
        (changes(rewritten=["refs/heads/x"], moved=["refs/heads/main"], deleted=["refs/heads/y"]), False),
        (changes(deleted=5), False),  # of 10, which leaves 5
        (changes(deleted=6), True),  # of 11
        (changes(deleted=6, created=2), True),  # of 9, of which 3 are left, and 2 are new
        (changes(deleted=6, created=0, moved=5), True),
        (changes(deleted=4, created=3), False),  # of 6, 2 are left: but it is two thirds that may go here
        (changes(created=5), False),
    ],
)
def test_an_increment_may_have_shrunk_by_what_its_refs_say(
    manifest: Manifest, what: RefChanges, may: bool
) -> None:
    def increment(**more: object) -> Manifest:
        refs = structs.replace(manifest.refs, count=5)
        told = changed(manifest, kind="increment", head="refs/heads/main", refs=refs, ref_changes=what)
        return changed(told, **more)

    share = "67%" if what.created.count == 3 else "50%"
    rules = Rules.of(Settings({"SNAPSHOTTER_FLEET_SHRUNK": share}))
    assert rules.may_have_shrunk(increment()) == may
    assert not rules.may_have_shrunk(increment(kind="base"))
    assert not rules.may_have_shrunk(increment(ref_changes=None))
    assert not Rules.of(Settings({"SNAPSHOTTER_FLEET_SHRUNK": "100%"})).may_have_shrunk(increment())


def test_gaps_of_a_scan_count_with_the_others(manifest: Manifest) -> None:
    limits = ScanSettings(max_file_bytes=9, max_total_bytes=9, max_files=9, scanner_seconds=9, exclude=[])
    scan = Scan(
        run_id="20260101T000000Z-00000000",
        ref="refs/heads/main",
        commit="a" * 40,
        tree="b" * 40,
        tables={},
        artifacts=[],
        scanners={},
        settings=limits,
        licences=[],
        gaps=[Gap(kind="files-skipped", count=2, sample=["a"])],
    )
    scanned = changed(manifest, scan=scan, gaps=[Gap(kind="files-skipped", count=1, sample=["b"])])
    for most, verdict in ((2, "partial"), (3, "new")):
        rules = Rules.of(Settings({"SNAPSHOTTER_FLEET_GAPS": f"files-skipped={most}"}))
        assert judged(scanned, rules) == verdict


def test_gaps_over_their_limit_make_it_partial(manifest: Manifest, rules: Rules) -> None:
    def lacks(kind: str, count: int, sample: str = "s") -> Manifest:
        return changed(manifest, gaps=[Gap(kind=kind, count=count, sample=[sample])])

    assert judged(lacks("refs-lacking", 1), rules) == "partial"
    assert judged(lacks("scan", 1, "no disk"), rules) == "partial"
    assert judged(lacks("scan", 1, NO_HEAD), rules) == "new"
    assert judged(lacks("refs-lacking", 1, NO_HEAD), rules) == "partial"
    assert judged(lacks("refs-left-out", 900), rules) == "new"
    for reason in ("forbidden", "over-quota", "busy", "unreachable", "unsearched"):
        assert judged(lacks(f"lfs-{reason}", 1), rules) == "partial", "its LFS objects could be had"
    assert judged(lacks("lfs-not-found", 3), rules) == "new", "nobody has them any more"
    own = Rules.of(Settings({"SNAPSHOTTER_FLEET_GAPS": "refs-left-out=10"}))
    assert judged(lacks("refs-left-out", 10), own) == "new"
    assert judged(lacks("refs-left-out", 11), own) == "partial"
    assert judged(lacks("refs-lacking", 1), own) == "partial", "what is not named keeps its limit"
    lifted = Rules.of(Settings({"SNAPSHOTTER_FLEET_GAPS": "refs-lacking=any scan=2"}))
    assert judged(lacks("refs-lacking", 10**6), lifted) == "new"
    assert judged(lacks("scan", 2, "no disk"), lifted) == "new"


@pytest.mark.parametrize("text", ["50", "0%", "101%", "-5%", "half", "5.5%"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SNAPSHOTTER_FLEET_SHRUNK"):
        Rules.of(Settings({"SNAPSHOTTER_FLEET_SHRUNK": text}))


@pytest.mark.parametrize("text", ["lfs", "lfs=", "=3", "lfs=-1", "lfs=many", "lfs=\u0663"])
def test_a_limit_of_gaps_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="SNAPSHOTTER_FLEET_GAPS"):
        Rules.of(Settings({"SNAPSHOTTER_FLEET_GAPS": text}))


def test_a_kind_of_gap_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="refs-lackng=0") as raised:
        Rules.of(Settings({"SNAPSHOTTER_FLEET_GAPS": "scan=0 refs-lackng=0"}))
    assert all(kind in raised.value.hint for kind in GAP_KINDS)
