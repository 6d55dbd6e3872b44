"""The report's page: its head, its policy, its key figures, and the sections in order."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from snapshotter.base.text import noun
from snapshotter.scan import figures, plain
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.facts import Facts
from snapshotter.scan.report import about, blocks
from snapshotter.scan.report.html import Child, Html, element, join, text


class Figure(NamedTuple):
    """A key figure, and the section that it opens."""

    label: str
    value: int
    anchor: str
    tone: str = ""


@cache
def style_and_policy() -> tuple[Html, str]:
    """The style sheet, and the policy that allows it by its digest and nothing else."""
    sheet = (files("snapshotter.scan.report") / "style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    # A second fence behind the escaping: markup that got through it could load and run nothing.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return Html(f"<style>{sheet}</style>"), policy


def key_figures(facts: Facts, whole: figures.Totals) -> list[Figure]:
    """The figures at the head of the page."""
    return [
        Figure(noun(whole.files, "file"), whole.files, "files"),
        Figure(noun(whole.code, "line of code", "lines of code"), whole.code, "languages"),
        Figure(noun(whole.symbols, "symbol"), whole.symbols, "symbols"),
        Figure(noun(whole.dependencies, "dependency", "dependencies"), whole.dependencies, "dependencies"),
        Figure(
            noun(whole.packages, "package depended on", "packages depended on"),
            whole.packages,
            "dependencies",
        ),
        Figure(
            noun(whole.secrets, "secret finding"),
            whole.secrets,
            "secrets",
            "bad" if whole.secrets else "good",
        ),
        Figure(noun(len(facts.gaps), "gap"), len(facts.gaps), "unread"),
        Figure(noun(whole.skipped, "file skipped", "files skipped"), whole.skipped, "unread"),
    ]


def html(facts: Facts, sections: Sequence[blocks.Section], key: Iterable[Figure]) -> Html:
    """The whole document."""
    body = element(
        "body",
        element("a", "To the content", href="#snapshot", class_="skip"),
        _header(facts, key),
        _navigation(sections),
        element("main", [section.html() for section in sections]),
        _footer(facts),
    )
    return Html("<!DOCTYPE html>\n" + element("html", _head(facts), body, lang="en") + "\n")


def _head(facts: Facts) -> Html:
    style, policy = style_and_policy()
    return element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", text(f"{facts.repo} at {facts.taken_at:%Y-%m-%d %H:%M} UTC", 160)),
        style,
    )


def _header(facts: Facts, key: Iterable[Figure]) -> Html:
    lede: list[Child] = [
        element("strong", facts.kind),
        f" snapshot of {about.moment(facts.taken_at)}: ",
        element("code", text(facts.ref, 120)),
        " at ",
        element("code", text(facts.commit[:12])),
    ]
    if facts.is_local:
        lede += [", of ", element("code", text(facts.origin)), ", a folder of the machine that took it"]
    return element(
        "header",
        element("p", "Fruitful Snapshotter", class_="brand"),
        element("h1", _name(facts)),
        element("p", lede, class_="lede"),
        element("ul", [_figure(one) for one in key], class_="figures"),
    )


def _name(facts: Facts) -> Html:
    """What the page is about: a repo by its name, which a local one's key only spells out of its path and a hash."""
    if not facts.is_local:
        return Html(text(facts.repo, 120).replace("__", "<wbr>__"))
    return Html(text(facts.origin.rstrip("/").rpartition("/")[2], 120))


def _figure(one: Figure) -> Html:
    value = element("span", plain.count(one.value), class_=f"value {one.tone}".strip())
    return element(
        "li", element("a", value, " ", element("span", one.label, class_="label"), href=f"#{one.anchor}")
    )


def _navigation(sections: Iterable[blocks.Section]) -> Html:
    links = [element("li", element("a", one.short, href=f"#{one.anchor}")) for one in sections]
    return element("nav", element("ul", links), aria_label="Sections")


def _footer(facts: Facts) -> Html:
    sentence = [
        "The files, symbols and dependencies are those of commit ",
        element("code", text(facts.commit), class_="path"),
        ". Text from it is shown as text: characters that cannot be seen are written as escapes such as ",
        element("code", "\\u202e"),
        ". The tables behind these figures are beside this page, under ",
        element("code", "scan/"),
        ": ",
        [[", " if at else "", blocks.artifact(f"scan/{name}.parquet")] for at, name in enumerate(COLUMNS)],
        ".",
    ]
    return element("footer", element("p", join(sentence)))
