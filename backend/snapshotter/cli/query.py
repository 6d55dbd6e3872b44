"""`snapshotter query`: SQL over every repository's snapshots and scans."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snapshotter.base.errors import PartialFailure, SnapshotterError, UsageError
from snapshotter.cli import options as flag
from snapshotter.cli import results
from snapshotter.cli.session import Flags, Outcome, Session, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from snapshotter.query.terms import LeftOut, QueryOptions

_TOLD = 5  # things left out that are told one by one; `--json` lists all


def query(
    sql: Annotated[
        str | None, typer.Argument(metavar="[SQL]", help="One SELECT in DuckDB's SQL, or - for stdin.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Of each repository the newest snapshot at this time."),
    ] = None,
    repo: Annotated[
        list[str] | None,
        typer.Option(
            "--repo", metavar="GLOB", help="Only repositories called like this, 'github.com/psf/*'."
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history", help="All snapshots of each repository instead of one.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table, json, csv or parquet [default: table]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write to this file, which must not exist, instead of stdout."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows that a table shows; 0 is all.")] = 100,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="SPAN", help="How long the SQL may run, like 30s or 10m."),
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Memory for the SQL, like 4GiB.")
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Show ten questions with their SQL.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Show the views and their columns.")] = False,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Ask the newest snapshot of every repository, by SQL.

    The views are snapshots, refs, files, symbols, imports, dependencies, secrets
    and ref_changes; each begins with repo, run_id and taken_at. The SQL reads
    nothing else: no file, no network. version_key(version) compares versions.

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

    Exit 0: the whole answer. 2: the SQL cannot be run. 3: the answer, but
    something damaged is left out of it.
    """
    chosen = _format(form, output, json=json)
    if sum((examples, schema, sql is not None)) != 1:
        raise typer.BadParameter("give one SELECT, --examples or --schema")
    if limit and chosen != "table":
        limit = 0
    if examples or schema:
        run(Flags(store, json, quiet, verbose), lambda _: _examples() if examples else _schema())
        return

    def work(session: Session) -> Outcome:
        with _json_errors(chosen == "json" and output is None) as failed:
            text = sys.stdin.read() if sql == "-" else str(sql)
            options = _options(session, at, repo or [], history=history, memory=memory, timeout=timeout)
            return _query(session, text, options, chosen, output, limit)
        return Outcome({}, error=failed[0])

    run(Flags(store, json and output is not None, quiet, verbose, allow_http), work)


def _format(form: str | None, output: Path | None, *, json: bool) -> str:
    """The format asked for, or the one that the file's name ends like."""
    suffix = output.suffix.removeprefix(".").lower() if output else ""
    chosen = form or ("json" if json else suffix if suffix in results.FORMATS else "table")
    if chosen not in results.FORMATS:
        raise typer.BadParameter(f"--format {chosen} is none of {', '.join(results.FORMATS)}")
    if json and chosen != "json":
        raise typer.BadParameter(f"--json and --format {chosen} exclude each other")
    if chosen == "parquet" and output is None:
        raise typer.BadParameter("--format parquet needs -o FILE")
    return chosen


def _options(
    session: Session,
    at: str | None,
    repos: Sequence[str],
    *,
    history: bool,
    memory: str | None,
    timeout: str | None,
) -> QueryOptions:
    from snapshotter.archive.layout import parse_time
    from snapshotter.base.settings import parse_size, parse_span
    from snapshotter.query.cache import folder
    from snapshotter.query.terms import QueryOptions

    moment = parse_time(at) if at is not None else None
    if at is not None and moment is None:
        raise UsageError(f"not a time: {at}", hint="write it like 2026-11-23 or 2026-11-23T12:00Z")
    settings = session.settings
    return QueryOptions(
        at=moment,
        repos=tuple(repos),
        history=history,
        memory=parse_size(memory or settings["SNAPSHOTTER_QUERY_MEMORY"]),
        seconds=parse_span(timeout or settings["SNAPSHOTTER_QUERY_TIMEOUT"]).total_seconds(),
        cache=folder(settings["SNAPSHOTTER_CACHE"], os.environ),
        cache_bytes=parse_size(settings["SNAPSHOTTER_CACHE_SIZE"]),
    )


def _query(
    session: Session, sql: str, options: QueryOptions, form: str, output: Path | None, limit: int
) -> Outcome:
    from snapshotter.query.question import ask

    store = session.store(reading=True)
    common: dict[str, Any] = {"observer": session.observer, "cancel": session.cancel}
    if output is None:
        with ask(store, sql, options, **common) as answer:
            if form == "table":
                return Outcome({}, results.table(answer, limit), _partial(session, answer.left_out))
            with results.to_stdout() as file:
                results.write(answer, form, file, screen=sys.stdout.isatty())
            return Outcome({}, error=_partial(session, answer.left_out))
    with (
        results.new_file(output) as partial,
        ask(store, sql, options, output=partial if form == "parquet" else None, **common) as answer,
    ):
        if form == "parquet":
            answer.parquet(partial)
        elif form == "table":
            partial.write_text("".join(f"{line}\n" for line in results.table(answer, limit)), "utf-8")
        else:
            with partial.open("xb") as file:
                results.write(answer, form, file)
        missing = [each.document() for each in answer.left_out]
        facts = {"output": str(output), "snapshots": answer.snapshots, "left_out": missing}
        return Outcome(facts, [str(output)], _partial(session, answer.left_out))


def _partial(session: Session, left_out: Sequence[LeftOut]) -> SnapshotterError | None:
    """What to end with when something is missing from the answer."""
    if not left_out:
        return None
    for each in left_out[:_TOLD]:
        session.observer.warn(str(each))
    repos = len({each.key.repo for each in left_out})
    return PartialFailure(
        f"the answer lacks {len(left_out):,} snapshots or tables of {repos:,} repositories",
        code="left-out",
        hint="`snapshotter verify --quick` says what is damaged; --json lists all that was left out",
    )


@contextmanager
def _json_errors(wanted: bool) -> Iterator[list[SnapshotterError]]:
    """Print an error as the one JSON document, if `wanted`, and hand it on in the list."""
    from snapshotter.base.unexpected import as_error

    failed: list[SnapshotterError] = []
    try:
        yield failed
    except Exception as error:
        if not wanted:
            raise
        failed.append(as_error(error))
        with results.to_stdout() as file:
            file.write(results.failed(failed[0].as_dict()))


def _examples() -> Outcome:
    from snapshotter.query.examples import EXAMPLES

    lines: list[str] = []
    for number, example in enumerate(EXAMPLES, 1):
        lines += ["", f"# {number}. {example.question}", *example.command.splitlines()]
    plain = [{"question": e.question, "sql": e.sql, "flags": list(e.flags)} for e in EXAMPLES]
    return Outcome({"examples": plain}, lines[1:])


def _schema() -> Outcome:
    from snapshotter.query import views

    plain = {view: [column._asdict() for column in columns] for view, columns in views.VIEWS.items()}
    return Outcome({"views": plain}, views.text())
