"""The engines by their names. One that needs what is not installed is loaded only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Final

from snapshotter.base.errors import UsageError

if TYPE_CHECKING:
    from snapshotter.fleet.engine import FleetEngine
    from snapshotter.fleet.meeting_place import Certificates, MeetingPlace

Announce = Callable[[str], None]
"""Takes the address at which a run's own scheduler waits for workers."""


@dataclass(frozen=True)
class EngineWish:
    """Which engine a run asks for, with how many workers (None: as many as it sees fit).

    `scheduler` is somebody else's, `listen` where the run's own waits for workers; without either, dask's workers are
    this machine's.
    """

    name: str = "local"
    jobs: int | None = None
    scheduler: MeetingPlace | None = None
    listen: MeetingPlace | None = None
    certificates: Certificates | None = None


def wished(
    name: str, jobs: int | None, scheduler: str | None, listen: str | None, settings: Mapping[str, str]
) -> EngineWish:
    """What was asked for on the command line. Raises UsageError for what cannot be, before anybody is asked."""
    if name not in _ENGINES:
        raise UsageError(f"no such engine: {name}", hint=f"give one of: {', '.join(_ENGINES)}")
    if scheduler is None and listen is None:
        return EngineWish(name, jobs)
    if name != "dask":
        raise UsageError(
            "--scheduler and --listen are for --engine dask", hint="leave it out, or add --engine dask"
        )
    if jobs is not None or (scheduler is not None and listen is not None):
        raise UsageError(
            "of --jobs, --scheduler and --listen, one says where the workers are", hint="leave the others out"
        )
    from snapshotter.fleet.meeting_place import Certificates, parse

    certificates = Certificates.of(settings)
    return EngineWish(
        name,
        scheduler=parse(scheduler, certificates) if scheduler else None,
        listen=parse(listen, certificates, listening=True) if listen else None,
        certificates=certificates,
    )


def cores() -> int:
    """How many processors this process may use: in a container, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _local(wish: EngineWish, _: Announce) -> FleetEngine:
    from snapshotter.fleet.local_engine import LocalEngine

    return LocalEngine(wish.jobs or cores())


def _dask(wish: EngineWish, announce: Announce) -> FleetEngine:
    from snapshotter.fleet import dask_engine

    if wish.scheduler is not None:
        return dask_engine.connected(wish.scheduler, wish.certificates)
    if wish.listen is None:
        return dask_engine.local(wish.jobs or cores())
    engine = dask_engine.listening(wish.listen, wish.certificates)
    try:
        announce(engine.address)
    except BaseException:
        engine.shutdown(kill=True)
        raise
    return engine


_ENGINES: Final[Mapping[str, Callable[[EngineWish, Announce], FleetEngine]]] = {
    "local": _local,
    "dask": _dask,
}


def get_ready(wish: EngineWish) -> None:
    """Begin to load what the engine needs, and return at once. Never raises: whoever opens it is told what is wrong."""
    if wish.name == "dask":
        Thread(target=_load_dask, daemon=True, name="engine").start()
    else:
        from snapshotter.fleet.nursery import NURSERY

        with suppress(OSError):
            NURSERY.get_ready()


def _load_dask() -> None:
    with suppress(UsageError):
        import snapshotter.fleet.dask_engine  # noqa: F401 - to load it is all


def open_engine(wish: EngineWish, announce: Announce) -> FleetEngine:
    """The engine that is asked for; `announce` is called once it listens for workers. Raises as the engine does."""
    return _ENGINES[wish.name](wish, announce)
