"""`digest.md`: one repository in few words, for agents."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from snapshotter.scan.digest import sections
from snapshotter.scan.digest.budget import fit
from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview, read_overview

__all__ = ["LIMIT", "render"]

LIMIT = 24_000  # characters


def render(
    facts: Facts, tables: DuckDBPyConnection, overview: Overview | None = None, *, limit: int = LIMIT
) -> bytes:
    """The digest as UTF-8 Markdown of at most `limit` characters.

    The sections have a fixed order, and each has a share of the limit; what one does not need goes to the others,
    and what is left out is counted. Text of the repository stands in code spans and in lines that begin with a
    bar, so it cannot be markup, and the head says that it is no instruction. `tables` and
    `overview` are as for the report. The same facts and tables give the same bytes.
    """
    overview = overview or read_overview(facts, tables)
    head = sections.head(facts, overview.totals)
    if len(head) >= limit:
        return head[: max(limit, 0)].encode("utf-8")
    texts = fit(sections.all_of(facts, tables, overview), limit - len(head))
    return (head + "".join(texts)).rstrip("\n").encode("utf-8") + b"\n"
