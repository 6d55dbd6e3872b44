"""What a verb puts out, and how it is printed: results on stdout, errors on stderr, as text or as JSON."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable, UsageError
from snapshotter.base.text import printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.cli.flags import Flags
from snapshotter.cli.streams import unwritten


class Output(Struct, frozen=True):
    """What a verb puts out: a document for `--json`, lines for people, and the error to end with, if any.

    The document is None if the verb has written its answer to stdout itself.
    """

    document: Mapping[str, object] | None
    lines: Sequence[str] = ()
    error: SnapshotterError | None = None


def report(result: Output | BaseException, flags: Flags) -> int:
    """Print the result of a verb's work, as `flags` say. Returns the exit code.

    An error has its own code, whether or not stdout took what was printed. Otherwise a result that stdout did not
    take ends with 4, unless the reader of stdout went away.
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
    """Report arguments that make no sense, as one JSON document and for people. Returns the exit code."""
    return _print_error(error, Flags(), document=True)


def render(error: SnapshotterError) -> str:
    """An error in lines for people: what happened, the facts, and what to do."""
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
    """Print an error for people, and before that as a document if one is wanted. Returns its exit code."""
    if flags.verbose:
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    known = as_error(error)
    if isinstance(known, AccessDenied):  # only then: it takes a request to STS
        from snapshotter.aws.identity import with_identity

        known = with_identity(known)
    if document:
        with suppress(OSError):  # stderr and the exit code say the same
            _print_json({"ok": False, "error": known.as_dict()})
            sys.stdout.flush()
    sys.stderr.write(render(known))
    return known.exit_code


def _print_json(document: Mapping[str, object]) -> None:
    # A second line of defence: errors and manifests hold no credential, and this is the last place to see to it.
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2, default=str)
    sys.stdout.write(redact(text) + "\n")
