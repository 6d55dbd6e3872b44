"""What the report and the digest need beyond the tables: the run's own facts, and small texts of its tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from snapshotter.archive.manifest import Gap, History, Kind, Lfs, RefChanges
from snapshotter.scan.scanners import FAILED, SECRETS

UNREAD: Final = "manifests-unread"
"""The kind of the gap of manifests that no parser here reads: no rows do not mean no dependencies."""

MAX_TEXT: Final = 256 * 1024  # bytes of one wanted text that are read
MAX_WANTED_DEPTH: Final = 4  # folders above a wanted text: deeper ones are fixtures and vendored copies

_WANTED: Final = re.compile(
    r"(?:.*/)?(?:pyproject\.toml|setup\.cfg|package\.json|Cargo\.toml|(?:Dockerfile|Containerfile)(?:\.[\w-]+)?)"
)
# Of these only the root's are wanted: some repositories have one in every folder.
_BUILD_FILES: Final = re.compile(r"(?:GNUm|[Mm])akefile|\.?[Jj]ustfile|tox\.ini|noxfile\.py|composer\.json")
_README: Final = re.compile(r"(?:\.github/|docs/)?readme(?:\.(?:md|markdown|rst|txt|adoc|org))?", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The facts of one run that its tables do not hold.

    `origin` is redacted already. `ref` is the ref that was scanned and `commit` its object id, made at
    `committed_at` (UTC; None where it does not tell). `history` is this run's bundle, or None; its pack checksum was
    verified while it streamed. `lfs` is what is known of LFS objects. `chain` counts the bundles that restore the
    snapshot. `parent` is the run id of the snapshot before, or None. `compared` is the run id of the scan in the
    `before_` tables, or None. `keyed` says that fingerprints are made from the secrets' values, so that one secret has
    one fingerprint in every file. `licences` are (path, SPDX ids), `readme` is (path, text). `texts` are the blobs of
    paths that `wanted` asked for, by path.
    `limits` and `scanners` are shown as they are: name to value, name to version.
    """

    repo: str
    origin: str
    run_id: str
    taken_at: datetime
    ref: str
    commit: str
    kind: Kind
    reason: str
    refs: int
    chain: int
    committed_at: datetime | None = None
    history: History | None = None
    lfs: Lfs | None = None
    parent: str | None = None
    compared: str | None = None
    keyed: bool = False
    ref_changes: RefChanges | None = None
    gaps: Sequence[Gap] = ()
    licences: Sequence[tuple[str, Sequence[str]]] = ()
    readme: tuple[str, str] | None = None
    texts: Mapping[str, bytes] = field(default_factory=dict)
    scanners: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int | float | str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether the origin is a folder of the machine that took the snapshot."""
        return self.origin.startswith("/")

    @property
    def unread(self) -> Gap | None:
        """The gap of manifests that nobody reads, if there are any."""
        return next((gap for gap in self.gaps if gap.kind == UNREAD), None)

    @property
    def searched(self) -> bool:
        """Whether the tree was searched for secrets. If that failed, a gap says so."""
        return not any(gap.kind == FAILED and any(SECRETS in one for one in gap.sample) for gap in self.gaps)

    @property
    def snapshot(self) -> str:
        """The snapshot as every verb takes it: ``repo@run-id``."""
        return f"{self.repo}@{self.run_id}"


def wanted(path: str) -> bool:
    """Whether `Facts.texts` should hold the blob at `path`, up to MAX_TEXT bytes: it may name entry points or
    commands."""
    return names_entries(path) or _BUILD_FILES.fullmatch(path) is not None


def names_entries(path: str) -> bool:
    """Whether a file of this path may name entry points."""
    if path.count("/") > MAX_WANTED_DEPTH or "node_modules/" in path:
        return False
    return _WANTED.fullmatch(path) is not None


def readme_path(paths: Iterable[str]) -> str | None:
    """The path of the README that stands for the repository: the root's before others', Markdown first."""
    readmes = [path for path in paths if _README.fullmatch(path)]
    return min(
        readmes, key=lambda path: (path.count("/"), not path.lower().endswith(".md"), path), default=None
    )
