"""The report's charts, as inline SVG that reads without colour and without script."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from snapshotter.base.text import plural
from snapshotter.scan import plain
from snapshotter.scan.report.html import Html, element, text
from snapshotter.scan.report.treemap import Box, squarify

HUES: Final = 9  # languages with a colour of their own; all others share grey
_LABEL: Final = 11.5  # height of a tile's label, px
_HEADER: Final = 19.0  # height of a group's header, px


@dataclass(frozen=True, slots=True)
class Tile:
    """One leaf of a treemap: a file, or the rest of its folder."""

    label: str
    language: str | None
    weight: int
    title: str


@dataclass(frozen=True, slots=True)
class Group:
    """A folder of a treemap; its tiles are in falling order of weight."""

    label: str
    weight: int
    tiles: Sequence[Tile]


def colours(languages: Iterable[str]) -> dict[str, str]:
    """The class of each language that gets a colour of its own, by its place in the order given."""
    return {language: f"k{at}" for at, language in zip(range(HUES), languages, strict=False)}


def bar(parts: Sequence[tuple[str, int]], classes: Mapping[str, str], unit: str) -> Html:
    """One stacked bar of (name, weight), full width, its parts as wide as they weigh."""
    total = sum(weight for _, weight in parts) or 1
    offset, shapes = 0.0, []
    for name, weight in parts:
        length = 100 * weight / total
        shape = element(
            "rect", x=f"{offset:.3f}%", y=0, width=f"{length:.3f}%", height=22, class_=classes.get(name, "kx")
        )
        # A browser shows the title of a shape when the pointer rests on it: no script is needed.
        title = element("title", f"{name}: {weight:,} {unit}, {plain.share(weight, total)}")
        shapes.append(element("g", title, shape))
        offset += length
    description = ", ".join(f"{name} {plain.share(weight, total)}" for name, weight in parts[:HUES])
    return _svg("bar", "Languages by lines of code", description, shapes, width="100%", height=22)


def meter(value: int, most: int, class_: str) -> Html:
    """A bar beside its figure, which is written out: so the bar is hidden from screen readers."""
    width = f"{100 * value / most:.2f}%" if most else "0"
    shape = element("rect", x=0, y=0, width=width, height=8, rx=2, class_=class_)
    return element(
        "svg", shape, class_="meter", width="100%", height=8, aria_hidden="true", focusable="false"
    )


def treemap(groups: Sequence[Group], classes: Mapping[str, str], size: tuple[int, int], name: str) -> Html:
    """Folders as framed areas, files within as tiles, coloured by language; labels only where they fit."""
    boxes = squarify([group.weight for group in groups], Box(0, 0, *size))
    drawn = [_group(group, box, classes) for group, box in zip(groups, boxes, strict=True)]
    description = "; ".join(f"{group.label}: {plural(group.weight, 'line')}" for group in groups[:12])
    width, height = size
    return _svg(
        name,
        "Lines of code by folder and file",
        description,
        drawn,
        viewBox=f"0 0 {width} {height}",
        width="100%",
    )


def _group(group: Group, box: Box, classes: Mapping[str, str]) -> Html:
    frame = box.inset(1, 1, 1, 1)
    roomy = frame.height > 2.2 * _HEADER and frame.width > 44  # else the header would leave no room for tiles
    inner = frame.inset(2, _HEADER if roomy else 2, 2, 2)
    tiles = squarify([tile.weight for tile in group.tiles], inner)
    parts = [
        element("title", f"{group.label}: {plural(group.weight, 'line')} of code"),
        _rect(frame, "frame", 4),
    ]
    if roomy:
        label = _fitting(group.label, frame.width - 12, 1.1 * _LABEL, keep_end=True)
        parts.append(element("text", label, x=_n(frame.x + 6), y=_n(frame.y + 13.5), class_="folder"))
    parts += [_tile(tile, at, classes) for tile, at in zip(group.tiles, tiles, strict=True) if _seen(at)]
    return element("g", parts)


def _tile(tile: Tile, box: Box, classes: Mapping[str, str]) -> Html:
    inner = box.inset(0.6, 0.6, 0.6, 0.6)
    parts = [element("title", tile.title), _rect(inner, "tile " + classes.get(tile.language or "", "kx"), 2)]
    label = _fitting(tile.label, inner.width - 8, _LABEL) if inner.height > 17 else ""
    if label:
        parts.append(element("text", label, x=_n(inner.x + 4), y=_n(inner.y + 12.5)))
    return element("g", parts)


def _seen(box: Box) -> bool:
    """Whether a tile is large enough to be seen: thousands of specks would only make the page larger."""
    return box.width > 1.6 and box.height > 1.6


def _fitting(label: str, room: float, size: float, *, keep_end: bool = False) -> str:
    """The label, cut to what fits; "" if fewer than five characters would."""
    shown = plain.visible(label, 80)
    fits = int(room / (plain.width(shown) * size / max(len(shown), 1)))
    if fits >= len(shown):
        return shown
    if fits < 5:
        return ""
    return "…" + shown[len(shown) - fits + 1 :] if keep_end else shown[: fits - 1] + "…"


def _rect(box: Box, class_: str, radius: float) -> Html:
    return element(
        "rect", x=_n(box.x), y=_n(box.y), width=_n(box.width), height=_n(box.height), rx=radius, class_=class_
    )


def _n(value: float) -> int | float:
    """A coordinate to a tenth, as it is written shortest."""
    tenths = round(float(value), 1)
    return int(tenths) if tenths.is_integer() else tenths


def _svg(name: str, title: str, description: str, content: Iterable[Html], **attributes: str | int) -> Html:
    """A chart with its name and a description, for those who do not see it."""
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", text(description, 900), id=f"{name}-desc"),
        content,
        class_=f"chart {name}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        **attributes,
    )
