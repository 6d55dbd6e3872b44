"""What the service says on stderr: one JSON object a line, and its metrics in the embedded metric format.

Source of the format: the CloudWatch guide's "Specification: Embedded metric format".
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from snapshotter.base.observer import Observer
from snapshotter.base.urls import redact

NAMESPACE = "FruitfulSnapshotter"
SERVICE = "snapshotter"
_EVERY = 30.0  # seconds between two lines about one stage


class JsonLog(Observer):
    """Progress, warnings, errors and metrics as lines; `context` holds the fields that every line carries.

    Safe from any thread. What it writes is redacted, and is one line whatever the text holds.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.context: dict[str, Any] = {}
        self._quiet = quiet
        self._lock = threading.Lock()
        self._stage, self._done = "", 0
        self._said = time.monotonic()

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        self._stage, self._done, self._said = what, 0, time.monotonic()
        self.say("info", what, **({"total_bytes": total} if total is not None else {}))

    def advance(self, count: int) -> None:
        """See Observer."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            self.say("info", self._stage, bytes=self._done)

    def warn(self, what: str) -> None:
        """See Observer."""
        self.say("warning", what)

    def say(self, level: str, message: str, **fields: Any) -> None:
        """One line. Level is info, warning or error; info is left out when quiet."""
        if self._quiet and level == "info":
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write({"time": now, "level": level, "message": message, **self.context, **fields})

    def count(self, *, succeeded: int, failed: int, **fields: Any) -> None:
        """The metrics SnapshotsSucceeded and SnapshotsFailed, for the alarms of infra/service.yaml."""
        names = [{"Name": name, "Unit": "Count"} for name in ("SnapshotsSucceeded", "SnapshotsFailed")]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Service"]], "Metrics": names}
        self._write(
            {
                "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
                "Service": SERVICE,
                "SnapshotsSucceeded": succeeded,
                "SnapshotsFailed": failed,
                **fields,
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        text = redact(json.dumps(line, ensure_ascii=True, default=str))
        # A log that nobody can take costs no snapshot; that its metrics are missing is what the last alarm is for.
        with self._lock, suppress(OSError):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
