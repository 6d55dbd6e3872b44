"""A job's tokens: each goes to the host that it names, and to no other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from githost import GitHost
from tests.e2e.test_job import job
from tests.support.cli import cli_env, command
from tests.support.git import Origin
from tests.support.githubapp import APP, INSTALLATION, SUSPENDED, GitHubApi, new_key


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


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


def app(api: GitHubApi, host: GitHost) -> dict[str, str]:
    """The variable that a task of an App has."""
    entry = {"app": APP, "installation": INSTALLATION, "key": api.key, "api": api.api}
    return {"SNAPSHOTTER_GIT_TOKENS": json.dumps({host.url().partition("//")[2]: entry})}


def test_a_github_app_signs_in_for_job_and_snapshot_and_leaves_no_trace(tmp_path: Path, key: str) -> None:
    for name in ("x", "y"):
        Origin(tmp_path / "served" / f"{name}.git").commit()
    store = tmp_path / "store"
    with GitHubApi(key, "s3cr3t-first", "s3cr3t-second") as api, GitHost(tmp_path / "served") as host:

        def only(token: str) -> None:
            host.basic = ("x-access-token", token)

        api.on_token = only
        origins = [host.url("x.git"), host.url("y.git")]
        done = job({"origins": origins, "store": f"file:{store}"}, **app(api, host))
        assert (done.code, done.document["succeeded"], len(api.seen)) == (0, 2, 1), done
        argv = command("snapshot", origins[0], "--store", store, "--verbose")
        verb = subprocess.run(
            argv,
            env=cli_env(SNAPSHOTTER_SCAN="0", **app(api, host)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (verb.returncode, len(api.seen)) == (0, 2), verb.stderr

        api.answers = [SUSPENDED]
        refused = job({"origins": origins[:1], "store": f"file:{store}"}, "--verbose", **app(api, host))
        assert (refused.code, refused.document["error"]["code"]) == (5, "github-app")
        api.answers = [SUSPENDED]
        looked = subprocess.run(
            command("doctor", origins[0], "--store", store),
            env=cli_env(**app(api, host)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (looked.returncode, "unsuspend" in looked.stdout) == (5, True), looked
    signed = [seen.headers["authorization"].split()[1] for seen in api.seen]
    told = str(done) + verb.stdout + verb.stderr + str(refused) + looked.stdout + looked.stderr
    kept = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file()).decode("latin-1")
    for secret in ("s3cr3t", *signed, *key.splitlines()[1:-1]):
        assert secret not in told
        assert secret not in kept


def test_a_token_that_ends_between_two_origins_of_a_job_is_made_anew(tmp_path: Path, key: str) -> None:
    for name in ("x", "y"):
        Origin(tmp_path / "served" / f"{name}.git").commit()
    with GitHubApi(key, "s3cr3t-first", "s3cr3t-second") as api, GitHost(tmp_path / "served") as host:

        def only(token: str) -> None:
            host.basic = ("x-access-token", token)

        def expire(request: str) -> None:
            if request.startswith("/y.git") and len(api.seen) == 1:
                host.basic = ("x-access-token", "nobody's")

        api.on_token, host.fault = only, expire
        document = {"origins": [host.url("x.git"), host.url("y.git")], "store": f"file:{tmp_path / 'store'}"}
        done = job(document, SNAPSHOTTER_JOB_ORIGINS="1", **app(api, host))
    assert (done.code, done.document["succeeded"], len(api.seen)) == (0, 2, 2), done
