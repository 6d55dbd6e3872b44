"""The licences of a repository: SPDX identifiers of its top-level licence files, by their text."""

from __future__ import annotations

import re
import threading
from typing import Final

MAX_BYTES: Final = 256 * 1024  # the longest licence text on the SPDX list is half of it

_NAME: Final = re.compile(
    r"(?:licen[cs]es?|copying|unlicen[cs]e|copyright|notice)(?:[.-][\w.-]+)?"
    r"|[\w.-]+[.-]licen[cs]e(?:\.(?:md|txt|rst))?|LICEN[CS]ES/[\w.+-]+\.txt",
    re.I,
)
# It loads its texts at its first use, for 60 ms, and in every thread that comes meanwhile once more.
_LOADING: Final = threading.Lock()


def is_licence(path: str) -> bool:
    """Whether a path is that of a top-level licence file: LICENSE, COPYING, or the REUSE folder's texts."""
    return _NAME.fullmatch(path) is not None


def identify(blob: bytes) -> list[str]:
    """The SPDX identifiers of the licences whose text is in a file, in order; empty if it knows none.

    Only the first MAX_BYTES are read. A text that is close to none on the SPDX list is not guessed at.
    """
    text = blob[:MAX_BYTES].decode("utf-8", "replace")
    with _LOADING:
        from licenseclassifier import identify_license  # not before a tree has a licence

        return list(dict.fromkeys(licence.id for licence in identify_license(text)))
