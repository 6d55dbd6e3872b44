"""Errors that a git server states, or that its answers show; and our own name in the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from snapshotter import __version__
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import plural
from snapshotter.transport import (
    FilterRefused,
    OriginFailed,
    PartialOrigin,
    ShallowOrigin,
    WantVanished,
    WireLimits,
)
from snapshotter.transport.pktline import Mark, PktReader
from snapshotter.transport.words import lines, with_details

# git's upload-pack, and JGit's (Gerrit, Bitbucket).
_VANISHED = re.compile(r"not our ref|unadvertised object|\bwant [0-9a-f]{40,64} not valid")
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
AGENT = f"snapshotter/{__version__}".encode()


def server_error(text: bytes) -> SnapshotterError:
    """The typed error for an ERR packet or side-band 3.

    The texts are git's own (upload-pack.c, list-objects-filter-options.c) and JGit's; a server with other
    words gets the general error, which loses nothing but the retry.
    """
    words, *more = lines(text.strip(b"\0")) or ("nothing",)
    lowered = " ".join((words, *more)).lower()
    if _VANISHED.search(lowered):
        oid = _ID.search(lowered)
        return WantVanished(
            f"the origin does not have what it listed: {words}",
            hint="try again; if it stays so, run `git fsck` at the origin",
            oid=oid[0] if oid else None,
        )
    if "filter" in lowered and any(
        word in lowered for word in ("not support", "unsupported", "not allowed", "not recog")
    ):
        return FilterRefused(
            f"the origin refuses filters: {words}", hint="allow uploadpack.allowFilter at the origin"
        )
    damaged = any(word in lowered for word in ("corrupt", "missing", "bad object", "unable to read"))
    return OriginFailed(
        f"the origin says: {words}",
        hint="the origin itself is damaged: run `git fsck` there"
        if damaged
        else "this text is the git server's own",
        details=tuple(more),
    )


def explained(error: SnapshotterError, messages: Sequence[str]) -> SnapshotterError:
    """The error with the origin's messages beside it, or the error of a partial clone if the words are those of one."""
    text = " ".join((error.message, *error.details, *messages)).lower()
    if "promisor remote" in text or "lazy fetching disabled" in text:
        return PartialOrigin(
            "the origin is a partial clone: it lacks objects that a restore needs",
            details=(*error.details, *messages),
            hint="name the repository that it was cloned from, or complete it: git fetch --refetch --no-filter",
        )
    return with_details(error, messages)


def check_error(line: bytes) -> bytes:
    """Return the line as it is. Raises `server_error` of it if it is the server's ERR packet."""
    if line.startswith(b"ERR "):
        raise server_error(line[4:])
    return line


def bounded(reader: PktReader, limits: WireLimits) -> Callable[[], bytes | Mark]:
    """The reader's lines before a pack. A call raises Unavailable (code `chatter`) once a server has sent more bytes
    than it may without a pack."""
    spoken = 0

    def line() -> bytes | Mark:
        nonlocal spoken
        packet = reader.line()
        spoken += 4 if isinstance(packet, Mark) else len(packet) + 4
        if spoken > limits.chatter_bytes:
            raise Unavailable(
                f"the origin talks but sends no pack ({spoken} bytes before it)",
                code="chatter",
                hint="its server is overloaded or hostile; try again later",
            )
        return packet

    return line


def shallow_origin() -> ShallowOrigin:
    """The error for an origin that does not have all of the history that was asked for."""
    return ShallowOrigin(
        "the origin is a shallow clone: it lacks the history that a restore needs",
        hint="run `git fetch --unshallow` at the origin, or name the repository that it was cloned from",
    )


def broken(what: str) -> Unavailable:
    """The error for an answer that breaks the protocol."""
    return Unavailable(
        f"the origin's answer breaks git's protocol: {what}",
        code="protocol",
        hint="check the origin with `git ls-remote`; a proxy may have answered instead",
    )


def over_limit(what: str, hint: str) -> Unavailable:
    """The error for an origin that costs more than the limits allow."""
    return Unavailable(f"the origin sends {what}", code="limit", hint=hint)


def too_many_refs(count: int) -> Unavailable:
    """The error for an origin with more than `count` refs, which is the limit."""
    return over_limit(f"more than {plural(count, 'ref')}", "if the origin is in order, raise --max-refs")
