"""The probes of the bucket itself: nobody but its owner sees or changes its settings, or looks for buckets.

A probe of a change sends a document that no server can take (`MALFORMED`), so that nothing can change even
where it is allowed: only the answer differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from snapshotter.access.object_probes import NARROW, OBJECT_PROBES
from snapshotter.access.probe import LIST, NOBODY, Expected, Harm, Probe

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

_READ = (
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
_CHANGE: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("policy", "PutBucketPolicy", {"Policy": "{"}),
    ("cors", "PutBucketCors", {"CORSConfiguration": {"CORSRules": []}}),
    ("public-access", "PutPublicAccessBlock", {"PublicAccessBlockConfiguration": {}}),
    ("ownership", "PutBucketOwnershipControls", {"OwnershipControls": {"Rules": []}}),
    ("encryption", "PutBucketEncryption", {"ServerSideEncryptionConfiguration": {"Rules": []}}),
    ("lifecycle", "PutBucketLifecycleConfiguration", {"LifecycleConfiguration": {"Rules": []}}),
    ("versioning", "PutBucketVersioning", {"VersioningConfiguration": {}}),
)


def _settings() -> Iterator[Probe]:
    for name, operation in _READ:
        yield Probe(
            f"settings-read-{name}",
            "settings",
            operation,
            None,
            "–",
            Expected.DENIED,
            "nobody sees the bucket's settings",
            NOBODY,
            NARROW,
        )
    for name, operation, params in _CHANGE:
        yield Probe(
            f"settings-change-{name}",
            "settings",
            operation,
            None,
            "a malformed document",
            Expected.DENIED,
            "nobody changes the bucket's settings",
            NOBODY,
            NARROW,
            params,
            harm=Harm.CHANGE,
        )


BUCKET_PROBES = (
    *_settings(),
    Probe(
        "head-bucket",
        "bucket",
        "HeadBucket",
        None,
        "–",
        Expected.DENIED,
        "nobody asks for the bucket itself: it is a list without a prefix",
        LIST,
        NARROW,
    ),
    Probe(
        "list-buckets",
        "bucket",
        "ListBuckets",
        None,
        "–",
        Expected.DENIED,
        "nobody lists buckets",
        NOBODY,
        NARROW,
    ),
)

PROBES = OBJECT_PROBES + BUCKET_PROBES
