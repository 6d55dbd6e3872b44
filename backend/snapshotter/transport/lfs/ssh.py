"""`git-lfs-authenticate` over SSH: which LFS server a host has, and what signs in there.

Source: git-lfs's docs/api/server-discovery.md.
"""

from __future__ import annotations

from typing import Final

import msgspec

from snapshotter.base.cancel import Cancel
from snapshotter.git.origin import Origin
from snapshotter.transport import WireLimits
from snapshotter.transport.lfs.batch import Operation, sendable
from snapshotter.transport.lfs.server import LfsServer
from snapshotter.transport.ssh import SshClient, SshDialer

_MAX: Final = 64 * 1024  # bytes of an answer


class _Authenticated(msgspec.Struct, frozen=True):
    href: str
    header: dict[str, str] | None = None


_ANSWERS: Final = msgspec.json.Decoder(_Authenticated)


def authenticated(
    origin: Origin, operation: Operation, client: SshClient | None, limits: WireLimits, cancel: Cancel
) -> LfsServer | None:
    """The server that an SSH origin's host names for this operation. Returns None if it answers with anything else.

    Raises Unavailable if ssh cannot be started or the host is silent, and the caller's Interrupted.
    """
    channel = SshDialer.of(origin, client or SshClient(), cancel, f"git-lfs-authenticate %s {operation}")(
        limits
    )
    buffer, answer = memoryview(bytearray(4096)), bytearray()
    try:
        with cancel.ending(channel.end):
            while (count := channel.read_into(buffer)) and len(answer) <= _MAX:
                answer += buffer[:count]
    finally:
        channel.end()
    cancel.check()
    try:
        said = _ANSWERS.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    headers = sendable(said.header or {})
    return None if headers is None else LfsServer(said.href.rstrip("/"), headers)
