"""What the tests of access share: a connection to a test server, and a bucket with given policies on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3

from snapshotter.access.proof import Proof, Status
from snapshotter.access.wire import Connection
from snapshotter.aws.scope import SCOPE
from tests.servers import REGION, USER, Keys, Server, client

__all__ = ["SCOPE", "connection", "ids", "make_bucket"]


def connection(server: Server, keys: Keys) -> Connection:
    """How `prove` reaches a test server with these keys."""
    return Connection(_session(keys), server.https_url, server.http_url, str(server.ca_bundle))


@cache  # a new session reads all of S3's model again
def _session(keys: Keys) -> boto3.session.Session:
    return boto3.session.Session(keys.access_key, keys.secret_key, keys.token, region_name=REGION)


def make_bucket(
    server: Server,
    bucket: str,
    policy: Mapping[str, Any] | None,
    access: Mapping[str, Any],
    settings: str = "",
) -> None:
    """A bucket with these policies, the access policy as the user's, for this bucket. `settings`: see Mutant."""
    s3 = client(server, server.owner)
    s3.create_bucket(Bucket=bucket)
    if settings == "open" and server.kind == "ministack":  # elsewhere a bucket begins so
        s3.delete_public_access_block(Bucket=bucket)
        rules = [{"ObjectOwnership": "ObjectWriter"}]
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})
    if settings == "versioned":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if policy:
        s3.put_bucket_policy(Bucket=bucket, Policy=_text(policy))
    iam = client(server, server.owner, "iam")
    iam.put_user_policy(UserName=USER, PolicyName=f"access-{bucket}", PolicyDocument=_text(access))


def ids(proof: Proof, status: Status) -> set[str]:
    """The rows that came out so."""
    return {result.id for result in proof.results if result.status is status}


def _text(policy: Mapping[str, Any]) -> str:
    return json.dumps(policy, separators=(",", ":"))
