"""`report.html`: one page about one snapshot, for people."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview, read_overview
from snapshotter.scan.report import about, change_tables, contents, findings, page
from snapshotter.scan.report.links import Links

__all__ = ["render"]


def render(facts: Facts, tables: DuckDBPyConnection, overview: Overview | None = None) -> bytes:
    """The report as UTF-8 HTML: one page that loads nothing and runs nothing.

    It links to the artifacts beside it and, where the origin's host is a known one, to that host's pages of the commit.

    `tables` holds the tables of `columns.COLUMNS` and, as `before_<table>`, those of the scan before (empty if there
    is none); `overview` is made of them, unless the caller has it already. All text from the repository is escaped,
    cut, and made visible, so it can neither add markup nor hide anything. The page stays below about a megabyte
    whatever the repository's size, and says what it leaves out. The same facts and tables give the same bytes.
    """
    overview = overview or read_overview(facts, tables)
    links = Links.of(facts)
    sections = [
        about.section(facts, overview, links),
        change_tables.section(facts, overview.changes, links),
        contents.languages(overview),
        contents.files(tables, links),
        contents.symbols(tables, overview.ranking, links),
        findings.dependencies(facts, overview, links),
        findings.secrets(facts, overview, links),
        findings.unread(facts, overview, links),
    ]
    return page.html(facts, sections, page.key_figures(facts, overview.totals)).encode("utf-8")
