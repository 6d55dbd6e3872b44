"""`snapshotter doctor --adopt`: all that applying the template to a bucket in use would take away is named.

On the emulator: a versioned bucket that others share, with rules, statements and policies that are not ours. Imports
and lifecycle actions themselves no emulator here does: what is tested is what the look says, and that it only reads.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.template import STORAGE, bucket_policy, load, resolve
from tests.servers import Keys, Server, client, ministack
from tests.support.cli import cli_env, command

BUCKET = "in-use-and-shared"
PREFIX = "repo-scans/snapshotter/"
ROLE = "fruitful-repo-snapshotter-task-role"
GROUP = "fruitful-agents"
VERSION = "2012-10-17"
SOMEBODY = "0123456789abcdef" * 4  # an account, as ACLs name it
FOREIGN_RULE = {
    "ID": "ArchiveTheirs",
    "Status": "Enabled",
    "Filter": {"And": {"Prefix": "neighbour/", "Tags": [{"Key": "cold", "Value": "yes"}]}},
    "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
    "Expiration": {"Days": 400},
}
FOREIGN_STATEMENT = {
    "Sid": "NeighboursRead",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::000000000000:user/neighbour"},
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{BUCKET}/neighbour/*",
}
CORS = {
    "ID": "page",
    "AllowedMethods": ["GET"],
    "AllowedOrigins": ["https://example.org"],
    "MaxAgeSeconds": 60,
}
REPLICATION = {
    "Role": "arn:aws:iam::000000000000:role/copies",
    "Rules": [
        {
            "ID": "theirs",
            "Status": "Enabled",
            "Priority": 1,
            "Filter": {"Prefix": "neighbour/"},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": "arn:aws:s3:::copies"},
        }
    ],
}
EXTRA = {"Sid": "Extra", "Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}
READ_ONLY = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*", "iam:Get*", "iam:List*"], "Resource": "*"}
# Every effect that takes something away, and what must be named in it.
NAMED = {
    "tags": ["team=data", "Owner=data-team"],
    "cors": ["https://example.org"],
    "replication": ["arn:aws:s3:::copies", "neighbour/"],
    "website": ["index.html"],
    "lifecycle": ["ArchiveTheirs", "neighbour/", "GLACIER", "cold", "400"],
    "versions": [f"{PREFIX}github.com__a__b/x"],
    "uploads": ["neighbour/unfinished"],
    "policy": ["NeighboursRead", "user/neighbour"],
    "write-once": ["DenyOverwrite"],
    "neighbours": ["neighbour/", "repo-scans/other/", "1 object in the bucket itself"],
    "access-policy": ["Extra", "dynamodb:GetItem"],
    "task-role-trust": ["arn:aws:iam::000000000000:root"],
    "task-role-attached": ["policy/for-other-work"],
    "task-role-inline": ["by-hand", "dynamodb:GetItem"],
    "task-role-tags": ["since=2024"],
    "task-role-properties": ["Path /services/", "MaxSessionDuration 7200"],
    "acl": [f"READ to {SOMEBODY}"],
    "operators-group-attached": ["policy/for-other-work"],
    "operators-group-inline": ["group-by-hand", "dynamodb:GetItem"],
}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": VERSION, "Statement": list(statements)})


def own(server: Server, ownership: str) -> None:
    controls = {"Rules": [{"ObjectOwnership": ownership}]}
    client(server, server.owner).put_bucket_ownership_controls(Bucket=BUCKET, OwnershipControls=controls)


def make(server: Server) -> None:
    """A bucket, role, group and policy as somebody made them by hand, and uses."""
    s3, iam = client(server, server.owner), client(server, server.owner, "iam")
    s3.create_bucket(Bucket=BUCKET, ObjectOwnership="ObjectWriter")
    s3.put_bucket_acl(Bucket=BUCKET, GrantRead=f"id={SOMEBODY}")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in (f"{PREFIX}github.com__a__b/x", "neighbour/x", "repo-scans/other/x"):
        for text in (b"old", b"new"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=text)
    s3.put_object(Bucket=BUCKET, Key="readme.txt", Body=b"-")
    s3.create_multipart_upload(Bucket=BUCKET, Key="neighbour/unfinished")
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [FOREIGN_RULE]})
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(FOREIGN_STATEMENT))
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [CORS]})
    s3.put_bucket_website(Bucket=BUCKET, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    s3.put_bucket_replication(Bucket=BUCKET, ReplicationConfiguration=REPLICATION)
    tags = [{"Key": "team", "Value": "data"}, {"Key": "Owner", "Value": "data-team"}]
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tags})
    other = iam.create_policy(PolicyName="for-other-work", PolicyDocument=policy(EXTRA))["Policy"]["Arn"]
    ours = resolve(STORAGE, BucketName=BUCKET)["Resources"]["AccessPolicy"]["Properties"]["PolicyDocument"]
    wider = policy(*ours["Statement"], EXTRA)
    arn = iam.create_policy(PolicyName="fruitful-s3-repo-scans-rw", PolicyDocument=wider)["Policy"]["Arn"]
    root = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::000000000000:root"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(
        RoleName=ROLE,
        Path="/services/",
        MaxSessionDuration=7200,
        AssumeRolePolicyDocument=policy(root),
        Tags=[{"Key": "since", "Value": "2024"}],
    )
    iam.put_role_policy(RoleName=ROLE, PolicyName="by-hand", PolicyDocument=policy(EXTRA))
    iam.create_group(GroupName=GROUP)
    iam.put_group_policy(GroupName=GROUP, PolicyName="group-by-hand", PolicyDocument=policy(EXTRA))
    for each in (arn, other):
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=each)
        iam.attach_group_policy(GroupName=GROUP, PolicyArn=each)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ministack() as server:
        make(server)
        iam = client(server, server.owner, "iam")
        iam.put_user_policy(UserName="snapshotter", PolicyName="read", PolicyDocument=policy(READ_ONLY))
        yield server


GUIDE = (STORAGE.parents[1] / "docs" / "aws.md").read_text(encoding="utf-8")
ADOPTING = GUIDE[GUIDE.index("## Adopting existing") : GUIDE.index("## Changing it later")]


class Look:
    """One run of the command, by its document."""

    def __init__(
        self, server: Server, keys: Keys, *arguments: str | Path, store: str = f"s3://{BUCKET}/"
    ) -> None:
        argv = command("doctor", "--json", "--store", store, *arguments)
        env = cli_env(**server.environment(keys))
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
        self.code, self.stderr = done.returncode, done.stderr
        self.document: dict[str, Any] = json.loads(done.stdout)
        self.effects = {each["name"]: each for each in self.document.get("effects", [])}

    def named(self, state: str) -> set[str]:
        return {name for name, effect in self.effects.items() if effect["state"] == state}


def test_all_that_would_go_is_named_by_someone_who_may_only_read(server: Server) -> None:
    look = Look(server, server.user, "--adopt", STORAGE)

    assert (look.code, look.document["safe"]) == (1, False)
    assert look.named("unread") == set()
    assert look.named("goes") == set(NAMED)
    for name, parts in NAMED.items():
        told = " ".join(look.effects[name]["items"])
        assert [part for part in parts if part not in told] == [], name
    assert look.document["parameters"] == {
        "BucketName": BUCKET,
        "Owner": "data-team",
        "NoncurrentVersionDays": "36500",
        "EnforceWriteOnce": "false",
    }


def test_the_numbers_are_those_of_the_bucket(server: Server) -> None:
    effects = Look(server, server.user, "--adopt", STORAGE).effects

    assert effects["versions"]["says"] == "1 noncurrent version (3 B) would be deleted, 0 of them at once"
    assert effects["uploads"]["says"] == "1 unfinished upload would be given up, 0 of them at once"
    rules = "AbortIncompleteMultipartUploads, ExpireDiagnostics, ExpirePolicyTests, ExpireNoncurrentVersions"
    assert effects["lifecycle"]["says"] == f"1 of 1 rules would go; new: {rules}"
    denials = "DenyInsecureTransport, DenyWrongEncryptionHeader, DenyMissingEncryptionHeader, DenyOverwrite"
    assert effects["policy"]["says"] == f"1 of 1 statements would go; new: {denials}"
    assert effects["access-policy"]["says"] == "1 of 3 statements would go"
    assert effects["task-role-attached"]["says"] == "1 of 2 attached policies would go"
    assert effects["neighbours"]["says"].startswith("3 neighbours would have new rules")
    for new in ("DenyInsecureTransport", "DenyMissingEncryptionHeader", "AbortIncompleteMultipartUploads"):
        assert new in effects["neighbours"]["says"]


def test_the_merged_template_keeps_all_of_it_and_what_is_settled_by_hand_is_then_safe(
    server: Server, tmp_path: Path
) -> None:
    merged = tmp_path / "adopted.yaml"
    Look(server, server.user, "--adopt", STORAGE, "-o", merged)
    second = Look(server, server.user, "--adopt", merged)

    assert second.named("goes") == {"acl", "uploads", "website", "neighbours"}

    bucket = resolve(merged, BucketName=BUCKET)["Resources"]["Bucket"]["Properties"]
    assert bucket["CorsConfiguration"]["CorsRules"][0]["AllowedOrigins"] == ["https://example.org"]
    assert "ArchiveTheirs" in {rule["Id"] for rule in bucket["LifecycleConfiguration"]["Rules"]}
    assert load(merged)["Parameters"].keys() == load(STORAGE)["Parameters"].keys()
    statements = resolve(merged)["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert FOREIGN_STATEMENT in statements

    s3 = client(server, server.owner)
    (upload,) = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    s3.delete_bucket_website(Bucket=BUCKET)
    s3.put_bucket_acl(Bucket=BUCKET, ACL="private")
    own(server, "BucketOwnerEnforced")
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(*statements))
    abort = {"ID": "abort", "Status": "Enabled", "Filter": {"Prefix": ""}}
    rules = [FOREIGN_RULE, {**abort, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": rules})
    try:
        third = Look(server, server.user, "--adopt", merged)
        assert (third.code, third.document["safe"], third.named("goes")) == (0, True, set())
        assert third.effects["neighbours"]["says"] == "3 neighbours, and nothing new for any of them"
        kinds = [each["ResourceType"] for each in third.document["import"]]
        assert len(kinds) == 5
    finally:
        own(server, "ObjectWriter")
        s3.put_bucket_acl(Bucket=BUCKET, GrantRead=f"id={SOMEBODY}")
        s3.create_multipart_upload(Bucket=BUCKET, Key="neighbour/unfinished")
        s3.put_bucket_website(Bucket=BUCKET, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
        s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(FOREIGN_STATEMENT))
        s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [FOREIGN_RULE]})


def test_what_may_not_be_read_is_never_safe(server: Server, tmp_path: Path) -> None:
    merged = tmp_path / "merged.yaml"
    nobody = Look(server, server.stranger, "--adopt", STORAGE, "-o", merged)

    assert (nobody.code, nobody.document["safe"]) == (4, False)
    assert nobody.named("unread") >= set(NAMED) - {"write-once", "acl"}
    assert nobody.named("goes") == nobody.named("stays") == set()
    assert "AccessDenied" in nobody.effects["policy"]["says"]
    assert not merged.exists(), "it would lack what could not be read"


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("s3:GetReplicationConfiguration", "replication"),
        ("s3:ListBucketVersions", "versions"),
        ("s3:GetLifecycleConfiguration", "lifecycle"),
        ("s3:GetBucketPolicy", "policy"),
        ("iam:ListRolePolicies", "task-role-inline"),
        ("iam:GetPolicyVersion", "access-policy"),
    ],
)
def test_one_denied_request_leaves_one_part_open(server: Server, action: str, name: str) -> None:
    iam = client(server, server.owner, "iam")
    deny = policy(READ_ONLY, {"Effect": "Deny", "Action": action, "Resource": "*"})
    iam.put_user_policy(UserName="stranger", PolicyName="read", PolicyDocument=deny)
    try:
        look = Look(server, server.stranger, "--adopt", STORAGE)
    finally:
        iam.delete_user_policy(UserName="stranger", PolicyName="read")

    assert look.effects[name]["state"] == "unread"
    assert look.named("goes") >= set(NAMED) - {
        name,
        "objects",
        "uploads",
        "versions",
        "write-once",
        "neighbours",
    }
    assert look.document["safe"] is False


def test_a_bucket_as_the_template_makes_it_loses_nothing(server: Server) -> None:
    """Without neighbours; its role and group are the shared ones, so only the bucket's effects are looked at."""
    s3, name = client(server, server.owner), "as-the-template"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(bucket_policy(BucketName=name)))
    tags = [{"Key": "Project", "Value": "fruitful-snapshotter"}, {"Key": "Owner", "Value": "fruitful-lab"}]
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": template_rules(name)})
    for _ in range(2):
        s3.put_object(Bucket=name, Key=f"{PREFIX}x", Body=b"-", ServerSideEncryption="AES256")

    look = Look(server, server.user, "--adopt", STORAGE, store=f"s3://{name}/{PREFIX}")

    found = {
        effect["state"] for key, effect in look.effects.items() if not key.startswith(("task", "op", "acc"))
    }
    assert found == {"stays"}
    assert look.effects["versions"]["says"] == "no noncurrent version would be deleted", (
        "today's rule does so"
    )


