"""The runbook's answers are true: their commands are run, and do what the page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from snapshotter.archive.manifest import READABLE, SCHEMA_VERSION
from snapshotter.base.variables import DEFAULTS
from tests.infra.template import access_policy, bucket_policy
from tests.scan.planted import VALUES, in_source
from tests.servers import Server, client, ministack, put_bucket_with_policy, rgw
from tests.support.cli import cli_env
from tests.support.git import Origin, git
from tests.support.lab import Lab
from tests.support.scans import options, scan_options

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
AWS_GUIDE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)(?: (\w+))?\n(.*?)^```$", re.M | re.S)
BUCKET, PREFIX = "fruitful-lab-snapshots-prod", "repo-scans/snapshotter"
ANSWERS = re.findall(r"^## (.+)$", PAGE, re.M)


def commands(text: str) -> Iterator[str]:
    """The commands of a block: one a line, unless a backslash, an open quotation mark or a function's brace
    continues it."""
    so_far = ""
    for line in text.splitlines():
        so_far += line
        if so_far.endswith("\\"):
            so_far = so_far[:-1]
        elif so_far.count('"') % 2 or ("() {" in so_far and line != "}"):
            so_far += "\n"
        elif so_far.strip():
            yield so_far
            so_far = ""


@pytest.mark.parametrize("title", ANSWERS)
def test_every_answer_is_in_the_contents_and_says_who_may(title: str) -> None:
    anchor = re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
    assert f"[{title}](#{anchor})" in " ".join(PAGE.split())
    entry = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert entry.index("**Who.**") < entry.index("**Answer.**")
    assert re.search(r"^```(sh|bash)", entry, re.M), "an answer has a command"


def test_the_page_names_no_setting_that_does_not_exist() -> None:
    assert set(re.findall(r"SNAPSHOTTER_[A-Z_]+", PAGE)) <= set(DEFAULTS)


def test_the_schemas_of_the_page_are_the_code_s() -> None:
    writes, reads = re.findall(r"^\| this one \| (\d+) \| ([\d, ]+) \|$", PAGE, re.M)[0]
    assert int(writes) == SCHEMA_VERSION
    assert tuple(map(int, reads.split(", "))) == READABLE


class World(NamedTuple):
    """What is in the bucket: three snapshots of one origin. `main` are the tips that they have."""

    origin: Origin
    repo: str
    keys: list[str]
    main: list[str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rgw() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(), access_policy())
        versioning = {"Status": "Enabled"}
        client(server, server.owner).put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning)
        yield server


@pytest.fixture(scope="module")
def world(server: Server, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A base of three weeks ago, with a secret; another ten days ago; and an increment that finds main rewritten."""
    folder = tmp_path_factory.mktemp("answers")
    lab = Lab(folder / "store", now=datetime.now(UTC) - timedelta(days=21))
    origin = Origin(folder / "x.git")
    scanned = options(scan_options(key=b"a key for tests"))
    first = origin.commit(files={"bulk": os.urandom(40_000), "a.py": in_source(VALUES["github-pat"])})
    taken, tips = [lab.take(origin, scanned, advance=timedelta(0))], [first]
    tips.append(origin.commit(files={"b": b"b"}))
    taken.append(lab.take(origin, replace(scanned, full=True), advance=timedelta(days=11)))
    origin.commit("refs/heads/new", {"c": b"c"}, parents=[first])
    origin.ref("refs/heads/main", origin.oid("new"))
    tips.append(origin.oid("main"))
    taken.append(lab.take(origin, scanned, advance=timedelta(days=10) - timedelta(hours=1)))
    lab.verify(taken[0])
    s3 = client(server, server.owner)
    for path in sorted(lab.root.rglob("*")):
        if path.is_file():
            key = f"{PREFIX}/{path.relative_to(lab.root)}"
            s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), ServerSideEncryption="AES256")
    keys = [f"{PREFIX}/{sealed.manifest.key.key('history.bundle')}" for sealed in taken]
    return World(origin, taken[0].manifest.repo, keys, tips)


class Done(NamedTuple):
    command: str
    code: int
    out: str
    err: str


