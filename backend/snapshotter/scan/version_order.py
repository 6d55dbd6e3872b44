"""Whether one version is above another, if they can be compared at all."""

from __future__ import annotations

import re
from typing import Final, Literal

from packaging.version import InvalidVersion, Version

Direction = Literal["up", "down", "changed"]

_SPELLED: Final = re.compile(r"[\^~<>=! ]*v?(\d[\w.+-]{0,99})")
_NUMBERS: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?![\d.])")


def direction(old: str, new: str) -> Direction:
    """`up` or `down` where both are one version, or one bound with the same operator, of comparable form; else
    `changed`: hashes, ranges and sets of versions have no order."""
    before, after = _SPELLED.fullmatch(old.strip()), _SPELLED.fullmatch(new.strip())
    if not before or not after or _operator(old) != _operator(new):
        return "changed"
    try:
        first, second = Version(before.group(1)), Version(after.group(1))
    except InvalidVersion:
        one, two = _leading(before.group(1)), _leading(after.group(1))
        return "changed" if not one or not two or one == two else "up" if one < two else "down"
    return "changed" if first == second else "up" if first < second else "down"


def _operator(text: str) -> str:
    return re.sub(r"[^\^~<>=!]", "", text)


def _leading(text: str) -> tuple[int, ...]:
    """The first three numbers of a version that is not Python's, such as ``3.11-slim``."""
    numbers = _NUMBERS.match(text)
    return tuple(int(part or 0) for part in numbers.groups()) if numbers else ()
