"""Text from repositories and servers: decoded without loss, shown without danger."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

_UNSAFE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def decode_name(name: bytes) -> str:
    """A name as text: UTF-8, with bytes that are not UTF-8 as ``\\xNN`` (backslashreplace)."""
    return name.decode("utf-8", "backslashreplace")


def raw_if_changed(name: bytes) -> str | None:
    """The name in base64 where `decode_name` cannot be undone, else None.

    A name whose text form encodes back to the same bytes, and holds no backslash escape of
    ours, needs no second spelling.
    """
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(name).decode("ascii")
    return None


def printable(text: str) -> str:
    """Text safe for a terminal: control, bidirectional, zero-width and lone surrogate characters escaped."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def human_bytes(count: float) -> str:
    """A byte count for people, in binary units: ``21.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_span(span: timedelta) -> str:
    """A span of time for people, to the second: ``30 days``, ``1 hour 30 minutes``, ``90 days 1 second``."""
    seconds, parts = int(span.total_seconds()), []
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(plural(count, unit))
    return " ".join(parts) or "0 seconds"


def noun(count: int, one: str, many: str | None = None) -> str:
    """The noun that goes with a count: ``ref`` or ``refs``. `many` is for nouns that take more than an s."""
    return one if count == 1 else many or f"{one}s"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: ``1 ref``, ``2,345 refs``, ``2 dependencies``."""
    return f"{count:,} {noun(count, one, many)}"
