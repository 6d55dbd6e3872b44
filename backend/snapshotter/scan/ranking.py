"""The symbols that the rest of a repository uses most, by its import graph.

Files are ranked by PageRank over the imports that resolve inside the repository. A symbol is then scored by the
files that import it by name, each counting one and its own rank, and by its part of its own file's rank. A name
that a file only passes on (`from .sessions import Session` in an `__init__.py`) counts for the file that
declares it. The same tables give the same order, whatever the order of their rows.
"""

from __future__ import annotations

import heapq
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Final, NamedTuple

from duckdb import DuckDBPyConnection

from snapshotter.scan.table_engine import streamed

DAMPING: Final = 0.85  # PageRank's usual one
ROUNDS: Final = 10  # the order of the first hundred is settled by then
_HOPS: Final = 5  # files through which a name may be passed on
_FILES: Final = 80  # best ranked files whose symbols are looked at, whether or not they are imported by name
_PER_FILE: Final = 400  # symbols of one file that are looked at

_TEST_FOLDERS: Final = frozenset(
    "t test tests spec specs __tests__ testdata testing fixtures example examples benchmark benchmarks "
    "e2e playground playgrounds demos samples".split()
)
_TEST_ENDS: Final = ("_test", ".test", "-test", "_spec", ".spec", "-spec", "Test", "Tests")
# How the macro ends that guards a C header.
_GUARD: Final = re.compile(r"_(?:H|HH|HPP|HXX|INCLUDED)_*\Z", re.I)
_SEPARATOR: Final = re.compile(r"::|[.\\/]")

# Lists go in and out of SQL as one text: DuckDB's client spends 0.1 ms on each element of a list.
_SPLIT: Final = "\x1f"
_IMPORTS: Final = """
    SELECT DISTINCT path, resolved_path, array_to_string(names, chr(31)), module
    FROM imports WHERE resolved_path IS NOT NULL AND resolved_path <> path ORDER BY ALL"""
_DECLARED: Final = """
    SELECT DISTINCT path, name FROM symbols
    WHERE path IN (SELECT unnest(string_split($1, chr(31)))) AND name IN (SELECT unnest(string_split($2, chr(31))))"""
_FILES_OF_ALL: Final = """
    SELECT path, language IS NOT NULL,
        coalesce(vendored, false) OR coalesce(generated, false) OR coalesce(minified, false)
    FROM files"""
_SYMBOLS: Final = """
    SELECT path, line, end_line, kind, name, qualified_name, signature, doc FROM symbols
    WHERE path IN (SELECT unnest(string_split($1, chr(31))))
    ORDER BY path, line, end_line DESC, qualified_name, kind, name, signature, doc"""
_MEMBERS: Final = frozenset({"method", "field", "property", "constructor", "package"})


def is_test(path: str) -> bool:
    """Whether a path is, by the usual names, that of a test, an example or a fixture."""
    *folders, name = path.split("/")
    stem = name.rpartition(".")[0] or name
    named = stem.startswith("test_") or stem == "conftest" or stem.endswith(_TEST_ENDS)
    return named or not _TEST_FOLDERS.isdisjoint(folders)


class RankedSymbol(NamedTuple):
    """One symbol; `importers` counts the files that import it by name."""

    path: str
    line: int
    kind: str
    name: str
    signature: str
    doc: str
    importers: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Symbols, best first, and (path, number of importing files) of the files imported most."""

    symbols: list[RankedSymbol]
    files: list[tuple[str, int]]


_SymbolRow = tuple[str, int, int, str, str, str, str, str]  # the columns of _SYMBOLS
_Link = tuple[str, str, tuple[str, ...]]  # the importing path, the imported one, and the names taken from it


def rank(tables: DuckDBPyConnection, most: int) -> Ranking:
    """The `most` most referenced symbols and files of the tables; tests only where there is nothing else."""
    links: list[_Link] = [
        (path, target, tuple(names.split(_SPLIT)) if names else (_SEPARATOR.split(module)[-1],))
        for path, target, names, module in tables.execute(_IMPORTS).fetchall()
    ]
    files = tables.execute(_FILES_OF_ALL).fetchall()
    paths = {path for path, has_language, _ in files if has_language}
    left_out = {path for path, _, is_others in files if is_others}
    out = _graph(links, paths)
    ranks = _page_rank(out, paths)
    named = _named(links, _declared(tables, links))
    best = heapq.nsmallest(_FILES, ranks, key=lambda path: (is_test(path), -ranks[path], path))
    heavy = heapq.nsmallest(2 * most, named, key=lambda key: (-len(named[key]), key))
    rows = _symbols(tables, {*best, *(path for path, _ in heavy)} - left_out)
    importers: dict[str, set[str]] = defaultdict(set)
    for source, target, _ in links:
        importers[target].add(source)
    counts = sorted(
        ((path, len(sources)) for path, sources in importers.items()), key=lambda it: (-it[1], it[0])
    )
    return Ranking(_best(rows, ranks, named, most), counts[:most])


def _graph(links: list[_Link], paths: set[str]) -> dict[str, list[str]]:
    """Edges from importing to imported files. A folder that is imported, Go's package, leads to its files."""
    edges: dict[str, dict[str, None]] = defaultdict(dict)
    for source, target, _ in links:
        edges[source][target] = None
    folders = {target for _, target, _ in links} - paths
    if folders:
        for path in sorted(paths):
            if (folder := posixpath.dirname(path)) in folders:
                edges[folder][path] = None
    return {source: list(targets) for source, targets in edges.items()}


