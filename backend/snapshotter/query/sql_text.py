"""Text within SQL of ours."""

from __future__ import annotations


def literal(text: str) -> str:
    """Text as a string in SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str) -> str:
    """Text as a name in SQL."""
    return '"' + text.replace('"', '""') + '"'
