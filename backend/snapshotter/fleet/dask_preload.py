"""What the process loads that workers of dask are forked from: see `dask_ground`. Nobody else imports this."""

from __future__ import annotations

import snapshotter.fleet.worker_process  # noqa: F401 - to load it is all
from snapshotter.fleet.terminal_signals import are_held_back, leave_to_parent

if are_held_back():  # only by who starts that process
    leave_to_parent()
