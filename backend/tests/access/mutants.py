"""The list of mutants: each drops or loosens one thing in the template's policies, and `prove` must see it.

A mutant is data: which policy, which statement, and what becomes of it. The mutants of the bucket's settings
are in test_configuration.py.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

BUCKET, ACCESS, NEITHER = "bucket policy", "access policy", "neither"
Policy = dict[str, Any]


@dataclass(frozen=True)
class Mutant:
    """One change. `sid` None adds the statement `to`; `to` None drops statement `sid`; otherwise `to`
    replaces what is at `field` of the statement (None at a field drops the field).

    `fails` are rows that must fail, on at least one server; {bucket} stands for the bucket's name.
    """

    id: str
    policy: str
    sid: str | None
    field: str | None
    to: Any
    fails: tuple[str, ...]
    settings: str = ""  # of the bucket: "open" (no Block Public Access, ACLs on) or "versioned"

    def apply(self, bucket: str, bucket_policy: Policy, access_policy: Policy) -> tuple[Policy, Policy]:
        """Both policies, with this one change in copies of them."""
        policies = {BUCKET: deepcopy(bucket_policy), ACCESS: deepcopy(access_policy)}
        if self.policy == NEITHER:
            return policies[BUCKET], policies[ACCESS]
        to = json.loads(json.dumps(self.to).replace("{bucket}", bucket))
        statements = policies[self.policy]["Statement"]
        if self.sid is None:
            statements.append(to)
        else:
            (statement,) = [each for each in statements if each["Sid"] == self.sid]
            if self.field is None:
                statements.remove(statement)
            elif to is None:
                del statement[self.field]
            else:
                statement[self.field] = to
        return policies[BUCKET], policies[ACCESS]


_BUCKET = "arn:aws:s3:::{bucket}"
_INSIDE = f"{_BUCKET}/repo-scans/snapshotter/*"
_TESTS = f"{_BUCKET}/repo-scans/snapshotter/policy-tests/*"
_SSE = "s3:x-amz-server-side-encryption"
_HTTP = ("http-get", "http-put", "http-list", "http-link")
_USE = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:PutObjectTagging",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
]
_LISTS = (
    "list-none",
    "list-empty",
    "list-other",
    "list-parent",
    "list-no-slash",
    "list-look-alike",
    "head-bucket",
)


def _without(action: str) -> list[str]:
    return [each for each in _USE if each != action]


def _denied(id_: str, sid: str, field: str | None, to: Any, *fails: str) -> Mutant:
    return Mutant(id_, BUCKET, sid, field, to, fails)


def _used(id_: str, sid: str, field: str | None, to: Any, *fails: str) -> Mutant:
    return Mutant(id_, ACCESS, sid, field, to, fails)


def _granted(action: str, resource: str, *fails: str) -> Mutant:
    """The access policy allows one action more."""
    to = {"Sid": "More", "Effect": "Allow", "Action": action, "Resource": resource}
    settings = "open" if "Acl" in action else ""  # else ACLs are off, and the right changes nothing
    return Mutant(f"grant-{action.split(':')[1]}", ACCESS, None, None, to, fails, settings)


def _public(id_: str, principal: Any, action: str, resource: str, *fails: str) -> Mutant:
    """The bucket policy allows something to everybody."""
    to = {"Sid": "Open", "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
    return Mutant(id_, BUCKET, None, None, to, fails, "open")


DENIES = (
    _denied("no-tls-deny", "DenyInsecureTransport", None, None, *_HTTP),
    _denied(
        "tls-deny-of-bucket-only",
        "DenyInsecureTransport",
        "Resource",
        [_BUCKET],
        "http-get",
        "http-put",
        "http-link",
    ),
    _denied("tls-deny-of-objects-only", "DenyInsecureTransport", "Resource", [f"{_BUCKET}/*"], "http-list"),
    _denied(
        "tls-deny-of-reads-only", "DenyInsecureTransport", "Action", "s3:GetObject", "http-put", "http-list"
    ),
    _denied(
        "tls-deny-of-writes-only",
        "DenyInsecureTransport",
        "Action",
        "s3:PutObject",
        "http-get",
        "http-link",
        "http-list",
    ),
    _denied(
        "tls-deny-turned",
        "DenyInsecureTransport",
        "Condition",
        {"Bool": {"aws:SecureTransport": "true"}},
        "put-aes256",
        "http-put",
        "http-list",
    ),
    _denied(
        "tls-deny-unconditioned", "DenyInsecureTransport", "Condition", None, "put-aes256", "list-prefix"
    ),
    _denied(
        "tls-deny-of-one-account",
        "DenyInsecureTransport",
        "Principal",
        {"AWS": "arn:aws:iam::123456789012:root"},
        *_HTTP,
    ),
    _denied("no-wrong-header-deny", "DenyWrongEncryptionHeader", None, None, "put-kms", "put-kms-dsse"),
    _denied(
        "wrong-header-kms-allowed",
        "DenyWrongEncryptionHeader",
        "Condition",
        {"StringNotEquals": {_SSE: ["AES256", "aws:kms"]}},
        "put-kms",
    ),
    _denied(
        "wrong-header-like-kms",
        "DenyWrongEncryptionHeader",
        "Condition",
        {"StringNotLike": {_SSE: ["AES256", "aws:kms*"]}},
        "put-kms",
        "put-kms-dsse",
    ),
    _denied(
        "wrong-header-only-dsse",
        "DenyWrongEncryptionHeader",
        "Condition",
        {"StringEquals": {_SSE: "aws:kms:dsse"}},
        "put-kms",
    ),
    _denied(
        "wrong-header-only-kms",
        "DenyWrongEncryptionHeader",
        "Condition",
        {"StringEquals": {_SSE: "aws:kms"}},
        "put-kms-dsse",
    ),
    _denied(
        "wrong-header-another-value",
        "DenyWrongEncryptionHeader",
        "Condition",
        {"StringNotEquals": {_SSE: "aws:kms"}},
        "put-aes256",
        "tag-on-put",
        "put-kms",
    ),
    _denied(
        "wrong-header-elsewhere", "DenyWrongEncryptionHeader", "Resource", f"{_BUCKET}/other/*", "put-kms"
    ),
    _denied("wrong-header-of-reads", "DenyWrongEncryptionHeader", "Action", "s3:GetObject", "put-kms"),
    Mutant(
        "wrong-header-allowed", BUCKET, "DenyWrongEncryptionHeader", "Effect", "Allow", ("put-kms",), "open"
    ),
    _denied(
        "no-missing-header-deny",
        "DenyMissingEncryptionHeader",
        None,
        None,
        "put-no-header",
        "put-customer-key",
        "multipart-no-header",
        "copy-no-header",
    ),
    _denied(
        "missing-header-turned",
        "DenyMissingEncryptionHeader",
        "Condition",
        {"Null": {_SSE: "false"}},
        "put-aes256",
    ),
    _denied(
        "missing-header-elsewhere",
        "DenyMissingEncryptionHeader",
        "Resource",
        f"{_BUCKET}/other/*",
        "put-no-header",
    ),
    _denied(
        "missing-header-of-reads", "DenyMissingEncryptionHeader", "Action", "s3:GetObject", "put-no-header"
    ),
    # A rule that holds in the folder of the tests, and not where the snapshots are.
    _denied("tls-deny-of-tests-only", "DenyInsecureTransport", "Resource", [_BUCKET, _TESTS], "http-beside"),
    _denied("wrong-header-of-tests-only", "DenyWrongEncryptionHeader", "Resource", _TESTS, "put-beside-kms"),
    _denied(
        "missing-header-of-tests-only",
        "DenyMissingEncryptionHeader",
        "Resource",
        _TESTS,
        "put-beside-no-header",
    ),
    _public("public-read", "*", "s3:GetObject", f"{_BUCKET}/*", "anonymous-get"),
    _public("public-list", "*", "s3:ListBucket", _BUCKET, "anonymous-list"),
    _public("public-write", "*", "s3:PutObject", f"{_BUCKET}/*", "anonymous-put"),
    _public(
        "public-everything",
        {"AWS": "*"},
        "s3:*",
        f"{_BUCKET}/*",
        "anonymous-get",
        "anonymous-put",
        "delete-one",
    ),
)

SCOPES = (
    _used("list-nothing", "ListUnderPrefix", None, None, "list-prefix", "list-under"),
    _used("list-unconditioned", "ListUnderPrefix", "Condition", None, *_LISTS, "get-missing"),
    _used(
        "list-without-slash",
        "ListUnderPrefix",
        "Condition",
        {"StringLike": {"s3:prefix": "repo-scans/snapshotter*"}},
        "list-no-slash",
        "list-look-alike",
    ),
    _used(
        "list-parent-too",
        "ListUnderPrefix",
        "Condition",
        {"StringLike": {"s3:prefix": "repo-scans/*"}},
        "list-parent",
        "list-no-slash",
    ),
    _used(
        "list-any-prefix",
        "ListUnderPrefix",
        "Condition",
        {"StringLike": {"s3:prefix": "*"}},
        "list-other",
        "list-empty",
    ),
    _used(
        "list-if-there-is-a-prefix",
        "ListUnderPrefix",
        "Condition",
        {"StringLikeIfExists": {"s3:prefix": "repo-scans/snapshotter/*"}},
        "list-none",
        "head-bucket",
    ),
    _used(
        "list-the-prefix-only",
        "ListUnderPrefix",
        "Condition",
        {"StringEquals": {"s3:prefix": "repo-scans/snapshotter/"}},
        "list-under",
    ),
    _used(
        "list-tests-only",
        "ListUnderPrefix",
        "Condition",
        {"StringLike": {"s3:prefix": ["repo-scans/snapshotter/", "repo-scans/snapshotter/policy-tests/*"]}},
        "list-beside",
    ),
    _used(
        "list-all-but-one",
        "ListUnderPrefix",
        "Condition",
        {"StringNotLike": {"s3:prefix": "private/*"}},
        "list-other",
    ),
    _used(
        "list-another-bucket",
        "ListUnderPrefix",
        "Resource",
        "arn:aws:s3:::another-bucket",
        "list-prefix",
        "list-under",
    ),
    _used("list-denied", "ListUnderPrefix", "Effect", "Deny", "list-prefix", "list-under"),
    _used(
        "list-more", "ListUnderPrefix", "Action", ["s3:ListBucket", "s3:ListBucketVersions"], "list-versions"
    ),
    _used(
        "use-nothing",
        "ReadAndWriteUnderPrefix",
        None,
        None,
        "put-aes256",
        "overwrite",
        "tag-on-put",
        "multipart-create",
    ),
    _used(
        "use-whole-bucket",
        "ReadAndWriteUnderPrefix",
        "Resource",
        f"{_BUCKET}/*",
        "put-root",
        "put-outside",
        "put-look-alike",
        "put-dots",
        "get-outside",
    ),
    _used(
        "use-parent-too",
        "ReadAndWriteUnderPrefix",
        "Resource",
        f"{_BUCKET}/repo-scans/*",
        "put-outside",
        "put-look-alike",
    ),
    _used(
        "use-without-slash",
        "ReadAndWriteUnderPrefix",
        "Resource",
        f"{_BUCKET}/repo-scans/snapshotter*",
        "put-look-alike",
    ),
    _used(
        "use-prefix-anywhere",
        "ReadAndWriteUnderPrefix",
        "Resource",
        f"{_BUCKET}/*repo-scans/snapshotter/*",
        "put-dots",
    ),
    _used(
        "use-too-little",
        "ReadAndWriteUnderPrefix",
        "Resource",
        f"{_BUCKET}/repo-scans/snapshotter/policy-tests",
        "put-aes256",
    ),
    _used("use-tests-only", "ReadAndWriteUnderPrefix", "Resource", _TESTS, "put-beside"),
    _used("use-no-get", "ReadAndWriteUnderPrefix", "Action", _without("s3:GetObject"), "get-inside"),
    _used(
        "use-no-put", "ReadAndWriteUnderPrefix", "Action", _without("s3:PutObject"), "put-aes256", "overwrite"
    ),
    _used(
        "use-no-tagging", "ReadAndWriteUnderPrefix", "Action", _without("s3:PutObjectTagging"), "tag-write"
    ),
    _used(
        "use-no-abort",
        "ReadAndWriteUnderPrefix",
        "Action",
        _without("s3:AbortMultipartUpload"),
        "multipart-abort",
    ),
    _used(
        "use-no-parts",
        "ReadAndWriteUnderPrefix",
        "Action",
        _without("s3:ListMultipartUploadParts"),
        "multipart-parts",
    ),
    _used(
        "use-everything",
        "ReadAndWriteUnderPrefix",
        "Action",
        "s3:*",
        "delete-one",
        "delete-many",
        "delete-version",
        "tag-read",
        "tag-delete",
        "acl-read",
        "get-version",
    ),
    _used("use-denied", "ReadAndWriteUnderPrefix", "Effect", "Deny", "put-aes256"),
)

GRANTS = (
    _granted("s3:DeleteObject", _INSIDE, "delete-one", "delete-many"),
    _granted("s3:DeleteObjectVersion", _INSIDE, "delete-version", "lock-delete", "lock-bypass"),
    _granted("s3:GetObjectVersion", _INSIDE, "get-version"),
    _granted("s3:GetObjectTagging", _INSIDE, "tag-read"),
    _granted("s3:DeleteObjectTagging", _INSIDE, "tag-delete"),
    _granted("s3:PutObjectAcl", _INSIDE, "acl-on-put", "acl-write"),
    _granted("s3:GetObjectAcl", _INSIDE, "acl-read"),
    _granted("s3:ListBucketVersions", _BUCKET, "list-versions"),
    _granted("s3:ListBucketMultipartUploads", _BUCKET, "list-uploads"),
    _granted("s3:GetBucketPolicy", _BUCKET, "settings-read-policy"),
    _granted("s3:GetBucketCORS", _BUCKET, "settings-read-cors"),
    _granted("s3:GetBucketPublicAccessBlock", _BUCKET, "settings-read-public-access"),
    _granted("s3:GetBucketOwnershipControls", _BUCKET, "settings-read-ownership"),
    _granted("s3:GetEncryptionConfiguration", _BUCKET, "settings-read-encryption"),
    _granted("s3:GetLifecycleConfiguration", _BUCKET, "settings-read-lifecycle"),
    _granted("s3:GetBucketVersioning", _BUCKET, "settings-read-versioning"),
    _granted("s3:GetBucketLocation", _BUCKET, "settings-read-location"),
    _granted("s3:GetBucketAcl", _BUCKET, "settings-read-acl"),
    _granted("s3:PutBucketPolicy", _BUCKET, "settings-change-policy"),
    _granted("s3:PutBucketCORS", _BUCKET, "settings-change-cors"),
    _granted("s3:PutBucketPublicAccessBlock", _BUCKET, "settings-change-public-access"),
    _granted("s3:PutBucketOwnershipControls", _BUCKET, "settings-change-ownership"),
    _granted("s3:PutEncryptionConfiguration", _BUCKET, "settings-change-encryption"),
    _granted("s3:PutLifecycleConfiguration", _BUCKET, "settings-change-lifecycle"),
    _granted("s3:PutBucketVersioning", _BUCKET, "settings-change-versioning"),
    _granted("s3:ListAllMyBuckets", "*", "list-buckets"),
    _granted("s3:*", "*", "get-outside", "list-none", "settings-read-policy", "list-buckets"),
)

# Not of a policy: RADOS Gateway does not hold If-None-Match in a versioned bucket.
OTHERS = (Mutant("create-only-not-held", NEITHER, None, None, None, ("create-conflict",), "versioned"),)

MUTANTS = DENIES + SCOPES + GRANTS + OTHERS
