"""The probes of the bucket itself: nobody but its owner sees or changes its settings, or looks for buckets.

A probe of a change sends a document that no server can take (`MALFORMED`), so that nothing can change even
where it is allowed: only the answer differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snapshotter.access import bucket_rules
from snapshotter.access.object_probes import OBJECT_PROBES
from snapshotter.access.probe import Expected, Harm, Probe

# What is sent instead of a document, by operation.
MALFORMED = {
    "PutBucketPolicy": b"{",
    "PutBucketCors": b"<malformed",
    "PutPublicAccessBlock": b"<malformed",
    "PutBucketOwnershipControls": b"<malformed",
    "PutBucketEncryption": b"<malformed",
    "PutBucketLifecycleConfiguration": b"<malformed",
    "PutBucketVersioning": b"<malformed",
}

# Reads that only an owner or an administrator may do. Whoever may do one is asked for no change.
OWNERS_READS = ("settings-read-policy", "settings-read-public-access", "settings-read-lifecycle")

_READS = (
    ("policy", "GetBucketPolicy"),
    ("cors", "GetBucketCors"),
    ("public-access", "GetPublicAccessBlock"),
    ("ownership", "GetBucketOwnershipControls"),
    ("encryption", "GetBucketEncryption"),
    ("lifecycle", "GetBucketLifecycleConfiguration"),
    ("versioning", "GetBucketVersioning"),
    ("location", "GetBucketLocation"),
    ("acl", "GetBucketAcl"),
)

# The parameters only satisfy boto3; MALFORMED is what is sent.
_CHANGES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("policy", "PutBucketPolicy", {"Policy": "{"}),
    ("cors", "PutBucketCors", {"CORSConfiguration": {"CORSRules": []}}),
    ("public-access", "PutPublicAccessBlock", {"PublicAccessBlockConfiguration": {}}),
    ("ownership", "PutBucketOwnershipControls", {"OwnershipControls": {"Rules": []}}),
    ("encryption", "PutBucketEncryption", {"ServerSideEncryptionConfiguration": {"Rules": []}}),
    ("lifecycle", "PutBucketLifecycleConfiguration", {"LifecycleConfiguration": {"Rules": []}}),
    ("versioning", "PutBucketVersioning", {"VersioningConfiguration": {}}),
)


def _read(name: str, operation: str) -> Probe:
    return Probe(f"settings-read-{name}", operation, None, "–", Expected.DENIED, bucket_rules.SEE_SETTINGS)


def _change(name: str, operation: str, params: Mapping[str, Any]) -> Probe:
    row, says = f"settings-change-{name}", "a malformed document"
    return Probe(
        row, operation, None, says, Expected.DENIED, bucket_rules.CHANGE_SETTINGS, params, Harm.CHANGE
    )


BUCKET_PROBES = (
    *(_read(*row) for row in _READS),
    *(_change(*row) for row in _CHANGES),
    Probe(
        "head-bucket", "HeadBucket", None, "–", Expected.DENIED, bucket_rules.HEAD_BUCKET, in_group="bucket"
    ),
    Probe(
        "list-buckets",
        "ListBuckets",
        None,
        "–",
        Expected.DENIED,
        bucket_rules.LIST_BUCKETS,
        in_group="bucket",
    ),
)

PROBES = OBJECT_PROBES + BUCKET_PROBES
