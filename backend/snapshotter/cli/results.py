"""Rows for people and for programs: a table, one JSON document, CSV or Parquet, on stdout or in a new file.

Nothing reaches stdout or the file's name before the last row is there, so a failed query leaves no half answer.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.new_names import take_name
from snapshotter.base.text import plural, printable

if TYPE_CHECKING:
    from snapshotter.query.query_result import QueryResult

FORMATS: Final = ("table", "json", "csv", "parquet")
_MEMORY: Final = 16 * 1024 * 1024  # bytes of an answer that wait in memory; more wait on disk
_CELL: Final = 200  # characters of one cell of a table
_WIDE: Final = 10_000  # columns where there is no screen: in a file or pipe, no cell is folded
_NUMBER: Final = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*)\Z")


def form(asked: str | None, output: Path | None, *, json: bool) -> str:
    """The format asked for, else that of the file's suffix, else a table.

    Raises UsageError for a format that does not exist, or that contradicts the other flags.
    """
    suffix = output.suffix.removeprefix(".").lower() if output else ""
    chosen = asked or ("json" if json else suffix if suffix in FORMATS else "table")
    if chosen not in FORMATS:
        raise UsageError(f"there is no format {chosen}", hint=f"--format takes {', '.join(FORMATS)}")
    if json and chosen != "json":
        raise UsageError(f"--json and --format {chosen} exclude each other", hint="leave out one of them")
    if chosen == "parquet" and output is None:
        raise UsageError("--format parquet needs -o FILE", hint="add -o FILE")
    return chosen


def table(answer: QueryResult, limit: int) -> list[str]:
    """The first `limit` rows (all if 0) in columns, and how many more there are. Safe to show on a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = answer.texts()
    shown = list(islice(rows, limit or None))
    more = sum(1 for _ in rows)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, kind in answer.columns:
        grid.add_column(
            Text(_cell(name)), justify="right" if _NUMBER.match(kind) else "left", overflow="fold"
        )
    for row in shown:
        grid.add_row(*(Text(_cell(value)) for value in row))
    screen = io.StringIO()
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE
    Console(file=screen, width=width, no_color=True, highlight=False, markup=False, emoji=False).print(grid)
    lines = [line.rstrip() for line in screen.getvalue().splitlines() if line.strip()]
    total = len(shown) + more
    lines.append(f"{plural(total, 'row')} from {plural(answer.snapshots, 'snapshot')}")
    if more:
        lines.append(f"{more:,} of them are not shown: add --limit {total}, or --format csv -o FILE")
    return lines


def write(answer: QueryResult, form: str, file: IO[bytes], *, screen: bool = False) -> None:
    """Write the whole answer as `json` or `csv`. For a `screen`, CSV is escaped; JSON always is."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        if form == "json":
            _json(answer, text)
        else:
            lines = csv.writer(text)
            clean = printable if screen else str
            lines.writerow(clean(name) for name, _ in answer.columns)
            lines.writerows([None if v is None else clean(v) for v in row] for row in answer.texts())
    finally:
        text.detach()  # else the wrapper would close the caller's file with itself


def refuse(error: SnapshotterError) -> None:
    """Print the JSON document of a query that failed."""
    text = json.dumps({"ok": False, "error": error.as_dict()}, indent=2, ensure_ascii=False)
    with to_stdout() as file:
        file.write(f"{text}\n".encode())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to, which becomes `path` if all went well.

    Raises UsageError if `path` exists, or if its folder does not.
    """
    if path.exists() or path.is_symlink():
        raise _taken(path)
    partial = path.absolute().with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield partial
        try:
            take_name(partial, path)  # unlike a plain rename, it overwrites nothing
        except FileExistsError:
            raise _taken(path) from None
    except FileNotFoundError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="check the folder") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def to_stdout() -> Iterator[IO[bytes]]:
    """A file whose bytes go to stdout if all went well. A reader that goes away early is no error."""
    with tempfile.SpooledTemporaryFile(_MEMORY) as waiting:
        yield waiting
        waiting.seek(0)
        try:
            shutil.copyfileobj(waiting, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            # What is still buffered would fail again when the process ends, and be told as an error then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _json(answer: QueryResult, text: io.TextIOBase) -> None:
    columns = [{"name": name, "type": kind} for name, kind in answer.columns]
    # Row by row, since an answer may be larger than memory: only the frame around the rows is written by hand.
    text.write('{\n"columns": ' + json.dumps(columns, ensure_ascii=False) + ',\n"rows": [')
    count = 0
    for count, row in enumerate(answer.json(), 1):
        text.write(("\n" if count == 1 else ",\n") + row)
    facts = {
        "row_count": count,
        "snapshots": answer.snapshots,
        "left_out": [each.document() for each in answer.left_out],
        "ok": not answer.left_out,
    }
    text.write("\n],\n" + json.dumps(facts, ensure_ascii=False)[1:-1] + "\n}\n")


def _cell(value: str | None) -> str:
    if value is None:
        return ""
    cut = value if len(value) <= _CELL else value[: _CELL - 1] + "…"
    return printable(cut).replace("\t", "\\t")


def _taken(path: Path) -> UsageError:
    return UsageError(f"the file exists: {path}", hint="name another file; none is overwritten")
