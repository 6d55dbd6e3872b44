"""Sections within a limit: each has a share of it, and leaves to the others what it does not need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

_MORE: Final = 60  # characters kept for the line that says how much was left out


class DigestLine(NamedTuple):
    """One line of a section, and how many things it lists: 0 if it only explains."""

    text: str
    things: int = 1


def chunks(items: Sequence[str], size: int) -> list[Sequence[str]]:
    """The items, `size` at a time: as many as stand on one line."""
    return [items[at : at + size] for at in range(0, len(items), size)]


@dataclass(frozen=True, slots=True)
class DigestSection:
    """A section: its heading, its lines with the most important first, and its share of the limit.

    `total` counts the things there are, if `lines` do not list them all; `where` is the artifact that does.
    """

    heading: str
    lines: Sequence[DigestLine]
    share: int
    total: int | None = None
    where: str | None = None

    def text(self, limit: int | None = None) -> str:
        """The section in at most `limit` characters: whole lines, and how many things were left out."""
        kept, used = [f"## {self.heading}", ""], len(self.heading) + 6  # with "## " and three line ends
        counted = 0
        whole = sum(len(line.text) + 1 for line in self.lines)
        there = self.total if self.total is not None else sum(line.things for line in self.lines)
        complete = there == sum(line.things for line in self.lines)
        room = limit is None or used + whole + (0 if complete else self._reserve) <= limit
        for line in self.lines:
            used += len(line.text) + 1
            if not room and limit is not None and used + self._reserve > limit:
                break
            kept.append(line.text)
            counted += line.things
        if there > counted:
            kept += ["", f"… and {there - counted:,} more{f', in `{self.where}`' if self.where else ''}."]
        text = "\n".join(kept) + "\n\n"
        # A heading with nothing below it says nothing: then the section is left out.
        return text if limit is None or len(text) <= limit else ""

    @property
    def _reserve(self) -> int:
        return _MORE + len(self.where or "")


def fit(parts: Sequence[DigestSection], limit: int) -> list[str]:
    """The parts' texts, in order, together at most `limit` characters. A part that gets too little for its
    heading and one line is left out."""
    allotted = _allot([len(part.text()) for part in parts], [part.share for part in parts], limit)
    texts = [part.text(room) for part, room in zip(parts, allotted, strict=True)]
    left = limit - sum(map(len, texts))
    for at, part in enumerate(parts):  # whole lines leave a rest, which may be a line of another part
        longer = part.text(len(texts[at]) + left)
        if len(longer) > len(texts[at]):
            left -= len(longer) - len(texts[at])
            texts[at] = longer
    return texts


def _allot(needs: Sequence[int], shares: Sequence[int], limit: int) -> list[int]:
    """Room for each need: all of it if its share suffices, else its share of what those leave."""
    rooms = [0] * len(needs)
    waiting, left = list(range(len(needs))), max(limit, 0)
    while waiting:
        whole = sum(shares[at] for at in waiting)
        content = [at for at in waiting if needs[at] * whole <= left * shares[at]]
        # What these leave raises the shares of the others, of which some may be content then: so all are asked again.
        if not content:
            for at in waiting:
                rooms[at] = left * shares[at] // whole
            break
        for at in content:
            rooms[at] = needs[at]
        left -= sum(needs[at] for at in content)
        waiting = [at for at in waiting if at not in content]
    return rooms
