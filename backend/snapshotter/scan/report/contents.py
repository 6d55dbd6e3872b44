"""The report's middle: languages, files and symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from duckdb import DuckDBPyConnection

from snapshotter.base.text import human_bytes, noun, plural
from snapshotter.scan import figures, plain
from snapshotter.scan.folder_tree import Folder, split
from snapshotter.scan.overview import Overview
from snapshotter.scan.ranking import Ranking
from snapshotter.scan.report import blocks, charts
from snapshotter.scan.report.html import Child, Html, element, text
from snapshotter.scan.report.links import Links

_LANGUAGES_SHOWN: Final = 24
_GROUPS: Final = 24  # folders of the treemap
_TILE: Final = 450  # a file gets a tile of its own above this part of the whole
_FILES_SHOWN: Final = 15

_LARGEST: Final = """
    SELECT path, bytes, lines, language, kind, "binary", generated, minified, vendored, skip_reason
    FROM files WHERE kind IN ('file', 'lfs') AND bytes IS NOT NULL ORDER BY bytes DESC, path"""
_COMPLEX: Final = """
    SELECT path, complexity, code, language, kind, "binary", generated, minified, vendored, skip_reason
    FROM files WHERE complexity > 0 ORDER BY complexity DESC, path"""
_KINDS: Final = "SELECT kind, count(*) AS n FROM symbols GROUP BY kind ORDER BY n DESC, kind"
# Of variables and fields hardly any is documented, by custom: with them the share would say little.
_DOCUMENTED: Final = """
    SELECT language, count(*) AS n, count(*) FILTER (doc IS NOT NULL) FROM symbols
    WHERE kind IN ('class', 'function', 'method', 'interface', 'struct', 'trait', 'enum', 'type')
    GROUP BY language ORDER BY n DESC, language"""
_LONGEST: Final = """
    SELECT path, line, qualified_name, end_line - line + 1 AS length FROM symbols
    WHERE kind IN ('function', 'method') ORDER BY length DESC, path, line, qualified_name"""


def languages(overview: Overview) -> blocks.Section:
    """Languages as a bar, a table, and a treemap of the tree."""
    rows = [one for one in overview.languages if not one.prose]
    prose = [one for one in overview.languages if one.prose]
    if not overview.languages:
        none = element("p", "No file of a known language was read.", class_="none")
        return blocks.Section("languages", "Languages", "Languages", [none])
    total = sum(row.code for row in rows)
    classes = charts.colours(row.name for row in rows)
    content = [
        charts.bar(_bar_parts(rows), classes, "lines of code") if rows else None,
        _language_table(rows, total, classes),
        _prose_table(prose) if prose else None,
        *_treemaps(overview, classes),
    ]
    return blocks.Section("languages", "Languages", "Languages", content)


def _bar_parts(rows: Sequence[figures.Language]) -> list[tuple[str, int]]:
    named = [(row.name, row.code) for row in rows[: charts.HUES] if row.code]
    rest = sum(row.code for row in rows[charts.HUES :])
    return [*named, ("Other languages", rest)] if rest else named


def _language_table(rows: Sequence[figures.Language], total: int, classes: Mapping[str, str]) -> Html:
    columns = [
        blocks.Column("Language"),
        blocks.Column("Lines of code", "num"),
        blocks.Column("Share", "num"),
        blocks.Column("Files", "num"),
        blocks.Column("Comment", "num wide"),
        blocks.Column("Complexity", "num wide"),
    ]
    cells: list[list[Child]] = [
        [
            [element("span", class_=f"swatch {classes.get(name, 'kx')}", aria_hidden="true"), text(name, 60)],
            plain.count(code),
            plain.share(code, total),
            plain.count(files),
            plain.count(comment),
            plain.count(complexity),
        ]
        for name, files, code, comment, complexity, *_ in rows[: blocks.FIRST + blocks.FOLDED]
    ]
    whole = blocks.Whole(len(rows), "scan/files.parquet")
    return blocks.table("Languages by lines of code", columns, cells, first=10, whole=whole)


def _prose_table(rows: Sequence[figures.Language]) -> Html:
    columns = [blocks.Column("Prose"), blocks.Column("Lines", "num"), blocks.Column("Files", "num")]
    cells: list[list[Child]] = [
        [text(one.name, 60), plain.count(one.code), plain.count(one.files)] for one in rows
    ]
    return blocks.table("Prose, not counted as code", columns, cells)


def _treemaps(overview: Overview, classes: Mapping[str, str]) -> list[Html]:
    """The same map twice, for a wide page and for a narrow one; the style sheet shows the one that fits."""
    if not overview.root.weight:
        return []
    groups = [_group(folder, overview) for folder in split(overview.root, _GROUPS) if folder.weight]
    caption = (
        "Each frame is a folder, each tile a file; the area is its lines of code, the colour its language."
    )
    return [
        element("h3", "The tree"),
        element(
            "figure",
            charts.treemap(groups, classes, (1040, 460), "treemap-wide"),
            charts.treemap(groups, classes, (360, 520), "treemap-narrow"),
            element("figcaption", caption),
            class_="map",
        ),
    ]


def _group(folder: Folder, overview: Overview) -> charts.Group:
    label = (
        f"{folder.merged:,} more {noun(folder.merged, 'folder')}" if folder.merged else folder.path or "./"
    )
    tiles: list[charts.Tile] = []
    rest: dict[str, int] = dict(folder.languages)
    for path, language, code in () if folder.merged else overview.tree:
        # The longest come first: all that follow are too short too, and a file without a language has no lines.
        if not language or code * _TILE < overview.root.weight:
            break
        if path.startswith(folder.path) and not (folder.direct and "/" in path[len(folder.path) :]):
            tiles.append(
                charts.Tile(
                    path[len(folder.path) :], language, code, f"{path}: {language}, {plural(code, 'line')}"
                )
            )
            rest[language] -= code
    own = bool(tiles)
    for language, code in rest.items():
        if code > 0:
            title = f"{label}: {language}, {plural(code, 'line')} in {'smaller' if own else 'all'} files"
            tiles.append(charts.Tile(f"other {language}" if own else language, language, code, title))
    tiles.sort(key=lambda tile: (-tile.weight, tile.title))
    return charts.Group(label, folder.weight, tiles)


def files(tables: DuckDBPyConnection, links: Links) -> blocks.Section:
    """The largest and the most complex files."""
    largest = tables.execute(f"{_LARGEST} LIMIT {_FILES_SHOWN}").fetchall()
    complexest = tables.execute(f"{_COMPLEX} LIMIT {_FILES_SHOWN}").fetchall()
    big = [[_file(row, links), human_bytes(row[1]), plain.count(row[2])] for row in largest]
    hard = [[_file(row, links), plain.count(row[1]), plain.count(row[2])] for row in complexest]
    file, lines = blocks.Column("File"), blocks.Column("Lines", "num")
    content = [
        blocks.cards(
            [
                blocks.table("Largest files", [file, blocks.Column("Size", "num"), lines], big),
                blocks.table(
                    "Most complex files (branches and loops)",
                    [file, blocks.Column("Complexity", "num"), blocks.Column("Code", "num")],
                    hard,
                ),
            ]
        )
    ]
    return blocks.Section("files", "Files", "Files", content)


def _file(row: Sequence[Any], links: Links) -> Html:
    path, _, _, language, kind, *flags, skip_reason = row
    names = [
        name
        for name, flag in zip(("binary", "generated", "minified", "vendored"), flags, strict=True)
        if flag
    ]
    words = [*(["LFS"] if kind == "lfs" else []), *names, *(["not read"] if skip_reason else [])]
    badges = [Html(" " + blocks.badge(word)) for word in words]
    return blocks.two_lines(links.path(path), [text(language or "no language", 60), badges])


def symbols(tables: DuckDBPyConnection, ranking: Ranking, links: Links) -> blocks.Section:
    """Symbols by kind, by language, by how much they are referenced, and by length."""
    kinds = tables.execute(_KINDS).fetchall()
    if not kinds:
        none = element("p", "No symbols were found.", class_="none")
        return blocks.Section("symbols", "Symbols", "Symbols", [none])
    referenced: list[list[Child]] = [
        [
            blocks.two_lines(
                blocks.code(one.signature, 160), [links.path(one.path, one.line), _doc(one.doc)]
            ),
            plain.count(one.importers),
        ]
        for one in sorted(ranking.symbols, key=lambda one: (-one.importers, one.path, one.line))
        if one.importers
    ]
    longest: list[list[Child]] = [
        [blocks.two_lines(blocks.code(name, 120), links.path(path, line)), plain.count(length)]
        for path, line, name, length in tables.execute(f"{_LONGEST} LIMIT 10").fetchall()
    ]
    symbol = blocks.Column("Symbol")
    content = [
        blocks.cards(
            [
                blocks.table(
                    "Most referenced", [symbol, blocks.Column("Importers", "num")], referenced, first=15
                ),
                blocks.stack(
                    _kinds(kinds),
                    _documented(tables),
                    blocks.table(
                        "Longest functions", [symbol, blocks.Column("Lines", "num")], longest, first=5
                    ),
                ),
            ]
        )
    ]
    return blocks.Section("symbols", "Symbols", "Symbols", content)


def _doc(doc: str) -> Html | None:
    return Html(" " + element("q", text(doc, 120))) if doc else None


def _kinds(kinds: Sequence[tuple[str, int]]) -> Html:
    most = kinds[0][1]
    rows: list[list[Child]] = [
        [text(kind, 40), charts.meter(n, most, "accent"), plain.count(n)] for kind, n in kinds[: blocks.FIRST]
    ]
    columns = [blocks.Column("Kind"), blocks.Column("", "bar-cell"), blocks.Column("Symbols", "num")]
    return blocks.table("Symbols by kind", columns, rows, first=8, whole=blocks.Whole(len(kinds)))


def _documented(tables: DuckDBPyConnection) -> Html:
    rows: list[list[Child]] = [
        [text(language or "unknown", 60), plain.count(n), plain.share(documented, n)]
        for language, n, documented in tables.execute(f"{_DOCUMENTED} LIMIT {_LANGUAGES_SHOWN}").fetchall()
    ]
    columns = [
        blocks.Column("Language"),
        blocks.Column("Declarations", "num"),
        blocks.Column("Documented", "num"),
    ]
    return blocks.table("Types, functions and methods", columns, rows, first=5)
