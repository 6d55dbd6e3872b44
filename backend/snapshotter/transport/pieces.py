"""A secret in pieces: what is left of one in a dump of bytes, in folded lines, in spaced letters, or in base64.

Whoever says a credential back may write it in any way, so this cannot be complete. It knows ten characters in a row,
as they are, backwards, in hexadecimal and in base64, whatever stands between them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

_ROW: Final = 10  # characters: fewer would hide common words, and so tell that the secret holds them
_BETWEEN: Final = re.compile(r"\\u200[b-f]|\\x1b\[[0-9;]*m|\nremote: |[^0-9a-z]")
_HIDDEN: Final = re.compile(r"\*(?:[^0-9A-Za-z\n]*\*)*")


class Pieces:
    """The pieces of any number of secrets."""

    def __init__(self) -> None:
        self._rows: dict[int, set[str]] = {}  # by their length

    def learn(self, secret: str) -> None:
        """Know this secret's pieces from now on. One of less than ten letters and digits has none."""
        for written, length in _writings(secret):
            bare = _BETWEEN.sub("", written.lower())
            rows = self._rows.setdefault(length, set())
            rows.update(bare[at : at + length] for at in range(len(bare) - length + 1))

    def hide(self, text: str) -> str:
        """The text with asterisks for each piece; its lines stay as many."""
        bare, places = _bare(text)
        hidden = list(text)
        for length, rows in self._rows.items():
            for at in range(len(bare) - length + 1) if rows else ():
                if bare[at : at + length] in rows:
                    for place in places[at : at + length]:
                        hidden[place] = "*"
        return _HIDDEN.sub("***", "".join(hidden)) if "".join(hidden) != text else text


def _writings(secret: str) -> Iterator[tuple[str, int]]:
    """A secret as it may be written, each with the number of characters that ten of its own take there."""
    data = secret.encode("utf-8", "surrogatepass")
    yield secret, _ROW
    yield secret[::-1], _ROW
    yield data.hex(), 2 * _ROW
    for before in range(3):  # bytes of something else that share its first three
        code = b64encode(bytes(before) + data).decode()
        yield code[4 * (before > 0) : len(code) - 4], _ROW * 4 // 3 + 1


def _bare(text: str) -> tuple[str, list[int]]:
    """The letters and digits of a text, in lower case, and where each stands."""
    lowered = "".join(char.lower() if char.isascii() else char for char in text)
    places, at = list[int](), 0
    for between in _BETWEEN.finditer(lowered):
        places += range(at, between.start())
        at = between.end()
    places += range(at, len(lowered))
    return "".join(lowered[place] for place in places), places
