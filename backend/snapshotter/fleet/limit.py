"""How long a whole job may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import OutOfTime
from snapshotter.base.text import human_span

SETTING = "SNAPSHOTTER_JOB_TIMEOUT"


@contextmanager
def time_limit(span: timedelta, cancel: Cancel) -> Iterator[None]:
    """Cancel `cancel` with OutOfTime if the block takes longer than `span`."""
    message = f"the job was not done within its limit of {human_span(span)}"
    error = OutOfTime(message, hint=f"give it fewer origins, or raise {SETTING}")
    timer = threading.Timer(min(span.total_seconds(), threading.TIMEOUT_MAX), _stop, [cancel, error])
    timer.daemon = True  # a job that is done must not wait for its limit
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop(cancel: Cancel, error: OutOfTime) -> None:
    if not cancel.cancelled:  # a signal may have come first, and is then what ended the job
        cancel.cancel(error)
