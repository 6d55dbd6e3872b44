"""What becomes known of the refs beside the fetch of their history: how they changed, and what the branches hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from snapshotter.archive.manifest import RefChanges
from snapshotter.base.kept_threads import beside
from snapshotter.capture import changes, tips
from snapshotter.capture.pack_front import AwaitedFront
from snapshotter.capture.parent import ParentSnapshot
from snapshotter.capture.tips import Tips
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import Transport


class Compared(NamedTuple):
    """What changed in the refs, None without a parent; and what the origin told of the tips."""

    changes: RefChanges | None = None
    tips: Tips = Tips()


@contextmanager
def compared_beside(
    transport: Transport,
    ledger: RefsLedger,
    parent: ParentSnapshot | None,
    front: AwaitedFront,
    *,
    sessions: bool,
) -> Iterator[Callable[[], Compared]]:
    """Compare the refs with the parent's beside the block that takes their history, with the `front` of its pack.

    What it is given waits for that; the transport must be free again by then. Where another request is no more than
    another connection, and not one of the `sessions` that a user may have to sign in to, the tips are asked for beside
    the fetch too, and afterwards only what that has not told.
    """
    comparison = _Comparison(transport, ledger, parent, front)
    with beside(comparison.changes if sessions else comparison.all) as comparing:
        yield lambda: comparison.completed(comparing.result())


class _Comparison:
    def __init__(
        self, transport: Transport, ledger: RefsLedger, parent: ParentSnapshot | None, front: AwaitedFront
    ) -> None:
        self._transport, self._ledger, self._front = transport, ledger, front
        self._before = parent.ledger if parent else None
        self._commits = parent.commits if parent else frozenset()
        self._judge = changes.OriginJudge(transport, ledger.object_format, front)

    def changes(self) -> Compared:
        """What changed."""
        if self._before is None:
            return Compared()
        return Compared(changes.compare(self._before, self._ledger, self._judge))

    def all(self) -> Compared:
        """What changed, and what the branches hold."""
        changed = self.changes().changes
        with closing(self._transport.fork()) as fork:
            return Compared(changed, self._told(fork, Tips()))

    def completed(self, ahead: Compared) -> Compared:
        """With what has not been told yet. A host that serves one connection after another tells it only now."""
        told = self._told(self._transport, ahead.tips)
        dates = {**self._judge.committed_at, **told.committed_at}
        return Compared(ahead.changes, Tips(dates, told.others))

    def _told(self, transport: Transport, before: Tips) -> Tips:
        known = self._commits | self._judge.committed_at.keys() | before.committed_at.keys() | before.others
        more = tips.learn(transport, self._ledger, known, self._front.result())
        return Tips({**before.committed_at, **more.committed_at}, before.others | more.others)
