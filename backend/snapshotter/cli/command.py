"""One verb as a command: its flags from a frozen value, its work in a thread, its end by result, error or signal.

The work runs in a thread while the main thread waits for it or for a signal, so that a signal ends the process within
two seconds whatever a library, or the reader of our talk, is waiting for.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_type_hints

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import HungUp, Interrupted, OutOfProcessorTime, Quit, Terminated
from snapshotter.base.observer import Observer
from snapshotter.cli import output
from snapshotter.cli.flags import Flags
from snapshotter.cli.output import Output
from snapshotter.cli.progress import progress
from snapshotter.cli.session import Session, open_session
from snapshotter.cli.streams import Talk

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_GRACE = 1.5  # seconds that cancelled work has to clean up
# What each of the signals that end the work is told as. None of them may leave a child, a key or a core behind.
_ENDS: dict[int, Interrupted] = {
    signal.SIGINT: Interrupted("interrupted by SIGINT"),
    signal.SIGTERM: Terminated("stopped by SIGTERM"),
    signal.SIGHUP: HungUp("stopped by SIGHUP"),
    signal.SIGQUIT: Quit("stopped by SIGQUIT"),
    signal.SIGXCPU: OutOfProcessorTime(
        "stopped by SIGXCPU: the limit of processor time is reached",
        hint="run again with a higher `ulimit -t`",
    ),
}

Own = TypeVar("Own", bound="DataclassInstance")
Verb = Callable[..., None]
"""A verb as typer takes it: its parameters are the flags."""


def command(work: Callable[[Session, Own], Output], own: type[Own]) -> Verb:
    """A verb's command, for typer.

    `own` is a frozen dataclass whose fields are the verb's own arguments and flags, annotated as typer wants them. The
    flags that every verb has follow them. The help is the docstring of `work`.
    """

    def verb(**given: Any) -> None:  # as typer parsed them, by the names of the fields
        flags = Flags(**{field.name: given.pop(field.name) for field in fields(Flags)})
        run(flags, lambda session: work(session, own(**given)))

    verb.__signature__ = inspect.Signature([*_parameters(own), *_parameters(Flags)])  # type: ignore[attr-defined]
    verb.__doc__ = work.__doc__
    return verb


def _parameters(flags: type[DataclassInstance]) -> Iterator[inspect.Parameter]:
    """The fields of a dataclass as parameters that typer can read."""
    hints = get_type_hints(flags, include_extras=True)
    for field in fields(flags):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )


def run(
    flags: Flags,
    work: Callable[[Session], Output],
    *,
    observer: Observer | None = None,
    report: Callable[[Output | BaseException], int] | None = None,
) -> NoReturn:
    """Do one verb's work and exit with its code. Results go to stdout, everything else to stderr.

    `report` prints the result and returns the exit code. The default prints as `flags` say.
    """
    watcher = observer or progress(quiet=flags.quiet)
    cancel = Cancel()
    telling = _on_signals(cancel)
    future = _start(lambda: work(open_session(flags, os.environ, watcher, cancel)))
    # In short waits: a signal's handler cancels the work, but nothing ends a wait that is under way.
    while not future.done() and not cancel.cancelled:
        wait([future], 0.2)
    if cancel.cancelled and wait([future], _GRACE).not_done:
        cancel.cancel(cancel.error)  # what was at work in a folder may have written to it once more
    telling.set()
    watcher.close()
    result = _result(future, cancel)
    code = report(result) if report else output.report(result, flags)
    with suppress(OSError):  # reported above, or a reader that went away
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # threads that still wait for a dead network must not hold the process


def _on_signals(cancel: Cancel) -> threading.Event:
    """Have the first signal cancel the work. Another changes nothing: the work is tidying up already. Once the event
    that is returned is set, the work is over and only told of: then a signal ends the process, for whoever reads may
    take nothing."""
    telling = threading.Event()

    def stop(number: int, _: object) -> None:
        if isinstance(sys.stderr, Talk):
            sys.stderr.hurry()
        if telling.is_set():
            os._exit(_ENDS[number].exit_code)
        if not cancel.cancelled:
            cancel.cancel(_ENDS[number])

    for number in _ENDS:
        asked = number in (signal.SIGINT, signal.SIGTERM)
        if asked or signal.getsignal(number) is not signal.SIG_IGN:  # nohup's work goes on
            signal.signal(number, stop)
    return telling


def _start(work: Callable[[], Output]) -> Future[Output]:
    """Start the work in a thread that does not keep the process from ending; return its future."""
    future: Future[Output] = Future()

    def fulfil() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which reports it
            future.set_exception(error)

    threading.Thread(target=fulfil, daemon=True, name="work").start()
    return future


def _result(future: Future[Output], cancel: Cancel) -> Output | BaseException:
    """The work's output, or the error to report: the cancellation if there was one, else the work's own."""
    error = future.exception() if future.done() else None
    if future.done() and error is None:
        return future.result()
    # Cancelled work fails in many ways, such as a read from a socket that was shut down: the cancellation is the cause.
    return cancel.error or error or Interrupted("interrupted")
