"""The roles, the group and the access policy as they are: policies attached and inline, trust, boundary, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from snapshotter.doctor.adoption import statements
from snapshotter.doctor.adoption.applied_template import AppliedTemplate
from snapshotter.doctor.adoption.bucket_settings import MERGE, of_tags
from snapshotter.doctor.adoption.effects import Addition, Effect, named
from snapshotter.doctor.adoption.reading import Reader, guarded

_NAMES = {
    "AccessPolicy": "access-policy",
    "TaskRole": "task-role",
    "OperatorsGroup": "operators-group",
    "ReplicationRole": "replication-role",
}

# Properties of a role that the template leaves out, with what IAM makes of that. Another path is another role: an
# update would replace it ("AWS::IAM::Role" in the CloudFormation reference).
_AS_MADE: dict[str, Any] = {"Path": "/", "MaxSessionDuration": 3600}


@dataclass(frozen=True)
class _Holder:
    """A role or a group: its logical id, its name in effects, and how IAM is asked about it."""

    resource: str
    name: str
    kind: str  # role | group
    params: Mapping[str, str]


def look(reader: Reader, plan: AppliedTemplate) -> Iterator[Effect]:
    """What applying does to each identity of the template, and to the access policy."""
    for resource in plan.of_type("AWS::IAM::ManagedPolicy"):
        name = _NAMES.get(resource, resource)
        yield guarded(name, lambda resource=resource, name=name: _managed(reader, plan, resource, name))  # type: ignore[misc]
    for resource in plan.of_type("AWS::IAM::Role"):
        params = {"RoleName": str(plan.properties(resource)["RoleName"])}
        yield from _role(reader, plan, _Holder(resource, _NAMES.get(resource, resource), "role", params))
    for resource in plan.of_type("AWS::IAM::Group"):
        params = {"GroupName": str(plan.properties(resource)["GroupName"])}
        holder = _Holder(resource, _NAMES.get(resource, resource), "group", params)
        yield guarded(holder.name, lambda holder=holder: _exists(reader, holder))  # type: ignore[misc]
        yield from _policies(reader, plan, holder)


def absent(name: str, what: str, resource: str) -> Effect:
    """The effect on what is not there yet."""
    return Effect(name, "changes", f"{what} does not exist, and would be made", missing=resource)


def _exists(reader: Reader, holder: _Holder) -> Effect:
    if reader.iam("get_group", **holder.params) is None:
        return absent(holder.name, holder.params["GroupName"], holder.resource)
    return Effect(holder.name, "stays", f"{holder.params['GroupName']} exists")


def _managed(reader: Reader, plan: AppliedTemplate, resource: str, name: str) -> Effect:
    wanted = plan.properties(resource)
    arn = plan.arn(f"policy/{wanted['ManagedPolicyName']}")
    found = reader.iam("get_policy", PolicyArn=arn)
    if found is None:
        return absent(name, wanted["ManagedPolicyName"], resource)
    version = found["Policy"]["DefaultVersionId"]
    document = reader.iam("get_policy_version", PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return of_statements(name, resource, document, wanted["PolicyDocument"])


def of_statements(
    name: str, resource: str, document: Any, wanted: Any, within: str = "PolicyDocument"
) -> Effect:
    """The statements of a policy that is there, against those that it would have."""
    have = statements.of(document)
    lost = statements.missing(have, statements.of(wanted))
    found = [(statements.words(each), Addition(resource, (within, "Statement"), each)) for each in lost]
    return _lost(name, f"{len(lost)} of {len(have)} statements would go", found)


def _role(reader: Reader, plan: AppliedTemplate, holder: _Holder) -> Iterator[Effect]:
    wanted = plan.properties(holder.resource)

    def trust() -> Effect:
        role = reader.iam("get_role", **holder.params)
        if role is None:
            return absent(f"{holder.name}-trust", wanted["RoleName"], holder.resource)
        document, within = role["Role"]["AssumeRolePolicyDocument"], "AssumeRolePolicyDocument"
        return of_statements(f"{holder.name}-trust", holder.resource, document, wanted[within], within)

    def boundary() -> Effect:
        role = reader.iam("get_role", **holder.params)
        arn = ((role or {}).get("Role", {}).get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        addition = Addition(holder.resource, ("PermissionsBoundary",), arn, whole=True)
        lost = [(str(arn), addition)] if arn and arn != wanted.get("PermissionsBoundary") else []
        return _lost(f"{holder.name}-boundary", "the permissions boundary would go", lost)

    def kept_as_made() -> Effect:
        role = (reader.iam("get_role", **holder.params) or {}).get("Role", {})
        lost = []
        for name, default in _AS_MADE.items():
            is_now, will_be = role.get(name) or default, wanted.get(name, default)
            if is_now != will_be:
                addition = Addition(holder.resource, (name,), is_now, whole=True)
                lost.append((f"{name} {is_now}, which would be {will_be}", addition))
        return _lost(f"{holder.name}-properties", "what the role was made with would go", lost)

    def tags() -> Effect:
        pages = reader.iam_pages("list_role_tags", **holder.params)
        found = [dict(tag) for page in pages for tag in page["Tags"]]
        return of_tags(f"{holder.name}-tags", holder.resource, found, plan)

    yield guarded(f"{holder.name}-trust", trust)
    yield guarded(f"{holder.name}-boundary", boundary)
    yield guarded(f"{holder.name}-properties", kept_as_made)
    yield from _policies(reader, plan, holder)
    yield guarded(f"{holder.name}-tags", tags)


def _policies(reader: Reader, plan: AppliedTemplate, holder: _Holder) -> Iterator[Effect]:
    """The policies that a role or group has. Both lists are replaced as a whole."""
    wanted = plan.properties(holder.resource)

    def attached() -> Effect:
        pages = reader.iam_pages(f"list_attached_{holder.kind}_policies", **holder.params)
        arns = [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]
        lost = [arn for arn in arns if arn not in wanted.get("ManagedPolicyArns", ())]
        found = [(arn, Addition(holder.resource, ("ManagedPolicyArns",), arn)) for arn in lost]
        says = f"{len(lost)} of {len(arns)} attached policies would go"
        return _lost(f"{holder.name}-attached", says, found)

    def inline() -> Effect:
        kept = {policy["PolicyName"]: policy["PolicyDocument"] for policy in wanted.get("Policies", ())}
        pages = reader.iam_pages(f"list_{holder.kind}_policies", **holder.params)
        found = []
        names = [name for page in pages for name in page["PolicyNames"]]
        for name in names:
            answer = reader.iam(f"get_{holder.kind}_policy", PolicyName=name, **holder.params)
            document = answer["PolicyDocument"]
            if statements.missing(statements.of(document), statements.of(kept.get(name, {}))):
                policy = {"PolicyName": name, "PolicyDocument": document}
                told = " | ".join(statements.words(each) for each in statements.of(document))
                found.append((f"{name}: {told}", Addition(holder.resource, ("Policies",), policy)))
        says = f"{len(found)} of {len(names)} inline policies would go"
        return _lost(f"{holder.name}-inline", says, found)

    yield guarded(f"{holder.name}-attached", attached)
    yield guarded(f"{holder.name}-inline", inline)


def _lost(name: str, says: str, lost: list[tuple[str, Addition]]) -> Effect:
    """The effect of losing these, each with what would keep it."""
    if not lost:
        return Effect(name, "stays", "nothing would go")
    items = named([words for words, _ in lost])
    return Effect(name, "goes", says, items, MERGE, additions=tuple(addition for _, addition in lost))
