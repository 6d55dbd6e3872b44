"""A job whose document lies in a bucket under the real rules, pinned by its SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from githost import GitHost
from tests.e2e.test_job import job
from tests.infra.template import access_policy, bucket_policy
from tests.servers import assume_role, client, put_bucket_with_policy, rgw
from tests.support.git import Origin

PREFIX = "repo-scans/snapshotter/"


def test_a_job_from_the_bucket_runs_only_as_it_was_pinned(tmp_path: Path) -> None:
    Origin(tmp_path / "served" / "x.git").commit()
    bucket = "jobs-in-a-bucket"
    with rgw() as server, GitHost(tmp_path / "served", basic=("x-access-token", "s3cr3t")) as host:
        policy = access_policy(BucketName=bucket)
        put_bucket_with_policy(server, bucket, bucket_policy(BucketName=bucket), policy)
        role = assume_role(server, policy)
        env = server.environment(role) | {
            "SNAPSHOTTER_STORE": f"s3://{bucket}/{PREFIX}",
            "SNAPSHOTTER_GIT_TOKENS": json.dumps({host.url().partition("//")[2]: "s3cr3t"}),
        }
        text = json.dumps({"origins": [host.url("x.git")], "labels": {"note": "n" * 5000}}).encode()
        client(server, role).put_object(
            Bucket=bucket, Key=f"{PREFIX}_jobs/daily.json", Body=text, ServerSideEncryption="AES256"
        )
        reference = {
            "document": f"s3://{bucket}/{PREFIX}_jobs/daily.json",
            "sha256": hashlib.sha256(text).hexdigest(),
        }
        assert len(json.dumps(reference)) < 4096 < len(text)
        done = job(reference, **env)
        assert (done.code, done.document["succeeded"]) == (0, 1), done
        requests = len(host.requests)

        other = job(reference | {"sha256": "0" * 64}, **env)
        assert (other.code, other.document["error"]["code"]) == (1, "job-digest")
        assert other.document["stage"] == "reading the job"
        missing = job(reference | {"document": reference["document"] + "x"}, **env)
        assert (missing.code, missing.document["error"]["code"]) == (4, "missing")
        general = job(reference, **env, SNAPSHOTTER_GIT_TOKEN="s3cr3t")
        assert (general.code, general.document["error"]["code"]) == (2, "job")
        assert len(host.requests) == requests, "nothing was asked"

        listed = job({"verb": "verify"}, **env)
        assert (listed.code, listed.document["verification"]["ok"]) == (0, 1), (
            "documents of jobs are no snapshots"
        )
    assert "s3cr3t" not in str([done, other, missing, general])
