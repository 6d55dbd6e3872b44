"""The probes of single objects: put, get, list, overwrite, tag, ACL, multipart, copy, by HTTP, by anybody.

Every write but the one that tries to overwrite is create-only, so that a bucket with `EnforceWriteOnce`
answers by the rule that the row is about. The rows `…beside…` write where the snapshots are, outside the folder of
the tests: a policy could be right in that folder alone. Nothing can be deleted, so their writes carry a wrong
digest, and S3 stores none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snapshotter.access import bucket_rules
from snapshotter.access.bucket_rules import Rule
from snapshotter.access.probe import HEADER, Actor, Expected, Harm, Probe

ALLOWED, DENIED = Expected.ALLOWED, Expected.DENIED
ACLS_OFF = frozenset({"AccessControlListNotSupported"})

# Operations of the S3 API.
PUT, GET, LIST = "PutObject", "GetObject", "ListObjectsV2"
DELETE, UNTAG, RETAIN = "DeleteObject", "DeleteObjectTagging", "PutObjectRetention"
UPLOAD, PART = "CreateMultipartUpload", "UploadPart"

# Keys and prefixes: the row's own in this run's folder, one outside, one beside the folder of the tests.
OWN, ELSEWHERE, BESIDE = "{run}{id}", "policy-test-{random}", "{prefix}policy-test-{random}"
ALIKE = "{unslashed}2/"

# What a request carries. A lawful write is create-only and names AES256.
Params = Mapping[str, Any]
NONE: dict[str, Any] = {}
NEW = {"IfNoneMatch": "*"}
AES256 = {"ServerSideEncryption": "AES256"}
LAWFUL = NEW | AES256
KMS = {"ServerSideEncryption": "aws:kms"}
KMS_DSSE = {"ServerSideEncryption": "aws:kms:dsse"}
OWN_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef0123456789abcdef"}
WRONG_DIGEST = NEW | {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
# The directive COPY would need to read tags, which nobody may.
COPY = NEW | {"CopySource": "{bucket}/{object}", "TaggingDirective": "REPLACE"}
NO_ETAG = '"00000000000000000000000000000000"'
ABSENT_KEYS = {"Delete": {"Objects": [{"Key": "{run}absent", "ETag": NO_ETAG}]}}
TAGGING = {"Tagging": "policy-test=1"}
ONE_TAG = {"Tagging": {"TagSet": [{"Key": "policy-test", "Value": "1"}]}}
OLD = {"VersionId": "{version}"}
KEPT = {"VersionId": "{kept_version}"}
BYPASS = KEPT | {"BypassGovernanceRetention": True}
SHORTER = KEPT | {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": "{soon}"}}
OUR_UPLOAD = {"UploadId": "{upload}"}
FIRST_PART: Params = OUR_UPLOAD | {"PartNumber": 1}

# The conditions in words.
OURS = "the version just written"
WITH, WITHOUT, WITH_KMS = f"{HEADER}: AES256", f"no {HEADER}", f"{HEADER}: aws:kms"
UNSTORED = "beside the test folder, with a wrong digest"
ABSENT, ABSENT_INSIDE = "a key that does not exist", "a key under the prefix that does not exist"
A_PART = "a part of an upload of ours, which cannot carry the header"
BY_LINK = "a presigned URL by plain HTTP"


def _put(name: str, says: str, rule: Rule, params: Params, expected: Expected = DENIED) -> Probe:
    """A write to this run's folder."""
    return Probe(name, PUT, OWN, says, expected, rule, params)


def _outside(name: str, key: str, where: str, rule: Rule = bucket_rules.WRITE_INSIDE) -> Probe:
    """A write that would be lawful under the prefix."""
    return Probe(name, PUT, key, f"{WITH}, {where}", DENIED, rule, LAWFUL, Harm.ELSEWHERE)


def _beside(name: str, says: str, rule: Rule, params: Params, expected: Expected = DENIED) -> Probe:
    """A write where the snapshots are, whose wrong digest keeps S3 from storing it."""
    sent, plain = {**WRONG_DIGEST, **params}, rule is bucket_rules.TLS_EVERYWHERE
    return Probe(name, PUT, BESIDE, f"{says}, {UNSTORED}", expected, rule, sent, Harm.CHANGE, plain=plain)


def _taken(name: str, says: str, rule: Rule, params: Params, expected: Expected) -> Probe:
    """A write to a key that is taken."""
    says = f"{says} on a key that is taken"
    return Probe(name, PUT, "{object}", says, expected, rule, params, in_group="once")


