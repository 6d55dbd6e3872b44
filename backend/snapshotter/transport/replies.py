"""What a git server says besides data, as typed errors, and who we say we are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from snapshotter import __version__
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import decode_name, plural, printable
from snapshotter.transport import FilterRefused, ShallowOrigin, WantVanished, WireLimits
from snapshotter.transport.pktline import Mark, PktReader

# git's upload-pack, and JGit's (Gerrit, Bitbucket).
_VANISHED = re.compile(r"not our ref|unadvertised object|\bwant [0-9a-f]{40,64} not valid")
_ID = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
AGENT = f"snapshotter/{__version__}".encode()


def server_error(text: bytes) -> SnapshotterError:
    """The typed error for an ERR packet or side-band 3.

    The texts are git's own (upload-pack.c, list-objects-filter-options.c) and JGit's; a server with other
    words gets the general error, which loses nothing but the retry.
    """
    words = printable(decode_name(text.strip(b"\0 \r\n")))[:300]
    lowered = words.lower()
    if _VANISHED.search(lowered):
        oid = _ID.search(lowered)
        return WantVanished(
            f"the origin does not have what it listed: {words}",
            hint="try again; if it stays so, run `git fsck` at the origin",
            oid=oid[0] if oid else "",
        )
    if "filter" in lowered and any(
        word in lowered for word in ("not support", "unsupported", "not allowed", "not recog")
    ):
        return FilterRefused(
            f"the origin refuses filters: {words}", hint="allow uploadpack.allowFilter at the origin"
        )
    return Unavailable(
        f"the origin says: {words}", code="origin-error", hint="this text is the git server's own"
    )


def check_error(line: bytes) -> bytes:
    """Return the line as it is. Raises `server_error` of it if it is the server's ERR packet."""
    if line.startswith(b"ERR "):
        raise server_error(line[4:])
    return line


def bounded(reader: PktReader, limits: WireLimits) -> Callable[[], bytes | Mark]:
    """The reader's lines before a pack. Each call raises Unavailable (code `chatter`) beyond the bytes and the
    seconds that a server may talk without one."""
    spoken, began = 0, time.monotonic()

    def line() -> bytes | Mark:
        nonlocal spoken
        packet = reader.line()
        spoken += 4 if isinstance(packet, Mark) else len(packet) + 4
        if spoken > limits.chatter_bytes or time.monotonic() - began > limits.stall_seconds:
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
