"""What a scan may use: light, for those who only plan one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from snapshotter.base.cancel import Cancel
from snapshotter.scan import lines, secrets
from snapshotter.scan.lines import Lines
from snapshotter.scan.scan_turns import ScanTurn, ScanTurns
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import TMPFS, Staging

if TYPE_CHECKING:
    from snapshotter.scan.late_engines import LateEngines
    from snapshotter.scan.secret_search import SecretSearch
    from snapshotter.scan.symbols.shared_workers import SharedWorkers
    from snapshotter.scan.symbols.workers import Workers
    from snapshotter.scan.table_engine import TableEngines


_SETS: Final = 2  # of processes that analyse source: while a large tree has one, small ones have the other


class LineCounter(Protocol):
    """Counts lines as `lines.count` does, under the same promises."""

    def __call__(self, staging: Staging, *, seconds: float, cancel: Cancel) -> dict[str, Lines]:
        """The lines of every staged file, by staged name."""


class SecretFinder(Protocol):
    """Finds secrets as `secrets.find` does, under the same promises."""

    def __call__(
        self, staging: Staging, *, key: bytes | None, rule_cache: Path | None, seconds: float, cancel: Cancel
    ) -> list[SecretFinding]:
        """The secrets in every staged blob, sorted."""


@dataclass(frozen=True)
class ScanResources:
    """What a scan may use. Of all this, the manifest records only the name of the key.

    `fingerprint_key` is secret. `rules` is the folder of the secret scanner's compiled rules. The scan works in
    `tmpfs` if its limits fit there, else in `temp`, by default the system's temporary folder. `workers` limits
    the processes that analyse source; `kept` are such processes that serve one scan after another, `search` is one
    search for secrets for all of them, and `engines` hold the tables of small ones; whoever gave them ends them.
    Without, each scan starts and ends its own. `turns` bound how many scans are under way at once, and `turn` is that
    of one scan. `count_lines` and `find_secrets` stand for the two scanners that are programs.
    """

    fingerprint_key: bytes | None = field(default=None, repr=False)
    rules: Path | None = None
    temp: Path | None = None
    tmpfs: Path = TMPFS
    workers: int = 2
    kept: Workers | SharedWorkers | None = None
    search: SecretSearch | None = None
    engines: TableEngines | LateEngines | None = None
    turns: ScanTurns | None = None
    turn: ScanTurn | None = None
    count_lines: LineCounter = lines.count
    find_secrets: SecretFinder = secrets.find

    @contextmanager
    def keeping(self) -> Iterator[ScanResources]:
        """The same, with processes that serve one scan after another; those that were not there end with the block."""
        from snapshotter.scan.secret_search import SecretSearch  # which runs without a scan do not load
        from snapshotter.scan.symbols.workers import Workers

        with ExitStack() as ending:
            kept, search = self.kept, self.search
            if kept is None:
                kept = ending.enter_context(Workers(self.workers))
            if search is None and self.find_secrets is secrets.find:
                search = SecretSearch(rule_cache=self.rules, temp=self.temp, tmpfs=self.tmpfs)
                ending.enter_context(search)
            yield replace(self, kept=kept, search=search)

    @contextmanager
    def shared(self, scans: int, large: int, *, alone: bool) -> Iterator[ScanResources]:
        """The same, with what so many scans at once share, of which so many may be large; it ends with the block.

        A process that is `alone` on its machine analyses sources on all its processors from the beginning.
        """
        from snapshotter.scan.late_engines import LateEngines  # all this, runs without a scan do not load
        from snapshotter.scan.secret_search import SecretSearch
        from snapshotter.scan.symbols.shared_workers import SharedWorkers

        folders: dict[str, Any] = {"temp": self.temp, "tmpfs": self.tmpfs}
        used = min(_SETS, self.workers) if alone else 1
        with ExitStack() as ending:
            yield replace(
                self,
                turns=ScanTurns(scans, large),
                kept=ending.enter_context(SharedWorkers(_SETS, max(1, self.workers // _SETS), used)),
                search=ending.enter_context(SecretSearch(scans, rule_cache=self.rules, **folders)),
                engines=ending.enter_context(LateEngines(**folders)),
            )

    @contextmanager
    def of_one_scan(self) -> Iterator[ScanResources]:
        """The same for one scan that is under way; its search for secrets may be one with others'.

        A scan whose resources these are already has the same ones again.
        """
        with ExitStack() as ending:
            turn = self.turn
            if turn is None:
                turn = ending.enter_context(self.turns.one() if self.turns else ScanTurn())
            kept = replace(ending.enter_context(self.keeping()), turn=turn)
            if kept.search is not None and self.find_secrets is secrets.find:
                kept = replace(kept, find_secrets=ending.enter_context(kept.search.expected()))
            yield kept

    def get_ready(self, seconds: float) -> None:
        """Start what a scan of source will need, in what was kept; each scanner may run so many seconds.

        Returns before any of it is ready.
        """
        if self.kept is not None:
            self.kept.start(1)
        if self.search is not None:
            self.search.prepare(seconds)

    @property
    def key_name(self) -> str:
        """A name for the fingerprint key that tells nothing of it; '' without one."""
        if not self.fingerprint_key:
            return ""
        return hmac.digest(self.fingerprint_key, b"the name of this key", hashlib.sha256).hex()[:16]
