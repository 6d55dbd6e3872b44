"""Worker processes of this machine: one that dies takes only its own batch along, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.fleet.engine import NO_WORKER, WorkerLost
from snapshotter.fleet.local_engine import LocalEngine
from snapshotter.fleet.nursery import Nursery
from tests.support.batches import (
    Strange,
    batch,
    busy,
    cramped,
    dying,
    environment,
    failing,
    slow,
    told,
    uncrossable,
)
from tests.support.processes import alive, parent_of, until_gone

PATIENCE = 60.0  # seconds


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(2)
    yield engine
    engine.shutdown(kill=True)


def pid_of(engine: LocalEngine, number: int) -> int:
    result = engine.submit(told, batch(number, "a")).result(PATIENCE)
    return int(result.outcomes[0].run)


def test_batches_and_their_results_cross_whole(engine: LocalEngine) -> None:
    given = batch(7, "a", "b")
    result = engine.submit(told, given).result(PATIENCE)
    assert [outcome.ledger for outcome in result.outcomes] == [task.last for task in given.tasks]
    assert (result.number, result.since_last, engine.slots) == (7, 0.5, 2)


def test_a_worker_is_kept_for_the_next_batch(engine: LocalEngine) -> None:
    assert len({pid_of(engine, number) for number in range(8)}) <= engine.slots
    assert os.getpid() != pid_of(engine, 5)


def test_a_death_costs_its_own_batch_alone_and_the_worker_is_replaced(engine: LocalEngine) -> None:
    other = engine.submit(slow, batch(1, "a", settings={"seconds": "1"}))
    with pytest.raises(WorkerLost):
        engine.submit(dying, batch(2, "b")).result(PATIENCE)
    assert other.result(PATIENCE).number == 1
    with pytest.raises(WorkerLost):
        engine.submit(dying, batch(3, "b")).result(PATIENCE)
    assert pid_of(engine, 4) > 0


def test_a_worker_that_dies_with_nothing_to_do_costs_nothing_but_a_try(engine: LocalEngine) -> None:
    pid = pid_of(engine, 1)
    os.kill(pid, signal.SIGKILL)
    until_gone(pid)
    found = []
    while not found:
        try:
            found.append(pid_of(engine, 2))
        except WorkerLost:
            continue
    assert found != [pid]


def test_a_worker_and_its_replacement_are_forked_though_the_nursery_was_killed(engine: LocalEngine) -> None:
    before = pid_of(engine, 1)
    os.kill(parent_of(before), signal.SIGKILL)
    assert pid_of(engine, 2) > 0  # what was forked lives on
    with pytest.raises(WorkerLost):
        engine.submit(dying, batch(3, "a")).result(PATIENCE)
    with pytest.raises(WorkerLost):
        engine.submit(dying, batch(4, "a")).result(PATIENCE)
    assert parent_of(pid_of(engine, 5)) != os.getpid()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_terminal_s_signal_does_not_end_a_nursery_that_has_only_begun(number: int) -> None:
    known, nursery = set(multiprocessing.active_children()), Nursery()
    nursery.get_ready()
    (process,) = set(multiprocessing.active_children()) - known
    assert process.pid is not None
    os.kill(process.pid, number)
    worker = nursery.fork()
    assert f"PPid:\t{process.pid}\n" in Path(f"/proc/{worker.pid}/status").read_text()
    none = "SigBlk:\t0000000000000000\n"
    assert none in Path(f"/proc/{process.pid}/status").read_text(), "nor are its children's kept back"
    worker.pipe.close()
    nursery.close(PATIENCE)


def test_workers_share_what_one_process_has_loaded(engine: LocalEngine) -> None:
    waiting = engine.submit(slow, batch(1, "a", settings={"seconds": "1"}))
    pids = {pid_of(engine, 2), int(waiting.result(PATIENCE).outcomes[0].run)}
    assert len(pids) == 2
    assert len({parent_of(pid) for pid in pids}) == 1


def test_an_engine_that_is_let_go_leaves_no_process_and_has_waited_for_all_that_they_used() -> None:
    engine = LocalEngine(1)
    pid = pid_of(engine, 1)
    nursery = parent_of(pid)
    before = used()
    engine.submit(busy, batch(2, "a", settings={"seconds": "0.5"})).result(PATIENCE)
    engine.shutdown()
    assert not any(map(alive, (pid, nursery)))
    assert used() - before >= 0.5


def used() -> float:
    """Seconds of processor time of all that this process has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_the_work_s_own_error_is_the_future_s(engine: LocalEngine) -> None:
    with pytest.raises(Unavailable, match="batch 3 failed"):
        engine.submit(failing, batch(3, "a")).result(PATIENCE)
    assert pid_of(engine, 4) > 0


def test_work_that_cannot_be_loaded_and_a_result_that_does_not_cross_are_faults_not_deaths(
    engine: LocalEngine,
) -> None:
    with pytest.raises(ImportError, match="no such work here"):
        engine.submit(Strange(), batch(1, "a")).result(PATIENCE)
    with pytest.raises(Exception, match="pickle"):
        engine.submit(uncrossable, batch(2, "a")).result(PATIENCE)
    assert len({pid_of(engine, number) for number in range(3, 7)}) <= engine.slots


