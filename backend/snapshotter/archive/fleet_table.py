"""The table of a fleet's results: a row for each repository, and what of it is taken when it is read back.

Every role may write to the store. So what is read back is held to types, lengths and forms, and a row that is not what
a run of ours writes counts as none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from snapshotter.archive import layout
from snapshotter.archive.layout import RunId

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TEXT: Final = 4096  # characters of a text that a row holds
MAX_MANIFEST: Final = 64 * 1024  # characters of one; the manifest of a larger one is read from the store
RECENT_RUNS: Final = 10  # runs of which a row says how they ended

_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_Word = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z-]{0,31}$")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Run = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\Z")]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Manifest = Annotated[str, msgspec.Meta(max_length=MAX_MANIFEST)]
_Recent = Annotated[str, msgspec.Meta(max_length=RECENT_RUNS, pattern=r"^[=+~x-]*\Z")]


class TableColumn(NamedTuple):
    """A column of the table: its DuckDB type, and what it holds."""

    name: str
    type: str
    meaning: str


# In the order of ResultRow's fields.
COLUMNS: Final = (
    TableColumn("repo", "VARCHAR", "the repository's name in the store"),
    TableColumn("run_id", "VARCHAR", "its newest snapshot, or null without one"),
    TableColumn("origin", "VARCHAR", "where the repository lives, without credentials"),
    TableColumn("source", "VARCHAR", "what of the inventory lists it; empty where the inventory names it"),
    TableColumn("path", "VARCHAR", "what its source calls it"),
    TableColumn("id", "VARCHAR", "its source's id of it, which outlasts a rename; empty without one"),
    TableColumn("optional", "BOOLEAN", "whether it may be none at all, as a wiki without a page"),
    TableColumn("verdict", "VARCHAR", "how the run ended for it, in one word"),
    TableColumn("ok", "BOOLEAN", "whether that is a good end"),
    TableColumn("finished_at", "TIMESTAMP", "when that was, UTC"),
    TableColumn("wrote", "BOOLEAN", "whether this run took that snapshot"),
    TableColumn("kind", "VARCHAR", "of the snapshot: base, increment, unchanged or empty"),
    TableColumn("error_code", "VARCHAR", "of the error that it ended with, or null"),
    TableColumn("error", "VARCHAR", "what happened, or null"),
    TableColumn("hint", "VARCHAR", "what to do about it, or null"),
    TableColumn("exit_code", "INTEGER", "that error's, or null"),
    TableColumn("moved_to", "VARCHAR", "where the origin redirects to, or null"),
    TableColumn("good_run_id", "VARCHAR", "its newest good snapshot, or null"),
    TableColumn("good_at", "TIMESTAMP", "when the origin was last found as that has it, UTC, or null"),
    TableColumn("refs_sha256", "VARCHAR", "the digest of the refs of run_id"),
    TableColumn("base_at", "TIMESTAMP", "when the base of its chain was taken, UTC, or null without one"),
    TableColumn("chain_length", "INTEGER", "bundles that restore it"),
    TableColumn("chain_bytes", "BIGINT", "their size, which is what the repository weighs"),
    TableColumn("receipt_at", "TIMESTAMP", "when it was last verified, UTC, or null"),
    TableColumn("receipt_ok", "BOOLEAN", "whether that found it in order"),
    TableColumn("gaps", "BIGINT", "how much the snapshot knowingly lacks"),
    TableColumn("secrets", "BIGINT", "findings of the secret scanner; null without a scan"),
    TableColumn("stored_bytes", "BIGINT", "what this run wrote to its history"),
    TableColumn("seconds", "DOUBLE", "how long it took, all attempts together"),
    TableColumn("requests", "BIGINT", "requests to its origin"),
    TableColumn("attempts", "INTEGER", "how often it was tried"),
    TableColumn("failures", "INTEGER", "runs in a row that ended badly, this one among them"),
    TableColumn(
        "recent",
        "VARCHAR",
        "how the last runs ended, the newest last: + with something new, = without, ~ with a flaw, x badly",
    ),
)
# What only the next run reads, and no view shows: the manifest of run_id as it is stored.
MANIFEST: Final = TableColumn("manifest", "VARCHAR", "the manifest of run_id, as stored; null without one")
STORED: Final = (*COLUMNS, MANIFEST)
_TIMES: Final = [place for place, column in enumerate(STORED) if column.type == "TIMESTAMP"]


class ResultRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A repository in a fleet's results. Times are UTC; what each field means, COLUMNS says."""

    repo: _Text
    run_id: _Run | None
    origin: _Text
    source: _Text
    path: _Text
    id: _Text
    optional: bool
    verdict: _Word
    ok: bool
    finished_at: datetime
    wrote: bool = False
    kind: _Word | None = None
    error_code: _Text | None = None
    error: _Text | None = None
    hint: _Text | None = None
    exit_code: _Count | None = None
    moved_to: _Text | None = None
    good_run_id: _Run | None = None
    good_at: datetime | None = None
    refs_sha256: _Digest | None = None
    base_at: datetime | None = None
    chain_length: _Count = 0
    chain_bytes: _Count = 0
    receipt_at: datetime | None = None
    receipt_ok: bool | None = None
    gaps: _Count = 0
    secrets: _Count | None = None
    stored_bytes: _Count = 0
    seconds: _Seconds = 0.0
    requests: _Count = 0
    attempts: _Count = 0
    failures: _Count = 0
    recent: _Recent = ""
    manifest: _Manifest | None = None


_ROWS: Final = msgspec.msgpack.Decoder(ResultRow)  # made by one thread, as a manifest's is
_VALUES: Final = attrgetter(*(column.name for column in STORED))


def encoded(row: ResultRow) -> bytes:
    """A row in few bytes, for `decoded`."""
    return msgspec.msgpack.encode(row)


def decoded(data: bytes) -> ResultRow:
    """What `encoded` made. Raises msgspec.MsgspecError for what is no row."""
    return _ROWS.decode(data)


def values(row: ResultRow) -> tuple[Any, ...]:
    """A row's values in the order of STORED, as DuckDB reads them from JSON: times without their zone."""
    return tuple(
        value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
        for value in _VALUES(row)
    )


def select() -> str:
    """The columns as SQL that `row_of` understands: times as microseconds since 1970, and no text longer than one
    character more than a row may hold."""
    return ", ".join(_shown(column) for column in STORED)


def row_of(given: Sequence[Any]) -> ResultRow | None:
    """The row of values that were read back as `select` says. Returns None for what no run of ours writes."""
    whole = list(given)
    try:
        for place in _TIMES:
            if whole[place] is not None:
                whole[place] = _EPOCH + timedelta(microseconds=whole[place])
        row = _ROWS.decode(msgspec.msgpack.encode(whole))
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError, IndexError):
        return None
    if not layout.is_repo(row.repo) or any(
        run is not None and RunId.parse(run) is None for run in (row.run_id, row.good_run_id)
    ):
        return None
    return row


def _shown(column: TableColumn) -> str:
    if column.type == "TIMESTAMP":
        return f'epoch_us("{column.name}")'
    if column.type == "VARCHAR":
        return f'left("{column.name}", {1 + (MAX_MANIFEST if column is MANIFEST else MAX_TEXT)})'
    return f'"{column.name}"'