def _list(
    name: str,
    prefix: str | None,
    says: str,
    rule: Rule = bucket_rules.LIST_INSIDE,
    expected: Expected = DENIED,
) -> Probe:
    return Probe(name, LIST, prefix, says, expected, rule)


def _delete(name: str, says: str, params: Params) -> Probe:
    """A deletion that would find nothing to delete."""
    return Probe(name, DELETE, "{run}absent", says, DENIED, bucket_rules.NO_DELETE, params, Harm.CHANGE)


def _acl(name: str, operation: str, key: str, acl: str, params: Params = NONE) -> Probe:
    """A change of an ACL, which a bucket without ACLs refuses by a code of its own."""
    says, sent = f"x-amz-acl: {acl}", {**params, "ACL": acl}
    return Probe(
        name, operation, key, says, DENIED, bucket_rules.NO_ACL, sent, Harm.CHANGE, tolerated=ACLS_OFF
    )


def _plain(name: str, operation: str, key: str, more: str = "", params: Params = NONE) -> Probe:
    """A request by plain HTTP."""
    return Probe(name, operation, key, f"plain HTTP{more}", DENIED, bucket_rules.ONLY_TLS, params, plain=True)


def _upload(name: str, operation: str, rule: Rule) -> Probe:
    """Something done to an unfinished upload of ours."""
    return Probe(name, operation, "{run}upload", "an upload of ours", ALLOWED, rule, OUR_UPLOAD)


def _anonymous(name: str, operation: str, key: str, more: str = "", params: Params = NONE) -> Probe:
    """A request that nobody signed."""
    says = f"not signed{more}"
    return Probe(name, operation, key, says, DENIED, bucket_rules.NO_PUBLIC, params, actor=Actor.ANONYMOUS)


PUTS = (
    _put("put-no-header", WITHOUT, bucket_rules.HEADER_REQUIRED, NEW),
    _put("put-aes256", WITH, bucket_rules.WRITE, LAWFUL, ALLOWED),
    _put("put-kms", WITH_KMS, bucket_rules.HEADER_RIGHT, NEW | KMS),
    _put("put-kms-dsse", f"{WITH_KMS}:dsse", bucket_rules.HEADER_RIGHT, NEW | KMS_DSSE),
    _put(
        "put-customer-key", f"a key of the caller's, {WITHOUT}", bucket_rules.HEADER_REQUIRED, NEW | OWN_KEY
    ),
    _outside("put-root", ELSEWHERE, "at the bucket's root"),
    _outside("put-outside", f"{{parent}}{ELSEWHERE}", "one folder above the prefix"),
    _outside(
        "put-look-alike", f"{ALIKE}{ELSEWHERE}", "at a prefix that only begins alike", bucket_rules.SLASH
    ),
    _outside("put-dots", f"{ELSEWHERE}/../{BESIDE}", "with .. in the key", bucket_rules.DOTS),
    _beside("put-beside", WITH, bucket_rules.WRITE_EVERYWHERE, AES256, Expected.DIGEST),
    _beside("put-beside-no-header", WITHOUT, bucket_rules.REQUIRED_EVERYWHERE, NONE),
    _beside("put-beside-kms", WITH_KMS, bucket_rules.RIGHT_EVERYWHERE, KMS),
)

READS = (
    Probe("get-inside", GET, "{object}", "an object under the prefix", ALLOWED, bucket_rules.READ),
    Probe("get-outside", GET, ELSEWHERE, "a key outside the prefix", DENIED, bucket_rules.READ_INSIDE),
    Probe("get-missing", GET, "{run}missing", ABSENT_INSIDE, DENIED, bucket_rules.MISSING_KEY),
    Probe("get-version", GET, "{object}", "a version by its id", DENIED, bucket_rules.OLD_VERSIONS, OLD),
    _list("list-prefix", "{prefix}", "the prefix", bucket_rules.LIST_PREFIX, ALLOWED),
    _list("list-under", "{run}", "a folder under the prefix", bucket_rules.LIST_FOLDERS, ALLOWED),
    _list(
        "list-beside", f"{BESIDE}/", "a folder beside the test folder", bucket_rules.LIST_EVERYWHERE, ALLOWED
    ),
    _list("list-none", None, "no prefix"),
    _list("list-empty", "", "an empty prefix"),
    _list("list-other", f"{ELSEWHERE}/", "another prefix"),
    _list("list-parent", "{parent}", "the folder above the prefix"),
    _list("list-no-slash", "{unslashed}", "the prefix less its slash"),
    _list("list-look-alike", ALIKE, "a prefix that only begins alike"),
    Probe(
        "list-versions", "ListObjectVersions", "{prefix}", "the prefix", DENIED, bucket_rules.LIST_VERSIONS
    ),
    Probe(
        "list-uploads", "ListMultipartUploads", "{prefix}", "the prefix", DENIED, bucket_rules.LIST_UPLOADS
    ),
)