def template_rules(bucket: str) -> list[dict[str, Any]]:
    """The template's rules as S3's API takes them, under other names."""
    rules = resolve(STORAGE, BucketName=bucket)["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]
    made = []
    for number, rule in enumerate(rules["Rules"]):
        expiry = {"Expiration": {"Days": rule["ExpirationInDays"]}} if "ExpirationInDays" in rule else {}
        kept = {
            key: rule[key]
            for key in rule.keys() & {"AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"}
        }
        made.append(
            {"ID": f"r{number}", "Status": "Enabled", "Filter": {"Prefix": rule.get("Prefix", "")}}
            | expiry
            | kept
        )
    return made


def test_old_versions_go_as_late_as_today_where_a_rule_says_when(server: Server) -> None:
    s3, name = client(server, server.owner), "old-versions-stay-a-year"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "a-year", "Status": "Enabled", "Filter": {"Prefix": PREFIX}}
    rules = [{**rule, "NoncurrentVersionExpiration": {"NoncurrentDays": 365}}]
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    for _ in range(2):
        s3.put_object(Bucket=name, Key=f"{PREFIX}x", Body=b"-")

    first = Look(server, server.user, "--adopt", STORAGE, store=f"s3://{name}/")
    year = ("--parameter", "NoncurrentVersionDays=365")
    second = Look(server, server.user, "--adopt", STORAGE, *year, store=f"s3://{name}/")

    assert {"lifecycle", "versions"} <= first.named("goes")
    assert first.document["parameters"]["NoncurrentVersionDays"] == "365"
    assert {"lifecycle", "versions"} <= second.named("stays")


