"""LFS within a run: pointers are searched for in the history's pack or beside its fetch, and their objects taken
after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from snapshotter.archive.transfer import RunFolder
from snapshotter.base.errors import Unavailable
from snapshotter.base.kept_threads import beside
from snapshotter.capture.attempts import LfsAttempt
from snapshotter.capture.chain import Decision
from snapshotter.capture.lfs_step import LfsStep, SnapshotRefs, carried
from snapshotter.capture.pack_front import AwaitedFront


@contextmanager
def objects_beside(
    step: LfsStep | None, folder: RunFolder, decision: Decision, refs: SnapshotRefs, front: AwaitedFront
) -> Iterator[Callable[[], LfsAttempt]]:
    """A search for pointers, beside the block that takes the history, with the `front` of its pack. What it is given
    takes their objects.

    Without a `step` nothing is asked, and what was known of LFS is carried on.
    """
    if step is None:
        yield lambda: carried(folder, refs.before, "none")
    else:
        with beside(lambda: step.search(decision, refs, front)) as searching:

            def objects() -> LfsAttempt:
                found = searching.result()
                if isinstance(found, Unavailable):  # the history came after all: so may they
                    found = step.search(decision, refs, front)
                return step.attempt(found, refs)

            yield objects
