"""What would be applied: the template by its parameters, for this account, and with what is to stay merged into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from snapshotter.aws.endpoint import check_bucket
from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.doctor.adoption import template as cloudformation
from snapshotter.doctor.adoption.effects import Addition
from snapshotter.doctor.adoption.template import Identities, Template

# What Ref and GetAtt Arn give for the types of infra/storage.yaml ("Return values" in the CloudFormation reference).
_IDENTITIES: Final = Identities(
    ref={
        "AWS::IAM::Group": "${GroupName}",
        "AWS::IAM::ManagedPolicy": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${ManagedPolicyName}",
        "AWS::S3::Bucket": "${BucketName}",
    },
    arn={
        "AWS::IAM::Role": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${RoleName}",
        "AWS::S3::Bucket": "arn:${AWS::Partition}:s3:::${BucketName}",
    },
)
# The primary identifier in each type's schema; a managed policy's is its ARN.
_IDENTIFIED_BY: Final = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": "Bucket",
}


@dataclass(frozen=True)
class AppliedTemplate:
    """The template's resources as they would be, and the parameters that make them so."""

    bucket: str
    prefix: str
    account: str
    partition: str
    parameters: Mapping[str, str]
    resources: Mapping[str, Any]

    def properties(self, logical_id: str) -> dict[str, Any]:
        """A resource's properties; none for one that the parameters leave out."""
        found: dict[str, Any] = self.resources.get(logical_id, {}).get("Properties", {})
        return found

    def of_type(self, kind: str) -> list[str]:
        """The logical ids of all resources of a type, like ``AWS::IAM::Role``."""
        return [name for name, resource in self.resources.items() if resource["Type"] == kind]

    @property
    def identifiers(self) -> tuple[Mapping[str, Any], ...]:
        """The resources as `--resources-to-import` takes them: each by its type's primary identifier."""
        return tuple(
            {
                "ResourceType": resource["Type"],
                "LogicalResourceId": name,
                "ResourceIdentifier": self._identifier(resource),
            }
            for name, resource in self.resources.items()
        )

    def _identifier(self, resource: Mapping[str, Any]) -> dict[str, str]:
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            return {"PolicyArn": self.arn(f"policy/{resource['Properties']['ManagedPolicyName']}")}
        name = _IDENTIFIED_BY[resource["Type"]]
        return {name: resource["Properties"][name]}

    def arn(self, rest: str) -> str:
        """The ARN of something of this account's IAM, like ``policy/name``."""
        return f"arn:{self.partition}:iam::{self.account}:{rest}"


def read(path: Path) -> Template:
    """The template in a file. Raises UsageError."""
    try:
        return cloudformation.load(path)
    except OSError as error:
        raise UsageError(f"cannot read the template {path}: {error.strerror}") from error
    except ValueError as error:
        raise _wrong(error) from error


def make(template: Template, parameters: Mapping[str, str], caller: str, region: str) -> AppliedTemplate:
    """What the template would make by these parameters, in the account of the ARN `caller`.

    Raises UsageError for parameters that CloudFormation would refuse, and for a template without what
    infra/storage.yaml has.
    """
    if missing := {"Bucket", "BucketPolicy", "TaskRole"} - template["Resources"].keys():
        raise UsageError(
            f"the template is not infra/storage.yaml, nor made of it: it has no {', '.join(sorted(missing))}",
            hint="give that file, or what -o wrote",
        )
    partition, account = (caller.split(":") + [""] * 5)[1:5:3]
    pseudo = {"AWS::AccountId": account, "AWS::Partition": partition, "AWS::Region": region}
    try:
        resources = cloudformation.resolve(template, parameters, pseudo, _IDENTITIES)["Resources"]
        bucket = str(resources["Bucket"]["Properties"]["BucketName"])
        prefix = str(parameters.get("Prefix", template["Parameters"]["Prefix"]["Default"]))
    except ValueError as error:
        raise _wrong(error) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _wrong(ValueError(f"it is not well formed: {error!r}")) from error
    return AppliedTemplate(bucket, prefix, account, partition, parameters, resources)


def of_store(uri: str) -> dict[str, str]:
    """The parameters that a store in S3 gives; those of another store are the template's own."""
    if not uri.startswith("s3://"):
        return {}
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    check_bucket(bucket)
    return {"BucketName": bucket} | ({"Prefix": f"{prefix.strip('/')}/"} if prefix.strip("/") else {})


def pairs(given: Iterable[str]) -> dict[str, str]:
    """Parameters given as ``NAME=VALUE``. Raises UsageError for what is none."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z0-9]+", name):
            raise UsageError(
                f"no parameter: {printable(text)}", hint="give it like NoncurrentVersionDays=365"
            )
        found[name] = value
    return found


def merged(template: Template, parameters: Mapping[str, str], additions: Iterable[Addition]) -> Template:
    """The template with these parameters as its defaults, and with what is to stay written into its resources."""
    made = deepcopy(template)
    for name, value in parameters.items():
        made["Parameters"][name]["Default"] = value
    for addition in additions:
        place = made["Resources"][addition.resource].setdefault("Properties", {})
        *way, last = addition.path
        for step in way:
            place = place.setdefault(step, {})
        if addition.whole:
            place[last] = addition.value
        else:
            place[last] = [*place.get(last, []), addition.value]
    return made


def written(template: Template) -> str:
    """A template as YAML that CloudFormation takes: without anchors, in ASCII."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return yaml.dump(template, Dumper=Plain, sort_keys=False, width=110)


def _wrong(error: ValueError) -> UsageError:
    return UsageError(
        f"the template cannot be applied: {error}", hint="check the file, and each --parameter NAME=VALUE"
    )
