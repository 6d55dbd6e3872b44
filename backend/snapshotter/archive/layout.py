"""From names to keys: run ids, run folders, and the artifacts' names in them.

Every key here is relative to the store's root; the store knows its own prefix. Keys sort by
time, so the newest run of a repo is the last of a listing.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable

MANIFEST = "manifest.json"
REFS = "refs.txt"
SCAN = "scan.json"  # the record of a scan that was made later, in a run without a manifest
HISTORY = "history.bundle"
RECEIPTS = "receipts/"
DIAGNOSTICS = "_diagnostics"
LFS = "_lfs"  # LFS objects, which outlive the run that stored them: no expiry may cover them
LFS_TABLE = "lfs.parquet"
JOBS = "_jobs"  # documents of jobs, see fleet/stored_job.py
FLEET = "_fleet"  # runs of fleets, see archive/fleet_runs.py

# `\Z`, not `$`, here and below: `$` would let a newline follow, and a key is whatever its writer made it.
_RUN_ID = re.compile(r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\Z")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T(?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)
TIMES = "2026-11-23, 2026-11-23T12:00 or 2026-11-23T12:00:30, in UTC unless an offset like +02:00 follows"
_RUN_KEY = re.compile(
    r"^(?P<repo>[^/]+)/(?P<date>\d{4}/\d\d/\d\d)/(?P<run>\d{8}T\d{6}Z-[0-9a-f]{8})/(?P<name>.+)\Z"
)
# As git/repo_name.py makes them: host and path, or a hash at the end. Few folders of strangers are named so.
_REPO = re.compile(r"(?=.*__|.*-[0-9a-f]{8}\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z")
_POLICY_TESTS = "policy-tests"  # where the bucket's rules are tried
_LFS_REST = re.compile(r"(?:\.[0-9a-f]{8}\.[0-9]{4})?")
_PLACE = re.compile(
    r"[^/]+(?:/\d{4}(?:/\d\d(?:/\d\d(?:/\d{8}T\d{6}Z-[0-9a-f]{8}(?:/.*)?)?)?)?)?\Z", re.DOTALL
)


def is_repo(name: str) -> bool:
    """Whether a repo can have this name."""
    return bool(_REPO.match(name))


def is_ours(name: str) -> bool:
    """Whether a folder of this name in the store's root is a repo's, or another of ours."""
    return is_repo(name) or name.startswith("_") or name == _POLICY_TESTS


def is_place(folder: str) -> bool:
    """Whether objects of runs can lie in a folder, by its key."""
    return bool(_PLACE.match(folder))


@dataclass(frozen=True, order=True)
class RunId:
    """``<YYYYMMDD>T<HHMMSS>Z-<8 random hex>``, UTC; sorts by time."""

    text: str

    @classmethod
    def new(cls, started_at: datetime) -> RunId:
        """A fresh id for a run that started at `started_at` (aware, any zone)."""
        return cls(f"{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}")

    def or_after(self, other: RunId) -> RunId:
        """This id, or one of the same second (or, if that is full, the next) that sorts after `other`, so
        that a child follows its parent."""
        if self > other or self.text[:16] != other.text[:16]:
            return self
        floor = int(other.text[17:], 16)  # 8 hex digits: what of the second is left after `other`
        if floor == 0xFFFFFFFF:
            return RunId.new(other.started_at + timedelta(seconds=1))
        # In the next sixteenth of what is left: so a second has room for many runs, one after the other.
        digits = floor + 1 + secrets.randbelow(max(1, (0xFFFFFFFF - floor) // 16))
        return RunId(f"{self.text[:17]}{digits:08x}")

    @classmethod
    def parse(cls, text: str) -> RunId | None:
        """The id in `text`, or None if it is not one (a wrong date included)."""
        if not _RUN_ID.match(text):
            return None
        run_id = cls(text)
        try:
            _ = run_id.started_at
        except ValueError:
            return None
        return run_id

    @property
    def started_at(self) -> datetime:
        """The run's start, UTC, to the second."""
        text = self.text  # by hand: strptime takes ten times as long, and a listing has many
        parts = (text[:4], text[4:6], text[6:8], text[9:11], text[11:13], text[13:15])
        return datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, order=True)
class RunKey:
    """A run's place: its repo and its id. Sorts by repo, then time."""

    repo: str
    run_id: RunId

    @property
    def folder(self) -> str:
        """The run's folder, without a trailing slash."""
        day = self.run_id.text
        return f"{self.repo}/{day[:4]}/{day[4:6]}/{day[6:8]}/{self.run_id}"

    def key(self, name: str) -> str:
        """The key of an artifact of this run."""
        return f"{self.folder}/{name}"


def parse_key(key: str) -> tuple[RunKey, str] | None:
    """The run and artifact name that a key belongs to; None for a key of another kind.

    A run filed under a date that is not its own is not a run: whoever put it there was not us.
    """
    match = _RUN_KEY.match(key)
    run_id = RunId.parse(match["run"]) if match else None
    if match is None or run_id is None or match["date"].replace("/", "") != run_id.text[:8]:
        return None
    return RunKey(match["repo"], run_id), match["name"]


def day_prefix(repo: str, day: datetime) -> str:
    """The key before every run of `repo` on `day`, usable as a listing's start-after."""
    return f"{repo}/{day.astimezone(UTC):%Y/%m/%d}"


def segment_name(index: int, only: bool) -> str:
    """``history.bundle``, or ``history.bundle.0000`` and on when there are several."""
    return HISTORY if only else f"{HISTORY}.{index:04d}"


def lfs_key(repo: str, oid: str, attempt: str = "", index: int = 0) -> str:
    """The key of an LFS object: one object under its id, or, of one that is cut into segments, the segment `index` of
    the `attempt` that wrote it."""
    key = f"{LFS}/{repo}/{oid[:2]}/{oid[2:4]}/{oid}"
    return f"{key}.{attempt}.{index:04d}" if attempt else key


def is_lfs_key(key: str, repo: str, oid: str) -> bool:
    """Whether a key is one that an LFS object of this repo can have."""
    rest = key.removeprefix(lfs_key(repo, oid))
    return rest != key and bool(_LFS_REST.fullmatch(rest))


def parse_time(text: str) -> datetime | None:
    """The last instant, UTC, that a time means, so that `name@2026-11-23` is that day's last snapshot.

    Returns None if `text` is no time.
    """
    span = time_span(text)
    return span[1] if span else None


def time_span(text: str) -> tuple[datetime, datetime] | None:
    """The first and last instant, UTC, of a day, minute or second written as in `TIMES`, or None for other text."""
    match = _TIME.match(text)
    if match is None:
        return None
    span = (
        timedelta(seconds=1)
        if match["second"]
        else timedelta(minutes=1)
        if match["minute"]
        else timedelta(days=1)
    )
    try:
        first = datetime.fromisoformat(text)
        first = (first if first.tzinfo else first.replace(tzinfo=UTC)).astimezone(UTC)
        return first, first + span - timedelta(microseconds=1)
    except (ValueError, OverflowError):  # no such day, or beyond all calendars
        return None


def not_a_time(text: str) -> UsageError:
    """For text where a time should be."""
    return UsageError(f"not a time: {printable(text)[:200]}", hint=f"write it like {TIMES}")
