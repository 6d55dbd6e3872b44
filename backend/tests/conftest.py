"""What every test shares: the option that lets the long ones run, and settings that nobody's shell decides."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# How fast a machine is, and how busy, is no property of the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
# Scans have tests of their own; those of capture do without the seconds that each one's scanners take to start.
os.environ["SNAPSHOTTER_SCAN"] = "0"
# Under `nohup`, and behind a shell's `&`, they are ignored, and children would ignore what the tests send them.
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the tests marked `full` too: soaks, many kills")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    left_out = [item for item in items if item.get_closest_marker("full")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    config.stash[_LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(
            f"LEFT OUT: {count} long tests (marker `full`). Run them with --full.", yellow=True, bold=True
        )


_LEFT_OUT = pytest.StashKey[int]()
