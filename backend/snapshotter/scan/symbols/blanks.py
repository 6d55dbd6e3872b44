"""What of a declaration is not quoted: string literals and default values, which may be passwords.

The search for secrets knows credentials that have a form. A password has none, and the declaration that holds it
would be quoted as a signature. So values are left out by what they are to the grammar, whatever they say.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tree_sitter import Node, TreeCursor

_STRING: Final = '"…"'.encode()
_VALUE: Final = "…".encode()
_DEEPEST: Final = 60  # levels below a declaration that are looked into; what lies deeper is left out whole
_TEXTS: Final = re.compile(
    r".*string.*|char(?:acter)?(?:_literal)?|rune_literal|template_literal_type|heredoc.*|nowdoc.*"
    r"|regex(?:_literal)?|(?:jsx|xml)_text|delimited_symbol|symbol_array|subshell|shell_command_expression"
)
_QUOTE: Final = re.compile(rb"[\"'`=]")
_MAY_QUOTE: Final = re.compile(rb"[\"'`=/]")
_MAYBE: Final = re.compile(rb"[\"'`=]|\w: *[^\s:,)]")  # a word's colon too: Ruby's defaults follow one
_QUOTED: Final = re.compile(rb"""[A-Za-z@$]{0,3}("|'|`)(?:\\.|(?!\1).)*\1?""", re.S)
# Of these the grammar says no more than that they are text: a shell's value, and what a macro stands for.
_RAW_VALUES: Final = frozenset({("variable_assignment", "value"), ("keyword_parameter", "value")})
_MACRO: Final = "preproc_arg"
_OWN_DEFAULTS: Final = ("function_declaration", "init_declaration", "subscript_declaration")


class _Blank(NamedTuple):
    """A range of bytes that is not quoted, and what stands in its place."""

    start: int
    end: int
    instead: bytes


class _Damaged(Exception):
    """The declaration has a syntax error, so nobody can tell what in it is a literal."""


class Quoting:
    """Quotes declarations of one blob."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._last: tuple[int, int] = (-1, -1)
        self._blanks: list[_Blank] | None = []

    def declaration(self, node: Node, name: int, stop: int) -> bytes:
        """The bytes of `node` up to the byte `stop`, with ``"…"`` for each string literal and ``…`` for each default.

        A literal that holds the declared name, which begins at the byte `name`, stands as it is. A declaration
        with a syntax error is quoted up to its first quote or equals sign.
        """
        blob, start = self._blob, node.start_byte
        if not _MAYBE.search(blob, start, stop):
            return blob[start:stop]
        if self._last != (start, stop):  # the names of one declaration, such as C's, follow each other
            self._last, self._blanks = (start, stop), _blanks(blob, node, stop)
        if self._blanks is None:
            first = _QUOTE.search(blob, start, stop)
            return blob[start : first.start() if first else stop]
        pieces, at = [], start
        for blank in self._blanks:
            if not blank.start <= name < blank.end:
                pieces += [blob[at : blank.start], blank.instead]
                at = blank.end
        return b"".join([*pieces, blob[at:stop]])


def _blanks(blob: bytes, node: Node, stop: int) -> list[_Blank] | None:
    """What of a declaration is left out before the byte `stop`, in order; None if it has a syntax error there."""
    search = _Search(blob, node.walk(), stop)
    try:
        search.descend(node.type)
    except _Damaged:
        return None
    return search.blanks


class _Search:
    """Finds what is left out before the byte `stop`, below the node that `cursor` stands on.

    By a cursor, for a node does not say in which field of its parent it stands.
    """

    def __init__(self, blob: bytes, cursor: TreeCursor, stop: int) -> None:
        self._blob, self._cursor, self._stop = blob, cursor, stop
        self.blanks: list[_Blank] = []

    def descend(self, parent: str, depth: int = 0, *, parameters: bool = False) -> None:
        """Search below the cursor's node, of the type `parent`, where the cursor ends too. `parameters`: it lies in a
        list of them.

        Raises _Damaged at a syntax error.
        """
        cursor = self._cursor
        parameters = (parameters or "parameter" in parent) and "type_parameter" not in parent
        default = False
        more = cursor.goto_first_child()
        entered = more
        while more and (node := cursor.node) is not None and node.start_byte < self._stop:
            if node.is_error or node.is_missing:
                raise _Damaged
            kind = node.type  # each look at it makes a text anew
            value = (default and node.is_named) or (parent, cursor.field_name) in _RAW_VALUES
            if "comment" in kind:
                self._leave_out(node, self._in_place_of(node))
            elif value or depth > _DEEPEST:
                self._leave_out(node, _VALUE)
                default = False
            elif node.is_named and _TEXTS.fullmatch(kind):
                self._leave_out(node, _STRING)
            elif kind == _MACRO:
                strings = _QUOTED.finditer(self._blob, node.start_byte, node.end_byte)
                self.blanks += [_Blank(one.start(), one.end(), _STRING) for one in strings]
            elif kind == "=":
                default = parameters or parent.endswith(_OWN_DEFAULTS)
            elif node.child_count:
                self.descend(kind, depth + 1, parameters=parameters)
            more = cursor.goto_next_sibling()
        if entered:
            cursor.goto_parent()

    def _in_place_of(self, comment: Node) -> bytes:
        """What stands for a comment: nothing, or what was written where only the grammar is told of one
        (`rewriting.readable`), unless it may hold a text or a comment of its own."""
        written = self._blob[comment.start_byte : comment.end_byte]
        return written if written[:1].isspace() and not _MAY_QUOTE.search(written) else b" "

    def _leave_out(self, node: Node, instead: bytes) -> None:
        self.blanks.append(_Blank(node.start_byte, node.end_byte, instead))
