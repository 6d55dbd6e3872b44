"""Signatures and documentation, read from the source around a declaration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_NAME: Final = 256  # characters; the names of people's code are shorter
MAX_TEXT: Final = 240  # characters of a signature or of a line of documentation
_READ: Final = 1024  # bytes of source read for either
MAX_COMMENT: Final = 200  # lines above a declaration in which its comment may begin
MAX_BELOW: Final = 60  # lines below a declaration's first that its signature or documentation may quote

_SPACE: Final = re.compile(r"\s+")
_REMARK: Final = re.compile(r"\s(?:#|//)\s[^\n]*")
_PADDING: Final = re.compile(r"(?<=[(\[]) |,? (?=[)\]])")
_ATTRIBUTES: Final = re.compile(
    r"(?:@(?!interface\b)[\w.:]+(?:\([^()]*\))?\s+|\[\[[^\]]*\]\]\s*|#?\[[^\[\]]*\]\s*)+"
)
# Numbers that may be a key or a PIN: a long one, one of four digits or more with which nothing is reckoned, and four
# in a row.
_NUMBERS: Final = re.compile(
    r"\b\d[\w.]{8,}|(?<![\w.*+/%<&^-])(?<![*+/%<&^-] )\d(?:[_']?\d){3,}\w*(?!\w|\.\d| ?[*+/%<&^-])"
    r"|-?\b\d[\w.]*(?:,\s*-?\d[\w.]*){3,}"
)
_BRACKETS: Final = re.compile(rb"[()\[\]{}<>\n;]")
_MARKERS: Final = re.compile(rb"^[\s/*#!]+|[\s*/]+$")
_TAGS: Final = re.compile(rb"</?\w+[^<>]*>")
# A word of a shortened form, such as e.g., ends no sentence.
_SENTENCE: Final = re.compile(r".*?(?<!e\.g)(?<!i\.e)(?<!\bcf)(?<!\bvs)(?<!\betc)[.!?](?=\s|$)")
_TAG_LINE: Final = re.compile(rb"@\w|:\w+(?: [^:]+)?:|[A-Z]\w+:\Z|[-=~*+`]{3,}")
_WORD: Final = re.compile(rb"[^\W_]")
_DOCSTRING: Final = re.compile(rb'\s*(?:#[^\n]*\n\s*)*[rRuU]?("""|\'\'\'|"|\')')
_ATTRIBUTE_LINE: Final = re.compile(rb"@[\w.:]+(?:\(.*\))?$|#\[|\[.*\]$")


def decode(raw: bytes) -> str:
    """Source as text: UTF-8, with bytes that are not as ``\\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def name_of(raw: bytes) -> str:
    """A name on one line, cut to MAX_NAME characters."""
    text = decode(raw[: 4 * MAX_NAME])
    return (_SPACE.sub(" ", text) if not text.isidentifier() else text)[:MAX_NAME]


def signature(source: bytes, name: str, has_body: bool) -> str:
    """A declaration's source up to its body, on one line, without leading attributes, remarks and long numbers."""
    text = _REMARK.sub("", decode(source))
    text = _PADDING.sub("", _SPACE.sub(" ", text)).strip()
    text = _ATTRIBUTES.sub("", text, count=1) if text[:1] in "@#[" else text
    text = _NUMBERS.sub("…", text).rstrip(" {:=;,").removesuffix("=>").rstrip()[:MAX_TEXT]
    return text if name in text or not has_body else f"{text} … {name}"


def _within(blob: bytes, start: int, end: int) -> int:
    """`end`, or where the MAX_BELOW lines below the one at `start` end before it."""
    at = start
    for _ in range(MAX_BELOW + 1):
        at = blob.find(b"\n", at, end) + 1
        if not at:
            return end
    return at - 1


def header_end(blob: bytes, start: int, body: int | None, end: int, callable_: bool) -> int:
    """Where the signature of a declaration ends, at most _READ bytes and MAX_BELOW lines after its start: at its body.

    Without a body field that is at its first line's end, brackets aside.
    """
    if body is not None:
        return _within(blob, start, min(body, start + _READ))
    depth = 0
    limit = _within(blob, start, min(end, start + _READ))
    for bracket in _BRACKETS.finditer(blob, start, limit):
        char = bracket.group()
        if char in b"([":
            depth += 1
        elif char in b")]":
            depth -= 1
        elif depth <= 0 and (char in b"{;" or (char == b"\n" and not callable_)):
            return bracket.start()
    return limit


def comment_above(blob: bytes, start: int, marker: bytes) -> str:
    """The first sentence of the comment directly above a declaration, or ""."""
    end = blob.rfind(b"\n", 0, start)
    above: list[bytes] = []
    for _ in range(MAX_COMMENT):
        if end <= 0:
            break
        begin = blob.rfind(b"\n", max(0, end - _READ), end) + 1
        line = blob[begin:end].strip()
        if line.endswith(b"*/") and not above:
            return _block_comment(blob, begin, end)
        if line.startswith(marker) and not line.startswith(b"#["):
            above.append(line)
        elif above or not _ATTRIBUTE_LINE.match(line):
            break
        end = begin - 1
    return _sentence(map(_spoken, reversed(above)))


def _block_comment(blob: bytes, begin: int, end: int) -> str:
    """The first sentence of the block comment that ends here, or ""."""
    opening = blob.rfind(b"/*", max(0, end - 8 * _READ), end)
    if opening < 0 or blob[blob.rfind(b"\n", 0, opening) + 1 : opening].strip():
        return ""
    # What is near a secret is left out by lines above a declaration: a longer comment might quote one beyond them.
    if blob.count(b"\n", opening, end) >= MAX_COMMENT:
        return ""
    return _sentence(map(_spoken, blob[opening : min(end, opening + _READ)].split(b"\n")))


def docstring(blob: bytes, start: int, body: int) -> str:
    """The first sentence of the string that opens the body of the declaration at `start`, or "". One that is not
    within MAX_BELOW lines of it is none."""
    opening = _DOCSTRING.match(blob, body, body + _READ)
    if not opening:
        return ""
    text = blob[opening.end() : opening.end() + _READ].split(opening.group(1), 1)[0]
    if _within(blob, start, opening.end() + len(text)) < opening.end() + len(text):
        return ""
    return _sentence(line.strip() for line in text.split(b"\n"))


def _sentence(lines: Iterable[bytes]) -> str:
    """The first sentence of documentation: up to its end, or to that of its paragraph, which a tag ends too."""
    spoken: list[bytes] = []
    for line in lines:
        if spoken and (not line or _TAG_LINE.match(line)):
            break
        if line:
            spoken.append(line)
    text = _clean(b" ".join(spoken))
    ended = _SENTENCE.match(text)
    return (ended.group() if ended else text)[:MAX_TEXT].rstrip()


def _spoken(line: bytes) -> bytes:
    """A comment line without its markers and markup; empty when it has no word."""
    text = _TAGS.sub(b"", _MARKERS.sub(b"", line)).strip()
    return text if _WORD.search(text) else b""


def _clean(text: bytes) -> str:
    return _SPACE.sub(" ", decode(text[: 8 * _READ].strip()))
