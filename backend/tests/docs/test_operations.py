"""The runbook is true: its headings are those that errors name, and its AWS CLI commands do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from snapshotter.base import runbook, variables
from snapshotter.fleet import document as jobs
from snapshotter.fleet.inventory import InventoryTables
from snapshotter.fleet.inventory_reading import read as read_inventory
from snapshotter.fleet.stored_job import reference_in
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.app_key import AppKey
from snapshotter.transport.host_tokens import HostTokens
from tests.infra.template import SERVICE, access_policy, bucket_policy, resolve
from tests.servers import Server, put_bucket_with_policy, rgw
from tests.servers.ecs import Gate
from tests.support.cli import cli_env, command
from tests.support.git import Origin, git, state_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
AWS_GUIDE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
BUCKET = "fruitful-lab-snapshots-prod"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("heading", runbook.HEADINGS)
def test_every_heading_that_an_error_names_has_its_entry(heading: str) -> None:
    entry = sections()[heading]
    assert "**Symptom.**" in entry
    assert "**Cause" in entry
    assert "**Check" in entry
    assert re.search(r"\*\*(Check and fix|Fix)\.\*\*", entry)


@pytest.mark.parametrize("heading", runbook.HEADINGS)
def test_its_link_is_the_one_that_the_page_s_own_contents_use(heading: str) -> None:
    anchor = runbook.link(heading).partition("#")[2]
    assert re.search(rf"\[{re.escape(heading)}\]\(#{re.escape(anchor)}\)", " ".join(PAGE.split()))


def test_no_source_names_a_heading_that_is_not_there() -> None:
    for path in (ROOT / "backend" / "snapshotter").rglob("*.py"):
        for name in re.findall(r"docs/operations\.md, \"?\s*\"?'([^']+)'", path.read_text(encoding="utf-8")):
            assert name in sections(), f"{path.name} names '{name}'"
    for anchor in re.findall(r"\]\(#([^)]+)\)", PAGE) + re.findall(r"operations\.md#([\w-]+)", AWS_GUIDE):
        assert anchor in {runbook.link(title).partition("#")[2] for title in sections()}


def test_every_s3_command_of_the_page_is_run_below() -> None:
    for language, text in BLOCK.findall(PAGE):
        if language != "sh":
            assert not re.search(r"\baws s3(api)? ", text), f"not run by this test: {text}"


@pytest.mark.parametrize("page", [PAGE, AWS_GUIDE], ids=["operations", "aws"])
def test_every_name_that_a_command_takes_was_set_before(page: str) -> None:
    """An unset one is an empty text in a shell, and an empty parameter of a template is a choice."""
    known = {"RANDOM", "PWD", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}
    for language, text in BLOCK.findall(page):
        for line in text.splitlines() if language in ("sh", "bash") else ():
            assert set(re.findall(r"\$\{?([A-Z][A-Z_0-9]*)", line)) <= known, line
            known |= set(re.findall(r"(?:^|\s)([A-Z][A-Z_0-9]*)=", line))


def test_the_job_in_the_page_is_one() -> None:
    (document,) = [text for language, text in BLOCK.findall(sections()["The job"]) if language == "json"]
    assert jobs.read(document.encode()).all_origins
    for text in re.findall(r"`(\{\"verb\".*?\})`", PAGE):
        assert jobs.read(text.encode()).verb in ("prove", "verify")


def test_the_reference_to_a_job_in_the_page_is_one() -> None:
    (text,) = re.findall(r"`(\{\"document\".*?\})`", sections()["The job"])
    reference = reference_in(text.replace("…", "0" * 64).encode())
    assert reference is not None
    assert f"s3://{BUCKET}/repo-scans/snapshotter/_jobs/" in reference.document


def test_the_tokens_in_the_page_are_for_the_places_that_it_names() -> None:
    text, of_app = [
        text for language, text in BLOCK.findall(sections()["Tokens of origins"]) if language == "json"
    ]
    app = HostTokens.of(of_app).find(parse("https://github.com/psf/requests"))
    assert isinstance(app, AppKey)
    assert (app.app, app.installation, app.api) == (12345, 67890, "https://api.github.com")
    tokens = HostTokens.of(text)
    assert tokens.find(parse("https://git.example.org:8443/team/project.git")) == "USER:TOKEN"
    assert tokens.find(parse("https://github.com/psf/requests")) == "TOKEN"
    assert tokens.find(parse("https://github.com/other/requests")) is None


def test_every_setting_that_the_pages_name_exists() -> None:
    for page in (PAGE, AWS_GUIDE):
        assert set(re.findall(r"SNAPSHOTTER_[A-Z_]+(?:<HOST>)?", page)) <= set(variables.DEFAULTS)


def test_the_origin_s_error_codes_are_those_of_the_code() -> None:
    named = set(
        re.findall(r"`([a-z]+(?:-[a-z]+)*)`", sections()[runbook.ORIGIN].partition("in the origin's own")[0])
    )
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "backend" / "snapshotter").rglob("*.py")]
    assert named <= {
        code for text in sources for code in re.findall(r"(?i:code)(?:: Final)? ?= ?\"([a-z-]+)\"", text)
    }


def test_every_aws_variable_that_the_code_knows_is_in_the_readme_s_table() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"`(AWS_[A-Z0-9_]+)`", "\n".join(re.findall(r"^\| `AWS_.*$", readme, re.M))))
    sources = (ROOT / "backend" / "snapshotter").rglob("*.py")
    known = {
        name
        for path in sources
        for name in re.findall(r"\"(AWS_[A-Z0-9_]+)\"", path.read_text(encoding="utf-8"))
    }
    assert known - {"AWS_"} <= rows


WHO = re.search(r"^\| commands \| role \|.*?\n\n", PAGE, re.M | re.S)
ROLES = ("anyone", "operator", "on-call", "administrator", "break-glass")


def rows() -> list[tuple[list[str], str, set[str]]]:
    """The table of who may do what: commands, the role, and the IAM actions that on-call needs for them."""
    assert WHO
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in WHO[0].strip().splitlines()[2:]]
    return [
        (re.findall(r"`([^`]+)`", first), role, set(re.findall(r"`([a-z]+:\w+)`", needs)))
        for first, role, needs in cells
    ]


def role_of(command: str) -> str:
    """The role of the longest command in the table that this one begins with."""
    known = {name: role for names, role, _ in rows() for name in names}
    fitting = [name for name in known if f"{command} ".startswith(f"{name} ")]
    assert fitting, f"docs/operations.md, 'Who may do what', has no row for: {command}"
    return known[max(fitting, key=len)]


def test_every_command_of_the_page_has_a_role() -> None:
    outside = PAGE.replace(WHO[0], "") if WHO else PAGE
    found = re.findall(r"(?<![\w./-])aws (?:[a-z0-9]+) [a-z][a-z0-9-]+", outside)

    assert len(found) > 30
    assert {role_of(command) for command in found} <= set(ROLES)


def test_commands_that_are_not_run_here_say_their_role_themselves() -> None:
    said = 0
    for language, text in BLOCK.findall(PAGE):
        for line in re.sub(r"\\\n\s*", "", text).splitlines() if language == "console" else ():
            if found := re.search(r"(?:\$ |; |\()((?:aws|snapshotter|uv) .*)", line):
                told = re.search(r"  # ([a-z-]+)(?:;|$)", line)
                assert told, f"which role does it need, as a comment? {line}"
                assert told[1] == role_of(found[1]), line
                said += 1
    assert said > 10


def test_the_policy_of_on_call_is_what_its_commands_need_and_no_more() -> None:
    needs = set().union(*(actions for _, role, actions in rows() if role == "on-call"))
    given = {"Image": f"x@sha256:{'0' * 64}", "Job": "{}", "VpcId": "v", "SubnetIds": "s"}
    service = resolve(SERVICE, **given, OnCallPolicyName="on-call")["Resources"]
    granted = [
        each["Action"] for each in service["OnCallPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    ]

    assert needs == {action for each in granted for action in (each if isinstance(each, list) else [each])}
    assert not [actions for _, role, actions in rows() if role != "on-call" and actions]


def test_every_role_of_the_page_is_explained() -> None:
    explained = re.findall(
        r"^\| ([a-z-]+) \| ", PAGE.partition("| role | who | may |")[2].partition("\n\n")[0], re.M
    )

    assert explained == list(ROLES)
    assert {role for _, role, _ in rows()} <= set(ROLES)


class Done(NamedTuple):
    command: str
    code: int
    stderr: str


def commands() -> list[str]:
    """The commands of every `sh` block, in order; a line that ends in a backslash goes on."""
    blocks = [text for language, text in BLOCK.findall(PAGE) if language == "sh"]
    return [line for text in blocks for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def aws() -> str:
    if found := shutil.which("aws"):
        return found
    return pytest.fail(
        "THE AWS CLI IS NOT INSTALLED: none of the runbook's commands is tested. Install awscli (PyPI)."
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rgw() as server:
        put_bucket_with_policy(server, BUCKET, bucket_policy(), access_policy())
        yield server


def test_the_commands_do_what_the_page_says(aws: str, server: Server, tmp_path: Path) -> None:
    """All in one shell, as the least-privileged user, on the production names and the template's own policies."""
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    env = cli_env(SNAPSHOTTER_SCAN="0", **server.environment(server.user))
    argv = command("snapshot", origin.path, "--store", f"s3://{BUCKET}/repo-scans/snapshotter/", "--json")
    made = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=True)
    folder = re.search(r'"folder": "([^"]+)"', made.stdout)
    assert folder
    repo, _, run = folder[1].partition("/")
    lines = [
        f"REPO={repo}" if line.startswith("REPO=") else f"RUN={run}" if line.startswith("RUN=") else line
        for line in commands()
    ]
    script = "".join(
        f"{{ {line.partition('  #')[0]}\n}} 2>err.{n} >out.{n}; echo $? >code.{n}\n"
        for n, line in enumerate(lines)
    )
    work = tmp_path / "work"
    work.mkdir()
    env = os.environ | env | {"HOME": str(work), "PATH": f"{Path(aws).parent}:{os.environ['PATH']}"}
    with Gate(server) as gate:
        env["AWS_ENDPOINT_URL"] = gate.url
        subprocess.run(["bash", "-u", "-c", script], cwd=work, env=env, timeout=300, check=True)

    def read(name: str) -> str:
        return (work / name).read_text(encoding="utf-8", errors="replace")

    done = [Done(line, int(read(f"code.{n}")), read(f"err.{n}")) for n, line in enumerate(lines)]
    for each in done:
        if each.command.endswith("# denied"):
            assert each.code != 0, each
            assert re.search(r"AccessDenied|403|Forbidden", each.stderr), each
        elif each.command.endswith("# taken"):
            assert "PreconditionFailed" in each.stderr, each
        else:
            assert each.code == 0, each
    assert sum(each.command.endswith("# denied") for each in done) >= 10
    assert state_of(work / "restored.git").refs == origin.state.refs
    listed = next(n for n, line in enumerate(lines) if line.startswith("aws s3 ls --recursive"))
    assert f"{folder[1]}/manifest.json" in read(f"out.{listed}")
    count = next(n for n, line in enumerate(lines) if "--query KeyCount" in line)
    assert read(f"out.{count}").strip() == "0"
    assert git(work / "restored.git", "rev-parse", "refs/heads/main").decode().strip() == origin.oid("main")


def test_the_inventory_in_the_page_is_one() -> None:
    (text,) = [text for language, text in BLOCK.findall(sections()["Fleets"]) if language == "toml"]
    found = read_inventory(text.encode(), "fleet.toml", ROOT)
    assert (len(found.repos), len(found.sources)) == (1, 3)
    for key in {each for table in (*found.sources, InventoryTables()) for each in table.__struct_fields__}:
        assert key in ("repo", "github", "gitlab", "folder") or f"`{key}`" in sections()["Fleets"], key