def carried_out(
    lines: list[tuple[str, str]], folder: Path, env: dict[str, str], stdin: str = ""
) -> list[Done]:
    """What came of commands in one shell. Each comes with the shell's text that is to go before it."""
    folder.mkdir(exist_ok=True)
    script = "".join(
        f"{before}\n{{ {line.partition('   #')[0]}\n}} 2>err.{n} >out.{n}"
        f"{'' if 'read -rs' in line else ' </dev/null'}; echo $? >code.{n}\n"
        for n, (before, line) in enumerate(lines)
    )
    path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        ["bash", "-u", "-c", script],
        cwd=folder,
        env={**os.environ, **env, "HOME": str(folder), "PATH": env.get("PATH", path)},
        input=stdin.encode(),
        timeout=500,
        check=True,
    )

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8", errors="replace")

    return [
        Done(line, int(read(f"code.{n}")), read(f"out.{n}"), read(f"err.{n}"))
        for n, (_, line) in enumerate(lines)
    ]


def test_the_answers_are_what_their_commands_say(server: Server, world: World, tmp_path: Path) -> None:
    """All of them in one shell, on S3, as the least-privileged user and, where the page says so, as the owner."""
    damaged = world.keys[0]
    overwrite = {"Bucket": BUCKET, "Key": damaged, "Body": b"damaged", "ServerSideEncryption": "AES256"}
    client(server, server.owner).put_object(**overwrite)
    stand_ins = {"ORIGIN": str(world.origin.path), "REPO": world.repo, "KEY": damaged}
    lines: list[tuple[str, str]] = []
    for language, role, text in BLOCK.findall(PAGE):
        if language != "sh" or role == "account":
            continue
        keys = server.owner if role == "administrator" else server.user
        before = f"export AWS_ACCESS_KEY_ID={shlex.quote(keys.access_key)} "
        before += f"AWS_SECRET_ACCESS_KEY={shlex.quote(keys.secret_key)}"
        for line in commands(text):
            name = line.partition("=")[0]
            lines.append((before, f"{name}={stand_ins[name]}" if name in stand_ins else line))
    env = cli_env(
        **server.environment(server.user),
        SNAPSHOTTER_FINGERPRINT_KEY="a key for tests",
        SNAPSHOTTER_CACHE=str(tmp_path / "cache"),
    )
    work = tmp_path / "work"

    done = carried_out(lines, work, env, stdin=VALUES["github-pat"] + "\n")

    for each in done:
        expected = 1 if each.command.endswith("# finding") else 4 if each.command.endswith("# none") else 0
        assert each.code == expected, each

    def said(start: str, number: int = 0) -> Done:
        return [each for each in done if each.command.startswith(start)][number]

    lacking = said("snapshotter list --origins")
    assert "never-taken.git" in lacking.out
    assert str(world.origin.path) not in lacking.out, "it has a good one of this hour, just verified"
    tips = {
        name: git(work / name, "rev-parse", "HEAD").decode().strip()
        for name in ("tuesday", "before", "after")
    }
    assert tips == {"tuesday": world.main[1], "before": world.main[1], "after": world.main[2]}
    assert world.main[1] in (work / "rewritten.csv").read_text()
    assert re.search(r"~ refs/heads/main|! refs/heads/main", said("snapshotter diff").out)
    sides = [line[:1] for line in said("git -C after log").out.splitlines()]
    assert sorted(sides) == ["<", ">"]
    first = world.keys[0].split("/")[-2]
    assert f"{first[:4]}-{first[4:6]}-{first[6:8]}" in said('snapshotter restore "$REPO@2005').err, (
        "the first's day"
    )
    assert "a.py" in said('snapshotter query --history "SELECT repo, path').out
    assert VALUES["github-pat"] not in "".join(each.out + each.err for each in done)
    assert f'"schema_version":{SCHEMA_VERSION}' in said("snapshotter get").out
    assert json.loads(said("snapshotter job").out)["ok"]
    assert said("snapshotter verify").code == 1
    assert said("snapshotter verify", 1).code == 0
    assert (work / "good.bin").read_bytes() != b"damaged"


CLOUD = ("fruitful-snapshotter-service", "broken")
PARAMETERS = "VpcId=vpc-0123456789abcdef0 SubnetIds=subnet-0123456789abcdef0,subnet-0fedcba9876543210"