CHANGES = (
    _delete("delete-one", "a key that does not exist, under a condition", {"IfMatch": NO_ETAG}),
    Probe(
        "delete-many", "DeleteObjects", None, ABSENT, DENIED, bucket_rules.NO_DELETE, ABSENT_KEYS, Harm.CHANGE
    ),
    _delete("delete-version", f"the null version of {ABSENT}", {"VersionId": "null"}),
    _taken("create-conflict", "If-None-Match: *", bucket_rules.CREATE_ONLY, LAWFUL, Expected.CONFLICT),
    _taken("overwrite", "no If-None-Match", bucket_rules.WRITE_ONCE, AES256, Expected.REPORTED),
    _put("tag-on-put", "with x-amz-tagging", bucket_rules.TAG_UPLOADS, LAWFUL | TAGGING, ALLOWED),
    Probe("tag-write", "PutObjectTagging", "{object}", "one tag", ALLOWED, bucket_rules.TAG_OBJECTS, ONE_TAG),
    Probe("tag-read", "GetObjectTagging", "{object}", "–", DENIED, bucket_rules.READ_TAGS),
    Probe("tag-delete", UNTAG, "{object}", "–", DENIED, bucket_rules.REMOVE_TAGS, harm=Harm.CHANGE),
    _acl("acl-on-put", PUT, OWN, "authenticated-read", LAWFUL),
    _acl("acl-write", "PutObjectAcl", "{object}", "private"),
    Probe("acl-read", "GetObjectAcl", "{object}", "–", DENIED, bucket_rules.READ_ACLS),
)

# In this order, and of an object that no other row is about: where the bucket does not lock, the last may delete it.
LOCKS = (
    Probe(
        "lock-shorter",
        RETAIN,
        "{kept}",
        f"an hour, for {OURS}",
        Expected.LOCKED,
        bucket_rules.LOCKED,
        SHORTER,
    ),
    Probe(
        "lock-bypass", DELETE, "{kept}", f"{OURS}, with the bypass", DENIED, bucket_rules.NO_BYPASS, BYPASS
    ),
    Probe("lock-delete", DELETE, "{kept}", OURS, Expected.LOCKED, bucket_rules.LOCKED, KEPT),
)

WAYS = (
    _plain("http-get", GET, "{object}"),
    _plain("http-put", PUT, OWN, f", {WITH}", LAWFUL),
    _plain("http-list", LIST, "{prefix}"),
    Probe("http-link", GET, "{object}", BY_LINK, DENIED, bucket_rules.ONLY_TLS, actor=Actor.LINK, plain=True),
    _beside("http-beside", f"plain HTTP, {WITH}", bucket_rules.TLS_EVERYWHERE, AES256),
    Probe("multipart-create", UPLOAD, OWN, WITH, ALLOWED, bucket_rules.START_UPLOAD, AES256),
    Probe("multipart-no-header", UPLOAD, OWN, WITHOUT, DENIED, bucket_rules.HEADER_REQUIRED),
    Probe(
        "multipart-part", PART, "{run}upload", A_PART, Expected.REPORTED, bucket_rules.SEND_PART, FIRST_PART
    ),
    _upload("multipart-parts", "ListParts", bucket_rules.OWN_PARTS),
    _upload("multipart-abort", "AbortMultipartUpload", bucket_rules.GIVE_UP),
    Probe("copy-no-header", "CopyObject", OWN, WITHOUT, DENIED, bucket_rules.HEADER_REQUIRED, COPY),
    _anonymous("anonymous-get", GET, "{object}"),
    _anonymous("anonymous-list", LIST, "{prefix}"),
    _anonymous("anonymous-put", PUT, OWN, f", {WITH}", LAWFUL),
)

OBJECT_PROBES = PUTS + READS + CHANGES + LOCKS + WAYS
