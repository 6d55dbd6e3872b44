"""`snapshotter` run as a process: what it said, and how it ended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.git import ISOLATED

BACKEND = Path(__file__).parents[2]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on stdout."""
        document: dict[str, Any] = json.loads(self.out)
        return document


def cli(
    *argv: str | Path,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
    timeout: float = 60,
    **env: str,
) -> Done:
    done = subprocess.run(
        command(*argv),
        env=cli_env(**env),
        capture_output=True,
        check=False,
        cwd=cwd,
        preexec_fn=before,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def cli_env(**more: str) -> dict[str, str]:
    """The environment of a `snapshotter` process: isolated, with ours to import."""
    return ISOLATED | {"PYTHONPATH": str(BACKEND), "LC_ALL": "C.UTF-8", "SNAPSHOTTER_SCAN": "0"} | more


def command(*argv: str | Path) -> list[str]:
    """The argv of a `snapshotter` process."""
    return [sys.executable, "-m", "snapshotter", *map(str, argv)]


def wait_for(process: subprocess.Popen[Any], condition: Callable[[], object]) -> None:
    """Wait until a process has come so far; fail if it ends before that. Its own limits of time bound the wait."""
    while not condition():
        assert process.poll() is None, "it ended before it came to that"
        time.sleep(0.01)
