"""A job's tokens: each goes to the host that it names, and to no other."""

from __future__ import annotations

import json
from pathlib import Path

from githost import GitHost
from tests.e2e.test_job import job
from tests.support.git import Origin


def test_each_host_gets_its_own_token_and_none_gets_one_that_names_no_host(tmp_path: Path) -> None:
    Origin(tmp_path / "served" / "x.git").commit()
    mine, other = ("x-access-token", "s3cr3t-mine"), ("someone", "s3cr3t-other")
    with GitHost(tmp_path / "served", basic=mine) as a, GitHost(tmp_path / "served", basic=other) as b:
        document = {"origins": [a.url("x.git"), b.url("x.git")], "store": f"file:{tmp_path / 'store'}"}
        general = job(document, SNAPSHOTTER_GIT_TOKEN="s3cr3t-mine")
        assert (general.code, general.document["error"]["code"]) == (2, "tokens")
        assert general.document["failed"] == 2
        assert a.requests == b.requests == [], "nothing was sent"
        assert not (tmp_path / "store").exists()
        tokens = {a.url().partition("//")[2]: mine[1], b.url().partition("//")[2]: ":".join(other)}
        done = job(document, SNAPSHOTTER_GIT_TOKENS=json.dumps(tokens), SNAPSHOTTER_GIT_AUTH="basic")
        assert (done.code, done.document["succeeded"]) == (0, 2), done
    assert "s3cr3t" not in str(general) + str(done)


def test_tokens_that_cannot_be_read_end_the_job_before_its_store_is_opened(tmp_path: Path) -> None:
    document = {"origin": "https://git.example.test/x", "store": f"file:{tmp_path / 'store'}"}
    done = job(document, SNAPSHOTTER_GIT_TOKENS="git.example.test=s3cr3t")
    assert (done.code, done.document["error"]["code"]) == (2, "tokens")
    assert not (tmp_path / "store").exists()
    assert "s3cr3t" not in str(done)
