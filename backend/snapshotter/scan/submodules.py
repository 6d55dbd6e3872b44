"""The submodules of a tree: where they are, and which commit of which repository each is.

URLs come from `.gitmodules`, which an attacker may have written: they are read as data, and nobody is asked anything.
Source: git's gitmodules and gitsubmodules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from snapshotter.archive.manifest import LIST_CAP, Submodule
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.base.text import printable
from snapshotter.git import program
from snapshotter.git.origin_parsing import parse
from snapshotter.scan.reading_plan import PlannedFile

NAME: Final = ".gitmodules"
_LARGEST: Final = 1 << 20  # bytes; a larger file says nothing
_KEY: Final = re.compile(rb"submodule\.(.*)\.(path|url)")


def submodules(
    files: Iterable[PlannedFile], gitmodules: bytes | None, origin: str, cancel: Cancel
) -> list[Submodule]:
    """The submodules among the `files` of a tree, at most LIST_CAP. `gitmodules` is what the file of that name holds;
    `origin` is what relative URLs are relative to."""
    here = [file for file in files if file.kind == "submodule"][:LIST_CAP]
    urls = _urls(gitmodules, cancel) if here and gitmodules and len(gitmodules) <= _LARGEST else {}
    return [
        Submodule(
            path=file.path,
            commit=file.entry.oid,
            url=resolved(urls[file.entry.path], origin) if file.entry.path in urls else None,
        )
        for file in here
    ]


def resolved(url: str, origin: str) -> str | None:
    """The URL that a submodule's means, without credentials. Returns None for one that no origin can have.

    Relative ones (``./x``, ``../x``) start at the origin itself, as in git.
    """
    base = origin.rstrip("/")
    rest = url
    relative = rest.startswith(("./", "../"))
    while relative and rest.startswith(("./", "../")):
        if rest.startswith("../"):
            folder, slash, _ = base.rpartition("/")
            if not slash or folder.endswith(("/", ":")):  # of user@host:path, the host is no folder
                head, colon, path = base.partition(":")
                if slash or not colon or not path:
                    return None
                folder = f"{head}:"
            base = folder
        rest = rest.partition("/")[2]
    joined = f"{base}{rest}" if base.endswith(":") else f"{base}/{rest}"
    text = joined.removesuffix("/") if relative else url
    if printable(text) != text:
        return None
    try:
        found = parse(text)
    except SnapshotterError:
        return None
    # Another name without a scheme is a path on whose machine? Ours would be told, by our working directory.
    return None if found.is_local and not (text.startswith("/") and origin.startswith("/")) else found.url


def _urls(gitmodules: bytes, cancel: Cancel) -> Mapping[bytes, str]:
    """The URLs in the file, by the submodules' paths; empty if git cannot read it."""
    try:
        out = program.run(
            ["config", "--file", "-", "--no-includes", "--null", "--list"], cancel, stdin=gitmodules
        )
    except Unusable:
        return {}
    named: dict[bytes, dict[bytes, bytes]] = {}
    for line in out.split(b"\0"):
        key, _, value = line.partition(b"\n")
        if match := _KEY.fullmatch(key):
            named.setdefault(match[1], {})[match[2]] = value
    return {
        each[b"path"].rstrip(b"/"): each[b"url"].decode("utf-8", "surrogateescape")
        for each in named.values()
        if b"path" in each and b"url" in each
    }
