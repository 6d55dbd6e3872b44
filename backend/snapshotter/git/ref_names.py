"""Names of refs: which git allows, which can be files, and how a message shows them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence, Set

from snapshotter.base.text import decode_name, plural, printable

HEADS = b"refs/heads/"

# git-check-ref-format(1): what no ref name holds; the rest of its rules are in `valid_name`.
_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
_MAX_NAME = 4000
_SHOWN = 3  # refs that a sentence names
# Of a ref that is a file: git adds .lock to the last component, and file systems take 255 bytes of each.
_MAX_COMPONENT, _MAX_FILE_NAME = 250, 1024


def possible_name(name: bytes) -> bool:
    """Whether a ref can have this name, and so lies below ``refs/``."""
    return name.startswith(b"refs/") and valid_name(name)


def shown(name: bytes) -> str:
    """A ref's name for a message: one line, bounded."""
    return printable(decode_name(name))[:200]


def valid_name(name: bytes) -> bool:
    """Whether git allows this full ref name (git-check-ref-format), and it is of a storable length."""
    return (
        0 < len(name) <= _MAX_NAME
        and not _FORBIDDEN.search(name)
        and not name.startswith((b"-", b"/", b"."))
        and not name.endswith((b"/", b"."))
        and name != b"@"
    )


def named(names: Sequence[bytes]) -> str:
    """Refs in words, safe to show: the first few by their names, and how many more there are."""
    first = ", ".join(map(shown, names[:_SHOWN]))
    return first if len(names) <= _SHOWN else f"{first} and {plural(len(names) - _SHOWN, 'more ref')}"


def too_long(name: bytes) -> bool:
    """Whether a name is too long for a file of its own."""
    return len(name) > _MAX_FILE_NAME or max(map(len, name.split(b"/"))) > _MAX_COMPONENT


def may_be_a_file(name: bytes, names: Sequence[bytes], distinct: Set[bytes]) -> bool:
    """Whether git can keep this ref in a file of its own, beside all `names`: sorted, and the same as a set.

    Only plain refs can be in packed-refs, which holds any names.
    """
    if too_long(name):
        return False
    below = bisect_left(names, name + b"/")
    a_folder = name + b"/" == HEADS or (below < len(names) and names[below].startswith(name + b"/"))
    return not a_folder and distinct.isdisjoint(folders(name))


def folders(name: bytes) -> Iterator[bytes]:
    """The names above a ref's, the nearest first: ``a/b`` and ``a`` of ``a/b/c``."""
    at = len(name)
    while (at := name.rfind(b"/", 0, at)) > 0:
        yield name[:at]
