"""Reading the blobs of a tree.

Manifests, licences, LFS pointers and small texts are understood at once; source is staged for the scanners.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Set

from snapshotter.archive.manifest import ScanSettings
from snapshotter.git.lfs_pointer import lfs_pointer
from snapshotter.git.pack import PackObject
from snapshotter.scan import attributes, facts, licences, submodules
from snapshotter.scan.dependencies import is_manifest
from snapshotter.scan.language_names import key_of
from snapshotter.scan.manifest_reading import ManifestReading
from snapshotter.scan.project_files import is_project_file, read_project_file
from snapshotter.scan.reading_plan import IN_ALL, TOO_LARGE, PlannedFile, ReadingPlan, Unit
from snapshotter.scan.staging import Staging
from snapshotter.scan.tree_contents import Blob, TreeContents

Read = Callable[[Set[str]], Iterator[PackObject]]
"""The blobs of these ids, in any order, each once; one that the origin does not send is left out."""


def read_blobs(plan: ReadingPlan, read: Read, settings: ScanSettings, staging: Staging) -> TreeContents:
    """Read what `plan` asks for. Files that turn out to be too large, not sent, or beyond the total get a
    `skip_reason`; the order in which blobs come makes no difference."""
    reading = _Reading(plan, settings, staging)
    for item in read(reading.wanted):
        reading.take(item)
    reading.judge()
    while wanted := reading.missing():
        for item in read(wanted):
            reading.take_again(item)
    return reading.finish()


class _Reading:
    def __init__(self, plan: ReadingPlan, settings: ScanSettings, staging: Staging) -> None:
        self.contents = TreeContents()
        self._plan, self._files, self._settings, self._staging = plan, plan.files, settings, staging
        self._units: defaultdict[str, set[str]] = defaultdict(set)  # name keys to stage, by blob
        # Paths that are texts or manifests, by blob.
        self._paths: defaultdict[str, list[str]] = defaultdict(list)
        self._manifests = ManifestReading(settings.scanner_seconds)
        self._as_manifests: set[str] = set()  # paths that are read as manifests
        self._asked: set[str] = set()  # paths that a requirements file takes in
        self._understood: set[str] = set()
        self._staged_names: dict[Unit, str] = {}
        self._attributes: dict[str, bytes] = {}
        self._readme = facts.readme_path(
            file.path for file in self._files if file.kind in ("file", "lfs") and not file.skip_reason
        )
        self._staged_bytes = 0
        self._left_out: set[str] = set()  # blobs that did not fit while they came, and have to come again
        for file in self._files:
            self._want(file)

    @property
    def wanted(self) -> set[str]:
        """The blobs to read."""
        return self._units.keys() | self._paths.keys()

    def take(self, item: PackObject) -> None:
        """Take one blob: note it, understand it, stage it."""
        lfs = lfs_pointer(item.data)
        self.contents.blobs[item.oid] = Blob(item.size, lfs)
        if not item.whole or item.size > self._settings.max_file_bytes:
            return
        if lfs is not None:  # a pointer is no text, whatever its name is
            return
        self._read_paths(item)
        if self._staged_bytes + item.size > self._settings.max_total_bytes:
            self._left_out.add(item.oid)
        else:
            self._stage(item)

    def take_again(self, item: PackObject) -> None:
        """Take one blob of those that were `missing`: there is room for it."""
        self.contents.blobs.setdefault(item.oid, Blob(item.size))
        self._read_paths(item)
        self._stage(item)

    def missing(self) -> set[str]:
        """The blobs that have to come, or to come again, before everything can be told.

        They are those that fit by their path, but came too late; manifests that another one explains, where that one
        is not what it was; and lists that requirements files take in.
        """
        wanted, self._left_out = self._left_out, set()
        for file in self._plan.read_anew():
            self._want(file)
            wanted.add(file.unit[0])
        while taken_in := self._taken_in():
            for file in taken_in:
                file.before = None
                self._want(file, as_manifest=True)
                name = self._staged_names.get(file.unit, "")
                if name in self._staging.staged:
                    data = self._staging.read(name)
                    self._read_paths(PackObject(file.unit[0], "blob", data, len(data)))
                else:
                    wanted.add(file.unit[0])
        return wanted

    def finish(self) -> TreeContents:
        """Everything that was read, once nothing is missing."""
        self.judge()
        self._name_languages()
        contents = self.contents
        contents.dependencies, contents.lenders = self._manifests.rows()
        contents.manifest_errors, contents.late = self._manifests.errors, self._manifests.late
        return contents

    def _name_languages(self) -> None:
        """Note what the attributes say of each path, and stage anew what is of another language by them."""
        tree_attributes = attributes.TreeAttributes(self._attributes)
        renamed = False
        for file in self._files if self._attributes else ():
            own = tree_attributes.of(file.entry.path)
            if file.kind in ("file", "lfs") and own != attributes.PathAttributes():
                self.contents.attributes[file.path] = own
                key = key_of(own.language) if own.language else None
                old = self._staged_names.get(file.unit, "")
                if key is not None and file.is_read and key != file.unit[1] and old in self._staging.staged:
                    file.unit, renamed = (file.unit[0], key), True
                    name = self._staging.add(*file.unit, self._staging.read(old))
                    self._staged_names[file.unit] = name
                    self.contents.staged[name] = file.unit
        if renamed:
            held = {file.unit for file in self._files if file.is_read}
            self.contents.staged = {name: unit for name, unit in self.contents.staged.items() if unit in held}

    def _taken_in(self) -> list[PlannedFile]:
        """The files, not read as manifests yet, that requirements files take in."""
        paths = self._manifests.taken_in() - self._asked
        self._asked |= paths
        if not paths:
            return []
        return [
            file
            for file in self._files
            if file.path in paths and file.kind == "file" and not file.skip_reason
        ]

    def _want(self, file: PlannedFile, *, as_manifest: bool = False) -> None:
        """Note what is to be done with a file's blob when it comes."""
        if file.is_read:
            self._units[file.unit[0]].add(file.unit[1])
        if as_manifest or (file.is_read and is_manifest(file.path)):
            self._as_manifests.add(file.path)
            self._understood.discard(file.path)
        if file.path in self._as_manifests or self._is_text(file):
            self._paths[file.unit[0]].append(file.path)

    def _read_paths(self, item: PackObject) -> None:
        for path in self._paths.get(item.oid, ()):
            if path not in self._understood:
                self._understood.add(path)
                self._understand(path, item.data)

    def _stage(self, item: PackObject) -> None:
        """Hand a blob to the scanners, once for each language that its paths may mean."""
        for key in sorted(self._units.get(item.oid, ())):
            unit = item.oid, key
            self._staged_names[unit] = self._staging.add(item.oid, key, item.data)
            self.contents.staged[self._staged_names[unit]] = unit
            self._staged_bytes += item.size

    def judge(self) -> None:
        """Give every file that was not read its reason, and hold the total to its limit, in the order of paths."""
        # Servers send blobs in an order of their own. The limit goes by the order of paths, so that equal trees have
        # equal tables whoever sent them.
        total = 0
        kept: set[str] = set()
        over = f"over the limit of {self._settings.max_total_bytes:,}{IN_ALL}"
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
        if not self._left_out:
            return
        for blob in {unit[0] for unit in self.contents.staged.values()} - kept:
            self._staging.discard(blob)
        self.contents.staged = {name: unit for name, unit in self.contents.staged.items() if unit[0] in kept}
        self._left_out &= kept

    def _forget(self, path: str) -> None:
        """Do not quote a file that no scanner looks at: it may hold secrets. Nor does it explain other manifests."""
        self._manifests.forget(path)
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
            or is_project_file(path)
            or path.rpartition("/")[2] == attributes.NAME
            or path == submodules.NAME
        )

    def _understand(self, path: str, data: bytes) -> None:
        contents = self.contents
        if path in self._as_manifests:
            self._manifests.add(path, data)
        if path.rpartition("/")[2] == attributes.NAME:
            self._attributes[path] = data
        if is_project_file(path):
            read_project_file(contents.projects, path, data)
        if licences.is_licence(path):
            contents.licences[path] = licences.identify(data)
        if facts.wanted(path):
            contents.texts[path] = data[: facts.MAX_TEXT]
        if path == submodules.NAME:
            contents.gitmodules = data
        if path == self._readme:
            contents.readme = (path, data[: facts.MAX_TEXT].decode("utf-8", "backslashreplace"))
