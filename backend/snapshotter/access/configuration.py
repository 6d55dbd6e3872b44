"""The bucket's settings, read with its owner's credentials and held against infra/storage.yaml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from snapshotter.access import setting_checks as checks
from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.bucket_rules import NO_HEADER, OVERWRITE, POLICY, TLS, WRONG_HEADER

GROUP = "configuration"
_FIX = "deploy infra/storage.yaml again, or set it by hand as docs/aws.md ('The bucket') says"


class SettingSource(NamedTuple):
    """The operation that reads a setting, and the code by which S3 says that there is none."""

    operation: str
    absent: str


PUBLIC_ACCESS = SettingSource("GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration")
OWNERSHIP = SettingSource("GetBucketOwnershipControls", "OwnershipControlsNotFoundError")
ENCRYPTION = SettingSource("GetBucketEncryption", "ServerSideEncryptionConfigurationNotFoundError")
VERSIONING = SettingSource("GetBucketVersioning", "")
CORS = SettingSource("GetBucketCors", "NoSuchCORSConfiguration")
OBJECT_LOCK = SettingSource("GetObjectLockConfiguration", "ObjectLockConfigurationNotFoundError")
LIFECYCLE = SettingSource("GetBucketLifecycleConfiguration", "NoSuchLifecycleConfiguration")
BUCKET_POLICY = SettingSource("GetBucketPolicy", "NoSuchBucketPolicy")


@dataclass(frozen=True)
class BucketSetting:
    """One setting: where it is read, what it must be, the rule that this keeps, and what checks it.

    `may_be_absent` is whether having no such setting is right.
    """

    name: str
    source: SettingSource
    expected: str
    rule: str
    check: checks.Check
    may_be_absent: bool = False
    fix: str = _FIX

    @property
    def id(self) -> str:
        """The row's id in a proof."""
        return f"config-{self.name}"


@dataclass(frozen=True)
class SettingState:
    """What a setting was found to be. `holds` is None if it could not be read."""

    setting: BucketSetting
    got: str
    holds: bool | None


def read(
    send: Callable[[str, Mapping[str, Any]], S3Answer], bucket: str, prefix: str, wanted: frozenset[str]
) -> Iterator[SettingState]:
    """Read and judge the settings with these ids; each operation is asked once."""
    answers: dict[str, S3Answer] = {}
    for setting in SETTINGS:
        if setting.id not in wanted:
            continue
        operation = setting.source.operation
        if operation not in answers:
            answers[operation] = send(operation, {"Bucket": bucket})
        yield _judged(setting, answers[operation], prefix)


def _judged(setting: BucketSetting, answer: S3Answer, prefix: str) -> SettingState:
    if answer.kind is Kind.OTHER and answer.code == setting.source.absent:
        return SettingState(setting, "none", setting.may_be_absent)
    if answer.kind is not Kind.ALLOWED:
        return SettingState(setting, str(answer), None)
    wrong = setting.check(answer.response, prefix)
    return SettingState(setting, wrong or "as it must be", not wrong)


def _expires(name: str, folder: str, rule: str) -> BucketSetting:
    return BucketSetting(name, LIFECYCLE, f"{folder} after 1 day", rule, checks.expires(folder))


def _denies(name: str, sid: str) -> BucketSetting:
    expected, rule = f"{sid} as in the template", "the bucket policy denies"
    return BucketSetting(name, BUCKET_POLICY, expected, rule, checks.denies(sid), fix=POLICY)


_NO_UPLOADS = "unfinished uploads do not pile up"
_SNAPSHOTS = "no expiry of snapshots but the prefix's own"
_SNAPSHOTS_RULE = "snapshots are kept, or all expire at one age"
_WRITE_ONCE = f"{OVERWRITE} as in the template, or none"
_WRITE_ONCE_RULE = "where writing once is enforced, it is for every writer"
_WRITE_ONCE_CHECK = checks.denies(OVERWRITE, optional=True)
_OPENS_NOTHING = "the bucket policy opens nothing to anybody"

SETTINGS = (
    BucketSetting(
        "public-access",
        PUBLIC_ACCESS,
        "all four blocks on",
        "nothing can be made public",
        checks.public_access,
    ),
    BucketSetting("ownership", OWNERSHIP, "BucketOwnerEnforced", "ACLs are off", checks.ownership),
    BucketSetting(
        "encryption", ENCRYPTION, "AES256", "what is stored is encrypted, without KMS", checks.encryption
    ),
    BucketSetting(
        "versioning", VERSIONING, "Enabled", "an overwritten object can be recovered", checks.versioning
    ),
    BucketSetting(
        "object-lock",
        OBJECT_LOCK,
        "governance mode, or none",
        "where versions are locked, a secret can still be purged",
        checks.object_lock,
        may_be_absent=True,
    ),
    BucketSetting("cors", CORS, "none", "no browser has business here", checks.cors, may_be_absent=True),
    BucketSetting("abort-multipart", LIFECYCLE, "after 1 day", _NO_UPLOADS, checks.uploads_aborted),
    _expires("expire-tests", "policy-tests/", "what tests write goes by itself"),
    _expires("expire-diagnostics", "_diagnostics/", "what the doctor writes goes by itself"),
    BucketSetting("snapshots-stay", LIFECYCLE, _SNAPSHOTS, _SNAPSHOTS_RULE, checks.snapshots_stay, True),
    _denies("policy-tls", TLS),
    _denies("policy-wrong-header", WRONG_HEADER),
    _denies("policy-missing-header", NO_HEADER),
    BucketSetting(
        "policy-write-once", BUCKET_POLICY, _WRITE_ONCE, _WRITE_ONCE_RULE, _WRITE_ONCE_CHECK, True, POLICY
    ),
    BucketSetting(
        "policy-only-denies", BUCKET_POLICY, "no Allow", _OPENS_NOTHING, checks.only_denies, True, POLICY
    ),
)
NAMES = frozenset({GROUP, *(setting.id for setting in SETTINGS)})