def test_an_error_that_ends_a_worker_is_told_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    engine = LocalEngine(1)
    engine.submit(cramped, batch(1, "a")).result(PATIENCE)
    with pytest.raises(WorkerLost, match="ended with an error: MemoryError"):
        engine.submit(told, batch(2, "a", settings={"much": "x" * (64 << 20)})).result(PATIENCE)
    assert pid_of(engine, 3) > 0
    engine.shutdown()
    assert "Traceback (most recent call last)" in capfd.readouterr().err


REFUSED = """
import multiprocessing, os, resource, sys
from snapshotter.fleet.engine import EngineLost
from snapshotter.fleet.local_engine import LocalEngine
from snapshotter.fleet.nursery import NURSERY
from tests.support.batches import batch, told, until

def refuse(what):
    if what == "files":
        os.close(free := os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, 4096))
    else:
        (nursery,) = multiprocessing.active_children()
        resource.prlimit(nursery.pid, resource.RLIMIT_NPROC, (1, 1))

if __name__ == "__main__":
    _, what, workers = sys.argv
    engine = LocalEngine(2, pauses=(0.0,))
    NURSERY.get_ready()
    if workers == "one":
        engine.submit(told, batch(1, "a")).result()
    refuse(what)
    found = [engine.submit(told, batch(number, "a")) for number in range(2, 10)]
    for each in found:
        try:
            print(each.result(30).number)
        except EngineLost as error:
            print(error.message, "|", error.hint)
    try:  # until the other one, too, has had a turn
        until(lambda: engine.submit(told, batch(10, "a")).result(30) and engine.slots == 1)
    except EngineLost as error:
        print("lost")
    print(engine.slots)
    engine.shutdown()
"""


# Root is refused no number of processes: somebody else, who may read what root may.
UNPRIVILEGED = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
)


def refused(what: str, workers: str) -> list[str]:
    """What is told of eight batches once the system lets no further process be, and then of one more."""
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    program = [*(UNPRIVILEGED if os.getuid() == 0 else ()), sys.executable, "-c", REFUSED, what, workers]
    done = subprocess.run(program, env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("what", "why"), [("files", "Too many open files"), ("processes", "Resource temporarily unavailable")]
)
def test_a_system_that_refuses_every_worker_is_told_as_that_and_blamed_on_no_batch(
    what: str, why: str
) -> None:
    told = refused(what, "none")
    assert set(told[:8]) == {f"no worker process can be started: {why} | {NO_WORKER}"}
    assert told[8:] == ["lost", "1"]


@pytest.mark.parametrize("what", ["files", "processes"])
def test_a_system_that_refuses_a_further_worker_leaves_the_work_to_those_there_are(what: str) -> None:
    assert refused(what, "one") == [*map(str, range(2, 10)), "1"]


def test_a_shutdown_in_the_middle_ends_the_workers_at_once(engine: LocalEngine) -> None:
    pid = pid_of(engine, 1)
    waiting = engine.submit(slow, batch(2, "a", settings={"seconds": "600"}))
    engine.shutdown(kill=True)
    with pytest.raises(Interrupted):
        waiting.result(PATIENCE)
    until_gone(pid)
    engine.shutdown()


PARENT = """
import sys
from snapshotter.fleet.local_engine import LocalEngine
from tests.support.batches import batch, slow, told
if __name__ == "__main__":
    engine = LocalEngine(1)
    print(engine.submit(told, batch(1, "a")).result().outcomes[0].run, flush=True)
    engine.submit(slow, batch(2, "a", settings={"seconds": "600"})).result()
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    backend = Path(__file__).resolve().parents[2]
    env = os.environ | {"PYTHONPATH": str(backend)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, env=env
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    until_gone(pid)


STRANGE = """
from pathlib import Path
Path(__file__).with_name("taken").touch()
"""


@pytest.mark.parametrize("made", ["LocalEngine(1)", "dask_engine.local(1)"])
@pytest.mark.parametrize("module", ["multiprocessing", "pickle", "socket", "snapshotter"])
def test_no_module_of_the_working_directory_is_loaded(tmp_path: Path, made: str, module: str) -> None:
    (tmp_path / "bin").mkdir()
    text = PARENT.partition("    engine.submit(slow")[0] + "    engine.shutdown()\n"
    if made != "LocalEngine(1)":
        loads, begins = "from snapshotter.fleet import dask_engine", 'if __name__ == "__main__":\n'
        text = text.replace(begins, f"{begins}    {loads}\n").replace("LocalEngine(1)", made)
    (tmp_path / "bin" / "parent.py").write_text(text)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / f"{module}.py").write_text(STRANGE)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    program = [sys.executable, tmp_path / "bin" / "parent.py"]
    done = subprocess.run(program, cwd=checkout, env=env, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) > 0
    assert not (checkout / "taken").exists()


def test_a_worker_s_own_children_are_started_as_its_parent_s(engine: LocalEngine) -> None:
    names = {"PYTHONSAFEPATH": "", "PATH": ""}
    (outcome,) = engine.submit(environment, batch(1, "a", settings=names)).result(PATIENCE).outcomes
    assert outcome.run == ",".join(os.environ.get(name, "") for name in names)
