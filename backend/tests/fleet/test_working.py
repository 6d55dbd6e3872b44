"""A machine that works for fleets: how it finds a run's scheduler, whom it believes, and what a dead one costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from snapshotter.archive import fleet_runs
from snapshotter.archive.layout import RunId
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.fleet import dask_engine, scale_in
from snapshotter.fleet.meeting_place import VARIABLE, Certificates, MeetingPlace
from snapshotter.fleet.scheduler_address import announce, announced
from snapshotter.fleet.working import Working
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support import batches
from tests.support.batches import batch
from tests.support.cli import cli, cli_env, command
from tests.support.clusters import certificates_by_the_guide
from tests.support.httpservers import Scripted, Seen
from tests.support.lab import Words

NOW = datetime(2026, 11, 27, 3, 17, 2, tzinfo=UTC)
SOME = Certificates("ca", "cert", "key")
FIRST, SECOND = MeetingPlace("tls", "10.0.0.1", 8786), MeetingPlace("tls", "10.0.0.2", 8786)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path / 'store'}")


def run(store: Store, when: datetime = NOW) -> RunId:
    """A fleet's run that began."""
    run_id = RunId.new(when)
    store.put_new(fleet_runs.run_key(run_id).key(fleet_runs.started_name("lab")), b"{}")
    return run_id


def found(store: Store, now: datetime = NOW) -> tuple[list[str], list[str]]:
    """The addresses that a worker would try, and what it was warned of."""
    words = Words()
    return [str(place) for place in announced(store, SOME, now, words)], words.warnings


def test_the_newest_scheduler_of_a_run_that_has_not_ended_comes_first(store: Store) -> None:
    ended, running, resumed = run(store), run(store), run(store, NOW - timedelta(days=2))
    announce(store, ended, "tls://10.0.0.1:8786", NOW)
    store.put_new(fleet_runs.run_key(ended).key(fleet_runs.SUMMARY), b"{}")
    announce(store, running, "tls://10.0.0.2:8786", NOW + timedelta(minutes=1))
    announce(store, resumed, "tls://10.0.0.3:8786", NOW - timedelta(days=2))
    announce(store, resumed, "tls://10.0.0.4:8786", NOW + timedelta(minutes=2))

    assert found(store) == (["tls://10.0.0.4:8786", "tls://10.0.0.2:8786", "tls://10.0.0.3:8786"], [])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b'{"schema_version": 1}', id="no address"),
        pytest.param(b'{"schema_version": 1, "address": "tcp://10.0.0.1:8786"}', id="plain TCP"),
        pytest.param(b'{"schema_version": 1, "address": "tls://0.0.0.0:1"}', id="every address"),
        pytest.param(b'{"schema_version": 1, "address": "' + b"x" * 2000 + b'"}', id="too long"),
    ],
)
def test_what_cannot_be_meant_is_passed_over(store: Store, data: bytes) -> None:
    run_id = run(store)
    store.put_new(fleet_runs.run_key(run_id).key(f"scheduler.{RunId.new(NOW)}.json"), data)
    announce(store, run_id, str(FIRST), NOW - timedelta(hours=1))

    places, warnings = found(store)
    assert places == [str(FIRST)]
    assert len(warnings) == 1


def test_an_address_of_the_store_is_followed_by_tls_only(store: Store) -> None:
    announce(store, run(store), "tcp://127.0.0.1:8786", NOW)
    assert found(store) == ([], [])


class Scheduled:
    """Schedulers that a test decides about: those that answer, and who was worked for."""

    def __init__(self, *places: MeetingPlace) -> None:
        self.places, self.dead = list(places), set[MeetingPlace]()
        self.asked: list[MeetingPlace] = []
        self.words, self.cancel = Words(), Cancel()
        self.working = Working(lambda: self.places, self.serve, self.words, self.cancel)

    def serve(self, place: MeetingPlace) -> None:
        self.asked.append(place)
        if place in self.dead:
            raise Unavailable(f"{place} cannot be reached")


def test_a_scheduler_that_does_not_answer_is_passed_over_for_a_while() -> None:
    schedulers = Scheduled(FIRST, SECOND)
    schedulers.dead = {FIRST}

    assert schedulers.working.once()
    assert schedulers.asked == [FIRST, SECOND]
    assert schedulers.words.warnings == [f"{FIRST} cannot be reached"]
    schedulers.places = [FIRST]
    assert not schedulers.working.once(), "it was asked a moment ago"
    assert schedulers.asked == [FIRST, SECOND]


def test_a_store_that_does_not_answer_is_warned_of() -> None:
    schedulers = Scheduled()

    def failing() -> list[MeetingPlace]:
        raise Unavailable("no answer from S3")

    schedulers.working.find = failing
    assert not schedulers.working.once()
    assert schedulers.words.warnings == ["no answer from S3"]


def test_a_cancellation_ends_the_wait_for_the_next_run() -> None:
    schedulers = Scheduled(FIRST)
    schedulers.serve = lambda place: schedulers.cancel.cancel()  # type: ignore[method-assign]
    schedulers.working.serve = schedulers.serve
    with pytest.raises(Interrupted):
        schedulers.working.forever()


