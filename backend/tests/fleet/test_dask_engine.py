"""The engine of many machines: what crosses, who is heard, and what the loss of a worker or of the scheduler means."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest

from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.fleet import dask_engine
from snapshotter.fleet.dask_engine import DaskEngine
from snapshotter.fleet.engine import EngineLost, WorkerLost
from snapshotter.fleet.meeting_place import VARIABLE, Certificates, MeetingPlace
from tests.support import batches
from tests.support.batches import batch, until
from tests.support.clusters import certificates_by_the_guide
from tests.support.processes import until_gone

LONG = 60  # seconds: no test waits for so long, unless what it waits for never comes


@pytest.fixture(scope="module")
def engine() -> Iterator[DaskEngine]:
    engine = dask_engine.local(2)
    yield engine
    engine.shutdown()


def test_batches_cross_and_come_back_as_they_are(engine: DaskEngine) -> None:
    given = [batch(number, f"a{number}", f"b{number}") for number in range(5)]
    results = [engine.submit(batches.told, each).result(LONG) for each in given]

    assert [result.number for result in results] == [0, 1, 2, 3, 4]
    assert [each.ledger for each in results[3].outcomes] == [task.last for task in given[3].tasks]
    assert {outcome.run for result in results for outcome in result.outcomes}.isdisjoint({str(os.getpid())})


def test_workers_come_from_one_process_that_has_loaded_what_they_need(engine: DaskEngine) -> None:
    def parent_and_modules() -> tuple[int, bool]:
        return os.getppid(), "snapshotter.fleet.batch" in sys.modules

    client = engine._client
    told = client.run(parent_and_modules)
    assert len(told) == 2
    assert {loaded for _, loaded in told.values()} == {True}
    (parent,) = {parent for parent, _ in told.values()}
    assert parent != os.getpid()


def test_a_worker_begins_no_process_to_fork_others_from(engine: DaskEngine) -> None:
    def begun() -> int | None:
        return forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]

    for number in range(4):
        engine.submit(batches.told, batch(number, "a")).result(LONG)
    assert [*engine._client.run(begun).values()] == [None, None]
    assert begun() is not None


def test_a_worker_s_own_children_are_started_as_its_parent_s(engine: DaskEngine) -> None:
    given = batch(1, "a", settings={"PYTHONSAFEPATH": ""})
    (outcome,) = engine.submit(batches.environment, given).result(LONG).outcomes
    assert outcome.run == os.environ.get("PYTHONSAFEPATH", "")


def test_a_worker_takes_one_batch_at_a_time(engine: DaskEngine) -> None:
    assert engine.slots == 2
    slow = [engine.submit(batches.slow, batch(n, "a", settings={"seconds": "0.5"})) for n in range(2)]
    assert len({future.result(LONG).outcomes[0].run for future in slow}) == 2


def test_a_fault_of_the_work_is_raised_as_it_is(engine: DaskEngine) -> None:
    with pytest.raises(Unavailable, match="batch 7 failed") as raised:
        engine.submit(batches.failing, batch(7, "a")).result(LONG)
    assert raised.value.code == "of-a-test"


def test_a_killed_worker_costs_its_batch_alone_and_another_takes_its_place(engine: DaskEngine) -> None:
    slow = engine.submit(batches.slow, batch(1, "a", settings={"seconds": "1"}))
    with pytest.raises(WorkerLost):
        engine.submit(batches.dying, batch(2, "b")).result(LONG)
    assert slow.result(LONG).number == 1
    assert engine.submit(batches.told, batch(3, "c")).result(LONG).number == 3
    until(lambda: engine.slots == 2)


def test_only_loopback_is_listened_at_and_without_a_certificate_nobody_is_heard(engine: DaskEngine) -> None:
    from distributed import Client

    heard = listening_addresses()
    assert heard
    assert all(host in ("127.0.0.1", "::1") for host in heard), heard
    assert engine.address.startswith("tls://127.0.0.1:")
    for scheme in ("tcp", "tls"):
        with pytest.raises((OSError, ValueError, TypeError)):
            Client(f"{scheme}://{engine.address.partition('://')[2]}", timeout=2, set_as_default=False)


def test_what_was_let_go_says_so_and_takes_nothing() -> None:
    engine = dask_engine.local(1)
    slow = engine.submit(batches.slow, batch(1, "a", settings={"seconds": "100"}))
    began = time.monotonic()
    engine.shutdown(kill=True)
    engine.shutdown()

    assert time.monotonic() - began < 60
    with pytest.raises(Interrupted):
        slow.result(LONG)
    with pytest.raises(EngineLost):
        engine.submit(batches.told, batch(2, "b"))


@pytest.fixture
def certificates() -> Certificates:
    found = Certificates.of({VARIABLE: certificates_by_the_guide()})
    assert found
    return found


def test_no_worker_that_ever_comes_is_told_in_time(certificates: Certificates) -> None:
    engine = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates, wait=1)
    try:
        assert engine.slots == 1
        with pytest.raises(EngineLost, match="no worker came"):
            engine.submit(batches.told, batch(1, "a")).result(LONG)
    finally:
        engine.shutdown()


def test_the_loss_of_somebody_elses_scheduler_is_told(certificates: Certificates) -> None:
    other = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates)
    place = MeetingPlace("tls", "127.0.0.1", int(other.address.rpartition(":")[2]))
    engine = dask_engine.connected(place, certificates)
    try:
        waiting = engine.submit(batches.told, batch(1, "a"))
        other.shutdown()
        with pytest.raises(EngineLost):
            waiting.result(LONG)
    finally:
        engine.shutdown()


def test_a_certificate_of_another_ca_is_not_believed(certificates: Certificates) -> None:
    stranger = Certificates.of({VARIABLE: certificates_by_the_guide(1)})
    engine = dask_engine.listening(MeetingPlace("tls", "127.0.0.1", 0), certificates)
    place = MeetingPlace("tls", "127.0.0.1", int(engine.address.rpartition(":")[2]))
    try:
        with pytest.raises(Unavailable):
            dask_engine.connected(place, stranger)
    finally:
        engine.shutdown()


def test_dask_is_loaded_for_its_engine_only() -> None:
    """Everything else of the fleet is, for the list of modules that are loaded to hold neither dask nor tornado."""
    script = (
        "import sys, pkgutil, importlib, snapshotter.fleet as fleet, snapshotter.cli as cli\n"
        "for package in (fleet, cli):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.rpartition('.')[2].startswith('dask_'):\n"
        "            importlib.import_module(module.name)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'dask', 'distributed', 'tornado'}))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout == "[]\n"


def test_without_dask_the_error_says_what_to_install() -> None:
    script = (
        "import sys\nsys.modules['distributed'] = None\n"
        "from snapshotter.base.errors import UsageError\n"
        "try:\n    import snapshotter.fleet.dask_engine\nexcept UsageError as error:\n    print(error.hint)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert "fruitful-snapshotter[cluster]" in said.stdout


BEGINNING = """
import os, signal, sys, time
from multiprocessing import forkserver, get_context
from snapshotter.fleet import dask_ground
from tests.support.batches import until

