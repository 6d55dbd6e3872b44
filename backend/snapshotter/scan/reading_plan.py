"""The plan of a scan: each path of the tree is carried over from the parent's scan, read, or skipped with a reason."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

from snapshotter.archive.manifest import ScanSettings
from snapshotter.base.text import decode_name, plural, raw_if_changed
from snapshotter.scan.attributes import NAME as ATTRIBUTES
from snapshotter.scan.dependencies import bears_on, family_of, is_manifest
from snapshotter.scan.listing import Listing, TreeEntry
from snapshotter.scan.staging import name_key

BeforeFile = Mapping[str, Any]
"""One row of the parent's `files` table, by column."""

Unit = tuple[str, str]
"""What is scanned once: a blob's id, and the part of its path that decides its language."""


@dataclass(slots=True)
class PlannedFile:
    """One path on its way into the `files` table. `before` is the row that it is carried over from."""

    entry: TreeEntry
    path: str
    path_bytes: str | None
    kind: str
    unit: Unit
    skip_reason: str | None = None
    before: BeforeFile | None = None

    def carry(self, row: BeforeFile | None) -> None:
        """Take this path's facts from a row of the parent's table."""
        if row is not None:
            self.before, self.kind, self.skip_reason = row, row["kind"], row["skip_reason"]

    @property
    def is_read(self) -> bool:
        """Whether its blob is read in this scan."""
        return self.kind == "file" and self.skip_reason is None and self.before is None


@dataclass(frozen=True)
class ReadingPlan:
    """Every path of the tree, in git's order, and what becomes of it; `odd` are those that have no row.

    `before` are the parent's rows, and `told_before` the paths of its `dependencies`.
    """

    files: list[PlannedFile]
    odd: list[str] = field(default_factory=list)
    before: Sequence[BeforeFile] = ()
    told_before: Set[str] = frozenset()

    @property
    def wanted(self) -> set[str]:
        """The ids of the blobs to read."""
        return {file.unit[0] for file in self.files if file.is_read}

    def read_anew(self) -> list[PlannedFile]:
        """Let go of the rows of manifests that others of their family explain, where a file that bears on the family is
        not what it was; returns those files, which are now to be read."""
        if not self.before:
            return []
        now = {(file.path, file.unit[0], file.kind, file.skip_reason) for file in self.files}
        then = {(row["path"], row["blob"], row["kind"], row["skip_reason"]) for row in self.before}
        families = {bears_on(path) for path, *_ in now ^ then} - {None}
        anew = [file for file in self.files if families and self._is_told_anew(file, families)]
        for file in anew:
            file.before = None
        return anew

    def _is_told_anew(self, file: PlannedFile, families: Set[str | None]) -> bool:
        if file.before is None or file.kind != "file" or file.skip_reason is not None:
            return False
        was_read = file.path in self.told_before or file.before["parse_error"] is not None
        return (bears_on(file.path) if was_read else family_of(file.path)) in families


def plan_reading(
    listing: Listing,
    before: Sequence[BeforeFile],
    settings: ScanSettings,
    told_before: Set[str] = frozenset(),
) -> ReadingPlan:
    """Decide what becomes of every path. `before` are the parent's `files` rows, made under the same settings, and
    `told_before` the paths of its `dependencies`."""
    excluded = _matcher(settings.exclude)
    files: list[PlannedFile] = []
    odd = [decode_name(path) for path in listing.odd]
    seen: set[str] = set()
    count = 0
    for entry in listing.entries:
        path = decode_name(entry.path)
        if path in seen:  # two names that become one text, where bytes that are not UTF-8 are escaped
            odd.append(path)
            continue
        seen.add(path)
        kind = "submodule" if entry.is_submodule else "symlink" if entry.is_symlink else "file"
        file = PlannedFile(entry, path, raw_if_changed(entry.path), kind, (entry.oid, name_key(path)))
        if kind == "file" and (pattern := excluded(path)) is not None:
            file.skip_reason = f"excluded by {pattern}"
        elif kind == "file":
            count += 1
            if count > settings.max_files:
                file.skip_reason = f"over the limit of {plural(settings.max_files, 'file')}"
            elif not entry.is_file:
                file.skip_reason = f"of no known mode ({entry.mode:o})"
        files.append(file)
    _carry(files, before, told_before)
    plan = ReadingPlan(files, odd, before, told_before)
    plan.read_anew()
    return plan


def _carry(files: Sequence[PlannedFile], before: Sequence[BeforeFile], told_before: Set[str]) -> None:
    """Let the files have the parent's rows that hold for them.

    None does if the attributes of the tree are others: they name languages, and so decide how a blob is read.
    """
    named = {file.path: file.unit[0] for file in files if _is_attributes(file.path) and file.is_read}
    named_before = {
        row["path"]: row["blob"]
        for row in before
        if _is_attributes(row["path"]) and row["kind"] in ("file", "lfs") and _was_wanted(row["skip_reason"])
    }
    if named == named_before:
        carried = _Carried(before, told_before, anywhere=not named)
        for file in files:
            if file.is_read:
                file.carry(carried.of(file))


def _is_attributes(path: str) -> bool:
    return path.rpartition("/")[2] == ATTRIBUTES


class _Carried:
    """Finds the parent's row that holds for a path: the same blob under a name of the same language.

    What a manifest says depends on its whole path, so it is carried only where it was; so is everything unless it may
    be carried `anywhere`.
    """

    def __init__(self, before: Sequence[BeforeFile], told_before: Set[str], *, anywhere: bool) -> None:
        self._told_before, self._anywhere = told_before, anywhere
        self._by_path: dict[str, BeforeFile] = {}
        self._by_unit: dict[Unit, BeforeFile] = {}
        for row in before:
            if row["kind"] in ("file", "lfs") and _of_the_blob(row["skip_reason"]):
                self._by_path[row["path"]] = row
                self._by_unit.setdefault((row["blob"], name_key(row["path"])), row)

    def of(self, file: PlannedFile) -> BeforeFile | None:
        """The row to carry over, or None."""
        same_path = self._by_path.get(file.path)
        if same_path is not None and same_path["blob"] == file.unit[0]:
            return same_path
        row = self._by_unit.get(file.unit) if self._anywhere else None
        if row is None or is_manifest(file.path) or is_manifest(row["path"]):
            return None
        return None if row["path"] in self._told_before else row


TOO_LARGE: Final = "larger than "
IN_ALL: Final = " bytes in all"


def _of_the_blob(skip_reason: str | None) -> bool:
    """Whether a file was read, or skipped for its size alone: then so it is at any path of any tree."""
    return skip_reason is None or skip_reason.startswith(TOO_LARGE)


def _was_wanted(skip_reason: str | None) -> bool:
    """Whether a file was to be read when its scan was planned."""
    return skip_reason is None or skip_reason.startswith(TOO_LARGE) or skip_reason.endswith(IN_ALL)


def _matcher(patterns: Sequence[str]) -> Callable[[str], str | None]:
    """A function from a path to the first pattern that it matches.

    A pattern that ends in a slash means a folder at any depth.
    """
    compiled = [(pattern, _regex(pattern)) for pattern in patterns]

    def match(path: str) -> str | None:
        return next((pattern for pattern, regex in compiled if regex.match(path)), None)

    return match


def _regex(pattern: str) -> re.Pattern[str]:
    if pattern.endswith("/"):
        return re.compile(r"(?s:(?:.*/)?)" + fnmatch.translate(pattern + "*"))
    return re.compile(fnmatch.translate(pattern))
