"""The end of a child that began a session of its own: with all that it started, and under no more than its limits."""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Protocol


class Child(Protocol):
    """What is asked of a `subprocess.Popen` whose child was started in a new session."""

    @property
    def pid(self) -> int:
        """The child's id, and its group's."""
        ...

    returncode: int | None  # None until somebody has waited for it; later its id may be another's


def end_group(child: Child) -> None:
    """Kill a child and what it started (a wrapper's ssh, git's pack-objects), unless it has been waited for.

    Whatever left the group stays: an ssh that serves other connections too does that on purpose.
    """
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses where all of them have ended
            os.killpg(child.pid, signal.SIGKILL)


def has_ended(child: Child) -> bool:
    """Whether a child's own process has ended. It is not waited for: its group may still be ended."""
    if child.returncode is not None:
        return True
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return True


def limit(what: int, value: int, *, pid: int = 0, again: bool = False) -> None:
    """Hold a process (0: this one) to a limit that the kernel keeps, or to the lower one that it has.

    Nobody but root may raise what `ulimit`, a batch system or a container has set. With `again`, the process itself
    may set another later. Only Linux does it for another process; elsewhere nothing happens to one.
    """
    if pid and sys.platform != "linux":
        return
    with suppress(ProcessLookupError):  # it has ended already
        _, hard = resource.prlimit(pid, what) if pid else resource.getrlimit(what)
        lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
        wanted = (lowered, hard if again else lowered)
        if pid:
            resource.prlimit(pid, what, wanted)
        else:
            resource.setrlimit(what, wanted)
