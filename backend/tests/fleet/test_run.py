"""A job carried out: each origin's own result, and the error that they end with together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from githost import GitHost
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Finding, Interrupted, OutOfTime, Terminated, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.capture import plan
from snapshotter.fleet.at_once import AtOnce
from snapshotter.fleet.document import OriginResult
from snapshotter.fleet.run import Gate, Round, verdict
from snapshotter.store.opening import open_store
from tests.support.git import Origin
from tests.support.processes import alive
from tests.support.scans import quickly, scan_of, scan_options


def round_of(
    tmp_path: Path,
    cancel: Cancel,
    gate: Gate = lambda _: None,
    at_once: int = 1,
    told: Callable[[str], Observer] = lambda _: Observer(),
) -> Round:
    in_force = plan.make(Settings({}), plan.RequestedOptions(scan=False, lfs="none"), {})
    store = open_store(f"file:{tmp_path / 'store'}")
    return Round(store, in_force, told, cancel, gate, AtOnce(at_once))


def in_order(results: Iterable[tuple[int, OriginResult]]) -> list[OriginResult]:
    """The results of all origins, in the order of the origins."""
    return [result for _, result in sorted(results, key=lambda one: one[0])]


def test_a_gate_s_error_stands_beside_the_snapshot_and_every_failure_keeps_its_stage(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    found = Finding("a secret")
    names = ["ftp://u:hunter2@host/x", str(origin.path), f"{origin.path}/"]
    first, second, third = in_order(round_of(tmp_path, Cancel(), lambda _: found).take_each(names))
    assert (first.origin, first.stage, first.sealed) == ("ftp://host/x", "reading the origin", None)
    assert (second.stage, second.error) == ("done", found)
    assert second.sealed is not None
    assert third.error is not None
    assert third.error.message.startswith("the job names this origin twice")


def test_the_scans_of_one_job_use_the_same_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quickly(monkeypatch)
    in_force = plan.make(Settings({}), plan.RequestedOptions(scan=False), {})
    scanning = replace(in_force, options=replace(in_force.options, scan=scan_options()))
    names = []
    for name in ("a", "b"):
        origin = Origin(tmp_path / f"{name}.git")
        origin.commit(files={f"{name}.py": b"def f(): pass\n"})
        names.append(str(origin.path))
    pids = []
    with plan.keeping_workers(scanning) as kept:
        workers = kept.options.scan.resources.kept  # type: ignore[union-attr]
        store = open_store(f"file:{tmp_path / 'store'}")
        for _, result in Round(store, kept, lambda _: Observer(), Cancel()).take_each(names):
            assert scan_of(result.sealed).tables["symbols"] == 1  # type: ignore[arg-type]
            pids.append(workers.pids)  # type: ignore[union-attr]
    assert pids[0] == pids[1] != []
    assert not any(map(alive, pids[1]))


def test_after_a_cancellation_every_origin_has_its_error(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.cancel(Terminated("stopped by SIGTERM"))
    results = in_order(round_of(tmp_path, cancel).take_each(["/a", "/b", "/a"]))
    assert [isinstance(result.error, Interrupted) for result in results] == [True] * 3
    error = verdict(results)
    assert error is not None
    assert error.exit_code == 143


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_a_thread_meets_that_is_no_origin_s_ends_the_round(tmp_path: Path, at_once: int) -> None:
    """And is not waited for without end."""

    def told(origin: str) -> Observer:
        raise ZeroDivisionError(origin)

    with pytest.raises(ZeroDivisionError):
        list(round_of(tmp_path, Cancel(), at_once=at_once, told=told).take_each(["/a", "/b", "/c"]))


@pytest.mark.parametrize(("at_once", "connections"), [(1, 2), (2, 1)])
def test_one_origin_s_refs_are_listed_beside_its_host_s_introduction(
    tmp_path: Path, at_once: int, connections: int
) -> None:
    Origin(tmp_path / "srv" / "x.git").commit()
    with GitHost(tmp_path / "srv") as host:
        (result,) = in_order(round_of(tmp_path, Cancel(), at_once=at_once).take_each([host.url("x.git")]))
        assert result.error is None
        assert host.connections == connections


def test_a_gate_that_cannot_judge_costs_neither_its_snapshot_nor_the_next_one(tmp_path: Path) -> None:
    origins = [Origin(tmp_path / name) for name in ("x.git", "y.git")]
    for origin in origins:
        origin.commit()

    def gate(sealed: Sealed) -> None:
        if "x.git" in sealed.manifest.origin:
            raise Unavailable("the table cannot be read")

    first, second = in_order(round_of(tmp_path, Cancel(), gate).take_each([str(one.path) for one in origins]))
    assert (first.sealed is not None, first.error and first.error.message) == (
        True,
        "the table cannot be read",
    )
    assert (second.sealed is not None, second.error) == (True, None)


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([None, None], 0),
        ([Unavailable("x")], 4),
        ([AccessDenied("x")], 5),
        ([None, AccessDenied("x")], 3),
        ([AccessDenied("x"), AccessDenied("y")], 5),
        ([AccessDenied("x"), Unavailable("y")], 4),
        ([None, Unavailable("x"), Terminated("stop")], 143),
        ([OutOfTime("x")], 4),
        ([None, OutOfTime("x"), OutOfTime("x")], 3),
    ],
)
def test_exit_codes(errors: list[Any], code: int) -> None:
    found = verdict([OriginResult("o", "s", error=error) for error in errors])
    assert (found.exit_code if found else 0) == code


def test_what_failed_counts_before_what_tripped() -> None:
    tripped = OriginResult("o", "done", cast(Sealed, object()), Finding("x", code="secret-gate"))
    assert verdict([tripped, tripped]).exit_code == 1  # type: ignore[union-attr]
    assert verdict([tripped, OriginResult("p", "s", error=Unavailable("y"))]).exit_code == 3  # type: ignore[union-attr]
    assert verdict([tripped, OriginResult("p", "s", error=Terminated("y"))]).exit_code == 143  # type: ignore[union-attr]
