"""Children end with all that they started, and are held to no more than this machine's own limits."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import pytest

from snapshotter.base import children
from tests.support.cli import cli_env
from tests.support.processes import until_gone


def started(body: str) -> subprocess.Popen[bytes]:
    argv = ["sh", "-c", body]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("then", ["wait", "exit 0"], ids=["both", "its-child-outlives-it"])
def test_a_child_ends_with_what_it_started(then: str) -> None:
    with started(f"sleep 600 & echo $!; {then}") as child:
        assert child.stdout
        grandchild = int(child.stdout.readline())
        while then != "wait" and not children.has_ended(child):
            time.sleep(0.01)
        assert child.returncode is None, "it was not waited for"
        children.end_group(child)
        child.wait(60)
    until_gone(grandchild)
    children.end_group(child)  # its id may be another's now
    assert children.has_ended(child)


@pytest.mark.parametrize("what", ["RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "of-a-child"])
def test_a_lower_limit_of_this_machine_stays(what: str, own: bool) -> None:
    number, low, high = getattr(resource, what), 1 << 31, 1 << 33
    pid = "" if own else ", pid=os.getpid()"
    script = (
        "import os, resource\nfrom snapshotter.base import children\n"
        f"children.limit({number}, {high}{pid}, again=True)\nprint(resource.getrlimit({number}))\n"
        f"children.limit({number}, {low // 2}{pid})\nprint(resource.getrlimit({number}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=cli_env(),
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(number, (low, low)),
    )
    assert done.stdout.splitlines() == [str((low, low)), str((low // 2, low // 2))]
