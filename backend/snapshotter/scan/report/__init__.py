"""`report.html`: one page about one snapshot, for people."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview, overview
from snapshotter.scan.report import about, change_tables, contents, findings, page

__all__ = ["render"]


def render(facts: Facts, tables: DuckDBPyConnection, seen: Overview | None = None) -> bytes:
    """The report as UTF-8 HTML: one page that loads nothing, runs nothing, and links to nothing outside itself.

    `tables` holds the tables of `snapshotter.scan.columns.COLUMNS` and, under `before_` names, those of the scan
    before (empty where there is none); `seen` is their overview, where the caller has it already. All text from
    the repository is escaped, cut, and made visible, so a repository can neither add markup nor hide anything. The
    page stays below a megabyte or so whatever the repository's size, and says what it left out. The same facts and
    tables give the same bytes.
    """
    seen = seen or overview(facts, tables)
    sections = [
        about.section(facts, seen),
        change_tables.section(facts, seen.changes),
        contents.languages(seen),
        contents.files(tables),
        contents.symbols(tables, seen.ranking),
        findings.dependencies(tables, seen),
        findings.secrets(facts, tables, seen),
        findings.unread(facts, seen),
    ]
    return page.html(facts, sections, page.key_figures(facts, seen.totals)).encode("utf-8")