# ---- protection of the task


def agent(
    status: bytes = b"200 OK", body: bytes = b'{"protection": {"ProtectionEnabled": true}}'
) -> Scripted:
    """The endpoint that ECS has in each container."""
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
        status,
        len(body),
    )
    return Scripted(lambda seen: [head + body])


def asked(seen: Seen) -> tuple[str, str, object]:
    return seen.method, seen.target, json.loads(seen.body)


def test_a_worker_at_work_protects_its_task_and_lets_go_of_it() -> None:
    with_agent, words = agent(), Words()
    with scale_in.protected({scale_in.VARIABLE: with_agent.url("api/1")}, words):
        assert [asked(each) for each in with_agent.seen] == [
            ("PUT", "/api/1/task-protection/v1/state", {"ProtectionEnabled": True, "ExpiresInMinutes": 60})
        ]
    assert asked(with_agent.seen[-1]) == (
        "PUT",
        "/api/1/task-protection/v1/state",
        {"ProtectionEnabled": False},
    )
    assert words.warnings == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(b"400 Bad Request", b"{}"), (b"200 OK", b'{"failure": {"Reason": "DEPLOYMENT_BLOCKED"}}')],
)
def test_a_protection_that_is_refused_is_warned_of_and_the_work_goes_on(status: bytes, body: bytes) -> None:
    words = Words()
    with scale_in.protected({scale_in.VARIABLE: agent(status, body).url("api/1")}, words):
        assert len(words.warnings) == 1


def test_elsewhere_nobody_is_asked() -> None:
    words = Words()
    with scale_in.protected({}, words):
        pass
    assert words.warnings == []


# ---- the verb


@pytest.fixture(scope="module")
def engine() -> Iterator[dask_engine.DaskEngine]:
    certificates = Certificates.of({VARIABLE: certificates_by_the_guide()})
    made = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates)
    yield made
    made.shutdown()


def test_a_worker_finds_a_run_by_the_store_works_with_its_own_environment_and_waits_for_the_next(
    store: Store, tmp_path: Path
) -> None:
    certificates = Certificates.of({VARIABLE: certificates_by_the_guide()})
    engine = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates)
    now = datetime.now(UTC)
    announce(store, run(store, now), "tls://127.0.0.1:1", now)  # of a run that was killed
    announce(store, run(store, now), engine.address, now - timedelta(seconds=30))
    log = tmp_path / "log"
    env = cli_env(**{VARIABLE: certificates_by_the_guide(), "SNAPSHOTTER_GIT_TOKEN": "of-the-worker"})
    with log.open("wb") as talk:
        argv = command("fleet", "worker", "--jobs", "1", "--store", f"file:{tmp_path / 'store'}")
        worker = subprocess.Popen(argv, env=env, stdout=talk, stderr=talk)
    try:
        named = {"SNAPSHOTTER_GIT_TOKEN": ""}
        given = batch(1, "a", settings=named)
        result = engine.submit(batches.environment, given).result(60)
        assert result.outcomes[0].run == "of-the-worker"
        engine.shutdown()
        batches.until(lambda: "waiting for the scheduler" in log.read_text().rpartition("working for")[2])
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 143
    finally:
        worker.kill()
        worker.wait()
        engine.shutdown()
    assert "127.0.0.1:1 cannot be reached" in log.read_text()
    assert "PRIVATE KEY" not in log.read_text()


def test_a_worker_of_one_scheduler_ends_with_it(engine: dask_engine.DaskEngine, tmp_path: Path) -> None:
    env = cli_env(**{VARIABLE: certificates_by_the_guide()})
    argv = command("fleet", "worker", "--jobs", "1", "--scheduler", engine.address, "--json")
    worker = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert engine.submit(batches.told, batch(1, "a")).result(60).number == 1
        engine.shutdown()
        out, _ = worker.communicate(timeout=60)
        assert json.loads(out) == {"ok": True, "scheduler": engine.address}
        assert worker.returncode == 0
    finally:
        worker.kill()
        worker.wait()


def test_a_worker_with_certificates_of_another_ca_is_not_let_in() -> None:
    certificates = Certificates.of({VARIABLE: certificates_by_the_guide()})
    engine = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates)
    try:
        done = cli(
            *("fleet", "worker", "--jobs", "1", "--scheduler", engine.address),
            **{VARIABLE: certificates_by_the_guide(1)},
        )
        assert done.code == 4
        assert "cannot be reached" in done.err
        assert engine.slots == 1
        assert not engine.submit(batches.told, batch(1, "a")).done()
    finally:
        engine.shutdown()


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--scheduler", "tls://10.0.0.5:8786"], "needs certificates"),
        (["--scheduler", "tcp://10.0.0.5:8786"], "plain TCP"),
        (["--listen", "tcp://0.0.0.0:8788"], "every address"),
    ],
)
def test_without_tls_nothing_is_said_off_loopback(argv: list[str], why: str, tmp_path: Path) -> None:
    done = cli("fleet", "worker", *argv, "--store", f"file:{tmp_path}")
    assert done.code == 2
    assert why in done.err
    assert os.linesep + "hint: " in done.err
