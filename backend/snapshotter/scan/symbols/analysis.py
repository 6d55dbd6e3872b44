"""Blobs to symbols and imports."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tree_sitter import Node

from snapshotter.scan.symbols.blanks import Quoting
from snapshotter.scan.symbols.imports import Imports
from snapshotter.scan.symbols.languages import Grammar, grammar, grammar_for
from snapshotter.scan.symbols.parsing import Captures, GaveUp, compiled, matches, parse
from snapshotter.scan.symbols.records import Analysis, Symbol
from snapshotter.scan.symbols.rewriting import readable
from snapshotter.scan.symbols.signatures import (
    MAX_NAME,
    comment_above,
    docstring,
    header_end,
    name_of,
    signature,
)

MAX_BYTES: Final = 1024 * 1024  # a tree takes up to 170 times its source
MAX_ROWS: Final = 20_000  # symbols of one file, and imports of one file

_FUNCTIONS: Final = frozenset({"function", "method", "constructor"})
_CLASSES: Final = frozenset({"class", "struct", "union", "enum", "interface", "trait", "object", "scope"})
_VALUES: Final = frozenset({"constant", "variable", "field", "property"})
_MEMBERS: Final = {"function": "method", "variable": "field"}  # what a declaration in a class is
_CONTAINERS: Final = _FUNCTIONS | _CLASSES | {"module", "type"}


def analyze(blob: bytes, language: str) -> Analysis:
    """The symbols and imports of one file's bytes.

    `language` is scc's name, refined by `refine`. Never raises: a language without a grammar, a blob over
    MAX_BYTES, binary content, a syntax error and more than MAX_ROWS rows each give an `error` and the rows
    that could be read. Equal blobs give equal rows. For input of unknown origin call it through
    `workers.Workers`: the grammars are native code.
    """
    name = grammar_for(language, blob)
    if name is None:
        return Analysis(error=f"no grammar for {language}")
    if len(blob) > MAX_BYTES:
        return Analysis(error=f"larger than {MAX_BYTES:,} bytes")
    if blob.startswith((b"\xff\xfe", b"\xfe\xff")):
        blob = blob.decode("utf-16", "replace").encode("utf-8", "replace")
    if b"\0" in blob:
        return Analysis(error="binary content")
    try:
        tree = parse(name, readable(name, blob))
        gathered = _gather(name, matches(name, tree, blob), blob)
    except GaveUp as gave_up:
        return Analysis(error=str(gave_up))
    error = f"more than {MAX_ROWS:,} rows" if gathered.full else None
    if error is None and tree.root_node.has_error:
        error = "does not parse cleanly"
    symbols = tuple(_rows(gathered, blob, grammar(name)))
    return Analysis(symbols, gathered.imports.rows(), error)


@dataclass(slots=True)
class _Declaration:
    """A match before its row: byte ranges, and what the captures name."""

    pattern: int  # a later pattern is the more exact one
    kind: str
    name: str
    start: int
    end: int
    line: int
    end_line: int
    body: int | None
    owners: tuple[str, ...]
    node: Node
    name_at: int


@dataclass(slots=True)
class _Gathered:
    imports: Imports
    declarations: dict[int, _Declaration] = field(default_factory=dict)  # by the byte where the name starts
    packages: dict[int, str] = field(default_factory=dict)
    full: bool = False


def _gather(name: str, matched: Iterator[tuple[int, str, Captures]], blob: bytes) -> _Gathered:
    gathered = _Gathered(Imports(blob, grammar(name).separator))
    body_field = compiled(name).body
    for pattern, role, captures in matched:
        if role.startswith("import"):
            gathered.imports.add(role, captures)
        elif role == "package":
            node = captures["package"][0]
            gathered.packages[node.start_byte] = name_of(blob[node.start_byte : node.end_byte])
        else:
            at = captures["name"][0]
            known = gathered.declarations.get(at.start_byte)
            missing = at.start_byte == at.end_byte  # supplied by the parser's error recovery
            if not missing and (known is None or known.pattern < pattern):
                gathered.declarations[at.start_byte] = _declaration(pattern, captures, role, blob, body_field)
        if max(len(gathered.declarations), len(gathered.imports), len(gathered.packages)) > MAX_ROWS:
            gathered.full = True
            break
    return gathered


def _declaration(pattern: int, captures: Captures, role: str, blob: bytes, body_field: int) -> _Declaration:
    node, names = captures[role][0], captures["name"]
    first, last = node.start_point.row, node.end_point.row
    if last > first and node.end_point.column == 0:
        last -= 1  # a preprocessor line holds its newline
    bodies = captures.get("body")
    body = bodies[0] if bodies else node.child_by_field_id(body_field) if body_field else None
    owners = [name_of(blob[one.start_byte : one.end_byte]) for one in captures.get("owner", ())]
    return _Declaration(
        pattern,
        role.removeprefix("definition."),
        name_of(blob[names[0].start_byte : names[-1].end_byte]).removeprefix(":"),
        node.start_byte,
        node.end_byte,
        first + 1,
        last + 1,
        body.start_byte if body else None,
        tuple(owner.partition("<")[0] for owner in owners),
        node,
        names[0].start_byte,
    )


def _rows(gathered: _Gathered, blob: bytes, spec: Grammar) -> Iterator[Symbol]:
    """Symbols in the order of the file, each qualified by what encloses it."""
    ordered = sorted(gathered.declarations.items(), key=lambda item: (item[1].start, -item[1].end, item[0]))
    packages = deque(sorted(gathered.packages.items()))
    quoting = Quoting(blob)
    package, fresh = "", False  # Scala writes one package in several clauses
    enclosing: list[tuple[int, str, str, int]] = []  # end, qualified name, kind, line
    for _, one in ordered[:MAX_ROWS]:
        while packages and packages[0][0] < one.start:
            text = packages.popleft()[1]
            package = f"{package}{spec.separator}{text}"[: 2 * MAX_NAME] if fresh else text
            fresh = True
        fresh = False
        while enclosing and enclosing[-1][0] <= one.start:
            enclosing.pop()
        _, outer, around, line = enclosing[-1] if enclosing else (0, package, "", 0)
        if around in _FUNCTIONS and (one.kind in _VALUES or not spec.nests):
            continue
        kind = _kind(one, around, spec)
        qualified = spec.separator.join(filter(None, (outer, *one.owners, one.name)))[: 2 * MAX_NAME]
        if one.kind in _CONTAINERS:
            enclosing.append((one.end, qualified, kind, one.line))
        if kind != "scope":
            stop = header_end(blob, one.start, one.body, one.end, kind in _FUNCTIONS)
            quoted = quoting.declaration(one.node, one.name_at, stop)
            yield Symbol(
                kind,
                one.name,
                qualified,
                one.line,
                one.end_line,
                signature(quoted, one.name, one.body is not None) or None,
                (_documentation(one, blob, spec) or None) if one.line != line else None,
            )


def _kind(one: _Declaration, around: str, spec: Grammar) -> str:
    """The kind of a declaration, given the kind of what encloses it."""
    if around in _CLASSES:
        return _MEMBERS.get(one.kind, one.kind)
    if one.kind == "constant" and spec.constants and not spec.constants.fullmatch(one.name):
        return "variable"
    return one.kind


def _documentation(one: _Declaration, blob: bytes, spec: Grammar) -> str:
    if spec.docstring:
        return docstring(blob, one.start, one.body) if one.body is not None else ""
    return comment_above(blob, one.start, spec.comment)
