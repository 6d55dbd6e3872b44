"""A read-mostly preflight: everything that a snapshot and its verification need, checked one by one.

It writes one small object under `_diagnostics/`, which expires after a day, and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from snapshotter.base import runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Finding, SnapshotterError, Unavailable, UsageError
from snapshotter.doctor import local_checks
from snapshotter.doctor.aws_checks import AwsChecks
from snapshotter.doctor.check import Check, Setup, guarded
from snapshotter.doctor.store_checks import StoreChecks


def examine(setup: Setup, cancel: Cancel) -> Iterator[Check]:
    """Every check, causes before effects, each as it is done. Raises only the caller's Interrupted."""
    aws, store = AwsChecks(setup), StoreChecks(setup, cancel)
    if setup.bucket:
        yield from aws.reach(setup.bucket)
        yield from aws.identify()
    yield from store.use(aws.blocked)
    if setup.origin is not None:
        yield local_checks.origin(setup, setup.origin, cancel)
    yield guarded("git", runbook.GIT, local_checks.installed_git)
    yield guarded("disk", runbook.DISK, lambda: local_checks.disk(setup, store.store))
    if expiry := setup.expiry:
        yield guarded(
            "retention", runbook.EXPIRY, lambda: local_checks.retention(expiry, setup.max_chain_age)
        )


def verdict(checks: list[Check]) -> SnapshotterError | None:
    """The error that the examination ends with: of the kind of the first failed check, the likely cause.

    A check that only judges, like that of the role, has no error: then it is that of the first that came to harm, so
    that the exit code is a snapshot's; a finding if none did.
    """
    bad = [check for check in checks if check.state == "failed"]
    if not bad:
        return None
    known = next((check.error for check in bad if check.error), Finding(""))
    kind = next((k for k in (AccessDenied, Finding, UsageError) if isinstance(known, k)), Unavailable)
    message = f"{len(bad)} of {len(checks)} checks failed, the first of them: {bad[0].name}"
    return kind(message, code="doctor", hint=f"see {runbook.link(bad[0].heading)}")
