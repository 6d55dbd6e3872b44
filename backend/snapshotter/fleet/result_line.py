"""A job's result within one line of a log: what must go is left out in a fixed order, and named.

Docker's log drivers cut a line after 16 KiB, and what reads the log would find two halves that are no JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 16_000  # bytes, of the 16,384 that drivers leave whole

Document = dict[str, Any]


def within(document: Mapping[str, Any], render: Callable[[Document], str], longest: int = LONGEST) -> str:
    """The document's text by `render`, shortened to at most `longest` bytes where that can be.

    `left_out` then names what is missing, in the order in which it went; verdict, counts and errors go last.
    """
    shorter = {name: dict(part) if isinstance(part, Mapping) else part for name, part in document.items()}
    text = render(shorter)
    left_out: list[str] = []
    for what, step in _steps(shorter):
        if len(text.encode()) <= longest:
            break
        step()
        left_out.append(what)
        text = render({**shorter, "left_out": list(dict.fromkeys(left_out))})
    return text


def _steps(document: Document) -> Iterator[tuple[str, Callable[[], None]]]:
    """What can go, in order, and how. Manifests name their artifacts, and the log has a line for each origin."""
    for fields in (("artifacts",), ("scan", "gaps", "refs")):
        yield "/".join(fields), lambda fields=fields: _drop(document, fields)  # type: ignore[misc]
    yield "proof rows that passed", lambda: _keep_rows(document)
    yield "origins that succeeded", lambda: _keep_failed(document)
    while any(len(holder[name]) > 1 for holder, name in _lists(document)):
        yield "half of the rest, and more", lambda: _halve(document)
    yield "details", lambda: _drop_details(document)


def _drop(document: Document, fields: tuple[str, ...]) -> None:
    origins = document.get("origins", ())
    document["origins"] = [{k: v for k, v in origin.items() if k not in fields} for origin in origins]


def _keep_rows(document: Document) -> None:
    if proof := document.get("proof"):
        proof["results"] = [row for row in proof["results"] if row["status"] != "passed"]


def _keep_failed(document: Document) -> None:
    document["origins"] = [origin for origin in document.get("origins", ()) if not origin["ok"]]


def _lists(document: Document) -> list[tuple[Document, str]]:
    """The lists that may have any length, each as its holder and its name there."""
    places = (
        (document, "origins"),
        ("proof", "results"),
        ("verification", "damaged"),
        ("verification", "unread"),
    )
    held = [
        (holder if isinstance(holder, dict) else document.get(holder) or {}, name) for holder, name in places
    ]
    return [(holder, name) for holder, name in held if holder.get(name)]


def _halve(document: Document) -> None:
    for holder, name in _lists(document):
        holder[name] = holder[name][: max(1, len(holder[name]) // 2)]


def _drop_details(document: Document) -> None:
    for holder in (document, *document["origins"]):
        if error := holder.get("error"):
            cut = {name: str(error[name])[:300] for name in ("message", "hint")}
            holder["error"] = {**error, **cut, "details": []}