def _page_rank(out: dict[str, list[str]], paths: set[str]) -> dict[str, float]:
    """The rank of each file, 1 on average over all nodes."""
    nodes = sorted({*paths, *out, *(target for targets in out.values() for target in targets)})
    number = {path: at for at, path in enumerate(nodes)}
    into: list[list[int]] = [[] for _ in nodes]
    for source in sorted(out):
        for target in out[source]:
            into[number[target]].append(number[source])
    degrees = [len(out.get(path, ())) for path in nodes]
    ranks = [1.0] * len(nodes)
    for _ in range(ROUNDS):
        # What a file without imports has to give goes to all alike: otherwise ranks would drain away.
        lost = sum(rank for rank, degree in zip(ranks, degrees, strict=True) if not degree)
        given = [DAMPING * rank / (degree or 1) for rank, degree in zip(ranks, degrees, strict=True)]
        base = 1 - DAMPING + DAMPING * lost / max(len(nodes), 1)
        ranks = [base + sum([given[source] for source in sources]) for sources in into]
    return {path: ranks[number[path]] for path in nodes if path in paths}


def _symbols(tables: DuckDBPyConnection, paths: set[str]) -> list[_SymbolRow]:
    """The first symbols of each of these files, in the order of their columns."""
    found = tables.execute(_SYMBOLS, [_SPLIT.join(sorted(paths))])
    held: list[_SymbolRow] = []
    for _, of_file in groupby(streamed(found), key=itemgetter(0)):
        held += sorted(islice(of_file, _PER_FILE), key=_in_order)
    return held


def _in_order(row: _SymbolRow) -> tuple[object, ...]:
    *columns, signature, doc = row
    return *columns, signature is None, signature or "", doc is None, doc or ""


def _declared(tables: DuckDBPyConnection, links: list[_Link]) -> set[tuple[str, str]]:
    """(path, name) of what imported files declare of the names that are imported."""
    targets = sorted({target for _, target, _ in links})
    names = sorted({name for _, _, imported in links for name in imported})
    return (
        set(tables.execute(_DECLARED, [_SPLIT.join(targets), _SPLIT.join(names)]).fetchall())
        if targets
        else set()
    )


def _named(links: list[_Link], declared: set[tuple[str, str]]) -> dict[tuple[str, str], set[str]]:
    """The files that import each declared (path, name)."""
    names = {name for _, name in declared}
    passed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source, target, imported in links:
        for name in imported:
            if name in names or name == "*":
                passed[source, name].append(target)
    importers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, target, imported in links:
        for name in imported:
            if (target, name) in declared:
                importers[target, name].add(source)
            elif name in names and (path := _declarer(target, name, declared, passed)):
                importers[path, name].add(source)
    return importers


def _declarer(
    path: str, name: str, declared: set[tuple[str, str]], passed: dict[tuple[str, str], list[str]]
) -> str | None:
    """The file that declares what `path` passes on as `name`, by that name or with everything else."""
    for _ in range(_HOPS):
        onward: list[str] = [*passed.get((path, name), ()), *passed.get((path, "*"), ())]
        if not onward:
            return None
        path = onward[0]
        for following in onward:
            if (following, name) in declared:
                return following
    return None


def _best(
    rows: list[_SymbolRow], ranks: dict[str, float], named: dict[tuple[str, str], set[str]], most: int
) -> list[RankedSymbol]:
    offered = _offered(rows, named)
    whole: dict[str, int] = defaultdict(int)
    for path, line, end, *_ in offered:
        whole[path] += max(end - line + 1, 1)
    scored: list[tuple[bool, float, RankedSymbol]] = []
    for path, line, end, kind, name, _, signature, doc in offered:
        importers = named.get((path, name), set())
        # Sorted, for sums of floats depend on their order.
        score = sum(1 + ranks.get(source, 0.0) for source in sorted(importers))
        # A private name has only its importers: being in a file of high rank says nothing of it.
        if importers or not name.startswith("_"):
            score += ranks.get(path, 0.0) / 2 * max(end - line + 1, 1) / whole[path]
            symbol = RankedSymbol(path, line, kind, name, signature or name, doc or "", len(importers))
            scored.append((is_test(path), -score, symbol))
    scored.sort(key=lambda one: (one[0], one[1], one[2].path, one[2].line, one[2].name))
    # A repository of tests alone has nothing else to show.
    tests = all(test for test, _, _ in scored)
    return [symbol for test, _, symbol in scored if tests or not test][:most]


def _offered(rows: list[_SymbolRow], named: dict[tuple[str, str], set[str]]) -> list[_SymbolRow]:
    """The rows that other files can import: no members, no guards, nothing within another symbol, each name once a
    file. A variable is offered by whoever imports it: most are a file's own."""
    around = {(row[0], row[5]) for row in rows}
    seen: set[tuple[str, str]] = set()
    offered = []
    for row in rows:
        path, kind, name, qualified = row[0], row[3], row[4], row[5]
        outer = qualified.removesuffix(name).rstrip(".:\\/")
        if (
            kind in _MEMBERS
            or (kind == "variable" and (path, name) not in named)
            or (path, outer) in around
            or (path, name) in seen
        ):
            continue
        if kind == "macro" and _GUARD.search(name):
            continue
        seen.add((path, name))
        offered.append(row)
    return offered
