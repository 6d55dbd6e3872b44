"""The Batch API's documents: what is asked, and what an answer says of each object.

Source: git-lfs's docs/api/batch.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from snapshotter.base.text import printable
from snapshotter.transport.lfs.source import LfsPointer, LfsUnavailable, Reason

Operation = Literal["download", "upload"]
MEDIA_TYPE: Final = "application/vnd.git-lfs+json"
MAX_ANSWER: Final = 8 * 1024 * 1024  # bytes of an answer about at most a hundred objects
_MAX_HEADERS: Final = 64
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # a token of RFC 9110
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,16384}")
# What an answer may not set: it would change what the request is, or where its end is.
_OURS: Final = frozenset(
    "host connection content-length transfer-encoding te trailer upgrade expect range proxy-authorization "
    "accept-encoding".split()
)
_QUOTA: Final = re.compile(r"quota|bandwidth limit|data pack", re.IGNORECASE)  # hosts tell it by words alone
_SHOWN: Final = 200  # characters of a server's message
_NO_TIME: Final = 2000  # years up to this: servers written in Go send their zero, of the year 1, for none


class _Action(msgspec.Struct, frozen=True):
    href: str
    header: dict[str, str] | None = None
    expires_in: float | None = None
    expires_at: str | None = None


class _ObjectError(msgspec.Struct, frozen=True):
    code: int | None = None
    message: str | None = None


class _Object(msgspec.Struct, frozen=True):
    oid: str
    size: int | None = None
    authenticated: bool | None = None
    actions: dict[str, _Action | None] | None = None
    error: _ObjectError | None = None


class _Answer(msgspec.Struct, frozen=True):
    transfer: str | None = None
    objects: list[_Object] | None = None


class _Message(msgspec.Struct, frozen=True):
    message: str | None = None


_ANSWERS: Final = msgspec.json.Decoder(_Answer)
_MESSAGES: Final = msgspec.json.Decoder(_Message)


@dataclass(frozen=True)
class Action:
    """Where an object is downloaded, and with which headers; good `until` then (UTC), None if that is not said.

    `signed` tells that the headers sign in, so that no credential of ours is needed.
    """

    href: str
    headers: Mapping[str, str]
    until: datetime | None = None
    signed: bool = False


@dataclass(frozen=True)
class Upload:
    """Where an object is put, and where the server is told afterwards; None where it wants neither: it has the
    object."""

    put: Action | None
    verify: Action | None


def request(pointers: Sequence[LfsPointer], operation: Operation = "download") -> bytes:
    """The question for these objects."""
    objects = [{"oid": pointer.oid, "size": pointer.bytes} for pointer in pointers]
    question = {"operation": operation, "transfers": ["basic"], "objects": objects, "hash_algo": "sha256"}
    return json.dumps(question).encode()


def read(
    body: bytes, pointers: Sequence[LfsPointer], now: datetime
) -> dict[LfsPointer, Action | LfsUnavailable]:
    """What an answer that came at `now` (UTC) says of each object that was asked for.

    Objects that nobody asked for are passed over. Raises LfsUnavailable for an answer that is none.
    """
    told = _objects(body)
    return {pointer: _read(pointer, told.get(pointer.oid), now) for pointer in pointers}


def read_uploads(
    body: bytes, pointers: Sequence[LfsPointer], now: datetime
) -> dict[LfsPointer, Upload | LfsUnavailable]:
    """As `read`, for objects that are to be uploaded."""
    told = _objects(body)
    return {pointer: _read_upload(pointer, told.get(pointer.oid), now) for pointer in pointers}


def _objects(body: bytes) -> dict[str, _Object]:
    try:
        answer = _ANSWERS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise LfsUnavailable(
            "the LFS server's answer is not one of the Batch API",
            "unreadable",
            hint="check the LFS URL with `git lfs env`: a login page or proxy may have answered",
            of_all=True,
        ) from None
    if answer.transfer not in (None, "", "basic"):
        raise LfsUnavailable(
            f"the LFS server wants to send by {printable(answer.transfer)[:40]}, which was not offered",
            "unreadable",
            hint="have it offer basic transfers",
            of_all=True,
        )
    return {entry.oid: entry for entry in answer.objects or ()}


def _read(pointer: LfsPointer, told: _Object | None, now: datetime) -> Action | LfsUnavailable:
    if told is None or told.error is not None:
        return _told_refused(pointer, told)
    action = (told.actions or {}).get("download")
    if action is None:
        return refused(pointer, "not-found", "the LFS server names no way to it")
    return _action(pointer, action, told, now)


def _read_upload(pointer: LfsPointer, told: _Object | None, now: datetime) -> Upload | LfsUnavailable:
    if told is None or told.error is not None:
        return _told_refused(pointer, told)
    ways: dict[str, Action] = {}
    for name in ("upload", "verify"):
        if action := (told.actions or {}).get(name):
            way = _action(pointer, action, told, now)
            if isinstance(way, LfsUnavailable):
                return way
            ways[name] = way
    return Upload(ways.get("upload"), ways.get("verify"))


def _told_refused(pointer: LfsPointer, told: _Object | None) -> LfsUnavailable:
    if told is None or told.error is None:
        return refused(pointer, "not-found", "the LFS server says nothing of it")
    code, said = told.error.code or 0, told.error.message or ""
    return refused(pointer, reason_of(code, said), said, code)


def _action(pointer: LfsPointer, action: _Action, told: _Object, now: datetime) -> Action | LfsUnavailable:
    headers = sendable(action.header or {})
    if headers is None:
        return refused(pointer, "unreadable", "the LFS server wants headers that cannot be sent")
    signed = bool(told.authenticated) or any(name.lower() == "authorization" for name in headers)
    return Action(action.href, headers, _until(action, now), signed)


def refused(pointer: LfsPointer, reason: Reason, said: str, status: int = 0) -> LfsUnavailable:
    """The error for one object that cannot be had, and what the server `said` of it."""
    shown = printable(" ".join(said.split()))[:_SHOWN]
    transient = status in (408, 429) or status >= 500
    return LfsUnavailable(
        f"LFS object {pointer.oid}: {shown or reason}", reason, hint="ask its owner", transient=transient
    )


def reason_of(status: int, message: str) -> Reason:
    """Why a server refuses, by its status, or an object's code, and its words."""
    # A quota has no status of its own: GitHub says it with 403, others with 507 or 509.
    if status in (507, 509) or (400 <= status < 500 and _QUOTA.search(message)):
        return "over-quota"
    if status in (401, 403, 407, 451):
        return "forbidden"
    if status in (404, 410):
        return "not-found"
    if status in (408, 429):
        return "busy"
    return "wrong-size" if status == 422 else "unreachable"


def message_of(body: bytes) -> str:
    """What the body of a refusal says; '' if it does not read."""
    try:
        return _MESSAGES.decode(body).message or ""
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def sendable(given: Mapping[str, str]) -> Mapping[str, str] | None:
    """The headers that an answer wants to be sent. Returns None if one of them cannot be sent as it is."""
    if len(given) > _MAX_HEADERS:
        return None
    for name, value in given.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OURS:
            return None
    return dict(given)


def _until(action: _Action, now: datetime) -> datetime | None:
    """When an action expires: by the span that it states, before the time that it states (whose clock may be wrong)."""
    if action.expires_in is not None and 0 < action.expires_in < 1e9:
        return now + timedelta(seconds=action.expires_in)
    try:
        until = datetime.fromisoformat(action.expires_at) if action.expires_at else None
    except ValueError:
        return None
    return until if until and until.tzinfo and until.year > _NO_TIME else None
