"""Where pointers lie in the trees of the tips, and which LFS server the repository's own configuration names."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, TooLarge
from snapshotter.git import program
from snapshotter.git.pack import read_pack
from snapshotter.git.refs import OID_LENGTHS
from snapshotter.scan.listing import records, tree_of
from snapshotter.transport import FetchRequest, Transport

_CONFIG: Final = b".lfsconfig"
_MAX_TREES: Final = 8 * 1024 * 1024  # bytes of one answer
_MAX_ENTRIES: Final = 2_000_000  # of all trees that are walked: one may name another many times over
_MAX_PATH: Final = 4096  # bytes
_MAX_CONFIG: Final = 64 * 1024  # bytes


def pointer_paths(
    transport: Transport, tips: Sequence[str], haves: Sequence[str], blobs: Iterable[str], cancel: Cancel
) -> dict[str, bytes]:
    """A path for each of the `blobs` that a tip's tree holds, the first tip's first; others have none.

    Only trees that `haves` do not reach are asked for. Where the origin refuses, or has too much to send, there are no
    paths: they are told to people, and nothing rests on them. Raises Interrupted.
    """
    objects = _objects(transport, FetchRequest(tips, haves, thin=False, filter="blob:none", depth=1))
    wanted, paths, left = set(blobs), dict[str, bytes](), _MAX_ENTRIES
    seen: set[str] = set()  # a tree's first path is the one that counts
    for root in _roots(objects, tips):
        stack = [(b"", root)]
        while stack and left > 0:
            prefix, tree = stack.pop()
            if tree in seen or tree not in objects:
                continue
            seen.add(tree)
            cancel.check()
            for mode, name, oid in records(objects[tree][1], len(tree) // 2):
                left -= 1
                path = prefix + name
                if stat.S_ISDIR(mode) and len(path) < _MAX_PATH:
                    stack.append((path + b"/", oid))
                elif oid in wanted:
                    paths.setdefault(oid, path[:_MAX_PATH])
    return paths


def configured_url(transport: Transport, head: str, cancel: Cancel) -> str | None:
    """The LFS server that the `.lfsconfig` in the tree of the commit `head` names. Returns None if there is none, or
    none can be had. Raises Interrupted."""
    objects = _objects(transport, FetchRequest([head], thin=False, filter="tree:1", depth=1))
    if not objects:  # of an origin that does not filter, all of a small tree
        objects = _objects(transport, FetchRequest([head], thin=False, depth=1))
    for root in _roots(objects, [head]):
        for mode, name, oid in records(objects[root][1], len(root) // 2) if root in objects else ():
            if name == _CONFIG and stat.S_ISREG(mode):
                held = objects if oid in objects else _objects(transport, FetchRequest([oid], thin=False))
                kind, data = held.get(oid, ("", b""))
                return _url(data, cancel) if kind == "blob" and len(data) <= _MAX_CONFIG else None
    return None


def _url(config: bytes, cancel: Cancel) -> str | None:
    """What git reads there: files that it would include are not read."""
    for key in ("lfs.url", "remote.origin.lfsurl"):  # of which git-lfs takes the first, too
        answer = program.ask(["config", "--file", "-", "--get", key], cancel, stdin=config)
        if answer.code == 0 and (url := answer.out.decode("utf-8", "replace").strip()):
            return url
    return None


def _roots(objects: Mapping[str, tuple[str, bytes]], tips: Sequence[str]) -> Iterator[str]:
    """The root trees of those tips that are commits."""
    for tip in tips:
        kind, data = objects.get(tip, ("", b""))
        if kind == "commit":
            yield tree_of(data)


def _objects(transport: Transport, request: FetchRequest) -> dict[str, tuple[str, bytes]]:
    """Type and content of what the origin sends, by id; nothing if it does not."""
    pack = bytearray()

    def sink(data: memoryview) -> None:
        pack.extend(data)
        if len(pack) > _MAX_TREES:
            raise TooLarge("more trees than are read for the paths of pointers", code="pack-too-large")

    try:
        with closing(transport.fork()) as fork:
            fork.fetch(request, sink)
        fmt = OID_LENGTHS[len(request.wants[0])]
        return {item.oid: (item.type, item.data) for item in read_pack(pack, fmt, max_bytes=4 * _MAX_TREES)}
    except Interrupted:
        raise
    except SnapshotterError:
        return {}