def test_people_read_what_goes_why_and_what_keeps_it(server: Server) -> None:
    argv = command("doctor", "--adopt", STORAGE, "--store", f"s3://{BUCKET}/")
    env = cli_env(**server.environment(server.user))
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {line[1] for line in lines if line[:1] == ["GOES"]} == set(NAMED)
    assert ["NoncurrentVersionDays=36500"] in lines
    assert "BucketPolicy.Properties.PolicyDocument.Statement: + " in done.stdout
    assert "docs/aws.md, 'Adopting existing production resources'" in done.stderr


def test_an_expiry_of_snapshots_that_is_new_counts_every_object(server: Server) -> None:
    years = ("--parameter", "SnapshotRetentionDays=30", "--parameter", "MaxChainAgeDays=7")
    look = Look(server, server.user, "--adopt", STORAGE, *years)

    assert look.effects["objects"]["state"] == "goes"
    assert look.effects["objects"]["says"].startswith("1 object (3 B) would expire, 0 of them at once")
    assert look.document["parameters"]["SnapshotRetentionDays"] == "0"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--parameter", "A=b"], "are for --adopt"),
        (["--adopt", STORAGE, "https://github.com/psf/requests"], "and at no origin"),
        (["--adopt", "no-such.yaml"], "cannot read the template"),
        (["--adopt", STORAGE.parent / "alarms.yaml"], "not infra/storage.yaml"),
        (["--adopt", STORAGE.parent / "check"], "cannot be applied"),
        (["--adopt", STORAGE, "--parameter", "Nonsense=1"], "no such parameter: Nonsense"),
        (["--adopt", STORAGE, "--parameter", "ObjectLockDays"], "no parameter: ObjectLockDays"),
        (["--adopt", STORAGE, "--parameter", "SnapshotRetentionDays=30"], "ExpiryNeedsAChainAge"),
    ],
)
def test_what_cannot_be_meant_is_told(server: Server, arguments: list[str | Path], says: str) -> None:
    look = Look(server, server.user, *arguments)

    assert look.code == 2
    assert says in look.stderr


