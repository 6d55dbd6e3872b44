"""Whether what S3 answered is what the rules promise."""

from __future__ import annotations

from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.probe import Expected, Probe
from snapshotter.access.proof import Status
from snapshotter.aws.error_document import named_action


def judge(probe: Probe, answer: S3Answer) -> tuple[Status, str]:
    """Whether an answer is the one that the rules promise, and a note if the answer alone does not say why."""
    if answer.kind is Kind.UNCHECKED:
        return Status.UNCHECKED, answer.message[:200]
    wanted, allowed, denied = probe.expected, answer.kind is Kind.ALLOWED, answer.kind is Kind.DENIED
    if wanted is Expected.ALLOWED:
        return (Status.PASSED if allowed else Status.FAILED), _words(answer)
    if wanted is Expected.CONFLICT:
        return (Status.PASSED if answer.code == "PreconditionFailed" else Status.FAILED), ""
    if wanted is Expected.DIGEST:
        if answer.code == "BadDigest":
            return Status.PASSED, ""
        return Status.FAILED, (
            "the server does not compare the digest: do not store snapshots in it"
            if allowed
            else _words(answer)
        )
    if wanted is Expected.REPORTED:
        return (Status.PASSED if allowed or denied else Status.FAILED), ""
    if wanted is Expected.LOCKED:
        return (Status.PASSED if denied else Status.FAILED), ""
    if denied and probe.operation == "GetObject" and probe.id != "get-missing" and _only_listing(answer):
        return Status.FAILED, "reading is allowed there: S3 refused only to tell that the key does not exist"
    if denied or answer.code in probe.tolerated:
        return Status.PASSED, ""
    if allowed:
        return Status.FAILED, ""
    return Status.FAILED, f"S3 passed it on and failed later: {answer.message[:200]}".rstrip(": ")


def unlocked(answer: S3Answer, retention: S3Answer, *, owner: bool) -> bool:
    """Whether what a lock would have refused came to pass because there is no lock, which only is to be reported.

    `retention` is the answer to who asked until when the version is locked. Without a lock, an owner or administrator
    may delete what is theirs; nobody else may.
    """
    none = retention.kind is Kind.OTHER  # there is none, or the bucket has no Object Lock at all
    return none and (answer.kind is Kind.OTHER or (owner and answer.kind is Kind.ALLOWED))


def _words(answer: S3Answer) -> str:
    """S3's words as a note. A refusal needs none: its row has S3's sentence in a field of its own."""
    return answer.message[:300] if answer.kind is Kind.OTHER else ""


def _only_listing(answer: S3Answer) -> bool:
    """Whether AWS says that only the right to list was missing, for want of which it hides that a key is absent."""
    return named_action(answer.message) == "s3:ListBucket"
