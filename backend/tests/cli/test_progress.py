"""What long work says of itself: bytes, rate and an estimate, in the same words on a terminal and in a log."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path

import pytest

from snapshotter.base.observer import Observer
from snapshotter.cli import progress
from snapshotter.cli.progress import PlainProgress, facts, live
from snapshotter.recover import restore
from snapshotter.recover.verify import VerifyOptions, verify
from tests.support.git import Origin
from tests.support.lab import Lab

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("done", "total", "rate", "words"),
    [
        (0, None, 0.0, ""),
        (0, 9 * MIB, 0.0, ""),
        (12 * MIB, None, 6.0 * MIB, "12.0 MiB, 6.0 MiB/s"),
        (12 * MIB, 48 * MIB, 6.0 * MIB, "12.0 MiB of 48.0 MiB, 6.0 MiB/s, 6 s left"),
        (12 * MIB, 7212 * MIB, 6.0 * MIB, "12.0 MiB of 7.0 GiB, 6.0 MiB/s, 20 min left"),
        (12 * MIB, 72012 * MIB, 6.0 * MIB, "12.0 MiB of 70.3 GiB, 6.0 MiB/s, 3 h left"),
        (49 * MIB, 48 * MIB, 6.0 * MIB, "49.0 MiB, 6.0 MiB/s"),
        (12 * MIB, 48 * MIB, 0.0, "12.0 MiB of 48.0 MiB"),
    ],
)
def test_facts(done: int, total: int | None, rate: float, words: str) -> None:
    assert facts(done, total, rate) == words


def test_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [100.0]
    plain = PlainProgress(clock=lambda: clock[0])
    plain.stage("streaming", 48 * MIB)
    for _ in range(12):
        clock[0] += 1
        plain.advance(3 * MIB)
    assert capsys.readouterr().err.splitlines() == [
        "streaming",
        "streaming: 15.0 MiB of 48.0 MiB, 3.0 MiB/s, 11 s left",
        "streaming: 30.0 MiB of 48.0 MiB, 3.0 MiB/s, 6 s left",
    ]


def test_quiet_says_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = progress.progress(quiet=True)
    quiet.stage("streaming")
    quiet.warn("a\x1bb")
    assert capsys.readouterr().err == "warning: a\\x1bb\n"


def test_the_live_line_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    line = live()
    line.stage("streaming [bold]", 48 * MIB)
    line.advance(12 * MIB)
    line.close()
    assert "streaming [bold]" in screen.getvalue()
    assert "12.0 MiB of 48.0 MiB" in screen.getvalue()


def test_the_live_line_fits_a_narrow_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    line = live()
    line.stage("replaying 25 bundles of a repository with a very long name", 48 * MIB)
    line.advance(12 * MIB)
    line.close()
    assert "…: 12.0 MiB of 48.0 MiB" in screen.getvalue()


class Sums(Observer):
    """The stages that tell their bytes, each with how many came."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.done: list[int] = []
        self.lock = threading.Lock()  # digests are made by several threads

    def stage(self, what: str, total: int | None = None) -> None:
        self.stages.append((what.split()[0], total))
        self.done.append(0)

    def advance(self, count: int) -> None:
        with self.lock:
            self.done[-1] += count

    @property
    def told(self) -> dict[str, tuple[int | None, int]]:
        """By a stage's first word: the total that was told, and what came."""
        stages = zip(self.stages, self.done, strict=True)
        return {word: (total, done) for (word, total), done in stages if total is not None}


def test_what_verify_and_restore_tell_beforehand_is_what_they_read(tmp_path: Path) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    for _ in range(3):
        origin.commit()
        taken = lab.take(origin)
    run = lab.catalog.folder(taken.manifest.key)
    chain = [lab.catalog.manifest(key).manifest for key in taken.manifest.chain_keys]
    history = sum(link.history.bytes for link in chain if link.history)
    artifacts = sum(artifact.bytes for link in chain for artifact in link.artifacts)
    for quick, stage, total in ((False, "replaying", history), (True, "reading", artifacts)):
        sums = Sums()
        verify(lab.catalog, run.key.repo, [run], VerifyOptions(quick=quick), observer=sums)
        assert sums.told == {stage: (total, total)}
    sums = Sums()
    restore.restore(lab.catalog, run, tmp_path / "out", observer=sums)
    assert sums.told == {"replaying": (history, history)}
