"""Processes of this machine that work for a scheduler of dask until it is gone."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.fleet import dask_ground as ground
from snapshotter.fleet.meeting_place import Certificates, MeetingPlace

from distributed import Nanny, Status  # isort: skip - after `dask_ground`, which says what to install
from distributed.utils import LoopRunner  # isort: skip
from tornado import gen  # isort: skip

_STARTED: Final = 60.0  # seconds that a process has to begin
_LOOK: Final = 0.5  # seconds between two looks at whether they are still there


def serve(
    scheduler: MeetingPlace,
    own: MeetingPlace,
    certificates: Certificates | None,
    processes: int,
    cancel: Cancel,
) -> None:
    """Work for `scheduler` until it is gone, by `processes` processes, each one batch at a time.

    They listen at `own`, one port after the other, or at any if its port is 0. One that is killed is started again.
    Raises Unavailable if the scheduler cannot be reached or is not believed, and what a cancellation raises.
    """
    ground.set_up()
    security = ground.security(certificates if scheduler.scheme == "tls" else None)
    runner = LoopRunner()
    runner.start()
    nannies: list[Any] = []
    try:
        with cancel.ending(runner.stop):
            runner.run_sync(_start, nannies, scheduler, own, security, processes)
        while any(nanny.status == Status.running for nanny in nannies):
            cancel.sleep(_LOOK)
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        cancel.check()
        raise Unavailable(
            f"the scheduler at {scheduler} cannot be reached: {type(error).__name__}",
            code="cluster",
            hint="check the address, what lies between, and that both have certificates of one CA",
        ) from error
    finally:
        with suppress(OSError, TimeoutError, RuntimeError):
            runner.run_sync(_stop, nannies)
        runner.stop()


async def _start(
    nannies: list[Any], scheduler: MeetingPlace, own: MeetingPlace, security: Any, processes: int
) -> None:
    for number in range(processes):
        options: dict[str, Any] = ground.worker_options(security) | {
            "host": own.host,
            "protocol": f"{own.scheme}://",
            "worker_port": own.port + number if own.port else 0,
            "death_timeout": _STARTED,
        }
        nannies.append(Nanny(str(scheduler), **options))
    await gen.multi([nanny.start() for nanny in nannies])


async def _stop(nannies: list[Any]) -> None:
    await gen.multi([nanny.close(timeout=1) for nanny in nannies])
