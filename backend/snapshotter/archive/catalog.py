"""What the store holds: repositories, their snapshots, the one a name means, what changed between two.

A snapshot is found by listing: a run whose folder holds a manifest. Runs without one are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from snapshotter.archive import layout
from snapshotter.archive.layout import RunId, RunKey, parse_key
from snapshotter.archive.listed_run import ListedRun, grouped
from snapshotter.archive.manifest import MAX_MANIFEST, Artifact, Manifest, RefChanges, RefsRecord
from snapshotter.archive.sealed import Sealed, open_sealed
from snapshotter.archive.transfer import checked_get, damaged, missing
from snapshotter.base.errors import Unavailable
from snapshotter.base.text import printable
from snapshotter.git.origin_parsing import parse as parse_origin
from snapshotter.git.refs import ObjectFormat, RefsLedger, parse_ledger
from snapshotter.store.backend import READS_AT_ONCE, ListedObject
from snapshotter.store.objects import Store

_MAX_LEDGER = 512 * 1024 * 1024  # bytes: over a million refs of ordinary length
RECENT = timedelta(days=21)  # what the first listing for a newest snapshot covers
AHEAD = timedelta(minutes=5)  # how far clocks may differ before a snapshot counts as from the future
_BEGINNING = datetime.min.replace(tzinfo=UTC)  # nothing can be subtracted from it

_REPO = re.compile(r"^[A-Za-z0-9._-]{1,120}$")
_MEANT_AS_TIME = re.compile(r"\d{4}-?\d\d[\d:TZtz+. -]*\Z")  # no host and no path is written so
_KEY = re.compile(
    r"(?:^|/)(?P<repo>[A-Za-z0-9._-]+)/\d{4}/\d\d/\d\d/(?P<run>\d{8}T\d{6}Z-[0-9a-f]{8})(?:/.*)?$"
)


class Catalog:
    """Reads a store. Safe to share between threads: it keeps nothing between calls.

    Every method that reads may raise Unavailable or AccessDenied, as the store does. Each names the errors beyond.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def repos(self) -> list[str]:
        """Every repo with a folder in the store, sorted. Folders that are none of ours are passed over."""
        names = self.store.folders("")
        for name in names:
            if not layout.is_ours(name):
                self.store.pass_over(f"{name}/")
        return [name for name in names if layout.is_repo(name)]

    def runs(self, repo: str, *, since: datetime | None = None) -> list[ListedRun]:
        """The runs of a repo, oldest first, with or without manifests; from the day of `since` on."""
        after = layout.day_prefix(repo, since) if since else ""
        return [
            run
            for run in grouped(self._list(repo, after=after))
            if not since or run.key.run_id.started_at >= since
        ]

    def snapshots(self, repo: str, *, since: datetime | None = None) -> list[ListedRun]:
        """The snapshots of a repo, oldest first."""
        return [run for run in self.runs(repo, since=since) if run.is_snapshot]

    def newest_first(self, repo: str, now: datetime) -> Iterator[list[ListedRun]]:
        """The snapshots of a repo, newest first, in batches: the last weeks by one list, then day by day."""
        recent = max(now, _BEGINNING + RECENT) - RECENT  # a time that a user gives may be of the year 1
        first = self._list(repo, after=layout.day_prefix(repo, recent))
        yield [run for run in reversed(grouped(first)) if run.is_snapshot]
        for folder in self._days_before(repo, recent):
            yield [run for run in reversed(grouped(self._list(folder))) if run.is_snapshot]

    def latest(
        self, repo: str, *, at: datetime | None = None, now: datetime | None = None
    ) -> ListedRun | None:
        """The newest snapshot of a repo, or the newest that started no later than `at`.

        A snapshot from the future (its machine's clock was wrong) is the newest only if there is no other.
        """
        now = now or datetime.now(UTC)
        bound = at or now + AHEAD
        future: ListedRun | None = None
        for batch in self.newest_first(repo, min(bound, now)):
            for run in batch:
                if run.key.run_id.started_at <= bound:
                    return run
                future = future or run
        return None if at else future

    def manifest(self, key: RunKey, *, listed: bool = False) -> Sealed:
        """The manifest of a run, whose folder is listed first unless the caller has `listed` it.

        Raises Missing, Unusable if it is not what was written, NewerSchema if a newer release wrote it.
        """
        name = key.key(layout.MANIFEST)
        if not listed:
            self._present(name)
        return open_sealed(self.store.get(name, limit=MAX_MANIFEST), key)

    def manifests(self, keys: Iterable[RunKey]) -> list[Sealed]:
        """Several manifests, read in parallel, in the order asked for. Raises as `manifest` does."""
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            return list(pool.map(self.manifest, keys))

    def ledger(self, manifest: Manifest, *, listed: bool = False) -> RefsLedger:
        """The refs ledger of a snapshot, whose folder is listed first unless the caller has `listed` it.

        Raises Unusable if it is not the one recorded.
        """
        return self.recorded_ledger(manifest.refs, manifest.key, manifest.object_format, listed=listed)

    def recorded_ledger(
        self, refs: RefsRecord, key: RunKey, object_format: ObjectFormat, *, listed: bool = False
    ) -> RefsLedger:
        """The refs ledger that the manifest of the run `key` records. Raises as `ledger` does."""
        if parse_key(refs.artifact) is None:  # which a store may refuse to look up at all
            what = f"it says that its refs are in no run: {refs.artifact[:200]!r}"
            raise damaged(key.key(layout.MANIFEST), what)
        if not listed:
            self._present(refs.artifact)
        ledger = parse_ledger(self.store.get(refs.artifact, limit=_MAX_LEDGER), object_format)
        if ledger.sha256 != refs.sha256 or len(ledger) != refs.count:
            raise damaged(
                refs.artifact, "its refs are not the ones that the manifest records (SHA-256 differs)"
            )
        return ledger

    def artifact(self, artifact: Artifact) -> bytes:
        """An artifact of any run, whose folder is listed first. Raises Damaged or Missing."""
        self._present(artifact.key)
        return checked_get(self.store, artifact)

    def steps(self, old: Manifest, new: Manifest) -> list[RefChanges | None]:
        """The recorded ref changes from `old` to `new`, oldest first. Returns [None] if `old` is no ancestor of `new`.

        Raises what `manifest` raises, for the snapshots in between.
        """
        steps: list[RefChanges | None] = []
        at = new
        while at.run_id != old.run_id:
            run_id = RunId.parse(at.parent.run_id) if at.parent else None
            if run_id is None or run_id.text < old.run_id or at.repo != old.repo:
                return [None]
            steps.append(at.ref_changes)
            at = self.manifest(RunKey(at.repo, run_id)).manifest
        return steps[::-1]

    def folder(self, key: RunKey) -> ListedRun:
        """One run's folder, listed now; without files if there is none."""
        return next((run for run in grouped(self._list(key.folder)) if run.key == key), ListedRun(key))

    def resolve(self, name: str) -> ListedRun:
        """The snapshot that a name means: ORIGIN-or-REPO, …@RUN-ID, …@TIME, or a full key.

        Raises UsageError for a name of no form, Unavailable (code `no-snapshot`) when there is none.
        """
        if match := _KEY.search(name.removeprefix(self.store.place.uri)):
            run_id = RunId.parse(match["run"])
            return self._one(RunKey(match["repo"], run_id), name) if run_id else self._none(name)
        subject, at, when = name.rpartition("@")  # the last: an origin may have a user before its host
        run_id, time = (RunId.parse(when), layout.parse_time(when)) if at else (None, None)
        if at and not (run_id or time) and _MEANT_AS_TIME.match(when):
            raise layout.not_a_time(when)
        repo = self.repo_of(subject if run_id or time else name)
        if run_id:
            return self._one(RunKey(repo, run_id), name)
        return self.latest(repo, at=time) or self._none(name, repo, time)

    def repo_of(self, text: str) -> str:
        """The repo that an origin or a repo's own name means. Raises UsageError for text that is neither."""
        # A file or folder of the same name is meant as an origin, unless the name has the look of a repo's.
        if _REPO.match(text) and ("__" in text or not Path(text).exists()):
            return text
        if not Path(text).exists() and re.match(r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:\d+)?/", text):
            text = f"https://{text}"  # github.com/psf/requests, as people say it
        return parse_origin(text).repo

    def _list(self, folder: str, *, after: str = "") -> list[ListedObject]:
        """The objects below a folder. Folders that no run makes are not entered: one may be unreadable."""
        return self.store.list(folder, after=after, ours=layout.is_place)

    def _present(self, key: str) -> None:
        """Raises Missing if a listing does not show `key`: a bucket like ours answers 403 for a missing key, as for a
        refusal, so it is never asked for blindly."""
        if key not in {entry.key for entry in self._list(key.rpartition("/")[0])}:
            raise missing(key)

    def _one(self, key: RunKey, name: str) -> ListedRun:
        run = self.folder(key)
        return run if run.is_snapshot else self._none(name, key.repo)

    def _none(self, name: str, repo: str | None = None, at: datetime | None = None) -> ListedRun:
        where = f" (repo {repo})" if repo and repo != name else ""
        if repo and at and (first := next(iter(self.snapshots(repo)), None)):
            asked, began = (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (at, first.key.run_id.started_at))
            raise Unavailable(
                f"no snapshot of {repo} is as old as {asked}: the first is of {began}",
                code="no-snapshot",
                hint=f"name that one, {repo}@{first.key.run_id.text}, or a later time",
            )
        raise Unavailable(
            f"no snapshot: {printable(name)[:200]}{where} in {self.store.place.uri}",
            code="no-snapshot",
            hint="`snapshotter list` shows the repositories, `snapshotter list REPO` their snapshots"
            + (f"; after an @ goes a run id, or a time like {layout.TIMES}" if "@" in name else ""),
        )

    def _days_before(self, repo: str, before: datetime) -> Iterator[str]:
        """Day folders of a repo up to `before`'s day, newest first."""
        limit = layout.day_prefix(repo, before)
        for year in reversed(self.store.folders(repo)):
            if f"{repo}/{year}" > limit or not layout.is_place(f"{repo}/{year}"):
                continue
            for month in reversed(self.store.folders(f"{repo}/{year}")):
                if f"{repo}/{year}/{month}" > limit or not layout.is_place(f"{repo}/{year}/{month}"):
                    continue
                for day in reversed(self.store.folders(f"{repo}/{year}/{month}")):
                    # Not that day itself, which the list of the last weeks began with.
                    if (folder := f"{repo}/{year}/{month}/{day}") < limit and layout.is_place(folder):
                        yield folder
