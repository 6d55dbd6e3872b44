"""How long a whole job may take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import OutOfTime

SETTING = "SNAPSHOTTER_JOB_TIMEOUT"


@contextmanager
def time_limit(span: timedelta, cancel: Cancel) -> Iterator[None]:
    """While inside, `cancel` is cancelled with OutOfTime once `span` is over."""
    error = OutOfTime(
        f"the job is not done after {span}, its limit", hint=f"give it fewer origins, or raise {SETTING}"
    )
    timer = threading.Timer(min(span.total_seconds(), threading.TIMEOUT_MAX), _stop, [cancel, error])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stop(cancel: Cancel, error: OutOfTime) -> None:
    if not cancel.cancelled:  # a signal came first
        cancel.cancel(error)
