"""The record of a run, written last: when it exists, the snapshot exists.

These are its words, as msgspec structs; how it is stored and read back is in `archive/sealed.py`.

A field that is younger than version 1 is `T | UnsetType = UNSET`: where it is unset it is not written, so the
records of older releases keep their bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.base.text import human_bytes, plural

SCHEMA_VERSION: Final = 2  # what is written
READABLE: Final = (1, 2)
LIST_CAP = 1000  # entries of one list of ref changes; the count beside it is always exact
MAX_MANIFEST = 64 * 1024 * 1024  # bytes that a reader takes: lists are capped, so none of ours comes near

MAX_COUNT: Final = 2**53 - 1  # the largest number that every reader of JSON has exactly
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
"""A number of things or bytes. A manifest may be forged: with larger ones no table could be made of it and others."""

Kind = Literal["base", "increment", "unchanged", "empty"]


class _Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every part: immutable, strict."""


class Artifact(_Model, frozen=True):
    """An object that a run wrote. `key` is relative to the store's root; sizes are bytes."""

    name: str
    key: str
    bytes: Count
    sha256: str
    content_type: str


class Parent(_Model, frozen=True):
    """The snapshot before this one: its digest makes the manifests a hash chain."""

    run_id: str
    manifest_sha256: str


class RefsRecord(_Model, frozen=True):
    """The refs ledger: how many refs, its digest, and the key of the artifact that holds it."""

    count: Count
    sha256: str
    artifact: str


class History(_Model, frozen=True):
    """This run's bundle. `bytes` counts the bundle with its header; `objects` those in its pack.

    `bundle_sha256` is the digest of the whole bundle where it is one segment, and null where it is several:
    each of those has its own in `artifacts`, and hashing all of them once more cost a fifth of an upload.
    """

    prerequisites: list[str]
    segments: list[str]
    bundle_sha256: str | None
    pack_checksum: str
    objects: Count
    bytes: Count


class ChainBytes(_Model, frozen=True):
    """The weight of the chain in bytes: its base, and its increments together."""

    base: Count
    increments: Count


class RefChange(_Model, frozen=True):
    """One changed ref; `old` and `new` are object ids, or symbolic targets for HEAD."""

    ref: str
    old: str | None = None
    new: str | None = None
    ref_bytes: str | None = None


class RefChangeList(_Model, frozen=True):
    """Changes of one sort: the exact count, and the first of them."""

    count: Count = 0
    refs: list[RefChange] = []


class RefChanges(_Model, frozen=True):
    """What changed against the parent. `rewritten` are moved branches whose old tip is no longer an
    ancestor; `unknown` are moved branches of which that could not be told."""

    created: RefChangeList = RefChangeList()
    deleted: RefChangeList = RefChangeList()
    moved: RefChangeList = RefChangeList()
    rewritten: RefChangeList = RefChangeList()
    unknown: RefChangeList = RefChangeList()


class Gap(_Model, frozen=True):
    """Something the snapshot knowingly lacks."""

    kind: str
    count: Count
    sample: list[str] = []


class Limits(_Model, frozen=True):
    """The limits that the run was held to. Sizes are bytes, times are seconds."""

    segment_bytes: int
    uploads_in_flight: int
    max_refs: int
    idle_seconds: float


class ScanSettings(_Model, frozen=True):
    """What a scan was held to: sizes in bytes, times in seconds, paths left out as patterns.

    `fingerprint_key` names the key of the secrets' fingerprints without telling it; '' without one.
    """

    max_file_bytes: int
    max_total_bytes: int
    max_files: int
    scanner_seconds: float
    exclude: list[str]
    fingerprint_key: str = ""


class Licence(_Model, frozen=True):
    """The SPDX identifiers of the licences whose text a top-level file holds; none where it is not known."""

    path: str
    spdx: list[str]


class Submodule(_Model, frozen=True):
    """A path of the tree that is a commit of another repository. `url` is as resolved against the origin; null where
    nothing says it, or where no origin can have it."""

    path: str
    commit: str
    url: str | None


class Scan(_Model, frozen=True):
    """What a scan read and wrote. `run_id` is the run that wrote `artifacts`: this one, or an earlier
    one whose scan still holds. `tables` counts their rows; `gaps` are what the scan lacks. `committed_at` is
    when the commit was made, UTC; unset where it is not known. Of `submodules` it has at most LIST_CAP, in the order of
    paths."""

    run_id: str
    ref: str
    commit: str
    tree: str
    tables: dict[str, Count]
    artifacts: list[Artifact]
    scanners: dict[str, str]
    settings: ScanSettings
    licences: list[Licence]
    gaps: list[Gap]
    committed_at: datetime | UnsetType = UNSET
    submodules: list[Submodule] | UnsetType = UNSET

    def artifact(self, name: str) -> Artifact | None:
        """The artifact called `name`, like ``scan/files.parquet``, if the scan has it."""
        return next((a for a in self.artifacts if a.name == name), None)


class Lfs(_Model, frozen=True):
    """The LFS objects that the snapshot's pointers name.

    `asked` is what was to be searched for pointers, `searched` what was: all of history, or the trees of the tips; none
    where no run searched what this one added. `objects` are those that pointers name, `held` those of them that the
    store has; sizes are bytes, `bytes` by the pointers' word. `table` lists them, and may be an earlier run's; null
    without objects.
    """

    asked: Literal["all", "tips", "none"]
    searched: Literal["all", "tips", "none"]
    objects: Count
    held: Count
    bytes: Count
    held_bytes: Count
    table: Artifact | None

    @property
    def told(self) -> str:
        """``812 of 812 objects, 3.1 GiB``: what the store holds of them; '' if pointers name none."""
        if not self.objects:
            return ""
        return f"{self.held:,} of {plural(self.objects, 'object')}, {human_bytes(self.held_bytes)}"


class Filters(_Model, frozen=True):
    """Which refs were asked for, and which were left out."""

    refs: list[str]
    exclude_refs: list[str]


class Manifest(_Model, frozen=True):
    """The record of one run; see docs/format.md for each field."""

    schema_version: Literal[1, 2]
    tool_version: str
    run_id: str
    repo: str
    origin: str
    started_at: datetime
    finished_at: datetime
    kind: Kind
    reason: str
    parent: Parent | None
    head: str | None
    object_format: Literal["sha1", "sha256"]
    refs: RefsRecord
    history: History | None
    chain: list[str]
    chain_bytes: ChainBytes
    scan: Scan | None
    ref_changes: RefChanges | None
    gaps: list[Gap]
    artifacts: list[Artifact]
    limits: Limits
    filters: Filters
    labels: dict[str, str]
    timings: dict[str, float]
    self_sha256: str = ""
    head_bytes: str | None = None
    tip_dates: dict[str, datetime] | UnsetType = UNSET
    head_guessed: bool | UnsetType = UNSET
    lfs: Lfs | UnsetType = UNSET
    wiki: str | UnsetType = UNSET
    wiki_of: str | UnsetType = UNSET

    @property
    def key(self) -> RunKey:
        """The run that this is the record of."""
        return RunKey(self.repo, RunId(self.run_id))

    @property
    def chain_keys(self) -> list[RunKey]:
        """The runs whose bundles restore this snapshot, base first."""
        return [RunKey(self.repo, RunId(run)) for run in self.chain]

    def artifact(self, name: str) -> Artifact | None:
        """The artifact called `name`, if this run wrote it."""
        return next((a for a in self.artifacts if a.name == name), None)


def json_schema() -> dict[str, Any]:
    """The manifest's JSON Schema (draft 2020-12), as kept in docs/manifest.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Manifest)}
