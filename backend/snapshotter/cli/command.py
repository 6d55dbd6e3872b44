"""One verb as a command: its flags from a frozen value, its work in a thread, its end by result, error or signal.

The work runs in a thread while the main thread waits for it or for a signal, so that SIGINT, SIGTERM and SIGHUP end the
process within two seconds whatever a library is waiting for.
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
from snapshotter.base.errors import HungUp, Interrupted, Terminated
from snapshotter.base.observer import Observer
from snapshotter.cli import output
from snapshotter.cli.options import Flags
from snapshotter.cli.output import Output
from snapshotter.cli.progress import progress
from snapshotter.cli.session import Session, open_session

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_GRACE = 1.5  # seconds that cancelled work has to clean up

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
    _on_signals(cancel)
    future = _start(lambda: work(open_session(flags, os.environ, watcher, cancel)))
    # In short waits: a signal's handler cancels the work, but nothing ends a wait that is under way.
    while not future.done() and not cancel.cancelled:
        wait([future], 0.2)
    if cancel.cancelled:
        wait([future], _GRACE)
    watcher.close()
    result = _result(future, cancel)
    code = report(result) if report else output.report(result, flags)
    with suppress(OSError):  # reported above, or a reader that went away
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # threads that still wait for a dead network must not hold the process


def _on_signals(cancel: Cancel) -> None:
    """Have the first signal cancel the work. Another changes nothing: the work is tidying up already."""

    def stop(error: Interrupted) -> None:
        if not cancel.cancelled:
            cancel.cancel(error)

    signal.signal(signal.SIGINT, lambda *_: stop(Interrupted("interrupted by SIGINT")))
    signal.signal(signal.SIGTERM, lambda *_: stop(Terminated("stopped by SIGTERM")))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's work goes on
        signal.signal(signal.SIGHUP, lambda *_: stop(HungUp("stopped by SIGHUP")))


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
