"""What became of a repository in a fleet's run, as a row of its results; and what the next run knows by it."""

from __future__ import annotations

from typing import Final, get_args

from snapshotter.archive.fleet_table import MAX_MANIFEST, MAX_TEXT, RECENT_RUNS, ResultRow
from snapshotter.fleet.outcome import TAKEN, LedgerRow, RepoOutcome, Verdict

_VERDICTS: Final = frozenset(get_args(Verdict))
_FLAWED: Final = TAKEN & {"partial", "shrunk"}


def row(outcome: RepoOutcome, before: ResultRow | None) -> ResultRow:
    """The row of an outcome; `before` is the repository's in the last result, whose `recent` goes on."""
    last, trouble = outcome.ledger, outcome.trouble
    recent = (before.recent if before else "") + _mark(outcome)
    return ResultRow(
        repo=outcome.repo,
        run_id=last.run or None,
        origin=_cut(outcome.origin),
        source=_cut(outcome.source),
        path=_cut(outcome.path),
        id=_cut(outcome.id),
        optional=outcome.optional,
        verdict=outcome.verdict,
        ok=outcome.good,
        finished_at=outcome.finished_at,
        wrote=outcome.wrote,
        kind=outcome.kind,
        error_code=_cut(trouble.code) if trouble else None,
        error=_cut(trouble.message) if trouble else None,
        hint=_cut(trouble.hint) if trouble else None,
        exit_code=trouble.exit_code if trouble else None,
        moved_to=_cut(outcome.now) or None,
        good_run_id=last.good_run or None,
        good_at=last.good_at,
        refs_sha256=last.refs or None,
        base_at=last.base_at,
        chain_length=last.chain,
        chain_bytes=last.bytes,
        receipt_at=last.receipt_at,
        receipt_ok=last.receipt_ok,
        gaps=outcome.gaps,
        secrets=outcome.secrets,
        stored_bytes=outcome.stored,
        seconds=outcome.seconds,
        requests=outcome.requests,
        attempts=outcome.attempts,
        failures=last.failures,
        recent=recent[-RECENT_RUNS:],
        manifest=_manifest(last.manifest),
    )


def ledger_row(row: ResultRow) -> LedgerRow | None:
    """What the next run knows by a row. Returns None for a verdict that this release does not know."""
    if row.verdict not in _VERDICTS:
        return None
    return LedgerRow(
        repo=row.repo,
        run=row.run_id or "",
        refs=row.refs_sha256 or "",
        manifest=(row.manifest or "").encode(),
        base_at=row.base_at,
        chain=row.chain_length,
        bytes=row.chain_bytes,
        good_run=row.good_run_id or "",
        good_at=row.good_at,
        receipt_ok=row.receipt_ok,
        receipt_at=row.receipt_at,
        verdict=row.verdict,  # type: ignore[arg-type] # held against the words above
        seconds=row.seconds,
        failures=row.failures,
    )


def _mark(outcome: RepoOutcome) -> str:
    if outcome.verdict in _FLAWED:
        return "~"
    if not outcome.good:
        return "x"
    return "+" if outcome.wrote and outcome.kind in ("base", "increment") else "="


def _manifest(data: bytes) -> str | None:
    """The manifest as text; None for none, and for one so large that it is read from the store when it is needed."""
    return data.decode() if 0 < len(data) <= MAX_MANIFEST else None


def _cut(text: str) -> str:
    """Text that a table can hold: of a local path, bytes that are no text are escaped."""
    plain = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    return plain[:MAX_TEXT]
