"""Languages and lines, as scc counts them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from snapshotter.base.cancel import Cancel
from snapshotter.scan.runner import Command, ScannerFailed, program, run
from snapshotter.scan.staging import Staged, Staging

_SCANNER: Final = "scc"
# Nothing is left out for what a file of the repository says or how large it is, and no configuration is looked
# for. `--binary` makes scc read binary files too: git's rule decides here, and scc would leave files out in silence.
_ARGUMENTS: Final = (
    "--by-file --format json --no-config --no-gitignore --no-ignore --no-scc-ignore --no-gitmodule --count-ignore "
    "--binary --min-gen --no-cocomo --no-size lines"
).split()
_PER_FILE: Final = 1024  # bytes of output: about 450, more for a name that scc quotes three times
_MARK: Final = re.compile(r" \((?:min|gen)\)$")


class Lines(NamedTuple):
    """The language, lines and size of one staged file: columns of the `files` table.

    `binary` is git's rule, a NUL in the first 8,000 bytes; a binary file has neither language nor lines. `language` is
    scc's name, None where it knows none; then `lines` are ours (line feeds, and an unfinished last line), and the
    other counts are None. `minified` and `generated` are scc's: an average of 255 bytes a line or more, and
    a marker such as `do not edit` in the first lines; both are false where scc does not know the language, and a
    file with both traits is `generated`.
    """

    language: str | None
    lines: int | None
    code: int | None
    comment: int | None
    blank: int | None
    complexity: int | None
    bytes: int
    binary: bool
    generated: bool
    minified: bool


class _File(msgspec.Struct, rename="pascal"):
    location: str
    language: str
    lines: int
    code: int
    comment: int
    blank: int
    complexity: int
    minified: bool
    generated: bool


class _Group(msgspec.Struct, rename="pascal"):
    files: list[_File]


def count(staging: Staging, *, seconds: float, cancel: Cancel, scc: Path | None = None) -> dict[str, Lines]:
    """Languages and lines of every staged file, by staged name.

    `scc` is the program, by default the installed package's. Raises ScannerFailed (see `runner.run`).
    """
    counted = {name: _uncounted(staged) for name, staged in staging.staged.items()}
    if not counted:
        return counted
    limit = _PER_FILE * (len(counted) + 1000)
    command = Command(_SCANNER, [str(scc or program(_SCANNER)), *_ARGUMENTS])
    output = run(command, folder=staging.root, seconds=seconds, limit=limit, cancel=cancel)
    try:
        groups = msgspec.json.decode(output, type=list[_Group])
    except msgspec.DecodeError:
        raise ScannerFailed(_SCANNER, "wrote something else than its report") from None
    for file in (file for group in groups for file in group.files):
        name = file.location.removeprefix("lines/")
        if name not in counted:
            raise ScannerFailed(_SCANNER, "reported a file that it was not given")
        if not counted[name].binary:
            counted[name] = _counted(file, counted[name].bytes)
    return counted


def _counted(file: _File, size: int) -> Lines:
    return Lines(
        _MARK.sub("", file.language),
        file.lines,
        file.code,
        file.comment,
        file.blank,
        file.complexity,
        size,
        binary=False,
        generated=file.generated,
        minified=file.minified,
    )


def _uncounted(staged: Staged) -> Lines:
    lines = None if staged.binary else staged.lines
    return Lines(None, lines, None, None, None, None, staged.bytes, staged.binary, False, False)
