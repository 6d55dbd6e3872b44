"""`snapshotter` run as a process: what it said, and how it ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.repo import cli_env, command


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
    *argv: str | Path, cwd: Path | None = None, before: Callable[[], None] | None = None, **env: str
) -> Done:
    done = subprocess.run(
        command(*argv),
        env=cli_env(**env),
        capture_output=True,
        check=False,
        cwd=cwd,
        preexec_fn=before,
        timeout=60,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
