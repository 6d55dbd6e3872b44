"""The seam to what carries a fleet's batches: processes of this machine, or many machines. Of the shape of
`concurrent.futures.Executor`, so that the fleet's code does not know which.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

from snapshotter.base.errors import Unavailable
from snapshotter.fleet.outcome import Batch, BatchResult

Work = Callable[[Batch], BatchResult]
"""What a worker does with a batch. A function of a module, so that another process finds it by its name."""


class WorkerLost(Unavailable):
    """The process that worked on a batch is gone: killed, out of memory, or its machine is. What it had finished is in
    the store; nobody else's batch is concerned."""

    default_code = "worker-lost"


class NoWorker(Unavailable):
    """The system lets no further process work. No batch is the cause."""

    default_code = "no-worker"


NO_WORKER: Final = "give fewer --jobs, or more memory, processes (ulimit -u) or open files (ulimit -n)"
"""What to do then."""


class EngineLost(Unavailable):
    """No worker can be reached any more, and none will come: the run ends, and can be resumed."""

    default_code = "engine-lost"


class FleetEngine(Protocol):
    """Carries batches to workers, each a process with threads of its own.

    A future raises WorkerLost if its worker is gone, EngineLost if all are, and Interrupted after `shutdown`; what else
    it raises is a fault of the work itself. Futures are completed in any thread.
    """

    @property
    def slots(self) -> int:
        """How many batches can be worked on at once, now. It may change during a run: workers come and go."""
        ...

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """Have a worker do `work` on `batch`. Raises EngineLost if there can be none."""
        ...

    def shutdown(self, *, kill: bool = False) -> None:
        """Let go of the workers: once they are done, or, with `kill`, now. Raises nothing, and may be called twice."""
        ...
