"""A fleet's status as a page: one file that loads nothing, the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from snapshotter.base.text import human_span, plural
from snapshotter.fleet.status import FleetStatus, RepoStatus
from snapshotter.scan.report.html import Child, Html, element
from snapshotter.scan.report.page import style_and_policy

_LFS: Final = "LFS"  # a column only where snapshots have such objects
_HEAD: Final = ("State", "Repository", "Newest good snapshot", "Verified", _LFS, "Last run", "Trend")
_BAD: Final = frozenset({"never-taken", "none-good", "stale", "unverified", "unknown"})


def html(status: FleetStatus) -> Html:
    """The whole document."""
    style, policy = style_and_policy()
    title = f"{status.name}: {_sentence(status)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        style,
    )
    body = element("body", _header(status), element("main", element("section", _table(status))))
    return Html("<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n")


def _sentence(status: FleetStatus) -> str:
    total = plural(len(status.repos), "repository", "repositories")
    lacking = len(status.lacking)
    return f"{lacking:,} of {total} need attention" if lacking else f"{total}, none of which lacks anything"


def _header(status: FleetStatus) -> Html:
    told: list[Child] = [
        element("p", "Fruitful Snapshotter: where a fleet stands", class_="brand"),
        element("h1", status.name),
        element("p", element("strong", _sentence(status)), f", as of {_time(status.now)}", class_="lede"),
    ]
    told += [element("p", line, class_="lede") for line in _notes(status)]
    return element("header", told)


def _notes(status: FleetStatus) -> Iterable[str]:
    demand = status.demand
    proof = f", a verification within {human_span(demand.max_verify_age)}" if demand.max_verify_age else ""
    yield f"Wanted: a good snapshot within {human_span(demand.max_age)}{proof}."
    if summary := status.summary:
        yield f"The last run that ended is {summary.run_id}, at {_time(summary.finished_at)}."
    else:
        yield "No run of this inventory has ended yet."
    if status.unended:
        yield f"The run {status.unended} began later, and has not ended."
    for source in status.unlisted:
        yield f"{source} gave no list: its repositories are those of the last result."


def _table(status: FleetStatus) -> Html:
    lfs = any(each.lfs and each.lfs.objects for each in status.repos)
    names = [name for name in _HEAD if lfs or name != _LFS]
    head = element("tr", [element("th", name, scope="col") for name in names])
    rows = [_row(each, status.now, lfs=lfs) for each in status.repos]
    return element(
        "div",
        element(
            "table",
            element("caption", "Repositories, the worst first"),
            element("thead", head),
            element("tbody", rows),
        ),
        class_="block",
    )


def _row(each: RepoStatus, now: datetime, *, lfs: bool) -> Html:
    age, place, row = each.age(now), each.place, each.row
    proven = place.proven_at if place else None
    why = each.error.message if each.error else (row.error if row and not row.ok else None)
    verdict = row.verdict if row else "no run has it"
    shown = element("strong", each.state) if each.state in _BAD else each.state
    return element(
        "tr",
        element("td", shown),
        element("th", each.wanted.origin, scope="row"),
        element("td", f"{human_span(age)} old" if age is not None else "never"),
        element("td", f"{human_span(now - proven)} ago" if proven else "never seen"),
        element("td", (each.lfs.told if each.lfs else "") or "-") if lfs else None,
        element("td", f"{verdict}: {why}" if why else verdict),
        element("td", f"{each.trend} {row.recent}" if row and each.trend else "-"),
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
