"""Squarified treemaps, by Bruls, Huizing and van Wijk (2000): areas in proportion, tiles near to squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, left: float, top: float, right: float, bottom: float) -> Box:
        """The box without its margins; never smaller than nothing."""
        width, height = max(self.width - left - right, 0), max(self.height - top - bottom, 0)
        return Box(self.x + left, self.y + top, width, height)


def squarify(weights: Sequence[float], box: Box) -> list[Box]:
    """One box for each weight, in order; together they fill `box`. Weights are positive and do not rise."""
    boxes: list[Box] = []
    left, total = list(weights), sum(weights)
    while left and total > 0:
        short = min(box.width, box.height)
        scale = box.width * box.height / total
        count = _row(left, short, scale)
        part = sum(left[:count])
        depth = part * scale / short if short else 0.0
        boxes.extend(_lay(left[:count], part, box, depth))
        if box.width >= box.height:
            box = Box(box.x + depth, box.y, max(box.width - depth, 0), box.height)
        else:
            box = Box(box.x, box.y + depth, box.width, max(box.height - depth, 0))
        left, total = left[count:], total - part
    # What is left weighs nothing, and has a box too: there is one for each weight.
    return boxes + [Box(box.x, box.y, 0, 0)] * len(left)


def _row(weights: Sequence[float], short: float, scale: float) -> int:
    """How many weights make a row along the short side before its tiles get longer than they were."""
    total, worst = 0.0, float("inf")
    for count, weight in enumerate(weights):
        total += weight
        area = total * scale
        side = short * short
        if not area or not side:
            return len(weights)
        # The tile that is furthest from a square is the first of the row, or the last.
        ratio = max(side * weights[0] * scale / area**2, area**2 / (side * weight * scale))
        if ratio > worst:
            return count
        worst = ratio
    return len(weights)


def _lay(weights: Sequence[float], total: float, box: Box, depth: float) -> list[Box]:
    boxes = []
    offset = 0.0
    for weight in weights:
        if box.width >= box.height:
            length = box.height * weight / total
            boxes.append(Box(box.x, box.y + offset, depth, length))
        else:
            length = box.width * weight / total
            boxes.append(Box(box.x + offset, box.y, length, depth))
        offset += length
    return boxes
