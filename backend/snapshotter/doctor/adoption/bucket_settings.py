"""The bucket's settings that the template sets, beside lifecycle and policy: what each is, and what it would be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snapshotter.doctor.adoption.applied_template import AppliedTemplate
from snapshotter.doctor.adoption.effects import Addition, Effect, named
from snapshotter.doctor.adoption.reading import NotRead, Reader, guarded

Value = Mapping[str, Any]
MERGE = "the template written by -o keeps it; leave it out there if it is to go"
_BY_HAND = (
    "write it into the template by hand (AWS::S3::Bucket in the CloudFormation reference), or let it go"
)


@dataclass(frozen=True)
class SettingForm:
    """One setting: how it is read, the code by which S3 says that there is none, the template's property, its form."""

    name: str
    operation: str
    absent: str
    property: str
    form: Callable[[Value], Any]


def _public_access(answer: Value) -> Any:
    return dict(answer["PublicAccessBlockConfiguration"])


def _ownership(answer: Value) -> Any:
    return {"Rules": [dict(rule) for rule in answer["OwnershipControls"]["Rules"]]}


def _encryption(answer: Value) -> Any:
    made = []
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        default = {"ServerSideEncryptionByDefault": rule.get("ApplyServerSideEncryptionByDefault", {})}
        made.append(default | ({"BucketKeyEnabled": True} if rule.get("BucketKeyEnabled") else {}))
    return {"ServerSideEncryptionConfiguration": made}


def _versioning(answer: Value) -> Any:
    return {"Status": answer["Status"]} if "Status" in answer else None


# What the template sets by a value of its own. These take no data away, but neighbours may rest on what is there.
_OWN = (
    SettingForm(
        "public-access",
        "get_public_access_block",
        "NoSuchPublicAccessBlockConfiguration",
        "PublicAccessBlockConfiguration",
        _public_access,
    ),
    SettingForm(
        "ownership",
        "get_bucket_ownership_controls",
        "OwnershipControlsNotFoundError",
        "OwnershipControls",
        _ownership,
    ),
    SettingForm(
        "encryption",
        "get_bucket_encryption",
        "ServerSideEncryptionConfigurationNotFoundError",
        "BucketEncryption",
        _encryption,
    ),
    SettingForm("versioning", "get_bucket_versioning", "", "VersioningConfiguration", _versioning),
)


def own(reader: Reader, plan: AppliedTemplate) -> Iterator[Effect]:
    """The settings that the template sets, one by one."""
    for setting in _OWN:
        try:
            answer = reader.s3(setting.operation, setting.absent, Bucket=plan.bucket)
        except NotRead as error:
            yield Effect(setting.name, "unread", error.message)
            continue
        is_now = setting.form(answer) if answer else None
        will_be = plan.properties("Bucket").get(setting.property)
        if is_now == will_be:
            yield Effect(setting.name, "stays", "as in the template")
        else:
            yield Effect(setting.name, "changes", f"it is {is_now or 'not set'}, and would be {will_be}")
            if setting.property == "OwnershipControls":
                yield guarded("acl", lambda: _acl(reader, plan))


def _acl(reader: Reader, plan: AppliedTemplate) -> Effect:
    """Whom the bucket's ACL lets in, who would be shut out: under bucket owner enforced no ACL counts. Raises NotRead.

    S3 refuses that setting as long as there are such grants ("Prerequisites for disabling ACLs" of its user guide).
    """
    answer = reader.s3("get_bucket_acl", Bucket=plan.bucket)
    owner = answer["Owner"].get("ID")
    items = [
        f"{grant['Permission']} to {grantee.get('URI') or grantee.get('ID') or grantee.get('EmailAddress')}"
        for grant in answer["Grants"]
        if (grantee := grant["Grantee"]).get("ID") != owner
    ]
    if not items:
        return Effect("acl", "changes", "ACLs of objects, which no list shows, would no longer count")
    says = f"{len(items)} of {len(answer['Grants'])} grants of the bucket's ACL would go"
    return Effect(
        "acl", "goes", says, named(items), "grant it by the bucket policy, take it out of the ACL, look again"
    )


def lock(reader: Reader, plan: AppliedTemplate) -> Effect:
    """Object Lock's default retention. Raises NotRead."""
    answer = reader.s3(
        "get_object_lock_configuration", "ObjectLockConfigurationNotFoundError", Bucket=plan.bucket
    )
    found = (answer or {}).get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention")
    wanted = plan.properties("Bucket").get("ObjectLockConfiguration", {}).get("Rule", {})
    will_be = wanted.get("DefaultRetention")
    told = {name: str(value) for name, value in (found or {}).items()}
    if found is None or told == will_be:
        if found is None and will_be:
            return Effect("object-lock", "changes", f"it would be {will_be}, and cannot be turned off again")
        return Effect("object-lock", "stays", "no default retention" if found is None else f"{told}")
    kept = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": dict(found)}}
    additions = (
        Addition("Bucket", ("ObjectLockEnabled",), True, whole=True),
        Addition("Bucket", ("ObjectLockConfiguration",), kept, whole=True),
    )
    says = f"the default retention is {told}, and would be {will_be or 'none'}"
    return Effect("object-lock", "goes", says, (f"{told}",), MERGE, additions=additions)


def tags(reader: Reader, plan: AppliedTemplate) -> Effect:
    """The bucket's tags, which are replaced as a whole. Raises NotRead."""
    answer = reader.s3("get_bucket_tagging", "NoSuchTagSet", Bucket=plan.bucket)
    found = [dict(tag) for tag in (answer or {}).get("TagSet", ())]
    return of_tags("tags", "Bucket", found, plan)


def of_tags(name: str, resource: str, found: list[dict[str, str]], plan: AppliedTemplate) -> Effect:
    """The tags that a resource has, against those that it would have."""
    wanted = {tag["Key"]: tag["Value"] for tag in plan.properties(resource).get("Tags", ())}
    own_tags = [tag for tag in found if not tag["Key"].startswith("aws:")]
    lost = [tag for tag in own_tags if wanted.get(tag["Key"]) != tag["Value"]]
    if not lost:
        return Effect(name, "stays", "no tag would go")
    # Project and Owner are parameters; the others are written in.
    parameters = {tag["Key"]: tag["Value"] for tag in lost if tag["Key"] in wanted}
    additions = tuple(Addition(resource, ("Tags",), tag) for tag in lost if tag["Key"] not in wanted)
    items = tuple(f"{tag['Key']}={tag['Value']}" for tag in lost)
    says = f"{len(lost)} of {len(own_tags)} tags would go"
    return Effect(name, "goes", says, items, MERGE, parameters, additions)
