"""Reading the blobs of a tree.

Manifests, licences, LFS pointers and small texts are understood at once; source is staged for the scanners.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Final

from snapshotter.archive.manifest import ScanSettings
from snapshotter.git.pack import PackObject
from snapshotter.scan import dependencies, facts, licences
from snapshotter.scan.dependencies import Dependency, ManifestError, is_manifest
from snapshotter.scan.reading_plan import TOO_LARGE, PlannedFile, ReadingPlan, Unit
from snapshotter.scan.staging import Staging

Read = Callable[[Set[str]], Iterator[PackObject]]
"""The blobs of these ids, in any order, each once; one that the origin does not send is left out."""

GO_MOD: Final = "go.mod"
_LFS: Final = re.compile(
    rb"version https://git-lfs[^\n]{1,100}\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)


@dataclass(slots=True)
class Blob:
    """A blob that was read: its size in bytes, and if it is an LFS pointer the (SHA-256, size) it points at."""

    size: int
    lfs: tuple[str, int] | None = None


@dataclass
class TreeContents:
    """What was read, by blob, unit or path. `staged` has the unit of each staged name."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    staged: dict[str, Unit] = field(default_factory=dict)
    dependencies: dict[str, list[Dependency]] = field(default_factory=dict)
    manifest_errors: dict[str, str] = field(default_factory=dict)
    licences: dict[str, list[str]] = field(default_factory=dict)
    go_modules: dict[str, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    readme: tuple[str, str] | None = None
    late: bool = False  # manifests were not read for want of time


def read_blobs(plan: ReadingPlan, read: Read, settings: ScanSettings, staging: Staging) -> TreeContents:
    """Read what `plan` asks for. Files that turn out to be too large, not sent, or beyond the total get a
    `skip_reason`; the order in which blobs come makes no difference."""
    reading = _Reading(plan, settings, staging)
    for item in read(reading.wanted):
        reading.take(item)
    if reading.judge():
        for item in read(reading.left_out):
            reading.stage(item)
    return reading.contents


class _Reading:
    def __init__(self, plan: ReadingPlan, settings: ScanSettings, staging: Staging) -> None:
        self.contents = TreeContents()
        self._files, self._settings, self._staging = plan.files, settings, staging
        self._units: defaultdict[str, set[str]] = defaultdict(set)  # name keys to stage, by blob
        self._paths: defaultdict[str, list[str]] = defaultdict(
            list
        )  # paths that are texts or manifests, by blob
        self._manifests: set[str] = set()
        self._readme = facts.readme_path(
            file.path for file in self._files if file.kind in ("file", "lfs") and not file.skip_reason
        )
        self._staged_bytes = 0
        self._seconds = 0.0
        self.left_out: set[str] = set()  # blobs that did not fit while they came, and have to come again
        for file in self._files:
            if file.is_read:
                self._units[file.unit[0]].add(file.unit[1])
            if file.is_read and is_manifest(file.path):
                self._manifests.add(file.path)
            if file.path in self._manifests or self._is_text(file):
                self._paths[file.unit[0]].append(file.path)

    @property
    def wanted(self) -> set[str]:
        """The blobs to read."""
        return self._units.keys() | self._paths.keys()

    def take(self, item: PackObject) -> None:
        """Take one blob: note it, understand it, stage it."""
        pointer = _LFS.fullmatch(item.data) if item.size < 1024 else None
        lfs = (pointer[1].decode(), int(pointer[2])) if pointer else None
        self.contents.blobs[item.oid] = Blob(item.size, lfs)
        if not item.whole or item.size > self._settings.max_file_bytes:
            return
        if lfs is not None:  # a pointer is no text, whatever its name is
            return
        for path in self._paths.get(item.oid, ()):
            self._understand(path, item.data)
        if self._staged_bytes + item.size > self._settings.max_total_bytes:
            self.left_out.add(item.oid)
        else:
            self.stage(item)

    def stage(self, item: PackObject) -> None:
        """Hand a blob to the scanners, once for each language that its paths may mean."""
        for key in sorted(self._units.get(item.oid, ())):
            self.contents.staged[self._staging.add(item.oid, key, item.data)] = (item.oid, key)
            self._staged_bytes += item.size

    def judge(self) -> bool:
        """Give every file that was not read its reason, and hold the total to its limit, in the order of paths.

        Returns whether blobs have to come again: those that fit by their path, but came too late.
        """
        # Servers send blobs in an order of their own. The limit goes by the order of paths, so that equal trees have
        # equal tables whoever sent them.
        total = 0
        kept: set[str] = set()
        over = f"over the limit of {self._settings.max_total_bytes:,} bytes in all"
        for file in self._files:
            if file.kind != "file" or file.skip_reason:
                continue
            size = self._judge_one(file)
            if file.kind == "file" and file.skip_reason is None:
                total += size
                if total > self._settings.max_total_bytes:
                    file.skip_reason, file.before = over, None
                    self._forget(file.path)
                else:
                    kept.add(file.unit[0])
        if not self.left_out:
            return False
        for blob in {unit[0] for unit in self.contents.staged.values()} - kept:
            self._staging.discard(blob)
        self.contents.staged = {name: unit for name, unit in self.contents.staged.items() if unit[0] in kept}
        self.left_out &= kept
        return bool(self.left_out)

    def _forget(self, path: str) -> None:
        """Do not quote a file that no scanner looks at: it may hold secrets."""
        self.contents.texts.pop(path, None)
        if self.contents.readme and self.contents.readme[0] == path:
            self.contents.readme = None

    def _judge_one(self, file: PlannedFile) -> int:
        """Set the kind and reason that follow from a file's blob; returns the bytes that it adds to the total."""
        if file.before is not None:
            return int(file.before["bytes"] or 0)
        blob = self.contents.blobs.get(file.unit[0])
        if blob is None or blob.size > self._settings.max_file_bytes:
            # An origin that was asked to leave out large blobs does not say which were.
            file.skip_reason = (
                f"{TOO_LARGE}{self._settings.max_file_bytes:,} bytes, or not sent by the origin"
            )
            return 0
        if blob.lfs:
            file.kind = "lfs"
            return 0
        return blob.size

    def _is_text(self, file: PlannedFile) -> bool:
        if file.kind != "file" or file.skip_reason:
            return False
        path = file.path
        return (
            path == self._readme
            or licences.is_licence(path)
            or facts.wanted(path)
            or path.rpartition("/")[2] == GO_MOD
        )

    def _understand(self, path: str, data: bytes) -> None:
        contents = self.contents
        if path in self._manifests:
            self._parse(path, data)
        if path.rpartition("/")[2] == GO_MOD and (module := dependencies.module_path(data)):
            contents.go_modules[path.rpartition("/")[0]] = module
        if licences.is_licence(path):
            contents.licences[path] = licences.identify(data)
        if facts.wanted(path):
            contents.texts[path] = data[: facts.MAX_TEXT]
        if path == self._readme:
            contents.readme = (path, data[: facts.MAX_TEXT].decode("utf-8", "backslashreplace"))

    def _parse(self, path: str, data: bytes) -> None:
        """Parse one manifest. All of them together may take as long as one scanner."""
        if self._seconds > self._settings.scanner_seconds:
            self.contents.late = True
            self.contents.manifest_errors[path] = "not analysed: out of time"
            return
        started = time.monotonic()
        try:
            self.contents.dependencies[path] = dependencies.parse(path, data)
        except ManifestError as error:
            self.contents.manifest_errors[path] = str(error)
        self._seconds += time.monotonic() - started
