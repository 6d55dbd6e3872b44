"""What went wrong in a store, as an error that says what to do. What S3 answers is read in `bucket_errors`."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from snapshotter.base.errors import AccessDenied, Damaged, Missing, SnapshotterError, Unavailable
from snapshotter.base.text import printable


def in_folder(error: Exception, uri: str, action: str, key: str) -> SnapshotterError:
    """What `error` means for the `action` (in S3's words) on the object `key` of a store in a folder."""
    code = error.errno if isinstance(error, OSError) else None
    where = f"{uri}: {printable(key)}"
    if action == "GetObject" and code in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return missing(key, uri)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"the disk is full: {where}", code="disk-full", hint="free space and run again")
    if isinstance(error, PermissionError):
        at = printable(os.fsdecode(error.filename or ""))
        return AccessDenied(
            f"this user may not use the folder: {where}",
            hint="check its owner and mode",
            details=(at,) if at else (),
        )
    why = getattr(error, "strerror", None) or first_line(str(error))
    return Unavailable(f"the store failed: {where}: {why}", code="store", hint="check the folder")


def neither_link_nor_rename(folder: Path) -> Unavailable:
    """The error for a file system in which nothing can be created without the risk of replacing something."""
    return Unavailable(
        f"the file system of {printable(str(folder))} has neither hard links nor a rename that replaces nothing, "
        "so nothing can be created there safely",
        code="store",
        hint="give a --store on another file system: those of Linux, macOS and NFS have hard links",
    )


def irregular(key: str, what: str) -> Damaged:
    """The error for what stands in an object's place and is no regular file of the store."""
    return Damaged(
        f"{key}: it is {what}, not a file of the store",
        hint="somebody put it there; put the object back from a copy, or take a new snapshot",
        key=key,
    )


def behind_link(folder: str) -> Unavailable:
    """The error for an object that would be written in a `folder` which a link leads out of the store."""
    return Unavailable(
        f"{printable(folder)}: a link leads it out of the store, so nothing is written there",
        code="store",
        hint="no link out of a store is followed: put the folder back in its place, or mount the other disk there",
    )


def impossible(key: str) -> Missing:
    """The error for a key that no object of a store can have."""
    return Missing(
        f"no object can have the key {printable(key)[:200]}",
        hint="whatever names it was altered; run `snapshotter verify`",
    )


def missing(key: str, uri: str) -> Missing:
    """The error for an object that was listed or recorded, and is not there."""
    return Missing(f"{key}: it is missing from {uri}", hint="it was removed; run `snapshotter verify`")


def key_taken(key: str) -> Unavailable:
    """The error for a key that another object has."""
    return Unavailable(
        f"the key is taken by another object: {key}",
        code="exists",
        hint="nothing is ever overwritten; run again, which takes a new run id",
    )


def first_line(text: str) -> str:
    """The first line of an error's text, its blanks joined, within 300 characters."""
    return re.sub(r"\s+", " ", text.strip().partition("\n")[0])[:300]
