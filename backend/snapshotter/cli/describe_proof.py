"""The proof of the bucket's rules in words: row by row what was expected and what came. Nothing is printed here."""

from __future__ import annotations

from snapshotter.access.proof import Proof, Result, Status


def proof(proof: Proof) -> list[str]:
    """A proof: where and as whom, its rows, its counts, and what is left behind."""
    widths = (
        max((len(result.status) for result in proof.results), default=0),
        max((len(result.id) for result in proof.results), default=0),
    )
    counts = ((proof.count(status), status) for status in Status)
    lines = [
        f"s3://{proof.bucket}/{proof.prefix} on {proof.server}",
        f"as {proof.identity or 'an identity that STS does not name'}",
        "",
        *(line for result in proof.results for line in _row(result, *widths)),
        "",
        f"{', '.join(f'{count} {status}' for count, status in counts if count)}; {proof.seconds:.1f} s",
        f"written under {proof.folder}, which expires after a day",
    ]
    if proof.owner:
        lines.append(
            "these are an owner's or administrator's credentials: this proves the configuration and what holds for "
            "everybody; run it as the task role or an operator for the rest"
        )
    else:
        lines.append("the bucket's settings were not read: that takes its owner's credentials")
    for leftover in proof.leftovers:
        lines += [f"LEFT BEHIND: {leftover.key}", f"  remove it: {leftover.remove}"]
    return lines


def _row(result: Result, width: int, id_width: int) -> list[str]:
    what = f"{result.operation} ({result.condition})" if result.condition != "–" else result.operation
    who = "" if result.actor == "you" else f", {result.actor}"
    line = f"{result.status:<{width}}  {result.id:<{id_width}}  {what}{who}: expected {result.expected}"
    if result.status is Status.PASSED:
        return [f"{line}, got {result.got}" + (f"; {result.note}" if result.note else "")]
    if result.status in (Status.NOT_JUDGED, Status.NOT_SENT, Status.SCOPED):
        return [f"{line}; {result.note}"]
    # Whoever reads a row that failed, or could not be checked, needs all that it takes to mend it.
    facts = [
        f"rule: {result.rule}",
        f"statement that should answer: {result.statement or 'none; no statement grants it'}",
        *([f"key: {result.key}"] if result.key else []),
        *([f"note: {result.note}"] if result.note else []),
        *([f"S3 says: {result.sentence}"] if result.sentence else []),
        *([f"request id: {result.request_id}"] if result.request_id else []),
        *([f"fix: {result.fix}"] if result.status is Status.FAILED else []),
    ]
    return [f"{line}, got {result.got}", *(f"{'':{width}}  {fact}" for fact in facts)]
