"""Why a query is not answered: its SQL, its limits, or the rows that it reads."""

from __future__ import annotations

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.text import human_bytes, printable
from snapshotter.query.views import VIEWS


def refusal(why: str, views: frozenset[str] = frozenset()) -> UsageError:
    """The error for SQL that cannot be run; its hint lists the views, or the columns of those that it names."""
    named = [f"{view}: {', '.join(column.name for column in VIEWS[view])}" for view in VIEWS if view in views]
    hint = "; ".join(named) or f"the views are {', '.join(VIEWS)}"
    return UsageError(
        f"the SQL cannot be run: {printable(why)}",
        code="sql",
        hint=f"{hint}. `snapshotter query --schema` explains them, `--examples` shows how",
    )


def shortened(message: str) -> str:
    """DuckDB's message in one line, without the copy of the SQL that follows it."""
    return " ".join(message.partition("\nLINE ")[0].split())[:600]


def unreadable(where: str, why: str) -> Unavailable:
    """The error for stored rows that the engine cannot read."""
    return Unavailable(
        f"{where} cannot be read: {printable(why)}",
        code="query-data",
        hint="run `snapshotter verify --quick` on it, or leave its repository out with --repo",
    )


def too_large(memory: int) -> Unavailable:
    """The error for SQL, or for the rows that it names, which do not fit into `memory` bytes."""
    return Unavailable(
        f"the SQL needs more memory than {human_bytes(memory)}",
        code="query-memory",
        hint="raise --memory, name fewer repositories with --repo, or group and sort fewer rows",
    )


def too_slow(seconds: float) -> Unavailable:
    """The error for SQL that ran for longer than `seconds`."""
    return Unavailable(
        f"the SQL ran for longer than {seconds:g} s",
        code="query-time",
        hint="raise --timeout, name fewer repositories with --repo, or read fewer rows",
    )
