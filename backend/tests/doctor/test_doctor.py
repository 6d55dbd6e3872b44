"""`snapshotter doctor`, on real servers: what is in order, what is not, and where the runbook says so."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self

import pytest

from githost import GitHost
from snapshotter.aws import endpoint, unsigned
from snapshotter.aws.refusal import explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import TASK_ROLE
from snapshotter.base import runbook
from snapshotter.base.errors import SnapshotterError, Unavailable, UsageError
from snapshotter.doctor import local_checks
from snapshotter.doctor.aws_checks import clock
from snapshotter.doctor.check import Check, Setup, failed, guarded
from snapshotter.doctor.preflight import verdict
from tests.infra.template import access_policy, bucket_policy
from tests.servers import REGION, Keys, Server, assume_role, client, ministack, put_bucket_with_policy, rgw
from tests.servers.ecs import EcsEndpoint, Gate
from tests.support.cli import cli_env, command
from tests.support.git import Origin
from tests.support.httpservers import Scripted, reply

BUCKET = "snapshots-under-doctor"
STORE = f"s3://{BUCKET}/repo-scans/snapshotter/"
MAKE_CERT = Path(__file__).parents[1] / "servers" / "make-cert"
POLICY = access_policy(BucketName=BUCKET)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rgw() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(BucketName=BUCKET), POLICY)
        yield server


@pytest.fixture(scope="module")
def role(server: Server) -> Keys:
    return assume_role(server, POLICY, TASK_ROLE)


@pytest.fixture(scope="module")
def ecs(server: Server, role: Keys) -> Iterator[EcsEndpoint]:
    """Every call gives a new session of the task role, for three seconds."""
    sts = client(server, server.user, "sts")

    def issue() -> Keys:
        arn = f"arn:aws:iam:::role/{TASK_ROLE}"
        given = sts.assume_role(RoleArn=arn, RoleSessionName="task", DurationSeconds=900)["Credentials"]
        return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    with EcsEndpoint(issue) as ecs:
        yield ecs


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin.git")
    made.commit()
    return made


class Throttle:
    """A way to a host by which it answers `rate` bytes a second."""

    def __init__(self, port: int, rate: float) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(("127.0.0.1", port)) as behind:
                    threading.Thread(target=self.forward, args=(behind,), daemon=True).start()
                    with contextlib.suppress(OSError):
                        while data := behind.recv(int(rate / 10)):
                            self.request.sendall(data)
                            time.sleep(len(data) / rate)

            def forward(self, behind: socket.socket) -> None:
                with contextlib.suppress(OSError):
                    while data := self.request.recv(65536):
                        behind.sendall(data)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads, self._server.block_on_close = True, False
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/{path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def port_of(host: GitHost) -> int:
    return int(host.url().rpartition(":")[2])


class Told:
    """What doctor said."""

    def __init__(self, *argv: str | Path, env: Mapping[str, str], store: str = STORE) -> None:
        full = command("doctor", *argv, "--store", store, "--json")
        done = subprocess.run(
            full, env=cli_env(**env), capture_output=True, text=True, timeout=90, check=False
        )
        self.code, self.err = done.returncode, done.stderr
        self.document: dict[str, Any] = json.loads(done.stdout)
        assert "checks" in self.document, done.stderr
        self.checks = {check["name"]: check for check in self.document["checks"]}
        for check in self.checks.values():
            if check["state"] in ("failed", "warning"):
                assert check["runbook"] in {runbook.link(heading) for heading in runbook.HEADINGS}
            if check["state"] == "failed":
                assert check["hint"]

    @property
    def states(self) -> dict[str, str]:
        return {name: check["state"] for name, check in self.checks.items()}


def without_keys(server: Server, **more: str) -> dict[str, str]:
    env = server.environment(Keys("", ""))
    return {
        key: value for key, value in env.items() if key not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    } | more


def test_all_is_well_for_a_task(server: Server, ecs: EcsEndpoint, origin: Origin) -> None:
    told = Told(origin.path, env=without_keys(server, **ecs.environment()))
    expected = dict.fromkeys(
        ("endpoint", "clock", "credentials", "write", "list", "read", "origin", "git", "disk"), "ok"
    )
    assert told.states == expected | {"identity": "warning"}  # RADOS Gateway's STS cannot say who somebody is
    assert "STS did not say" in told.checks["identity"]["says"]
    assert "ECS task role" in told.checks["credentials"]["says"]
    assert told.checks["endpoint"]["says"].startswith("https://")
    assert "1 ref, " in told.checks["origin"]["says"]
    assert (told.code, told.document["ok"]) == (0, True)


def test_it_leaves_one_small_object_under_diagnostics(server: Server, role: Keys) -> None:
    s3 = client(server, server.owner)

    def listed() -> dict[str, int]:
        return {
            entry["Key"]: entry["Size"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        }

    before = listed()
    assert Told(env=server.environment(role)).code == 0
    new = {key: size for key, size in listed().items() if key not in before}
    ((key, size),) = new.items()
    assert key.startswith("repo-scans/snapshotter/_diagnostics/")
    assert size < 200


def test_static_keys_are_a_warning(server: Server) -> None:
    told = Told(env=server.environment(server.user))
    assert told.code == 0
    assert told.states["credentials"] == "warning"
    assert "static keys" in told.checks["credentials"]["says"]


def test_temporary_keys_that_nothing_renews_are_a_warning(server: Server, role: Keys) -> None:
    told = Told(env=server.environment(role))
    assert told.states["credentials"] == "warning"
    assert "nothing renews them" in told.checks["credentials"]["hint"]


def test_without_credentials_it_says_what_is_missing(server: Server) -> None:
    told = Told(env=without_keys(server))
    assert told.code == 4
    assert told.states["credentials"] == "failed"
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set" in told.checks["credentials"]["says"]
    assert "taskRoleArn" in told.checks["credentials"]["hint"]
    assert told.checks["credentials"]["runbook"] == runbook.link(runbook.CREDENTIALS)
    assert [told.states[name] for name in ("write", "list", "read")] == ["skipped"] * 3


def test_a_credential_endpoint_that_is_not_there_is_named(server: Server) -> None:
    gone = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/creds"}
    told = Told(env=without_keys(server, **gone))
    assert (told.code, told.states["credentials"]) == (4, "failed")
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI is set, but" in told.checks["credentials"]["says"]


def test_the_snapshot_verb_too_says_what_a_dead_credential_endpoint_means(
    server: Server, origin: Origin
) -> None:
    env = without_keys(server, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/creds")
    argv = command("snapshot", origin.path, "--store", STORE)
    done = subprocess.run(argv, env=cli_env(**env), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "the credential endpoint that it names gives no credentials" in done.stderr
    assert runbook.see(runbook.CREDENTIALS) in done.stderr


def test_somebody_without_rights_is_denied(server: Server) -> None:
    told = Told(env=server.environment(server.stranger))
    assert told.code == 5
    assert told.states["write"] == "failed"
    assert told.checks["write"]["runbook"] == runbook.link(runbook.PUT_DENIED)
    assert "the identity is the likely cause" in told.checks["write"]["hint"]
    assert told.document["error"]["hint"] == f"see {runbook.link(runbook.PUT_DENIED)}"


def test_a_job_that_is_denied_says_so_in_its_document(server: Server, origin: Origin) -> None:
    document = json.dumps({"origin": str(origin.path), "store": STORE})
    env = cli_env(**server.environment(server.stranger), SNAPSHOTTER_JOB=document)
    done = subprocess.run(command("job"), env=env, capture_output=True, text=True, timeout=60, check=False)
    error = json.loads(done.stdout)["origins"][0]["error"]
    assert (done.returncode, error["code"], error["exit_code"]) == (5, "store-denied", 5)
    assert runbook.see(runbook.LIST_DENIED) in error["hint"]


def test_who_may_not_write_may_still_list(server: Server) -> None:
    bucket = "snapshots-to-read-only"
    policy = access_policy(BucketName=bucket)
    policy["Statement"] = [
        s for s in policy["Statement"] if s["Action"] in ("s3:ListBucket", ["s3:ListBucket"])
    ]
    put_bucket_with_policy(server, bucket, bucket_policy(BucketName=bucket), policy)
    told = Told(env=server.environment(server.user), store=f"s3://{bucket}/repo-scans/snapshotter/")
    assert [told.states[name] for name in ("write", "list", "read")] == ["failed", "ok", "skipped"]


def test_a_store_outside_the_prefix_is_told_apart(server: Server) -> None:
    told = Told(env=server.environment(server.user), store=f"s3://{BUCKET}/elsewhere/")
    assert told.code == 5
    assert (
        "for elsewhere/. A policy like production's covers repo-scans/snapshotter/"
        in told.checks["write"]["hint"]
    )


def test_expired_keys_are_could_not_and_not_denied(server: Server, ecs: EcsEndpoint, role: Keys) -> None:
    with Gate(server, ecs) as gate:
        ecs.issued[role.access_key] = time.time() - 60
        told = Told(env=server.environment(role) | {"AWS_ENDPOINT_URL": gate.url})
        del ecs.issued[role.access_key]
    assert told.code == 4
    first = next(check for check in told.document["checks"] if check["state"] == "failed")
    assert "expired" in first["says"]
    assert first["runbook"] == runbook.link(runbook.CREDENTIALS)


def test_a_wrong_bucket_and_a_dead_endpoint_and_plain_http(server: Server) -> None:
    env = server.environment(server.user)
    told = Told(env=env, store="s3://no-such-bucket-here/repo-scans/snapshotter/")
    assert (told.code, told.states["endpoint"]) == (4, "failed")
    assert "no such bucket" in told.checks["endpoint"]["says"]
    told = Told(env=env | {"AWS_ENDPOINT_URL": "https://127.0.0.1:9"})
    assert (told.code, told.states["endpoint"], told.states["write"]) == (4, "failed", "skipped")
    told = Told(env=env | {"AWS_ENDPOINT_URL": server.http_url})
    assert told.checks["endpoint"]["runbook"] == runbook.link(runbook.PLAIN_HTTP)
    assert told.code == 2


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"AWS_ENDPOINT_URL": "https://no-such-host.invalid"}, 4, "no such host"),
        ({"AWS_ENDPOINT_URL": "https://127.0.0.1:9"}, 4, "it refuses the connection"),
        ({"AWS_CA_BUNDLE": ""}, 4, "its certificate is not trusted"),
        ({"AWS_PROFILE": "nope"}, 2, "The config profile (nope) could not be found"),
        ({"AWS_ENDPOINT_URL": "localhost:9000"}, 2, "the S3 endpoint is no URL: localhost:9000"),
        ({"AWS_CA_BUNDLE": __file__}, 2, "it holds no PEM certificate"),
    ],
)
def test_doctor_and_snapshot_say_the_same_of_the_same_trouble(
    server: Server, origin: Origin, more: dict[str, str], code: int, words: str
) -> None:
    env = server.environment(server.user) | more
    told = Told(env=env)
    assert (told.code, told.states["endpoint"]) == (code, "failed")
    assert words in told.checks["endpoint"]["says"]
    argv = command("snapshot", origin.path, "--store", STORE, "--no-scan", "--quiet")
    taken = subprocess.run(argv, env=cli_env(**env), capture_output=True, text=True, timeout=90, check=False)
    assert (taken.returncode, words in taken.stderr) == (code, True), taken.stderr


@pytest.mark.parametrize(
    ("error", "heading"),
    [
        (UsageError("the S3 endpoint is plain HTTP"), runbook.REGION),
        (Unavailable("the disk is full"), runbook.REGION),
        (Unavailable("no such bucket: b", hint=f"ask {runbook.see(runbook.CLOCK)}"), runbook.CLOCK),
        (explain(Refused("PutObject", "b", "elsewhere", encryption="AES256")), runbook.PUT_DENIED),
    ],
)
def test_only_a_refusal_leads_to_the_page_about_refusals(error: SnapshotterError, heading: str) -> None:
    assert failed("write", error, runbook.PUT_DENIED).heading == heading


@pytest.mark.parametrize("script", ["exit 3", "echo", "echo git version"])
def test_a_git_that_does_not_tell_its_version_leads_to_its_own_entry(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "git").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check = guarded("git", runbook.GIT, local_checks.installed_git)
    assert (check.state, check.heading) == ("failed", runbook.GIT)
    assert "verify" not in check.hint
    assert check.error and check.error.exit_code == 4


def test_a_check_that_only_judges_leaves_the_exit_code_to_the_one_that_came_to_harm() -> None:
    role = Check("identity", "failed", "an execution role", "set the task role", runbook.ROLES)
    refused = explain(Refused("PutObject", "b", "repo-scans/snapshotter/x", encryption="AES256"))
    write = failed("write", refused, runbook.PUT_DENIED)
    for checks, code in (([role], 1), ([role, write], 5), ([write, role], 5)):
        error = verdict(checks)
        assert error and error.exit_code == code
        assert checks[0].name in error.message


def test_an_origin_that_is_not_there_does_not_hide_the_rest(server: Server, tmp_path: Path) -> None:
    told = Told(tmp_path / "gone", env=server.environment(server.user))
    assert (told.code, told.states["origin"], told.states["git"]) == (4, "failed", "ok")
    assert told.checks["origin"]["runbook"] == runbook.link(runbook.ORIGIN)


def test_without_git_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    told = Told(env={"PATH": str(tmp_path / "bin")}, store=str(tmp_path / "store"))
    assert (told.code, told.states["git"]) == (4, "failed")
    assert told.checks["git"]["runbook"] == runbook.link(runbook.GIT)


def test_a_folder_is_left_as_it_was(tmp_path: Path) -> None:
    told = Told(env={}, store=str(tmp_path / "store"))
    assert told.code == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_room_for_verify_is_a_warning(tmp_path: Path) -> None:
    told = Told(env={"SNAPSHOTTER_TEMP": str(tmp_path / "none")}, store=str(tmp_path / "store"))
    assert (told.code, told.states["disk"]) == (4, "failed")
    setup = Setup(None, lambda: pytest.fail("not asked"), None)  # type: ignore[arg-type]
    assert local_checks.disk(setup, None, least=2**70)[0] == "warning"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "nope"),
        ("AWS_CONFIG_FILE", __file__),
        ("AWS_ENDPOINT_URL", "https//nowhere"),
        ("AWS_ENDPOINT_URL", "garbage"),
    ],
)
def test_settings_that_cannot_be_meant_are_a_failed_check_and_no_defect(name: str, value: str) -> None:
    told = Told(env={"AWS_EC2_METADATA_DISABLED": "true", name: value})
    assert (told.code, told.states["endpoint"]) == (2, "failed")
    expected = (
        "the S3 endpoint is no URL" if name == "AWS_ENDPOINT_URL" else "the AWS settings cannot be used"
    )
    assert expected in told.checks["endpoint"]["says"]
    assert told.states["write"] == "skipped"


def test_a_store_that_no_bucket_can_be_is_usage(tmp_path: Path) -> None:
    for store in ("s3:///x", "s3://BAD/x", "s3://u:hunter2@bucket/x"):
        argv = command("doctor", "--json", "--store", store)
        done = subprocess.run(argv, env=cli_env(), capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "usage")
        assert "hunter2" not in done.stdout + done.stderr


def test_no_secret_is_in_what_it_says(server: Server, role: Keys) -> None:
    host = server.https_url.removeprefix("https://")
    env = server.environment(role) | {"AWS_ENDPOINT_URL": f"https://me:hunter2@{host}"}
    for extra in ({}, {"AWS_ENDPOINT_URL": "https://me:hunter2@127.0.0.1:9"}):
        for verb in ("doctor --json", "doctor", "prove --json", "snapshot . --json", "list --json"):
            argv = command(*verb.split(), "--store", STORE, "--verbose")
            done = subprocess.run(
                argv,
                env=cli_env(SNAPSHOTTER_SCAN="0", **env | extra),
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            for secret in ("hunter2", role.secret_key, role.token or "-"):
                assert secret not in done.stdout + done.stderr, verb


def test_for_people_each_line_has_its_state_and_each_failure_its_page(server: Server) -> None:
    argv = command("doctor", "--store", STORE)
    env = cli_env(**server.environment(server.stranger))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "FAILED   write" in done.stdout
    assert f"see {runbook.link(runbook.PUT_DENIED)}" in done.stdout


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(0, "ok"), (-30, "ok"), (120, "warning"), (-120, "warning"), (1200, "failed"), (-1200, "failed")],
)
def test_the_clocks_are_compared(ahead: int, state: str) -> None:
    def answer(_: object) -> list[bytes]:
        return [
            reply(
                403,
                {"Date": formatdate(time.time() + ahead, usegmt=True), "x-amz-bucket-region": "eu-west-3"},
            )
        ]

    with Scripted(answer) as host:
        told = unsigned.ask(
            endpoint.resolve({"AWS_REGION": REGION, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{host.port}"}),
            BUCKET,
        )
    assert (told.status, told.region) == (403, "eu-west-3")
    assert clock(told).state == state
    assert ("behind" if ahead > 0 else "ahead") in clock(told).says or ahead == 0


@pytest.mark.parametrize(
    ("headers", "code"), [({}, "store"), ({"x-amz-request-id": "5Y3ZAMPLE"}, "no-bucket")]
)
def test_a_404_that_s3_did_not_write_says_nothing_of_the_bucket(headers: dict[str, str], code: str) -> None:
    with Scripted(lambda _: [reply(404, headers)]) as host:
        url = f"http://127.0.0.1:{host.port}"
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": REGION}
        told = Told("--allow-http", env=keys | {"AWS_ENDPOINT_URL": url})
    assert (told.code, told.checks["endpoint"]["error"]["code"]) == (4, code)
    assert told.states["write"] == "skipped"


def test_who_am_i_by_a_real_sts() -> None:
    with ministack() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(BucketName=BUCKET), POLICY)
        task = assume_role(server, POLICY, TASK_ROLE)
        execution = assume_role(server, POLICY, "fruitful-repo-snapshotter-execution-role")
        other = assume_role(server, POLICY, "other-role")
        found = {
            name: Told(env=server.environment(keys))
            for name, keys in {
                "task": task,
                "execution": execution,
                "other": other,
                "user": server.user,
            }.items()
        }
        renamed = Told("--role", "other-role", env=server.environment(other))
        unknown = Told(env=server.environment(Keys("AKIANOSUCHKEY0000000", "wrong")))
    assert found["task"].states["identity"] == renamed.states["identity"] == "ok"
    assert f"assumed-role/{TASK_ROLE}/" in found["task"].checks["identity"]["says"]
    assert (found["execution"].states["identity"], found["execution"].code) == ("failed", 1)
    assert found["execution"].checks["identity"]["runbook"] == runbook.link(runbook.ROLES)
    assert "taskRoleArn" in found["execution"].checks["identity"]["hint"]
    assert (unknown.states["identity"], unknown.states["write"], unknown.code) == ("failed", "skipped", 4)
    assert unknown.checks["identity"]["error"]["code"] == "credentials"  # could not, never denied
    assert (found["other"].states["identity"], found["other"].code) == ("warning", 0)
    assert "user/" in found["user"].checks["identity"]["says"]


def test_a_denied_upload_says_who_was_denied() -> None:
    with ministack() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(BucketName=BUCKET), None)
        keys = assume_role(server, access_policy(BucketName="another-bucket"), "other-role")
        env = cli_env(SNAPSHOTTER_SCAN="0", **server.environment(keys))
        argv = command("snapshot", Path(__file__).parents[3], "--store", STORE)
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert "assumed-role/other-role/" in done.stderr
    assert runbook.see(runbook.ROLES) in done.stderr


@pytest.mark.parametrize(
    "job",
    [{"verb": "verify"}, {"document": f"{STORE}_jobs/none.json", "sha256": "0" * 64}],
    ids=["verify", "pinned"],
)
def test_a_job_that_is_denied_as_a_whole_says_who_was_denied(job: dict[str, str], tmp_path: Path) -> None:
    """By a server that says no more than S3 does to strangers, so that only STS can tell."""
    subprocess.run(["bash", MAKE_CERT, tmp_path], check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    arn = "arn:aws:sts::123456789012:assumed-role/other-role/s"
    told = f"<GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult>"
    caller = f"<GetCallerIdentityResponse>{told}</GetCallerIdentityResponse>".encode()
    denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"

    with Scripted(
        lambda asked: [reply(200, {}, caller) if asked.method == "POST" else reply(403, {}, denied)]
    ) as host:
        host.over_tls(context)
        env = cli_env(
            AWS_ENDPOINT_URL=f"https://localhost:{host.port}",
            AWS_CA_BUNDLE=str(tmp_path / "ca.crt"),
            AWS_REGION="eu-west-1",
            AWS_ACCESS_KEY_ID="key",
            AWS_SECRET_ACCESS_KEY="secret",
            SNAPSHOTTER_STORE=STORE,
            SNAPSHOTTER_JOB=json.dumps(job),
        )
        done = subprocess.run(
            command("job"), env=env, capture_output=True, text=True, timeout=60, check=False
        )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, f"identity: {arn}" in error["details"]) == (5, True), error


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=pytest.mark.full)])
def test_a_run_survives_every_rotation_of_its_credentials(
    seconds: int, server: Server, ecs: EcsEndpoint, tmp_path: Path
) -> None:
    """The origin sends its pack so slowly that the run outlives its three-second credentials many times."""
    origin = Origin(tmp_path / f"slow-{seconds}.git")
    size = seconds * 64 * 1024
    origin.commit(files={"noise": random.Random(1).randbytes(size)})
    with (
        Gate(server, ecs) as gate,
        GitHost(tmp_path) as host,
        Throttle(port_of(host), size / seconds) as slow,
    ):
        env = cli_env(
            **without_keys(server, **ecs.environment()) | {"AWS_ENDPOINT_URL": gate.url},
            SNAPSHOTTER_SCAN="0",
            SNAPSHOTTER_JOB=json.dumps(
                {
                    "origin": slow.url(f"slow-{seconds}.git"),
                    "store": STORE,
                    "options": {"segment_size": "64KiB"},
                }
            ),
        )
        issued = len(ecs.issued)
        done = subprocess.run(
            command("job"), env=env, capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["origins"]
    assert len(result["artifacts"]) >= seconds
    used = sum(key in ecs.issued for key in gate.used)
    assert used > seconds / 3, "the run used the keys of every rotation"
    assert len(ecs.issued) - issued >= seconds / 3
    assert gate.expired == 0
