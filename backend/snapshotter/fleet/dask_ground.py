"""What a run and a worker both ask of dask: how it is set up, and by which certificates it speaks.

Only `dask_engine` and `dask_worker` import this, and they are imported for `--engine dask` and `fleet worker` only:
dask takes a second to load.
"""

from __future__ import annotations

import logging
import multiprocessing
import ssl
from multiprocessing import forkserver, resource_tracker
from typing import Any, Final

from snapshotter.base.errors import UsageError
from snapshotter.base.safe_path import safe_path
from snapshotter.fleet.meeting_place import Certificates
from snapshotter.fleet.terminal_signals import held_back

# A worker's process is forked from one that has loaded all it needs, which it does while this one does: spawned, each
# would load dask anew. That one has no thread whose lock a fork could keep.
_FORKING: Final = "forkserver"

try:
    import dask

    dask.config.set(
        {"distributed.worker.multiprocessing-method": _FORKING}
    )  # read when `distributed` is loaded
    multiprocessing.get_context(_FORKING).set_forkserver_preload(
        ["distributed", "snapshotter.fleet.dask_preload"]
    )
    # A worker, which loads this with its first batch, forks nobody.
    if multiprocessing.parent_process() is None:
        with safe_path():
            resource_tracker.ensure_running()  # else it is started on the way, and lets signals through
            with held_back():
                forkserver.ensure_running()
    import distributed
except ImportError as missing:
    raise UsageError(
        "work on many machines needs dask, which is not installed",
        code="cluster",
        hint="pip install 'fruitful-snapshotter[cluster]'",
    ) from missing

CONNECT_SECONDS: Final = 10
_CLOSED: Final = "127.0.0.1:0"  # where the pages would be, which have no route

# Over what a configuration file of dask says, which may be for other work.
_HELD: Final[dict[str, object]] = {
    "distributed.scheduler.allowed-failures": 0,  # the run decides what is tried again: one of a batch may kill workers
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.preload": [],
    "distributed.worker.preload": [],
    "distributed.nanny.preload": [],
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.comm.retry.count": 3,
}


def set_up(**more: object) -> None:
    """Have dask do as it must here; `more` by names of its configuration. Its log is silent: what matters is raised."""
    dask.config.set(_HELD | more)
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in [each for each in logging.root.manager.loggerDict if each.startswith("distributed.")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def security(certificates: Certificates | None) -> Any:
    """How dask speaks: with these certificates on both sides, or in plain, which is for loopback.

    Raises UsageError if they cannot be used.
    """
    if certificates is None:
        return distributed.Security()
    own = {f"tls_{role}_cert": certificates.cert for role in ("client", "scheduler", "worker")}
    keys = {f"tls_{role}_key": certificates.key for role in ("client", "scheduler", "worker")}
    made = distributed.Security(
        require_encryption=True,
        tls_ca_file=certificates.ca,
        tls_min_version=ssl.TLSVersion.TLSv1_2,
        **own,
        **keys,
    )
    try:
        made.get_connection_args("client")
    except ssl.SSLError as error:
        raise UsageError("the cluster's certificates cannot be used", code="cluster-tls") from error
    return made


def own_security() -> Any:
    """Certificates for this process and its children, made now: other users of the machine reach loopback, too."""
    return distributed.Security.temporary()


def worker_options(security: Any) -> dict[str, object]:
    """What each worker's process is started with: one batch at a time, no page, and no limit of memory by dask, which
    would write to disk what it takes for its data."""
    return {
        "nthreads": 1,
        "memory_limit": 0,
        "dashboard_address": _CLOSED,
        "silence_logs": logging.CRITICAL,
        "security": security,
    }


def scheduler_options(host: str, port: int, scheme: str, security: Any) -> dict[str, object]:
    """What a scheduler is started with, to listen at one address."""
    return {
        "host": host,
        "port": port,
        "protocol": f"{scheme}://",
        "security": security,
        "dashboard": False,
        "dashboard_address": _CLOSED,
    }
