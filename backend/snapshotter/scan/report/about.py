"""The report's head: what this snapshot is, and how far it is proven."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile
from typing import Final

from snapshotter.base.text import human_bytes, plural
from snapshotter.scan import plain
from snapshotter.scan.facts import Facts
from snapshotter.scan.overview import Overview
from snapshotter.scan.readme import lead
from snapshotter.scan.report import blocks
from snapshotter.scan.report.html import Child, Html, element, text
from snapshotter.scan.report.links import Links

_CODE: Final = re.compile(r"`+([^`]+)`+")


def section(facts: Facts, overview: Overview, links: Links) -> blocks.Section:
    """What the snapshot is and how it was proven."""
    content = [_readme(facts, overview, links), blocks.cards([_identity(facts, links), _proof(facts)])]
    return blocks.Section("snapshot", "This snapshot", "Snapshot", content)


def moment(when: datetime) -> str:
    """A time, which is UTC, to the second."""
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _readme(facts: Facts, overview: Overview, links: Links) -> Html | None:
    """The start of the README, unless it might quote a secret."""
    if not facts.readme or facts.readme[0] in overview.leaking:
        return None
    path, source = facts.readme
    lines = lead(source, 700)
    heading = lines.pop(0).strip("# ") if lines and lines[0].startswith("#") else ""
    body = " ".join(takewhile(lambda line: not line.startswith("#"), lines))
    paragraphs = [
        element("p", element("strong", text(heading))) if heading else None,
        element("p", _prose(body)) if body else None,
    ]
    if not heading and not body:
        return None
    return element(
        "figure", element("blockquote", paragraphs), element("figcaption", "From ", links.path(path))
    )


def _prose(body: str) -> list[Child]:
    """Text, in which parts between backticks become code."""
    pieces = [text(piece, 600) for piece in _CODE.split(body)]
    return [element("code", piece) if at % 2 else piece for at, piece in enumerate(pieces)]


def _identity(facts: Facts, links: Links) -> Html:
    pairs: list[tuple[str, Child]] = [
        ("Origin", links.origin(element("code", text(facts.origin), class_="path"))),
        ("Ref", blocks.code(facts.ref)),
        ("Commit", links.scanned(element("code", text(facts.commit), class_="path"))),
        ("Committed", moment(facts.committed_at) if facts.committed_at else "at a time that is not known"),
        ("Taken", moment(facts.taken_at)),
        ("Kind", f"{facts.kind}: {facts.reason}" if facts.reason else facts.kind),
        ("Run", blocks.code(facts.run_id)),
        ("Parent", blocks.code(facts.parent) if facts.parent else "none"),
        ("Refs", plain.count(facts.refs)),
        ("History", _history(facts)),
        *([("LFS", facts.lfs.told)] if facts.lfs and facts.lfs.objects else []),
        ("To restore", plural(facts.chain, "bundle") if facts.chain else "nothing to restore: no refs"),
        ("Licences", _licences(facts, links)),
    ]
    return element("div", element("h3", "What it is"), blocks.facts(pairs), class_="block")


def _history(facts: Facts) -> str:
    if facts.history is None:
        return "none in this run"
    history = facts.history
    pieces = f"{plural(history.objects, 'object')}, {human_bytes(history.bytes)}"
    return f"{pieces}, {plural(len(history.segments), 'segment')}"


def _licences(facts: Facts, links: Links) -> Child:
    if not facts.licences:
        return "no licence file at the top level"
    return element(
        # A REUSE folder may hold dozens.
        "ul",
        [element("li", _licence(path, ids, links)) for path, ids in facts.licences[:8]],
        class_="plain",
    )


def _licence(path: str, ids: Iterable[str], links: Links) -> list[Child]:
    return [", ".join(ids) or "not recognised", " in ", links.path(path)]


def _proof(facts: Facts) -> Html:
    done = element("ul", [element("li", *one) for one in _checked(facts)], class_="proof")
    # With a place in the order of focus, so that a keyboard scrolls what a narrow page cuts off.
    command = element("pre", element("code", f"snapshotter verify {facts.snapshot}"), tabindex=0)
    return element(
        "div",
        element("h3", "How it is proven"),
        element("p", "Checked while it was taken:"),
        done,
        element(
            "p",
            "None of this shows that the history restores: only a restore does. This page was written with the "
            "snapshot, before any. To replay the chain with git, check every object and every ref, and leave a "
            "receipt beside the snapshot:",
        ),
        command,
        class_="block",
    )


def _checked(facts: Facts) -> Iterable[list[Child]]:
    if facts.history is not None:
        yield [
            "The pack from the origin ended with the checksum of its bytes, ",
            element("code", text(facts.history.pack_checksum), class_="path"),
            ", verified in the stream.",
        ]
    elif facts.kind == "empty":
        yield ["The origin has no refs, so there was no history to take."]
    else:
        yield ["No history was asked for: the refs were those of the parent, whose bundles still hold."]
    yield ["The manifest lists every object that this run stored, this page too, with its size and SHA-256."]
    if facts.parent:
        yield [
            "The manifest holds the SHA-256 of its parent's, so an altered or missing ancestor is noticed."
        ]
    else:
        yield ["It is the first of its line: there is no parent for its manifest to name."]
