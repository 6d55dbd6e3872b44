"""A commit's tree as a flat list of paths. Source: git's gitformat-pack and tree objects as `git cat-file` shows them.

Trees come from an attacker: names are data and never used as paths, and a tree that names another many times
over (each level twice the one below) ends at the limits: of paths, of folders, of the bytes of all paths.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from snapshotter.base.errors import Unusable

MAX_PATH: Final = 16 * 1024  # bytes
MAX_PATHS: Final = 32 * 1024 * 1024  # bytes of all paths, folders too; 100,000 paths seldom have 8 MiB
_SUBMODULE: Final = 0o160000
_FOLDERS_A_FILE: Final = 4  # folders are walked up to so many times the limit of files


class TreeEntry(NamedTuple):
    """One path of a tree that is no folder, its mode as git writes it, and the id of its blob or commit."""

    path: bytes
    mode: int
    oid: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, executable or not."""
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link, whose blob is its target."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_submodule(self) -> bool:
        """Whether it names a commit of another repository."""
        return stat.S_IFMT(self.mode) == _SUBMODULE


@dataclass(frozen=True)
class Listing:
    """The paths of a tree in git's order, each once. `cut`: the tree has more than were listed.

    `odd` are paths that git itself refuses: those listed twice, of which only the first is an entry, and too long ones.
    """

    commit: str
    tree: str
    entries: list[TreeEntry]
    cut: bool
    odd: list[bytes]


def tree_of(commit: bytes) -> str:
    """The id of a commit's tree. Raises Unusable for a commit that names none."""
    first = commit.partition(b"\n")[0]
    if not first.startswith(b"tree ") or len(first) not in (45, 69):
        raise _bad("a commit names no tree")
    return first[5:].decode("ascii", "replace")


def walk(trees: Mapping[str, bytes], commit: str, tree: str, *, limit: int) -> Listing:
    """The first `limit` paths below the tree object `tree`, odd ones included; `trees` holds tree objects by id.

    Raises KeyError with the id of a tree that is not in `trees`, Unusable for one that is malformed.
    """
    width = len(tree) // 2  # bytes of an id: 20 of SHA-1, 32 of SHA-256
    entries: list[TreeEntry] = []
    seen: set[bytes] = set()
    odd: list[bytes] = []
    folders = size = 0
    stack = [(b"", records(trees[tree], width))]
    while stack:
        prefix, rest = stack[-1]
        record = next(rest, None)
        if record is None:
            stack.pop()
            continue
        mode, name, oid = record
        path = prefix + name
        size += len(path)
        if len(entries) + len(odd) >= limit or folders > _FOLDERS_A_FILE * limit or size > MAX_PATHS:
            return Listing(commit, tree, entries, True, odd)
        if len(path) > MAX_PATH or path in seen:
            odd.append(path[:MAX_PATH])
        elif stat.S_ISDIR(mode):
            folders += 1
            stack.append((path + b"/", records(trees[oid], width)))
        else:
            seen.add(path)
            entries.append(TreeEntry(path, mode, oid))
    return Listing(commit, tree, entries, False, odd)


def records(data: bytes, width: int) -> Iterator[tuple[int, bytes, str]]:
    """The records of one tree object, one at a time: mode, name, id."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        end = data.find(b"\0", space)
        try:
            mode = int(data[at:space], 8)
        except ValueError:
            mode = -1
        if space < 0 or end < 0 or mode < 0 or end + 1 + width > len(data):
            raise _bad("a tree object is malformed")
        yield mode, data[space + 1 : end], data[end + 1 : end + 1 + width].hex()
        at = end + 1 + width


def _bad(what: str) -> Unusable:
    return Unusable(
        f"the tree cannot be read: {what}", code="bad-tree", hint="check the origin with `git fsck`"
    )
