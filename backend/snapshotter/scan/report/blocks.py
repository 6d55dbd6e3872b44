"""What the report's sections are built of: headings, tables, lists of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from snapshotter.scan import plain
from snapshotter.scan.report.html import Child, Html, element, join, text

# What is beyond them is read better in the artifact; the page stays below about a megabyte.
FIRST: Final = 20  # rows of a table in plain sight
FOLDED: Final = 180  # rows after them that unfold


class Column(NamedTuple):
    """A column of a table: its heading, and the class of its cells (`num` for figures)."""

    heading: str
    class_: str | None = None


class Whole(NamedTuple):
    """What a table shows rows of: how many rows there are, and the artifact that holds them all, if one does."""

    total: int
    source: str | None = None


class Section(NamedTuple):
    """A section of the page: its anchor, its heading, what the navigation calls it, and its content."""

    anchor: str
    heading: str
    short: str
    content: Sequence[Child]

    def html(self) -> Html:
        """The section as markup."""
        heading = element("h2", self.heading, id=f"{self.anchor}-heading")
        return element(
            "section", heading, self.content, id=self.anchor, aria_labelledby=f"{self.anchor}-heading"
        )


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Child]],
    *,
    first: int = FIRST,
    whole: Whole | None = None,
) -> Html:
    """A table with its caption, or the words that there is nothing. The first cell of a row names the row.

    Rows after `first` unfold. Those of the `whole` that are not among the rows are counted as left out.
    """
    if not rows:
        return nothing(caption)
    body = [_table(element("caption", caption), columns, rows[:first])]
    if folded := rows[first:]:
        # A second table: HTML has no fold among the rows of one.
        summary = element("summary", f"{plain.count(len(folded))} more")
        body.append(element("details", summary, _table(_aside(caption), columns, folded)))
    return element("div", body, more(len(rows), whole) if whole else None, class_="block")


def nothing(caption: str, words: str = "none") -> Html:
    """What stands in the place of a table without rows."""
    return element("p", f"{caption}: {words}.", class_="none")


def _aside(caption: str) -> Html:
    # Only for screen readers: others see the line that unfolds the table.
    return element("caption", f"{caption}, continued", class_="unseen")


def _table(caption: Html, columns: Sequence[Column], rows: Sequence[Sequence[Child]]) -> Html:
    heads = [element("th", column.heading, scope="col", class_=column.class_) for column in columns]
    body = [
        element(
            "tr",
            [_cell(at, child, column) for at, (child, column) in enumerate(zip(row, columns, strict=True))],
        )
        for row in rows
    ]
    return element("table", caption, element("thead", element("tr", heads)), element("tbody", body))


def _cell(at: int, child: Child, column: Column) -> Html:
    if at == 0:  # a header of the row, so that a screen reader tells which row a figure is of
        return element("th", child, scope="row", class_=column.class_)
    return element("td", child, class_=column.class_)


def more(shown: int, whole: Whole) -> Html | None:
    """What was left out: ``and 1,234 more``, and where they are. None if nothing was."""
    left = whole.total - shown
    if left <= 0:
        return None
    where = [", all in ", artifact(whole.source)] if whole.source else []
    return element("p", f"… and {plain.count(left)} more", where, ".", class_="more")


def artifact(name: str) -> Html:
    """An artifact by name. Those of the scan lie beside the report; a manifest may be another run's."""
    shown = element("code", name)
    return element("a", shown, href=name) if name.startswith("scan/") else shown


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """A list of names, each with its value."""
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in pairs])


def cards(children: Iterable[Child]) -> Html:
    """Blocks side by side where there is room."""
    return element("div", list(children), class_="cards")


def stack(*children: Child) -> Html:
    """Blocks one below the other, in one column of `cards`."""
    return element("div", *children, class_="stack")


def path(value: str, line: int | None = None) -> Html:
    """A path, which may break after its slashes, and a line in it."""
    shown = Html(text(value, 160).replace("/", "/<wbr>"))
    return element("code", shown, f":{line}" if line is not None else None, class_="path")


def code(value: str, limit: int = 200) -> Html:
    """Text from the repository that is code: a name, a signature, a version."""
    return element("code", text(value, limit))


def note(*children: Child) -> Html:
    """A paragraph beside the figures."""
    return element("p", *children, class_="note")


def badge(value: str, class_: str = "") -> Html:
    """A word in a frame, such as `new` or `generated`."""
    return element("span", value, class_=f"badge {class_}".strip())


def two_lines(main: Child, below: Child) -> Html:
    """A cell whose second line is smaller."""
    return join([main, element("span", below, class_="below") if below else None])
