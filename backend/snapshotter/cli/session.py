"""One command's run: settings, store, cancellation by signals, results and errors as text or JSON.

The work runs in a thread while the main thread waits for it or for a signal, so that SIGINT and
SIGTERM end the process within two seconds whatever a library is waiting for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from snapshotter.aws import identity
from snapshotter.base import settings
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Terminated, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.cli.progress import progress
from snapshotter.store.objects import Store, open_store

_GRACE = 1.5  # seconds that cancelled work has to clean up


@dataclass(frozen=True)
class Flags:
    """The flags that every verb has."""

    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    allow_http: bool = False


@dataclass
class Outcome:
    """What a verb found: a document for `--json`, lines for people, and the error to end with, if any."""

    document: Mapping[str, Any]
    lines: list[str] = field(default_factory=list)
    error: SnapshotterError | None = None


class Session:
    """What a verb's work needs: settings, the store, an observer, a cancellation."""

    def __init__(self, flags: Flags, observer: Observer) -> None:
        self.flags = flags
        self.observer = observer
        self.cancel = Cancel()
        identity.adopt(settings.dotenv(), os.environ)  # botocore reads the process's environment only
        self.settings = settings.load()
        for name, near in settings.misspelt([*os.environ, *settings.dotenv()]):
            observer.warn(f"{name} is no setting, so it has no effect; did you mean {near}?")

    @property
    def allow_http(self) -> bool:
        """Whether plain http was allowed, by flag or setting."""
        return self.flags.allow_http or self.settings.flag("SNAPSHOTTER_ALLOW_HTTP")

    def store(self, uri: str | None = None, *, allow_http: bool = False, reading: bool = False) -> Store:
        """The store in force, or the one named. Raises UsageError or Unavailable."""
        chosen = uri or self.flags.store or self.settings["SNAPSHOTTER_STORE"]
        return open_store(chosen, allow_http=allow_http or self.allow_http, must_exist=reading)


def run(
    flags: Flags,
    work: Callable[[Session], Outcome],
    *,
    observer: Observer | None = None,
    report: Callable[[Outcome | BaseException], int] | None = None,
) -> None:
    """Run one verb and exit with its code. Results go to stdout, everything else to stderr.

    `report` says what came of it, and returns the exit code; the default prints as `flags` say.
    """
    observer = observer or progress(quiet=flags.quiet)
    results: list[Outcome | BaseException] = []
    done = threading.Event()
    session_box: list[Session] = []
    ending: list[Interrupted] = []

    def worker() -> None:
        try:
            session = Session(flags, observer)
            session_box.append(session)
            if ending:
                session.cancel.cancel(ending[0])
            results.append(work(session))
        except BaseException as error:  # noqa: BLE001 - carried to the main thread, which reports it
            results.append(error)
        finally:
            done.set()

    def stop(error: Interrupted) -> None:
        ending.append(error)
        for session in session_box:
            session.cancel.cancel(error)

    signal.signal(signal.SIGINT, lambda *_: stop(Interrupted("interrupted by SIGINT")))
    signal.signal(signal.SIGTERM, lambda *_: stop(Terminated("stopped by SIGTERM")))
    threading.Thread(target=worker, daemon=True, name="work").start()
    while not done.wait(0.2) and not ending:
        pass
    if ending:
        done.wait(_GRACE)
    observer.close()
    result: Outcome | BaseException = results[0] if results else ending[0]
    if ending and not isinstance(result, Outcome):
        result = ending[0]
    code = report(result) if report else _report(result, flags)
    with suppress(OSError):  # said above, or a reader that went away
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # threads that still wait for a dead network must not hold the process


def _report(result: Outcome | BaseException, flags: Flags) -> int:
    try:
        if isinstance(result, Outcome):
            _print_outcome(result, flags)
            return _fail(result.error, flags, document=False) if result.error else 0
        return _fail(result, flags)
    except BrokenPipeError:
        return 0 if isinstance(result, Outcome) and not result.error else 4
    except OSError as error:
        sys.stderr.write(
            f"error: the result could not be written: {error.strerror}\n\nhint: check where stdout leads\n"
        )
        return 4


def _print_outcome(outcome: Outcome, flags: Flags) -> None:
    if flags.json:
        document = dict(outcome.document)
        document.setdefault("ok", outcome.error is None)
        if outcome.error:
            document["error"] = outcome.error.as_dict()
        print_json(document)
    else:
        for line in outcome.lines:
            sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def _fail(error: BaseException, flags: Flags, *, document: bool = True) -> int:
    if flags.verbose:
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    error = _known(error)
    if flags.json and document:
        print_json({"ok": False, "error": error.as_dict()})
    sys.stderr.write(render(error))
    return error.exit_code


def refuse(error: UsageError) -> int:
    """Report arguments that cannot be meant, as one JSON document and for people; the exit code."""
    return _fail(error, Flags(json=True))


def _known(error: BaseException) -> SnapshotterError:
    found = as_error(error)
    if isinstance(found, AccessDenied):  # only then is it worth asking who this is
        from snapshotter.aws.identity import with_identity

        return with_identity(found)
    return found


def render(error: SnapshotterError) -> str:
    """An error for people: what happened, the facts, and what to do."""
    lines = [f"error: {printable(redact(error.message))}"]
    lines += [f"  {printable(redact(detail))}" for detail in error.details]
    if error.hint:
        lines += ["", f"hint: {printable(error.hint)}"]
    return "\n".join(lines) + "\n"


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write(redact(text) + "\n")
