"""Who asks, on which server, and the result of one probe after another."""

from __future__ import annotations

from dataclasses import dataclass

from snapshotter.access import advice
from snapshotter.access.answer import Kind, S3Answer, arn_of, unavailable
from snapshotter.access.bucket_probes import OWNERS_READS, PROBES
from snapshotter.access.bucket_rules import NO_HEADER, OUTSIDERS, OVERWRITE, TLS, WRONG_HEADER
from snapshotter.access.judge import judge, unlocked
from snapshotter.access.probe import Actor, Expected, Harm, Probe
from snapshotter.access.probe_folder import NotMade, ProbeFolder
from snapshotter.access.proof import Result, Status
from snapshotter.access.servers import AWS, WRITE_ONCE, KnownServer, recognise
from snapshotter.aws.error_document import named_policy

_SCOPED = (
    "an administrator may do this, lawfully: run the proof as the task role or an operator, too. If these credentials "
    "are meant to be one of them, they may do too much: `prove --scoped` says what"
)
_OUTSIDE = (
    f"the bucket policy ({OUTSIDERS}) keeps objects from whoever is not in AllowedPrincipalArns, owners too: run the "
    "proof as the task role or an operator"
)
# The statements of the bucket policy, which deny to everybody.
_DENIES = frozenset({TLS, WRONG_HEADER, NO_HEADER, OVERWRITE})
_OWNER = "these credentials can see the bucket's settings, as only owners and administrators can"
_NO_LOCK = "no lock holds here: whoever may delete versions can delete them at once"
_PARTS_JUDGED = (
    "parts are judged for the header that they cannot carry: no upload in parts can be completed here"
)
_PARTS_TAKEN = "parts are not judged for the header: an upload whose start names AES256 can be completed"


@dataclass(frozen=True)
class Caller:
    """Who the credentials are, and what kind of server answers them.

    `identity` is the ARN, None where STS does not tell. `owner` is whether they may read all that only an owner
    may; `may_be_owner` is whether they may read any of it, or that could not be told. `closed` is whether an owner sees
    that the bucket policy keeps objects for a list of principals, in which he need not be.
    """

    identity: str | None
    server: KnownServer
    owner: bool
    may_be_owner: bool
    closed: bool = False

    def shut_out(self, answer: S3Answer) -> bool:
        """Whether an answer refuses an owner what only those in the list may do."""
        named = named_policy(answer.message)
        return (
            self.owner
            and self.closed
            and answer.kind is Kind.DENIED
            and (not named or named.kind == "bucket")
        )


def look(folder: ProbeFolder, *, scoped: bool = False) -> Caller:
    """Find out who asks. A caller who is meant to be the scoped identity is no owner, whatever he may do.

    Raises Unavailable if nothing can be asked: no network, no such bucket."""
    bucket = folder.target.bucket
    first = folder.send("ListObjectsV2", folder.target.prefix, {})
    if first.kind is Kind.UNCHECKED:
        raise unavailable(first, bucket)
    if first.kind is Kind.DENIED and (write := folder.object()).kind is Kind.UNCHECKED:
        raise unavailable(write, bucket)  # a server may refuse before it looks for the bucket
    reads = [folder.send(probe.operation, None, {}) for probe in PROBES if probe.id in OWNERS_READS]
    who = folder.wire.identity()
    return Caller(
        arn_of(who),
        recognise((each.metadata for each in (first, *reads, who)), is_aws=folder.wire.is_aws),
        owner=not scoped and all(read.kind in (Kind.ALLOWED, Kind.OTHER) for read in reads),
        may_be_owner=any(read.kind is not Kind.DENIED for read in reads),
        closed=any(
            OUTSIDERS in read.response.get("Policy", "") for read in reads if read.kind is Kind.ALLOWED
        ),
    )


def result(folder: ProbeFolder, caller: Caller, probe: Probe) -> Result:
    """Send one probe, unless it must not be sent or cannot be judged, and judge the answer."""
    if reason := caller.server.cannot.get(probe.id):
        return Result.of(probe, folder.key(probe), "–", Status.NOT_JUDGED, reason)
    if caller.owner and not _binds_everybody(probe):
        return Result.of(probe, folder.key(probe), "–", Status.SCOPED, _SCOPED)
    if caller.may_be_owner and probe.harm is not Harm.NONE:
        return Result.of(probe, folder.key(probe), "–", Status.NOT_SENT, _OWNER)
    try:
        key, answer = folder.probe(probe)
    except NotMade as error:
        if caller.shut_out(error.answer):
            return Result.of(probe, folder.key(probe), "–", Status.SCOPED, _OUTSIDE)
        return _not_made(probe, folder.key(probe), error.answer).refused(error.answer, None)
    status, note = judge(probe, answer)
    if status is Status.FAILED and caller.shut_out(answer):
        status, note = Status.SCOPED, _OUTSIDE
    if probe.expected is Expected.REPORTED:
        note = _reported(probe, answer, caller.server) or note
    if probe.expected is Expected.LOCKED and unlocked(answer, folder.retention(), owner=caller.owner):
        status, note = Status.PASSED, _NO_LOCK
    fix = advice.fix(probe, key, answer, folder.target, caller.identity)
    return Result.of(probe, key, str(answer), status, note).refused(answer, fix)


def _binds_everybody(probe: Probe) -> bool:
    """Whether a row promises the same to administrators: what the bucket policy denies, what nobody in particular
    may do, and what is allowed."""
    denied = probe.expected is Expected.DENIED
    return not denied or probe.rule.statement in _DENIES or probe.actor is Actor.ANONYMOUS


def _reported(probe: Probe, answer: S3Answer, server: KnownServer) -> str:
    """What an answer says that the rules leave open; empty for one that they do not."""
    if answer.kind not in (Kind.ALLOWED, Kind.DENIED):
        return ""
    denied = answer.kind is Kind.DENIED
    if probe.operation == "UploadPart":
        return _PARTS_JUDGED if denied else _PARTS_TAKEN
    if denied:
        return "EnforceWriteOnce is in force: create-only writes pass, this one does not"
    if server is not AWS:
        return f"whether EnforceWriteOnce is in force cannot be judged here: {WRITE_ONCE}"
    return "EnforceWriteOnce is not in force: only versioning keeps what was there"


def _not_made(probe: Probe, key: str | None, answer: S3Answer) -> Result:
    if probe.id == "overwrite" and answer.kind is Kind.DENIED:
        note = "the create-only write before it was refused too"
        return Result.of(probe, key, str(answer), Status.FAILED, note)
    note = f"what it is about could not be made first: {answer}"
    return Result.of(probe, key, "–", Status.UNCHECKED, note)
