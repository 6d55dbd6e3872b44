"""The probes of single objects: put, get, list, overwrite, tag, ACL, multipart, copy, by HTTP, by anybody.

Every write but the one that tries to overwrite is create-only, so that a bucket with `EnforceWriteOnce`
answers by the rule that the row is about. The rows `…beside…` are about where the snapshots are, beside the folder
of the tests: a policy could be right in that folder alone. There is no delete, so their writes have a digest that
is wrong, and S3 stores none of them.
"""

from __future__ import annotations

from snapshotter.access.probe import (
    HEADER,
    LIST,
    NO_HEADER,
    NOBODY,
    OVERWRITE,
    TLS,
    USE,
    WRONG_HEADER,
    Actor,
    Expected,
    Harm,
    Probe,
)  # fmt: skip
from snapshotter.base import runbook
from snapshotter.base.runbook import see

ALLOWED, DENIED = Expected.ALLOWED, Expected.DENIED
NEW = {"IfNoneMatch": "*"}
SEALED = {"ServerSideEncryption": "AES256"}
WITH = f"{HEADER}: AES256"
WRONG_DIGEST = {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
BESIDE = "beside the test folder, with a wrong digest"
ACLS_OFF = frozenset({"AccessControlListNotSupported"})

POLICY = f"put the bucket policy of infra/storage.yaml back {see(runbook.PUT_DENIED)}"
TLS_POLICY = f"put the bucket policy of infra/storage.yaml back {see(runbook.PLAIN_HTTP)}"
GRANT = f"attach the access policy of infra/storage.yaml to this identity {see(runbook.PUT_DENIED)}"
GRANT_LIST = f"attach the access policy of infra/storage.yaml to this identity {see(runbook.LIST_DENIED)}"
NARROW = (
    "remove the grant: compare the access policy and whatever else is attached to this identity with "
    f"infra/storage.yaml {see(runbook.NEVER_GRANTED)}"
)
SHUT = f"turn Block Public Access on, and remove every Allow from the bucket policy {see(runbook.PUBLIC)}"

ONLY_AES256 = "every upload names AES256 and nothing else"
ONLY_PREFIX = "nobody writes outside the prefix"
READ_PREFIX = "nobody reads outside the prefix"
LIST_PREFIX = "nobody lists without the prefix"
NO_DELETE = "nobody deletes"
ONLY_TLS = "everything is encrypted on its way"
NO_ACL = "ACLs are off"
NO_PUBLIC = "nothing is public"
EVERYWHERE = "what holds in the test folder holds under the whole prefix"

PUTS = (
    Probe(
        "put-no-header", "put", "PutObject", "{run}put-no-header", f"no {HEADER}", DENIED,
        ONLY_AES256, NO_HEADER, POLICY, {**NEW},
    ),
    Probe(
        "put-aes256", "put", "PutObject", "{run}put-aes256", WITH, ALLOWED,
        "an upload with AES256 under the prefix passes", USE, GRANT, {**NEW, **SEALED},
    ),
    Probe(
        "put-kms", "put", "PutObject", "{run}put-kms", f"{HEADER}: aws:kms", DENIED,
        ONLY_AES256, WRONG_HEADER, POLICY, {**NEW, "ServerSideEncryption": "aws:kms"},
    ),
    Probe(
        "put-kms-dsse", "put", "PutObject", "{run}put-kms-dsse", f"{HEADER}: aws:kms:dsse", DENIED,
        ONLY_AES256, WRONG_HEADER, POLICY, {**NEW, "ServerSideEncryption": "aws:kms:dsse"},
    ),
    Probe(
        "put-customer-key", "put", "PutObject", "{run}put-customer-key",
        f"a key of the caller's, no {HEADER}",
        DENIED, ONLY_AES256, NO_HEADER, POLICY,
        {**NEW, "SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef0123456789abcdef"},
    ),
    Probe(
        "put-root", "put", "PutObject", "policy-test-{random}", f"{WITH}, at the bucket's root", DENIED,
        ONLY_PREFIX, USE, NARROW, {**NEW, **SEALED}, harm=Harm.ELSEWHERE,
    ),
    Probe(
        "put-outside", "put", "PutObject", "{parent}policy-test-{random}",
        f"{WITH}, one folder above the prefix",
        DENIED, ONLY_PREFIX, USE, NARROW, {**NEW, **SEALED}, harm=Harm.ELSEWHERE,
    ),
    Probe(
        "put-look-alike", "put", "PutObject", "{unslashed}2/policy-test-{random}",
        f"{WITH}, at a prefix that only begins alike", DENIED,
        "the prefix ends with its slash", USE, NARROW, {**NEW, **SEALED}, harm=Harm.ELSEWHERE,
    ),
    Probe(
        "put-dots", "put", "PutObject", "policy-test-{random}/../{prefix}policy-test-{random}",
        f"{WITH}, with .. in the key", DENIED,
        "a key is compared as it is written: .. leads nowhere", USE, NARROW, {**NEW, **SEALED},
        harm=Harm.ELSEWHERE,
    ),
    Probe(
        "put-beside", "put", "PutObject", "{prefix}policy-test-{random}", f"{WITH}, {BESIDE}",
        Expected.DIGEST, EVERYWHERE, USE, GRANT, {**NEW, **SEALED, **WRONG_DIGEST}, harm=Harm.CHANGE,
    ),
    Probe(
        "put-beside-no-header", "put", "PutObject", "{prefix}policy-test-{random}", f"no {HEADER}, {BESIDE}",
        DENIED, EVERYWHERE, NO_HEADER, POLICY, {**NEW, **WRONG_DIGEST}, harm=Harm.CHANGE,
    ),
    Probe(
        "put-beside-kms", "put", "PutObject", "{prefix}policy-test-{random}", f"{HEADER}: aws:kms, {BESIDE}",
        DENIED, EVERYWHERE, WRONG_HEADER, POLICY,
        {**NEW, **WRONG_DIGEST, "ServerSideEncryption": "aws:kms"}, harm=Harm.CHANGE,
    ),
)  # fmt: skip

READS = (
    Probe(
        "get-inside", "get", "GetObject", "{object}", "an object under the prefix", ALLOWED,
        "what is under the prefix can be read", USE, GRANT,
    ),
    Probe(
        "get-outside", "get", "GetObject", "policy-test-{random}", "a key outside the prefix", DENIED,
        READ_PREFIX, USE, NARROW,
    ),
    Probe(
        "get-missing", "get", "GetObject", "{run}missing", "a key under the prefix that does not exist",
        DENIED,
        "a missing key answers 403: listing needs a prefix, which GET does not carry", LIST,
        f"put the condition on s3:prefix back on the permission to list {see(runbook.MISSING_KEY)}",
    ),
    Probe(
        "get-version", "get", "GetObject", "{object}", "a version by its id", DENIED,
        "nobody reads old versions", NOBODY, NARROW, {"VersionId": "{version}"},
    ),
    Probe(
        "list-prefix", "list", "ListObjectsV2", "{prefix}", "the prefix", ALLOWED,
        "the prefix can be listed", LIST, GRANT_LIST,
    ),
    Probe(
        "list-under", "list", "ListObjectsV2", "{run}", "a folder under the prefix", ALLOWED,
        "folders under the prefix can be listed", LIST, GRANT_LIST,
    ),
    Probe(
        "list-beside", "list", "ListObjectsV2", "{prefix}policy-test-{random}/",
        "a folder beside the test folder", ALLOWED, EVERYWHERE, LIST, GRANT_LIST,
    ),
    Probe("list-none", "list", "ListObjectsV2", None, "no prefix", DENIED, LIST_PREFIX, LIST, NARROW),
    Probe("list-empty", "list", "ListObjectsV2", "", "an empty prefix", DENIED, LIST_PREFIX, LIST, NARROW),
    Probe(
        "list-other", "list", "ListObjectsV2", "policy-test-{random}/", "another prefix", DENIED,
        LIST_PREFIX, LIST, NARROW,
    ),
    Probe(
        "list-parent", "list", "ListObjectsV2", "{parent}", "the folder above the prefix", DENIED,
        LIST_PREFIX, LIST, NARROW,
    ),
    Probe(
        "list-no-slash", "list", "ListObjectsV2", "{unslashed}", "the prefix less its slash", DENIED,
        LIST_PREFIX, LIST, NARROW,
    ),
    Probe(
        "list-look-alike", "list", "ListObjectsV2", "{unslashed}2/", "a prefix that only begins alike",
        DENIED, LIST_PREFIX, LIST, NARROW,
    ),
    Probe(
        "list-versions", "list", "ListObjectVersions", "{prefix}", "the prefix", DENIED,
        "nobody lists versions", NOBODY, NARROW,
    ),
    Probe(
        "list-uploads", "list", "ListMultipartUploads", "{prefix}", "the prefix", DENIED,
        "nobody lists unfinished uploads", NOBODY, NARROW,
    ),
)  # fmt: skip

CHANGES = (
    Probe(
        "delete-one", "delete", "DeleteObject", "{run}absent", "a key that does not exist, under a condition",
        DENIED, NO_DELETE, NOBODY, NARROW, {"IfMatch": '"00000000000000000000000000000000"'},
        harm=Harm.CHANGE,
    ),
    Probe(
        "delete-many", "delete", "DeleteObjects", None, "a key that does not exist", DENIED, NO_DELETE,
        NOBODY, NARROW,
        {"Delete": {"Objects": [{"Key": "{run}absent", "ETag": '"00000000000000000000000000000000"'}]}},
        harm=Harm.CHANGE,
    ),
    Probe(
        "delete-version", "delete", "DeleteObject", "{run}absent",
        "the null version of a key that does not exist",
        DENIED, NO_DELETE, NOBODY, NARROW, {"VersionId": "null"}, harm=Harm.CHANGE,
    ),
    Probe(
        "create-conflict", "once", "PutObject", "{object}", "If-None-Match: * on a key that is taken",
        Expected.CONFLICT,
        "create-only never overwrites", USE,
        "the server does not know If-None-Match: do not store snapshots in it",
        {**NEW, **SEALED},
    ),
    Probe(
        "overwrite", "once", "PutObject", "{object}", "no If-None-Match on a key that is taken",
        Expected.REPORTED,
        "overwriting is allowed by IAM, and refused only with EnforceWriteOnce", OVERWRITE, GRANT, {**SEALED},
    ),
    Probe(
        "tag-on-put", "tag", "PutObject", "{run}tag-on-put", "with x-amz-tagging", ALLOWED,
        "uploads can carry tags, for expiry", USE, GRANT, {**NEW, **SEALED, "Tagging": "policy-test=1"},
    ),
    Probe(
        "tag-write", "tag", "PutObjectTagging", "{object}", "one tag", ALLOWED,
        "objects can be tagged, for expiry", USE, GRANT, {"Tagging": {"TagSet": [{"Key": "policy-test",
        "Value": "1"}]}},
    ),
    Probe(
        "tag-read", "tag", "GetObjectTagging", "{object}", "–", DENIED, "nobody reads tags", NOBODY, NARROW,
    ),
    Probe(
        "tag-delete", "tag", "DeleteObjectTagging", "{object}", "–", DENIED, "nobody removes tags", NOBODY,
        NARROW,
        harm=Harm.CHANGE,
    ),
    Probe(
        "acl-on-put", "acl", "PutObject", "{run}acl-on-put", "x-amz-acl: authenticated-read", DENIED, NO_ACL,
        NOBODY, NARROW,
        {**NEW, **SEALED, "ACL": "authenticated-read"}, harm=Harm.CHANGE, tolerated=ACLS_OFF,
    ),
    Probe(
        "acl-write", "acl", "PutObjectAcl", "{object}", "x-amz-acl: private", DENIED, NO_ACL, NOBODY, NARROW,
        {"ACL": "private"}, harm=Harm.CHANGE, tolerated=ACLS_OFF,
    ),
    Probe("acl-read", "acl", "GetObjectAcl", "{object}", "–", DENIED, "nobody reads ACLs", NOBODY, NARROW),
)  # fmt: skip

WAYS = (
    Probe(
        "http-get", "http", "GetObject", "{object}", "plain HTTP", DENIED, ONLY_TLS, TLS, TLS_POLICY,
        plain=True,
    ),
    Probe(
        "http-put", "http", "PutObject", "{run}http-put", f"plain HTTP, {WITH}", DENIED, ONLY_TLS, TLS,
        TLS_POLICY,
        {**NEW, **SEALED}, plain=True,
    ),
    Probe(
        "http-list", "http", "ListObjectsV2", "{prefix}", "plain HTTP", DENIED, ONLY_TLS, TLS, TLS_POLICY,
        plain=True,
    ),
    Probe(
        "http-link", "http", "GetObject", "{object}", "a presigned URL by plain HTTP", DENIED, ONLY_TLS, TLS,
        TLS_POLICY,
        actor=Actor.LINK, plain=True,
    ),
    Probe(
        "http-beside", "http", "PutObject", "{prefix}policy-test-{random}", f"plain HTTP, {WITH}, {BESIDE}",
        DENIED, EVERYWHERE, TLS, TLS_POLICY, {**NEW, **SEALED, **WRONG_DIGEST}, plain=True, harm=Harm.CHANGE,
    ),
    Probe(
        "multipart-create", "multipart", "CreateMultipartUpload", "{run}multipart-create", WITH, ALLOWED,
        "other tools' large uploads can start", USE, GRANT, SEALED,
    ),
    Probe(
        "multipart-no-header", "multipart", "CreateMultipartUpload", "{run}multipart-no-header",
        f"no {HEADER}", DENIED,
        ONLY_AES256, NO_HEADER, POLICY,
    ),
    Probe(
        "multipart-parts", "multipart", "ListParts", "{run}upload", "an upload of ours", ALLOWED,
        "parts of one's own upload can be listed", USE, GRANT, {"UploadId": "{upload}"},
    ),
    Probe(
        "multipart-abort", "multipart", "AbortMultipartUpload", "{run}upload", "an upload of ours", ALLOWED,
        "an upload can be given up", USE, GRANT, {"UploadId": "{upload}"},
    ),
    Probe(
        "copy-no-header", "copy", "CopyObject", "{run}copy-no-header", f"no {HEADER}", DENIED,
        ONLY_AES256, NO_HEADER, POLICY,
        {**NEW, "CopySource": "{bucket}/{object}", "TaggingDirective": "REPLACE"},  # else it asks for tags too,
    ),
    Probe(
        "anonymous-get", "anonymous", "GetObject", "{object}", "not signed", DENIED, NO_PUBLIC, NOBODY, SHUT,
        actor=Actor.ANONYMOUS,
    ),
    Probe(
        "anonymous-list", "anonymous", "ListObjectsV2", "{prefix}", "not signed", DENIED, NO_PUBLIC, NOBODY,
        SHUT,
        actor=Actor.ANONYMOUS,
    ),
    Probe(
        "anonymous-put", "anonymous", "PutObject", "{run}anonymous-put", f"not signed, {WITH}", DENIED,
        NO_PUBLIC, NOBODY,
        SHUT, {**NEW, **SEALED}, actor=Actor.ANONYMOUS,
    ),
)  # fmt: skip

OBJECT_PROBES = PUTS + READS + CHANGES + WAYS