def test_a_role_that_is_not_there_is_no_loss_and_is_not_imported(server: Server) -> None:
    look = Look(server, server.user, "--adopt", STORAGE, "--role", "another-role")

    assert look.effects["task-role-trust"]["says"] == "another-role does not exist, and would be made"
    assert {name for name in look.named("goes") if name.startswith("task-role")} == set()
    assert "TaskRole" not in {each["LogicalResourceId"] for each in look.document["import"]}


def test_a_bucket_that_is_not_there_is_nothing_to_adopt(server: Server) -> None:
    look = Look(server, server.user, "--adopt", STORAGE, store="s3://no-such-bucket/")

    assert (look.code, look.document["error"]["code"]) == (4, "no-bucket")


def test_the_guide_s_commands_write_what_its_next_steps_use(server: Server, tmp_path: Path) -> None:
    (tmp_path / "infra").symlink_to(STORAGE.parent)
    blocks = re.findall(r"<!-- command: adopt -->\n```bash\n(.*?)```", ADOPTING, re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    lines[0] = f"STORE=s3://{BUCKET}/{PREFIX}"
    script = "\n".join(f"{line}\necho $? >> codes" for line in lines)
    program = Path(command()[0]).parent
    env = os.environ | cli_env(**server.environment(server.user))
    env["PATH"] = f"{program}:{os.environ['PATH']}"

    subprocess.run(["bash", "-u", "-c", script], cwd=tmp_path, env=env, timeout=200, check=True)

    assert (tmp_path / "codes").read_text().split() == ["0", "1", "1", "1", "0"]
    named = json.loads((tmp_path / "import.json").read_text())
    assert {"LogicalResourceId": "Bucket", "ResourceType": "AWS::S3::Bucket"}.items() <= named[0].items()
    assert len(named) == 5
    for used in re.findall(r"file://(\S+)", ADOPTING):
        assert (tmp_path / used).exists()


def test_the_guide_turns_the_protection_off_before_it_deletes_the_stack() -> None:
    undo = ADOPTING[ADOPTING.index("To undo the adoption") :]

    assert "--enable-termination-protection" in ADOPTING.partition("To undo the adoption")[0]
    assert undo.index("--no-enable-termination-protection") < undo.index("delete the stack")
    assert "infra/storage.yaml" not in ADOPTING[ADOPTING.index("**4. Import.**") :], (
        "it would undo the merging"
    )
