"""`report.html`: one page about one snapshot, for people."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview, read_overview
from snapshotter.scan.report import about, change_tables, contents, findings, page

__all__ = ["render"]


def render(facts: Facts, tables: DuckDBPyConnection, overview: Overview | None = None) -> bytes:
    """The report as UTF-8 HTML: one page that loads nothing, runs nothing, and links to nothing outside itself.

    `tables` holds the tables of `columns.COLUMNS` and, as `before_<table>`, those of the scan before (empty if there
    is none); `overview` is made of them, unless the caller has it already. All text from the repository is escaped,
    cut, and made visible, so it can neither add markup nor hide anything. The page stays below about a megabyte
    whatever the repository's size, and says what it leaves out. The same facts and tables give the same bytes.
    """
    overview = overview or read_overview(facts, tables)
    sections = [
        about.section(facts, overview),
        change_tables.section(facts, overview.changes),
        contents.languages(overview),
        contents.files(tables),
        contents.symbols(tables, overview.ranking),
        findings.dependencies(facts, tables, overview),
        findings.secrets(facts, overview),
        findings.unread(facts, overview),
    ]
    return page.html(facts, sections, page.key_figures(facts, overview.totals)).encode("utf-8")
