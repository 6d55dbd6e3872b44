"""`digest.md`: one repository in few words, for agents."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from snapshotter.scan.digest import sections
from snapshotter.scan.digest.budget import fit
from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview, overview

__all__ = ["LIMIT", "render"]

LIMIT = 24_000  # characters


def render(
    facts: Facts, tables: DuckDBPyConnection, seen: Overview | None = None, *, limit: int = LIMIT
) -> bytes:
    """The digest as UTF-8 Markdown of at most `limit` characters.

    The sections stand in a fixed order, and each has its share of the limit; what one does not need goes to the
    others, and what was left out is counted. Text of the repository stands in code spans and in lines that begin
    with a bar, so it can be no markup, and the head says that it is no instruction. `tables` and
    `seen` are as for the report. The same facts and tables give the same bytes.
    """
    seen = seen or overview(facts, tables)
    head = sections.head(facts, seen.totals)
    if len(head) >= limit:
        return head[: max(limit, 0)].encode("utf-8")
    texts = fit(sections.all_of(facts, tables, seen), limit - len(head))
    return (head + "".join(texts)).rstrip("\n").encode("utf-8") + b"\n"
