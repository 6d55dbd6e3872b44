"""A store with a clock of its own: snapshots taken, restored and verified in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.capture import snapshot
from snapshotter.capture.options import CaptureOptions
from snapshotter.git.origin_parsing import parse
from snapshotter.recover import restore
from snapshotter.recover.restore import Restored
from snapshotter.recover.verdict import Verdict
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from snapshotter.transport import Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from tests.support.git import Origin, State, state_of

START = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Words(Observer):
    """An observer that keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, what: str) -> None:
        """See Observer."""
        self.warnings.append(what)


@dataclass
class Lab:
    """A folder store and a clock of its own, an hour to each snapshot."""

    root: Path
    now: datetime = START
    limits: WireLimits = field(default_factory=WireLimits)
    observer: Words = field(default_factory=Words)

    @cached_property
    def store(self) -> Store:
        """The store under test."""
        return open_store(f"file:{self.root}")

    @property
    def catalog(self) -> Catalog:
        """The store's catalog."""
        return Catalog(self.store)

    def take(
        self,
        origin: Path | str | Origin,
        options: CaptureOptions | None = None,
        *,
        wrap: Callable[[Transport], Transport] | None = None,
        store: Store | None = None,
        advance: timedelta = timedelta(hours=1),
        known: Sealed | None = None,
        ahead: bool = False,
        cancel: Cancel | None = None,
    ) -> Sealed:
        """One snapshot, in this process; `wrap` may put something around its transport. With `ahead` it lists as the
        verb does."""
        self.now += advance
        cancel = cancel or Cancel()
        parsed = parse(str(origin.path if isinstance(origin, Origin) else origin))
        connector = Connector(GitCredentials({}), self.limits)
        transport = (connector.ahead if ahead else connector)(parsed, cancel)
        used = wrap(transport) if wrap else transport
        try:
            return snapshot.take_after(
                known,
                parsed,
                used,
                store or self.store,
                options or CaptureOptions(),
                lfs=connector.lfs(parsed, cancel),
                observer=self.observer,
                cancel=cancel,
                now=self.now,
            ).sealed
        finally:
            transport.close()
            connector.let_go()

    def restore(self, taken: Sealed | RunKey, destination: Path, mode: str = "bare") -> Restored:
        """Restore a snapshot."""
        key = taken if isinstance(taken, RunKey) else taken.manifest.key
        return restore.restore(self.catalog, self.catalog.folder(key), destination, mode=mode)

    def restored(self, taken: Sealed | RunKey, destination: Path) -> State:
        """The state of a snapshot once restored."""
        self.restore(taken, destination)
        return state_of(destination)

    def verify(self, repo: str | Sealed, options: VerifyOptions | None = None) -> list[Verdict]:
        """Verify every snapshot of a repo."""
        name = repo if isinstance(repo, str) else repo.manifest.repo
        return verify(self.catalog, name, self.catalog.snapshots(name), options or VerifyOptions())

    def assert_whole(self, repo: str | Sealed) -> None:
        """Every snapshot of the repo verifies, and there is at least one."""
        verdicts = self.verify(repo, VerifyOptions(receipts=False))
        assert verdicts
        assert [problem for verdict in verdicts for problem in verdict.problems] == []

    def runs(self, taken: Sealed) -> list[ListedRun]:
        """The runs of a snapshot's repo, complete or not."""
        return self.catalog.runs(taken.manifest.repo)

    def file(self, key: str) -> Path:
        """Where an object lies."""
        return self.root / key


def check(lab: Lab, origin: Origin, taken: Sealed, tmp_path: Path) -> None:
    """A snapshot restores to what its origin is now, and every snapshot of the repo verifies."""
    assert lab.restored(taken, tmp_path / f"r-{taken.manifest.run_id}.git") == origin.state
    lab.assert_whole(taken)
