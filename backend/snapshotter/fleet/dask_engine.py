"""The engine of many machines: batches go through dask's scheduler to its workers, one batch to a process at a time.

The scheduler is in this process, with workers of its own on this machine (`local`) or with those that come
(`listening`); or it is somebody else's (`connected`). Nothing of it is kept: what a batch has finished is in the store.
"""

from __future__ import annotations

import gc
import itertools
import secrets
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Final

import msgspec

from snapshotter.base.errors import Interrupted, SnapshotterError, Unavailable
from snapshotter.base.safe_path import leave_others_alone
from snapshotter.fleet import dask_ground as ground
from snapshotter.fleet.engine import EngineLost, NoWorker, Work, WorkerLost
from snapshotter.fleet.meeting_place import Certificates, MeetingPlace
from snapshotter.fleet.outcome import Batch, BatchResult

from distributed import Client, Nanny, Scheduler  # isort: skip - after `dask_ground`, which says what to install
from distributed.deploy.spec import SpecCluster  # isort: skip
from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError  # isort: skip

WAIT: Final = 900.0  # seconds for which a batch waits for a worker, the first or another
_BATCHES: Final = msgspec.msgpack.Decoder(Batch)
_RESULTS: Final = msgspec.msgpack.Decoder(BatchResult)
_COUNTED: Final = 2.0  # seconds for which the count of somebody else's workers holds


class DaskEngine:
    """See `FleetEngine`. Use one of the functions below to make it."""

    def __init__(self, client: Any, cluster: Any) -> None:
        self._client = client
        self._cluster = cluster
        self._names = itertools.count(1)
        self._name = secrets.token_hex(4)
        self._closed = False
        self._counted = (0.0, 1)

    @property
    def address(self) -> str:
        """The scheduler's, as workers are told it."""
        return str(self._cluster.scheduler_address if self._cluster else self._client.scheduler.address)

    @property
    def slots(self) -> int:
        """See FleetEngine. One while there are no workers: then a batch waits for the first."""
        if self._cluster is not None:
            return max(1, int(self._cluster.scheduler.total_nthreads))
        when, count = self._counted
        if time.monotonic() - when > _COUNTED:
            with suppress(OSError, TimeoutError, CancelledError):
                count = max(1, sum(self._client.nthreads().values()))
            self._counted = (time.monotonic(), count)
        return count

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """See FleetEngine. The batch and its result cross as bytes of their schema."""
        self._check()
        name = f"batch-{self._name}-{next(self._names)}"
        result: Future[BatchResult] = Future()
        result.set_running_or_notify_cancel()
        sent = self._client.submit(
            _carried, work, msgspec.msgpack.encode(batch), key=name, pure=False, retries=0
        )
        self._client.loop.add_callback(self._deliver, sent, result)
        return result

    def shutdown(self, *, kill: bool = False) -> None:
        """See FleetEngine."""
        if self._closed:
            return
        self._closed = True
        timeout = 1.0 if kill else 30.0
        with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
            self._client.close(timeout)
        if self._cluster is not None:
            with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
                self._cluster.close(timeout)

    async def _deliver(self, sent: Any, result: Future[BatchResult]) -> None:
        """Give a batch's result, or what its failure means, to who waits for it."""
        try:
            (payload,) = await self._client.gather([sent], asynchronous=True)
            result.set_result(_RESULTS.decode(payload))
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits; a cancellation is one, too
            result.set_exception(self._meaning(error))
        finally:
            sent.release()

    def _meaning(self, error: BaseException) -> BaseException:
        if self._closed:
            return Interrupted("interrupted")
        if isinstance(error, KilledWorker):
            return WorkerLost(
                "the worker of a batch is gone", hint="it was killed, or its machine was taken away"
            )
        if isinstance(error, NoWorkerError | NoValidWorkerError):
            return EngineLost(
                "no worker came in time", hint="start `snapshotter fleet worker` where workers should be"
            )
        if isinstance(error, NoWorker):
            return EngineLost(error.message, hint=error.hint)
        # What befell the scheduler, dask says by cancelling what it was asked for.
        if isinstance(error, CancelledError | OSError) or type(error).__name__.endswith("CancelledError"):
            return EngineLost("the scheduler cannot be reached any more")
        return error

    def _check(self) -> None:
        if self._closed:
            raise EngineLost("the engine was shut down")
        if self._client.status in ("closing", "closed"):
            raise EngineLost("the scheduler cannot be reached any more")


def local(processes: int, *, wait: float = WAIT) -> DaskEngine:
    """A scheduler and `processes` workers on this machine, reached by loopback only, with certificates of their own.

    Raises Unavailable if they cannot be started.
    """
    ground.set_up(**{"distributed.scheduler.no-workers-timeout": f"{wait}s"})
    security = ground.own_security()
    options = ground.worker_options(security) | {"host": "127.0.0.1", "protocol": "tls://"}
    workers = {number: {"cls": Nanny, "options": options} for number in range(processes)}
    return _clustered(MeetingPlace("tls", "127.0.0.1", 0), security, workers)


def listening(place: MeetingPlace, certificates: Certificates | None, *, wait: float = WAIT) -> DaskEngine:
    """A scheduler in this process, for workers that come to `place`; a batch waits for one `wait` seconds at most.

    Raises Unavailable if it cannot listen there.
    """
    ground.set_up(**{"distributed.scheduler.no-workers-timeout": f"{wait}s"})
    return _clustered(place.own(), ground.security(certificates if place.scheme == "tls" else None), {})


def connected(place: MeetingPlace, certificates: Certificates | None) -> DaskEngine:
    """Somebody else's scheduler. Raises Unavailable if it cannot be reached, or its certificate is not believed."""
    ground.set_up()
    security = ground.security(certificates if place.scheme == "tls" else None)
    client = _started(
        lambda: Client(str(place), security=security, timeout=ground.CONNECT_SECONDS), f"reach {place}"
    )
    return DaskEngine(client, None)


def _clustered(place: MeetingPlace, security: Any, workers: dict[int, Any]) -> DaskEngine:
    options = ground.scheduler_options(place.host, place.port, place.scheme, security)
    scheduler = {"cls": Scheduler, "options": options}
    cluster = _started(
        lambda: SpecCluster(workers=workers, scheduler=scheduler, security=security, name="fleet"),
        f"listen at {place}",
    )
    client = _started(
        lambda: Client(cluster, security=security, set_as_default=False), "reach its own scheduler"
    )
    return DaskEngine(client, cluster)


def _started(start: Callable[[], Any], doing: str) -> Any:
    # A client that failed before is closed when it is collected. Were that to happen in the middle of a start, each
    # would wait for the other's lock.
    gc.collect()
    try:
        try:
            return start()
        except (
            AssertionError
        ):  # dask gives its own thread ten seconds to run, and a busy machine may need more
            return start()
    except SnapshotterError:
        raise
    except Exception as error:
        raise Unavailable(
            f"dask could not {doing}: {type(error).__name__}",
            code="cluster",
            hint="check the address and certificates",
        ) from error


def _carried(work: Work, payload: bytes) -> bytes:
    """What a worker does: a batch's bytes to its result's."""
    leave_others_alone()
    return msgspec.msgpack.encode(work(_BATCHES.decode(payload)))
