"""A time limit for a part of the work, beside the caller's own cancellation."""

from __future__ import annotations

import threading
import time

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable

LATE = Unavailable("it took too long")


def test_a_limit_ends_waits_and_checks_of_its_part_and_of_no_other() -> None:
    cancel, ended = Cancel(), threading.Event()
    with cancel.limited(0.05, LATE) as part, part.ending(ended.set):
        assert ended.wait(60)
        with pytest.raises(Unavailable, match="too long"):
            part.check()
        cancel.check()


def test_a_part_that_is_done_in_time_is_not_ended_later() -> None:
    with Cancel().limited(1, LATE) as part:
        pass
    time.sleep(1.2)
    part.check()


def test_the_callers_cancellation_reaches_a_part_and_is_the_error_even_after_the_limit() -> None:
    for seconds in (3600, 0.01):
        cancel, ended = Cancel(), threading.Event()
        with cancel.limited(seconds, LATE) as part, part.ending(ended.set):
            if seconds < 1:
                assert ended.wait(60)
            cancel.cancel(Interrupted("stopped"))
            assert ended.wait(60)
            with pytest.raises(Interrupted, match="stopped"):
                part.check()