def status():
    return open(f"/proc/{server}/status").read()

if __name__ == "__main__":
    server = forkserver._forkserver._forkserver_pid
    number = int(sys.argv[1])
    os.kill(server, number)
    until(lambda: f"{1 << number - 1:016x}" not in [line.split()[1] for line in status().splitlines() if "Pnd" in line])
    child = get_context("forkserver").Process(target=print, args=("well",))
    child.start()
    child.join()
    print(child.exitcode, forkserver._forkserver._forkserver_pid == server)
    print(*(line.split()[1] for line in status().splitlines() if line.startswith("SigBlk")))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_terminal_s_signal_does_not_end_a_process_to_fork_from_that_has_only_begun(number: int) -> None:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    program = [sys.executable, "-c", BEGINNING, str(int(number))]
    said = subprocess.run(program, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert said.stdout.splitlines() == ["well", "0 True", "0" * 16]
    assert said.stderr == ""


def listening_addresses() -> set[str]:
    """The hosts at which this process and its children listen."""
    import psutil

    me, found = psutil.Process(), set()
    for process in [me, *me.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            connections = process.net_connections(kind="inet")
            found |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    return found


def test_the_workers_go_with_a_run_that_is_killed() -> None:
    script = (
        "from snapshotter.fleet import dask_engine\n"
        "if __name__ == '__main__':\n"
        "    engine = dask_engine.local(1)\n"
        "    from tests.support import batches\n"
        "    print(engine.submit(batches.told, batches.batch(1, 'a')).result(60).outcomes[0].run, flush=True)\n"
        "    import time; time.sleep(600)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert run.stdout
        worker = int(run.stdout.readline())
        run.send_signal(signal.SIGKILL)
        until_gone(worker)
    finally:
        run.kill()
        run.wait()
