"""`snapshotter query`: SQL over every repository's snapshots and scans."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.unexpected import as_error
from snapshotter.cli import describe, flags, results
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from snapshotter.query.left_out import LeftOut
    from snapshotter.query.query_result import QueryResult
from snapshotter.query.terms import QueryOptions

_WARNED_OF = 5  # snapshots and tables left out that are warned of one by one; `--json` lists all


@dataclass(frozen=True)
class QueryFlags:
    """What `query` is given."""

    sql: Annotated[
        str | None,
        typer.Argument(metavar="[SQL]", help="One SELECT in DuckDB's SQL, or - to read it from stdin."),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Ask the snapshots that were the newest at this time, like 2026-11-01.",
        ),
    ] = None
    repo: Annotated[
        list[str] | None,
        typer.Option(
            "--repo", metavar="GLOB", help="Ask only these repositories, like 'github.com/psf/*'. Repeatable."
        ),
    ] = None
    history: Annotated[
        bool, typer.Option("--history", help="Ask all snapshots of each repository, not only the newest.")
    ] = False
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table (the default), json, csv or parquet."),
    ] = None
    output: flags.OutputOption = None
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Show no more rows than this in a table; 0 shows all.")
    ] = 100
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="SPAN", help="Let the SQL run this long, like 30s or 10m."),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="Let the SQL use this much memory, like 4GiB."),
    ] = None
    examples: Annotated[bool, typer.Option("--examples", help="Show ten questions with their SQL.")] = False
    schema: Annotated[bool, typer.Option("--schema", help="Show the views and their columns.")] = False


def query(session: Session, given: QueryFlags) -> Output:
    """Ask the newest snapshot of every repository, by SQL.

    The views are snapshots, refs, files, symbols, imports, dependencies, secrets,
    ref_changes and fleet_runs; each begins with repo, run_id and taken_at. The
    SQL reads nothing else: no file, no network. version_key(version) compares
    versions.

    \b
    Examples:
      snapshotter query --examples        snapshotter query --schema
      snapshotter query "SELECT language, sum(code) FROM files GROUP BY ALL"
      snapshotter query "SELECT repo, version FROM dependencies
                         WHERE name LIKE '%log4j-core'
                         AND version_key(version) < version_key('2.17')" --json
      snapshotter query "FROM ref_changes WHERE change = 'rewritten'" --history
      snapshotter query "FROM files" --repo 'github.com/psf/*' --at 2026-11-01
      snapshotter query "FROM symbols" --format parquet -o symbols.parquet

    Exit 0: the whole answer. 2: the SQL cannot be run. 3: an answer without
    what could not be read, which is named on stderr.
    """
    if sum((given.examples, given.schema, given.sql is not None)) != 1:
        raise UsageError(
            "`query` needs one SELECT, --examples or --schema",
            hint="`snapshotter query --examples` shows ten",
        )
    if given.examples:
        return _examples()
    if given.schema:
        return _schema()
    form = results.form(given.form, given.output, json=session.flags.json)
    if given.output is not None:
        return _to_file(session, given, form, given.output)
    return _to_screen(session, given) if form == "table" else _to_stdout(session, given, form)


def _to_screen(session: Session, given: QueryFlags) -> Output:
    with _answer(session, given) as answer:
        return Output(None, results.table(answer, given.limit), _ending(session, answer.left_out))


def _to_stdout(session: Session, given: QueryFlags, form: str) -> Output:
    try:
        with _answer(session, given) as answer, results.to_stdout() as file:
            results.write(answer, form, file, screen=sys.stdout.isatty())
            return Output(None, error=_ending(session, answer.left_out))
    except Exception as error:
        if form != "json":
            raise
        # --format json promises a document, also without --json, of which the common report knows nothing.
        known = as_error(error)
        results.refuse(known)
        return Output(None, error=known)


def _to_file(session: Session, given: QueryFlags, form: str, path: Path) -> Output:
    with (
        # First: an answer that took minutes must not be lost to a name that is taken.
        results.new_file(path) as partial,
        _answer(session, given, partial if form == "parquet" else None) as answer,
    ):
        if form == "parquet":
            answer.parquet(partial)
        elif form == "table":
            partial.write_text("".join(f"{line}\n" for line in results.table(answer, given.limit)), "utf-8")
        else:
            with partial.open("xb") as file:
                results.write(answer, form, file)
        missing = [each.document() for each in answer.left_out]
        document = {"output": str(path), "snapshots": answer.snapshots, "left_out": missing}
        return Output(document, [str(path)], _ending(session, answer.left_out))


def _answer(
    session: Session, given: QueryFlags, parquet: Path | None = None
) -> AbstractContextManager[QueryResult]:
    """The answer to the question. `parquet` is the one file that the engine itself may write."""
    from snapshotter.query.question import ask

    sql = sys.stdin.read() if given.sql == "-" else str(given.sql)
    options = replace(_options(session, given), output=parquet)
    store = session.store(reading=True)
    return ask(store, sql, options, observer=session.observer, cancel=session.cancel)


def _options(session: Session, given: QueryFlags) -> QueryOptions:
    from snapshotter.archive.layout import not_a_time, parse_time
    from snapshotter.base.settings import parse_size, parse_span
    from snapshotter.query.cache import folder
    from snapshotter.query.terms import QueryOptions

    moment = parse_time(given.at) if given.at is not None else None
    if given.at is not None and moment is None:
        raise not_a_time(given.at)
    settings = session.settings
    return QueryOptions(
        at=moment,
        repos=tuple(given.repo or ()),
        history=given.history,
        memory=parse_size(given.memory or settings["SNAPSHOTTER_QUERY_MEMORY"]),
        seconds=parse_span(given.timeout or settings["SNAPSHOTTER_QUERY_TIMEOUT"]).total_seconds(),
        cache=folder(settings["SNAPSHOTTER_CACHE"], session.env),
        cache_bytes=parse_size(settings["SNAPSHOTTER_CACHE_SIZE"]),
    )


def _ending(session: Session, left_out: Sequence[LeftOut]) -> SnapshotterError | None:
    """Warn of what is left out of an answer; return the error that the query then ends with, None if nothing is."""
    from snapshotter.query.left_out import incomplete

    for each in left_out[:_WARNED_OF]:
        session.observer.warn(str(each))
    return incomplete(left_out)


def _examples() -> Output:
    from snapshotter.query.examples import EXAMPLES

    plain = [
        {"question": example.question, "sql": example.sql, "flags": list(example.flags)}
        for example in EXAMPLES
    ]
    return Output({"examples": plain}, list(describe.examples(EXAMPLES)))


def _schema() -> Output:
    from snapshotter.query import views

    plain = {view: [column._asdict() for column in columns] for view, columns in views.VIEWS.items()}
    return Output({"views": plain}, views.text())
