"""HTML by construction: only an Html is markup; any other string is text, and is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final, TypeAlias

from snapshotter.scan.plain import visible

MAX_TEXT: Final = 240  # characters of one text from the repository
_VOID: Final = frozenset({"meta", "wbr"})
# The backtick too: some browsers took it for the quote of an attribute.
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "`": "&#96;"}
)


class Html(str):
    """Markup that is safe to join to other markup."""

    __slots__ = ()


Child: TypeAlias = "Html | str | Iterable[Child] | None"


def text(value: str, limit: int = MAX_TEXT) -> Html:
    """Any text as it is to be read: cut, made visible, and escaped for element content and quoted attributes."""
    return Html(visible(value, limit).translate(_ESCAPES))


def join(children: Iterable[Child]) -> Html:
    """Children as one piece of markup; what is not Html is escaped as text."""
    return Html("".join([_child(one) for one in children]))


def element(name: str, /, *children: Child, **attributes: str | int | float | None) -> Html:
    """An element. An attribute whose value is None is left out; `class_` and `aria_label` are spelled as they must
    be in Python. Names of elements and attributes are this program's own, never the repository's."""
    # Twice the limit of a text: an address that was cut would lead elsewhere. links.py keeps addresses shorter.
    written = "".join(
        [
            f' {_attribute(key)}="{text(value, 2 * MAX_TEXT) if isinstance(value, str) else value}"'
            for key, value in attributes.items()
            if value is not None
        ]
    )
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(children)}</{name}>")


@cache
def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    return text(child) if isinstance(child, str) else join(child)
