"""What a verb puts out, and how it is printed: results on stdout, errors on stderr, as text or as JSON."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable, UsageError
from snapshotter.base.text import printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.cli.options import Flags
from snapshotter.cli.streams import unwritten


@dataclass(frozen=True)
class Output:
    """What a verb puts out: a document for `--json`, lines for people, and the error to end with, if any.

    The document is None if the verb has written its answer to stdout itself.
    """

    document: Mapping[str, Any] | None
    lines: Sequence[str] = ()
    error: SnapshotterError | None = None


def report(result: Output | BaseException, flags: Flags) -> int:
    """Print what came of a verb's work, as `flags` say; the exit code.

    It is the error's, whatever became of stdout; a result that stdout did not take ends with 4, unless its reader
    went away.
    """
    lost: OSError | None = None
    try:
        if isinstance(result, Output):
            _print(result, flags)
    except OSError as error:
        lost = error
    ended = result.error if isinstance(result, Output) else result
    if ended is not None:
        return _print_error(ended, flags, document=flags.json and not isinstance(result, Output))
    if lost is None or isinstance(lost, BrokenPipeError):
        return 0
    sys.stderr.write(unwritten(lost))
    return Unavailable.exit_code


def refuse(error: UsageError) -> int:
    """Report arguments that cannot be meant, as one JSON document and for people; the exit code."""
    return _print_error(error, Flags(), document=True)


def render(error: SnapshotterError) -> str:
    """An error for people: what happened, the facts, and what to do."""
    lines = [f"error: {printable(redact(error.message))}"]
    lines += [f"  {printable(redact(detail))}" for detail in error.details]
    if error.hint:
        lines += ["", f"hint: {printable(error.hint)}"]
    return "\n".join(lines) + "\n"


def _print(output: Output, flags: Flags) -> None:
    if output.document is not None and flags.json:
        ending = {"error": output.error.as_dict()} if output.error else {}
        _print_json({"ok": output.error is None, **output.document, **ending})
    elif not flags.json:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in output.lines))
    sys.stdout.flush()


def _print_error(error: BaseException, flags: Flags, *, document: bool = False) -> int:
    """Print an error for people, and first as a document if that is wanted; its exit code."""
    if flags.verbose:
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    known = as_error(error)
    if isinstance(known, AccessDenied):  # only then is it worth asking who this is
        from snapshotter.aws.identity import with_identity

        known = with_identity(known)
    if document:
        with suppress(OSError):  # what it says is on stderr, too, and in the exit code
            _print_json({"ok": False, "error": known.as_dict()})
            sys.stdout.flush()
    sys.stderr.write(render(known))
    return known.exit_code


def _print_json(document: Mapping[str, Any]) -> None:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write(redact(text) + "\n")
