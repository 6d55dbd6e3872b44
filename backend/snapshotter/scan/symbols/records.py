"""The results of an analysis: the columns of the `symbols` and `imports` tables, less path and blob."""

from __future__ import annotations

from typing import Final, NamedTuple

READY: Final = b"ready"
"""What a process that analyses says first."""

OUT_OF_MEMORY: Final = "ran out of memory"
"""The error of a blob that took more memory than a process has."""


class Symbol(NamedTuple):
    """One named thing that a file declares. Lines count from 1; `end_line` is included.

    `signature` and `doc` are None where there is none.
    """

    kind: str
    name: str
    qualified_name: str
    line: int
    end_line: int
    signature: str | None
    doc: str | None


class Import(NamedTuple):
    """One module that a file asks for.

    `module` is as written, without quotes (a C system header keeps its angle brackets), but what Ruby requires relative
    to a file begins with a dot. `names` are what the
    statement selects from it, by their own names, not their aliases; `*` is everything, `default` a default
    export; in order, each once; empty when the statement takes the module itself.
    """

    module: str
    names: tuple[str, ...]
    line: int


class Analysis(NamedTuple):
    """The symbols and imports of one blob, in the order of the file.

    `error` is None if the whole blob was read; otherwise it says why not, and the rows are those that could be
    read.
    """

    symbols: tuple[Symbol, ...] = ()
    imports: tuple[Import, ...] = ()
    error: str | None = None

    @property
    def parsed(self) -> bool:
        """Whether the whole blob was read without an error."""
        return self.error is None
