"""What is told of a fleet's run, to whom, and that no secret and no result depends on it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from snapshotter.archive.layout import RunId
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import PartialFailure, Unavailable, UsageError
from snapshotter.base.settings import Settings
from snapshotter.fleet import notices, notifier, recording
from snapshotter.fleet.notices import RunNotice
from snapshotter.fleet.notifier import Notifier
from snapshotter.fleet.outcome import RepoOutcome, Trouble
from snapshotter.fleet.telling import RunTelling
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support.httpservers import Scripted, Seen
from tests.support.lab import Words
from tests.support.results import DAY, NOW, bench, outcome, summary

FAILED = PartialFailure("1 of 3 failed", hint="see each")
SECRET = "s3cr3t-path"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path / 'store'}")


def answers(*statuses: int) -> Iterator[Scripted]:
    """A server that answers with these statuses, the last again and again."""
    left = list(statuses)

    def answer(_: Seen) -> Iterable[bytes]:
        status = left.pop(0) if len(left) > 1 else left[0]
        yield f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n".encode()

    with Scripted(answer) as server:
        yield server


@pytest.fixture
def place() -> Iterator[Scripted]:
    yield from answers(200)


def told_of(
    outcomes: list[RepoOutcome], store: Store, temp: Path, *, bad: bool = False, digest: bool = False
) -> RunNotice:
    with bench(store, temp) as room:
        recorder = room.recorder()
        recorder.record(outcomes)
        recorder.checkpoint()
        found = summary(recorder, outcomes)
        return notices.notice(found, room.rows.done, DAY, error=FAILED if bad else None, digest=digest)


def notifier_to(server: Scripted, words: Words | None = None, **more: str) -> Notifier:
    url = f"http://127.0.0.1:{server.port}/{SECRET}"
    made = Notifier.of(
        Settings({notifier.PING: f"{url}?x=1", notifier.WEBHOOK: f"{url}/hook", **more}), words or Words()
    )
    return Notifier(**{**vars(made), "pause": lambda cancel, seconds: None})


def test_a_run_pings_that_it_starts_and_how_it_ended(store: Store, tmp_path: Path, place: Scripted) -> None:
    to = notifier_to(place)
    good = told_of([outcome("a")], store, tmp_path / "t")
    bad = told_of([outcome("a"), outcome("b", "gone")], store, tmp_path / "t", bad=True)
    to.started(Cancel())
    to.ended(good, Cancel())
    to.ended(bad, Cancel())
    to.failed(Unavailable("the store is gone"), Cancel())

    targets = [seen.target for seen in place.seen]
    ping = f"/{SECRET}"
    assert targets == [
        f"{ping}/start?x=1",
        f"{ping}?x=1",
        f"{ping}/hook",
        f"{ping}/fail?x=1",
        f"{ping}/hook",
        f"{ping}/fail?x=1",
    ]
    assert {seen.method for seen in place.seen} == {"POST"}
    document = json.loads(place.seen[4].body)
    assert (document["ok"], document["inventory"], document["verdicts"]) == (
        False,
        "lab",
        {"gone": 1, "new": 1},
    )
    assert document["error"]["message"] == FAILED.message
    assert [named["origin"] for named in document["failed"]] == ["https://host.test/b"]
    assert b"1 repository" in place.seen[3].body or b"2 repositories" in place.seen[3].body
    assert place.seen[5].body == b"the store is gone"


def test_a_notice_names_the_worst_of_many_and_counts_all(store: Store, tmp_path: Path) -> None:
    trouble = Trouble(code="x", message="why\n" * 200)
    outcomes = [
        outcome(
            f"r{n:03d}",
            "failed",
            trouble=trouble,
            ledger={"good_at": NOW - n * DAY, "run": "20261101T000000Z-00000000"},
        )
        for n in range(2, 60)
    ]
    outcomes += [outcome("never", "gone"), outcome("fine"), outcome("wiki", "gone", optional=True)]
    told = told_of(outcomes, store, tmp_path / "t")
    assert told.stale.count == 59
    assert [named.origin.rpartition("/")[2] for named in told.stale.worst][:3] == ["never", "r059", "r058"]
    assert len(told.failed) == len(told.stale.worst) == 20
    assert "and 39 more" in told.text
    assert max(map(len, told.text.splitlines())) < 500
    assert "wiki" not in told.text


def test_a_notice_reads_so(store: Store, tmp_path: Path) -> None:
    why = Trouble(code="x", message="it is\nshallow")
    old = outcome("old", "failed", trouble=why, ledger={"good_at": NOW - 3 * DAY})
    told = told_of(
        [outcome("fine"), old, outcome("lost", "gone")], store, tmp_path / "t", bad=True, digest=True
    )
    assert told.text.splitlines() == [
        "fleet lab: FAILED, 2 of 3 repositories without a good end, 2 stale",
        f"run {told.run_id}, ended 2026-11-27 03:18 UTC: 1 failed, 1 gone, 1 new",
        "error: 1 of 3 failed",
        "",
        "without a good snapshot within 1 day:",
        "  https://host.test/lost  good as of never  gone",
        r"  https://host.test/old  good as of 2026-11-24 03:17  failed: it is\nshallow",
        "",
        "ended badly:",
        "  https://host.test/lost  good as of never  gone",
        r"  https://host.test/old  good as of 2026-11-24 03:17  failed: it is\nshallow",
        "",
        "This is sent from time to time even if all is well: while it comes, the fleet is looked after.",
    ]


def test_a_notice_of_a_run_that_went_well_is_two_lines(store: Store, tmp_path: Path) -> None:
    told = told_of([outcome("fine")], store, tmp_path / "t")
    assert told.text.splitlines() == [
        "fleet lab: ok, 0 of 1 repository without a good end, 0 stale",
        f"run {told.run_id}, ended 2026-11-27 03:18 UTC: 1 new",
    ]
    nothing = told_of([], store, tmp_path / "t")
    assert nothing.text.splitlines()[1].endswith("UTC: nothing")


def test_what_is_stale_is_judged_to_the_second(store: Store, tmp_path: Path) -> None:
    """A run of the lab ends a minute after it began, and a day is what is allowed."""
    bound = NOW - DAY + timedelta(minutes=1)
    ages = {"just": bound, "too": bound - timedelta(seconds=1)}
    outcomes = [outcome(name, "unchanged", ledger={"good_at": at}) for name, at in ages.items()]
    told = told_of(outcomes, store, tmp_path / "t")
    assert [named.origin for named in told.stale.worst] == ["https://host.test/too"]


def test_a_wiki_that_was_there_once_is_missed(store: Store, tmp_path: Path) -> None:
    was = outcome("was", "gone", optional=True, ledger={"run": "20261101T000000Z-00000000"})
    told = told_of([was, outcome("never", "gone", optional=True)], store, tmp_path / "t")
    assert [named.origin for named in told.failed] == ["https://host.test/was"]
    assert told.stale.count == 1


@pytest.mark.parametrize("status", [301, 307, 404, 500])
def test_a_place_that_refuses_is_told_by_its_host_and_changes_nothing(
    store: Store, tmp_path: Path, status: int
) -> None:
    words = Words()
    for server in answers(status):
        heard = notifier_to(server, words).ended(told_of([outcome("a")], store, tmp_path / "t"), Cancel())
        assert not heard
        assert len(server.seen) == (6 if status == 500 else 2), (
            "only what may pass is tried again, and no redirect"
        )
    assert [f"HTTP {status}" in warning for warning in words.warnings] == [True, True]
    assert SECRET not in "".join(words.warnings)


def test_a_place_that_comes_back_is_told(store: Store, tmp_path: Path) -> None:
    words = Words()
    for server in answers(503, 429, 200):
        assert notifier_to(server, words).ended(told_of([outcome("a")], store, tmp_path / "t"), Cancel())
    assert words.warnings == []


def test_a_place_that_never_answers_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "_SECONDS", 0.2)
    released = threading.Event()

    def answer(_: Seen) -> Iterable[bytes]:
        yield b"HTTP/1.1 200"
        released.wait(20)

    words = Words()
    with Scripted(answer) as server:
        notifier_to(server, words).started(Cancel())
        released.set()
    assert "no answer" in words.warnings[0]
    assert SECRET not in words.warnings[0]


def test_a_place_where_nobody_listens_is_told() -> None:
    words = Words()
    for server in answers(200):
        to = notifier_to(server, words)
    to.started(Cancel())
    assert "no answer" in words.warnings[0]
    assert SECRET not in words.warnings[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "ftp://example.org/x",
        "example.org",
        "https://",
        "https://user:pass@example.org/",
        "https://example.org/a b",
        "https://example.org:port/",
        "https://example.org/\x00",
        "https://[::1",
    ],
)
def test_a_place_that_cannot_be_meant_is_refused_before_a_run_and_not_quoted(url: str) -> None:
    for setting in (notifier.PING, notifier.WEBHOOK):
        with pytest.raises(UsageError) as refused:
            Notifier.of(Settings({setting: url}), Words())
        assert setting in refused.value.message
        assert "example" not in refused.value.message


def test_without_a_place_nobody_is_told_anything(store: Store, tmp_path: Path) -> None:
    to = Notifier.of(Settings({}), Words())
    assert not to.has_places
    to.started(Cancel())
    assert to.ended(told_of([outcome("a")], store, tmp_path / "t", digest=True), Cancel())


def test_a_digest_comes_once_in_a_while_even_if_all_is_well(
    store: Store, tmp_path: Path, place: Scripted
) -> None:
    telling = RunTelling(notifier_to(place), store, 2 * DAY)
    sent = []
    for day in (0, 1, 6, 7, 8, 15):
        at = NOW + day * DAY
        with bench(store, tmp_path / "t") as room:
            recorder = room.recorder(at=at)
            recorder.begin()
            recorder.record([outcome("a", at=at)])
            told = recorder.end(summary(recorder, [outcome("a")]))
            telling.ended(recorder, room.rows, told, None, Cancel())
        hooks = [json.loads(seen.body) for seen in place.seen if seen.target.endswith("/hook")]
        sent.append(hooks[-1]["digest"])
    assert sent == [True, False, False, True, False, True]


def test_the_digest_of_another_inventory_is_another(store: Store, tmp_path: Path, place: Scripted) -> None:
    telling = RunTelling(notifier_to(place), store, 2 * DAY)
    for hours, name in enumerate(("theirs", "lab", "lab")):
        at = NOW + timedelta(hours=hours)
        with bench(store, tmp_path / "t") as room:
            recorder = recording.StoreRecorder(store, name, RunId.new(at), room.rows)
            recorder.begin()
            told = recorder.end(summary(recorder, [], name))
            telling.ended(recorder, room.rows, told, None, Cancel())
    hooks = [json.loads(seen.body) for seen in place.seen if seen.target.endswith("/hook")]
    assert [hook["digest"] for hook in hooks] == [True, True, False]


def test_a_digest_that_nobody_heard_comes_again(store: Store, tmp_path: Path) -> None:
    for server in answers(404):
        telling = RunTelling(notifier_to(server), store, 2 * DAY)
        for day in (0, 1):
            at = NOW + day * DAY
            with bench(store, tmp_path / "t") as room:
                recorder = room.recorder(at=at)
                recorder.begin()
                told = recorder.end(summary(recorder, []))
                telling.ended(recorder, room.rows, told, None, Cancel())
        hooks = [json.loads(seen.body) for seen in server.seen if seen.target.endswith("/hook")]
        assert [hook["digest"] for hook in hooks] == [True, True]


def test_apprise_hears_of_what_ended_badly_and_of_digests(
    store: Store, tmp_path: Path, place: Scripted
) -> None:
    address = f"json://127.0.0.1:{place.port}/{SECRET}"
    to = Notifier.of(Settings({notifier.NOTIFY: address}), Words())
    to.ended(told_of([outcome("a")], store, tmp_path / "t"), Cancel())
    assert place.seen == []
    assert to.ended(told_of([outcome("a")], store, tmp_path / "t", digest=True), Cancel())
    assert to.ended(told_of([outcome("b", "gone")], store, tmp_path / "t", bad=True), Cancel())
    titles = [json.loads(seen.body)["title"] for seen in place.seen]
    assert [title.partition(",")[0] for title in titles] == ["fleet lab: ok", "fleet lab: FAILED"]


def test_apprise_that_reaches_nobody_says_no_secret(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = Words()
    for server in answers(500):
        to = Notifier.of(Settings({notifier.NOTIFY: f"json://127.0.0.1:{server.port}/{SECRET}"}), words)
        assert not to.ended(told_of([outcome("a")], store, tmp_path / "t", digest=True), Cancel())
    assert len(words.warnings) == 1
    assert SECRET not in "".join([*words.warnings, *capfd.readouterr()])
    with pytest.raises(UsageError, match="place 2"):
        Notifier.of(Settings({notifier.NOTIFY: f"json://127.0.0.1/ {SECRET}"}), words)


def test_a_cancelled_run_tells_nobody_and_ends(store: Store, tmp_path: Path, place: Scripted) -> None:
    words, cancel = Words(), Cancel()
    told = told_of([outcome("a")], store, tmp_path / "t")
    cancel.cancel()
    notifier_to(place, words).ended(told, cancel)
    assert place.seen == []
    assert len(words.warnings) == 2


def test_a_span_of_digests_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError):
        Notifier.of(Settings({notifier.DIGEST: "weekly"}), Words())
    assert Notifier.of(Settings({notifier.DIGEST: "1d"}), Words()).digest_every == timedelta(days=1)
