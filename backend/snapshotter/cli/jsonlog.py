"""What the service says on stderr: one JSON object a line, and its metrics in the embedded metric format.

Source of the format: the CloudWatch guide's "Specification: Embedded metric format".
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime

from snapshotter.base.observer import Observer
from snapshotter.base.urls import redact

NAMESPACE = "FruitfulSnapshotter"
_EVERY = 30.0  # seconds between two lines about one stage: enough to see that it lives, little to pay for


class JsonLog(Observer):
    """Progress, warnings, errors and metrics as lines of JSON. `service` says whose metrics they are.

    Safe from any thread. What it writes is redacted, and is one line whatever the text holds.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._context: dict[str, object] = {}
        self.service = "snapshotter"
        self._quiet, self._clock = quiet, clock
        self._lock = threading.Lock()
        self._stage, self._done = "", 0
        self._last_line = clock()

    def about(self, **fields: object) -> JsonLog:
        """The same log for one part of the work: its lines get these fields, and its stages are its own."""
        part = copy(self)
        part._context = {**self._context, **fields}
        return part

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        self._stage, self._done, self._last_line = what, 0, self._clock()
        self.say("info", what, **({"total_bytes": total} if total is not None else {}))

    def advance(self, count: int) -> None:
        """See Observer."""
        self._done += count
        now = self._clock()
        if now - self._last_line >= _EVERY:
            self._last_line = now
            self.say("info", self._stage, bytes=self._done)

    def warn(self, what: str) -> None:
        """See Observer."""
        self.say("warning", what)

    def say(self, level: str, message: str, **fields: object) -> None:
        """Write one line. `level` is info, warning or error; info is left out if the log is quiet."""
        if self._quiet and level == "info":
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._write({"time": now, "level": level, "message": message, **self._context, **fields})

    def measure(self, metrics: Mapping[str, int], *, unit: str = "Count", **fields: object) -> None:
        """Write metrics by name, for the alarms of infra/service.yaml; `fields` go with them into the log alone.

        Also if the log is quiet: without them, an alarm would ring.
        """
        named = [{"Name": name, "Unit": unit} for name in metrics]
        directive = {"Namespace": NAMESPACE, "Dimensions": [["Service"]], "Metrics": named}
        stamp = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        self._write({"_aws": stamp, "Service": self.service, **metrics, **fields})

    def _write(self, line: dict[str, object]) -> None:
        # ASCII: some readers of logs take U+2028 or U+0085 for the end of a line.
        text = redact(json.dumps(line, ensure_ascii=True, default=str))
        # A log that nobody can take costs no snapshot; that its metrics are missing is what the last alarm is for.
        with self._lock, suppress(OSError):
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