def test_the_commands_in_the_account_do_what_the_page_says(tmp_path: Path) -> None:
    """Step 4 of the first deployment, and then the runbook's, on an emulator, beside a deployment that fails there."""
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    Lab(tmp_path / "store", now=datetime.now(UTC) - timedelta(hours=2)).take(origin)
    temp, work = tmp_path / "temp", tmp_path / "work"
    temp.mkdir()
    checkout = deployable(tmp_path / "checkout")
    images = [f"123456789012.dkr.ecr.us-east-1.amazonaws.com/x@sha256:{digit * 64}" for digit in "01"]
    job = json.dumps({"origins": [str(origin.path)]})
    step = BLOCK.findall(AWS_GUIDE.partition("**4. The secrets**")[2])[0][2]
    stand_ins = {"IMAGE": images[1], "STACK": CLOUD[1]}
    lines = [("", line) for line in commands(step)]
    deploy = "aws cloudformation deploy --capabilities CAPABILITY_NAMED_IAM >/dev/null 2>&1 "
    lines[0] = (
        f"CHECKOUT={checkout}; {deploy} --stack-name {CLOUD[0]} --template-file {checkout}/infra/service.yaml "
        f"--parameter-overrides Image={images[0]} {PARAMETERS} Job={shlex.quote(job)}\n"
        f"echo '{job[:-1]}, \"labels\": {{}}}}' >job.json; aws s3api create-bucket --bucket {BUCKET} >/dev/null",
        lines[0][1],
    )
    for line in [one for _, role, text in BLOCK.findall(PAGE) if role == "account" for one in commands(text)]:
        name = line.partition("=")[0]
        # As it is, the emulator refuses the template, after it has made a good part of it.
        failing = f"{deploy} --stack-name {CLOUD[1]} --template-file {ROOT}/infra/service.yaml "
        failing += f"--parameter-overrides Image={images[0]} {PARAMETERS} Job='{{}}' ServiceName=broken"
        before = failing if name == "STACK" else ""
        lines.append((before, f"{name}={stand_ins[name]}" if name in stand_ins else line))
    with ministack() as server:
        env = {
            **cli_env(**server.environment(server.owner)),
            "SNAPSHOTTER_STORE": str(tmp_path / "store"),
            "TMPDIR": str(temp),
            "PATH": f"{stubs(tmp_path / 'bin')}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        }
        done = carried_out(lines, work, env)
        assert [each for each in done if each.code] == []
        manager = client(server, server.owner, "secretsmanager")
        names = [secret["Name"].rpartition("/")[2] for secret in manager.list_secrets()["SecretList"]]
        key = manager.get_secret_value(SecretId="fruitful-repo-snapshotter/ssh-key")["SecretString"]
        tokens = manager.get_secret_value(SecretId="fruitful-repo-snapshotter/git-tokens")["SecretString"]
        stacks = client(server, server.owner, "cloudformation").describe_stacks()["Stacks"]

    def said(start: str) -> str:
        return "".join(each.out for each in done if each.command.startswith(start))

    assert sorted(names) == ["fingerprint-key", "git-tokens", "ssh-key", "ssh-known-hosts"]
    assert "PRIVATE KEY" in key
    assert json.loads(tokens) == {"git.example.org": "TOKEN"}
    assert "AWSPREVIOUS" in said("aws secretsmanager describe-secret")
    assert list(temp.iterdir()) == [], "no key and no token is left"
    left = [path.name for path in work.iterdir() if not re.match(r"(out|err|code)\.\d+$", path.name)]
    assert left == ["job.json"]
    assert "PRIVATE" not in "".join(each.out + each.err for each in done)
    assert "1 of 1 origin lacks nothing" in said("aws cloudformation describe-stacks")
    assert images[0] in said("aws cloudformation describe-stacks"), "the one to come back to"
    assert images[1] in said("aws ecs describe-task-definition")
    assert "NoSnapshotAlarm" in said("aws cloudformation describe-stack-events"), "what failed, and why"
    assert [stack["StackName"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"] == [CLOUD[0]]


def deployable(checkout: Path) -> Path:
    """A checkout whose template the emulator can deploy: without the alarm on a formula, which it does not know."""
    (checkout / "infra").mkdir(parents=True)
    text = (ROOT / "infra" / "service.yaml").read_text(encoding="utf-8")
    without = re.sub(r"^  NoSnapshotAlarm:\n(?:(?:    .*)?\n)+", "", text, flags=re.M)
    assert without != text
    (checkout / "infra" / "service.yaml").write_text(without, encoding="utf-8")
    return checkout


def stubs(folder: Path) -> Path:
    """Stand-ins for the editor, and for the program that asks a host for its keys."""
    folder.mkdir()
    for name, says in {
        "vi": 'echo "{\\"git.example.org\\": \\"TOKEN\\"}" > "$1"',
        "ssh-keyscan": "echo git.example.org ssh-ed25519 AAAA",
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{says}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_guides_call_the_program_as_the_readme_installs_it(page: Path) -> None:
    assert "uv run" not in page.read_text(encoding="utf-8")
