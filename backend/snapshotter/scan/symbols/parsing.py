"""tree-sitter within bounds: from a blob to the matches of its query, by one parse and one pass.

Grammars and queries are loaded on first use and shared; parsers are one per thread. What stops a hostile
blob here is counted, not timed, so that the same blob always gives the same rows. The grammars are native
code all the same, and some inputs make them run wild where no callback is asked: that is what `workers` is for.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, Literal

from tree_sitter import Language, Node, Parser, Query, QueryCursor, Tree

from snapshotter.scan.symbols.languages import grammar

if TYPE_CHECKING:
    from tree_sitter import QueryPredicate

MAX_DEPTH: Final = 16  # levels of the tree that are searched: deeper declarations are callbacks in callbacks
_MATCHES_AT_ONCE: Final = 512  # pattern states that a query may hold open
_WIDEST: Final = 20_000  # children of a root that is an error: their query would be quadratic
_ROLE: Final = re.compile(rb"@(definition\.\w+|scope|package|import\.path|import)\b")
# the binding reads text for its own predicates from the parsed object, and crashes when that is a callback
_NATIVE: Final = re.compile(r"#((?:not-)?(?:eq|match|any-of))\?")


class GaveUp(Exception):
    """The grammar did far more work than the blob's size explains."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A grammar ready for use: `roles[i]` is what pattern `i` finds, such as `definition.class`."""

    language: Language
    query: Query
    roles: tuple[str, ...]
    body: int


Captures = dict[str, list[Node]]
_Arguments = list[tuple[str, Literal["capture", "string"]]]


@cache
def compiled(name: str) -> Compiled:
    """The grammar of this name with its query."""
    spec = grammar(name)
    language = Language(getattr(importlib.import_module(spec.package), spec.language)())
    folder = files("snapshotter.scan.symbols") / "queries"
    text = "\n".join((folder / f"{query}.scm").read_text("utf-8") for query in spec.queries)
    text = _NATIVE.sub(r"#text-\1?", text)  # under names that the binding leaves to `_judge`
    query = Query(language, text)
    source = text.encode()
    patterns = (
        source[query.start_byte_for_pattern(index) : query.end_byte_for_pattern(index)]
        for index in range(query.pattern_count)
    )
    roles = tuple(role.group(1).decode() for role in map(_ROLE.search, patterns) if role)
    return Compiled(language, query, roles, language.field_id_for_name("body") or 0)


_local = threading.local()


def parse(name: str, blob: bytes) -> Tree:
    """Parse UTF-8 source. Raises GaveUp when the work is out of proportion to the size."""
    parser = getattr(_local, name, None)
    if parser is None:
        parser = Parser(compiled(name).language)
        setattr(_local, name, parser)
    view = memoryview(blob)
    budget = 10_000 + len(blob) // 10  # one step is 100 operations; ordinary source takes one in 250 bytes
    steps = 0

    def over_budget(_offset: int, _error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > budget

    try:
        return parser.parse(lambda offset, _point: view[offset:], progress_callback=over_budget)
    except ValueError as error:
        parser.reset()
        raise GaveUp(f"gave up parsing after {steps * 100:,} operations") from error


def _judge(blob: bytes) -> QueryPredicate:
    """The text predicates of a query (`eq`, `match`, `any-of` and their `not-`), over this blob."""

    def holds(predicate: str, args: _Arguments, pattern_index: int, captures: Captures) -> bool:
        taken = dict(captures)
        # The binding (0.26.1) never lets go of the one it hands over, nor so of its nodes and their whole tree.
        captures.clear()
        if not predicate.startswith("text-"):
            return True  # directives such as `strip!`, which are about captures that are not taken
        nodes = taken.get(args[0][0], [])
        texts = [blob[node.start_byte : node.end_byte].decode("utf-8", "replace") for node in nodes]
        wanted = [value for value, _ in args[1:]]
        if predicate.endswith("match?"):
            holding = all(re.search(wanted[0], text) for text in texts)
        else:
            holding = all(text in wanted for text in texts)
        return holding != predicate.startswith("text-not-")

    return holds


def matches(name: str, tree: Tree, blob: bytes) -> Iterator[tuple[int, str, Captures]]:
    """Every match as (pattern, role, captures), from one pass.

    Raises GaveUp for a tree that is one flat error.
    """
    root = tree.root_node
    # Every pattern is tried at every child, and goes on over its siblings.
    if root.is_error and root.child_count > _WIDEST:
        raise GaveUp("is one syntax error from start to end")
    ready = compiled(name)
    cursor = QueryCursor(ready.query, match_limit=_MATCHES_AT_ONCE)
    cursor.set_max_start_depth(MAX_DEPTH)
    for index, captures in cursor.matches(root, _judge(blob)):
        yield index, ready.roles[index], captures
