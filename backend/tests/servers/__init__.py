"""Real S3 servers for tests, on free loopback ports under a temporary folder, stopped by pid.

    with rgw() as server:
        put_bucket_with_policy(server, "b", bucket_policy, access_policy)
        client(server, server.user).put_object(Bucket="b", ...)

`rgw` is Ceph's RADOS Gateway, a production server; `ministack` is an AWS emulator that also judges
`aws:SecureTransport`. What each can be trusted for is shown by test_servers.py. Both start in about a second
(ministack's environment is installed once, into the user's cache folder).
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

HERE = Path(__file__).parent
REGION = "us-east-1"
USER = "snapshotter"
VERSION = "2012-10-17"  # of the policy language
MINISTACK_VENV = Path.home() / ".cache" / "fruitful-snapshotter-tests" / "ministack-1.5.33"


@dataclass(frozen=True)
class Keys:
    """What signs a request; `token` only for temporary keys."""

    access_key: str
    secret_key: str
    token: str | None = None


@dataclass(frozen=True)
class Server:
    """A running S3, IAM and STS server. `owner` makes buckets and grants rights; `user` starts with none."""

    kind: str  # rgw | ministack
    https_url: str
    http_url: str
    ca_bundle: Path  # PEM of the CA that signed the server's certificate
    owner: Keys
    user: Keys
    user_arn: str
    stranger: Keys  # another user without rights, to whom nothing is ever granted
    folder: Path  # the server's state and logs

    def environment(self, keys: Keys, *, plain: bool = False) -> dict[str, str]:
        """The AWS variables by which the AWS CLI and the SDKs reach this server with these keys."""
        env = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_ENDPOINT_URL": self.http_url if plain else self.https_url,
            "AWS_CA_BUNDLE": str(self.ca_bundle),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }
        return env | ({"AWS_SESSION_TOKEN": keys.token} if keys.token else {})


@contextmanager
def rgw() -> Iterator[Server]:
    """A Ceph RADOS Gateway. Needs the Debian packages radosgw, ceph-mon and ceph-osd."""
    need("radosgw", "ceph-mon", "ceph-osd")
    with _started("rgw", "RGW_HOME", ["HTTP_PORT", "HTTPS_PORT", "MON_PORT"]) as (folder, ports):
        facts = dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())
        yield Server(
            kind="rgw",
            https_url=f"https://127.0.0.1:{ports['HTTPS_PORT']}",
            http_url=f"http://127.0.0.1:{ports['HTTP_PORT']}",
            ca_bundle=folder / "ca.crt",
            owner=Keys(facts["OWNER_AK"], facts["OWNER_SK"]),
            user=Keys(facts["SNAP_AK"], facts["SNAP_SK"]),
            user_arn=f"arn:aws:iam:::user/{USER}",
            stranger=Keys(facts["STRANGER_AK"], facts["STRANGER_SK"]),
            folder=folder,
        )


@contextmanager
def ministack() -> Iterator[Server]:
    """A ministack with policies enforced. Its owner is its root key, which no deny binds."""
    env = {"MS_VENV": str(MINISTACK_VENV)}
    with _started("ministack", "MS_HOME", ["HTTP_PORT", "HTTPS_PORT"], env) as (folder, ports):
        nobody = Keys("", "")
        bare = Server(
            kind="ministack",
            https_url=f"https://127.0.0.1:{ports['HTTPS_PORT']}",
            http_url=f"http://127.0.0.1:{ports['HTTP_PORT']}",
            ca_bundle=folder / "ca.crt",
            owner=Keys("test", "test"),
            user=nobody,
            user_arn="",
            stranger=nobody,
            folder=folder,
        )
        user_arn, user = _new_user(bare, USER)
        _, stranger = _new_user(bare, "stranger")
        yield Server(**{**vars(bare), "user": user, "user_arn": user_arn, "stranger": stranger})


def need(*programs: str) -> None:
    """Skip the test, saying why, where a program is not installed; fail it where the run is to be complete."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    if missing := [program for program in programs if shutil.which(program, path=path) is None]:
        why = f"not installed: {', '.join(missing)} (`. .ci/setup` installs them, as root)"
        if os.environ.get("TESTS_COMPLETE"):
            pytest.fail(why)
        pytest.skip(why)


def client(server: Server, keys: Keys, service: str = "s3", *, plain: bool = False) -> Any:
    """A boto3 client with these keys, over HTTPS or plain HTTP, that tries every request once."""
    return boto3.session.Session().client(
        service,
        region_name=REGION,
        endpoint_url=server.http_url if plain else server.https_url,
        verify=str(server.ca_bundle),
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token,
        config=Config(
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=30,
        ),
    )


def put_bucket_with_policy(
    server: Server, bucket: str, policy: Mapping[str, Any] | None, user: Mapping[str, Any] | None
) -> None:
    """Make a bucket as the owner, with a bucket policy; grant `server.user` what the user policy allows."""
    s3 = client(server, server.owner)
    s3.create_bucket(Bucket=bucket)
    if policy:
        s3.put_bucket_policy(Bucket=bucket, Policy=_document(policy))
    if user:
        client(server, server.owner, "iam").put_user_policy(
            UserName=USER, PolicyName=f"access-{bucket}", PolicyDocument=_document(user)
        )


def assume_role(server: Server, policy: Mapping[str, Any], name: str = "task-role") -> Keys:
    """Temporary keys (15 minutes) of a new role that has this policy, which `server.user` assumes."""
    iam = client(server, server.owner, "iam")
    assume = {"Effect": "Allow", "Action": ["sts:AssumeRole"]}
    trust = {"Version": VERSION, "Statement": [{**assume, "Principal": {"AWS": [server.user_arn]}}]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="access", PolicyDocument=_document(policy))
    right = {"Version": VERSION, "Statement": [{**assume, "Resource": arn}]}
    iam.put_user_policy(UserName=USER, PolicyName=f"assume-{name}", PolicyDocument=_document(right))
    sts = client(server, server.user, "sts")
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="test", DurationSeconds=900)
    given = answer["Credentials"]
    return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def _document(policy: Mapping[str, Any]) -> str:
    """The policy as JSON without a space: RADOS Gateway's IAM reads the + of a form as a plus."""
    return json.dumps(policy, separators=(",", ":"))


def _new_user(server: Server, name: str) -> tuple[str, Keys]:
    iam = client(server, server.owner, "iam")
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, Keys(key["AccessKeyId"], key["SecretAccessKey"])


@contextmanager
def _started(
    name: str, home: str, ports: list[str], env: Mapping[str, str] | None = None
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Run NAME-up in a new temporary folder, and NAME-down and a removal of the folder at the end.

    A port that was free may be taken before the server has it, so a start is tried three times.
    Raises RuntimeError with the script's output.
    """
    with ExitStack() as stack:
        for attempt in range(3):
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
            chosen = _free_ports(ports)
            settings = {**os.environ, **chosen, **(env or {}), home: str(folder)}
            undo = stack.enter_context(ExitStack())
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            undo.callback(_script, f"{name}-down", settings)
            done = _script(f"{name}-up", settings)
            if done.returncode == 0:
                yield folder, chosen
                return
            if attempt < 2:
                undo.close()
        raise RuntimeError(f"{name} does not start: {done.stdout}")


def _script(name: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one of the scripts here in a session of its own, out of reach of the terminal's signals."""
    return subprocess.run(
        [HERE / name],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        timeout=600,
        check=False,
    )


def _free_ports(names: list[str]) -> dict[str, str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: str(each.getsockname()[1]) for name, each in zip(names, sockets, strict=True)}
