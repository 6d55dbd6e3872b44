"""The CloudFormation templates as they come out for given parameters, in plain Python.

    service = resolve(SERVICE, Image="…@sha256:…", Job="{}", VpcId="vpc-1", SubnetIds="subnet-1")
    service["Resources"]["TaskDefinition"]["Properties"]["User"]

Policies come out as the JSON documents that IAM and S3 would be given, so a test can put the template's own
policies on an S3 server instead of a copy of them:

    s3.put_bucket_policy(Bucket="b", Policy=json.dumps(bucket_policy(BucketName="b")))
    iam.put_user_policy(..., PolicyDocument=json.dumps(access_policy(BucketName="b")))

Every function takes the template's parameters by name; those left out have the template's defaults. The
pseudo parameters have the values in PSEUDO, and can be given too: ``**{"AWS::AccountId": "210987654321"}``.
"""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[3] / "infra"
STORAGE = INFRA / "storage.yaml"
SERVICE = INFRA / "service.yaml"
REPLICA = INFRA / "replica.yaml"
AUDIT = INFRA / "audit.yaml"
ALARMS = INFRA / "alarms.yaml"

PSEUDO = {"AWS::AccountId": "123456789012", "AWS::Partition": "aws", "AWS::Region": "eu-central-1"}

# What Ref and GetAtt Arn give for the types that the templates refer to, put together from the resource's own
# properties and the pseudo parameters ("Return values" on the type's page of the CloudFormation reference).
_LOCAL = "${AWS::Region}:${AWS::AccountId}"
_REF = {
    "AWS::EC2::SecurityGroup": "sg-0123456789abcdef0",
    "AWS::ECS::Cluster": "${ClusterName}",
    "AWS::ECS::TaskDefinition": f"arn:${{AWS::Partition}}:ecs:{_LOCAL}:task-definition/${{Family}}:1",
    "AWS::IAM::Group": "${GroupName}",
    "AWS::IAM::ManagedPolicy": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${ManagedPolicyName}",
    "AWS::Logs::LogGroup": "${LogGroupName}",
    "AWS::S3::Bucket": "${BucketName}",
    "AWS::SNS::Topic": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${TopicName}",
    "AWS::SQS::Queue": "https://sqs.${AWS::Region}.amazonaws.com/${AWS::AccountId}/${QueueName}",
    "AWS::Scheduler::ScheduleGroup": "${Name}",
}
_ARN = {
    "AWS::ECS::Cluster": f"arn:${{AWS::Partition}}:ecs:{_LOCAL}:cluster/${{ClusterName}}",
    "AWS::IAM::Role": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${RoleName}",
    "AWS::KMS::Key": f"arn:${{AWS::Partition}}:kms:{_LOCAL}:key/00000000-0000-0000-0000-000000000000",
    "AWS::Logs::LogGroup": f"arn:${{AWS::Partition}}:logs:{_LOCAL}:log-group:${{LogGroupName}}:*",
    "AWS::S3::Bucket": "arn:${AWS::Partition}:s3:::${BucketName}",
    "AWS::SQS::Queue": f"arn:${{AWS::Partition}}:sqs:{_LOCAL}:${{QueueName}}",
    "AWS::Scheduler::ScheduleGroup": f"arn:${{AWS::Partition}}:scheduler:{_LOCAL}:schedule-group/${{Name}}",
}
_NO_VALUE = object()


def load(path: Path) -> dict[str, Any]:
    """The template as written, its short tags (``!Ref X``) in their long form (``{"Ref": "X"}``)."""
    return deepcopy(_parsed(path.read_text(encoding="utf-8")))


def resolve(path: Path, **parameters: str | int) -> dict[str, Any]:
    """The template with every function and condition carried out.

    Resources and outputs whose condition is false, and properties that are ``AWS::NoValue``, are left out.
    Raises ValueError for a parameter that the template does not have, lacks, or would refuse, for parameters that
    its rules refuse together, and for a function or a reference that this module does not know.
    """
    template = load(path)
    resolver = _Resolver(template, _arguments(template, parameters))
    resolver.check_rules()
    return resolver.template()


def bucket_policy(**parameters: str | int) -> dict[str, Any]:
    """The bucket policy of storage.yaml, as JSON for S3's PutBucketPolicy."""
    return _storage("BucketPolicy", **parameters)["PolicyDocument"]


def access_policy(**parameters: str | int) -> dict[str, Any]:
    """The customer managed policy of storage.yaml, as JSON for IAM: all that anybody may do."""
    return _storage("AccessPolicy", **parameters)["PolicyDocument"]


def trust_policy(**parameters: str | int) -> dict[str, Any]:
    """Who may assume the task role of storage.yaml, as JSON for IAM's CreateRole."""
    return _storage("TaskRole", **parameters)["AssumeRolePolicyDocument"]


def _storage(resource: str, **parameters: str | int) -> dict[str, Any]:
    return resolve(STORAGE, **parameters)["Resources"][resource]["Properties"]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""

    def short_tag(self, name: str, node: yaml.Node) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            value: Any = self.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            value = self.construct_mapping(node, deep=True)
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _Loader.short_tag)


@cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.load(text, Loader=_Loader)


def _arguments(template: dict[str, Any], given: dict[str, str | int]) -> dict[str, Any]:
    """Every parameter's value, pseudo parameters included, checked as CloudFormation checks them."""
    declared = template["Parameters"]
    if unknown := given.keys() - declared.keys() - PSEUDO.keys():
        raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {name: given.get(name, value) for name, value in PSEUDO.items()}
    for name, rule in declared.items():
        if name not in given and "Default" not in rule:
            raise ValueError(f"the parameter {name} has no default")
        values[name] = _checked(name, rule, str(given.get(name, rule.get("Default"))))
    return values


def _checked(name: str, rule: dict[str, Any], value: str) -> str | int | list[str]:
    pattern = rule.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        raise ValueError(f"{name}={value!r} does not match {pattern}")
    if "AllowedValues" in rule and value not in map(str, rule["AllowedValues"]):
        raise ValueError(f"{name}={value!r} is not one of {rule['AllowedValues']}")
    if rule["Type"] == "Number":
        number = int(value)
        if not rule.get("MinValue", number) <= number <= rule.get("MaxValue", number):
            raise ValueError(f"{name}={number} is out of range")
        return number
    if rule["Type"] == "CommaDelimitedList" or rule["Type"].startswith("List<"):
        return value.split(",")
    return value


class _Resolver:
    """Carries out one template's functions."""

    def __init__(self, template: dict[str, Any], arguments: dict[str, Any]) -> None:
        self._template = template
        self._arguments = arguments

    def template(self) -> dict[str, Any]:
        resolved = {key: self._template[key] for key in self._template.keys() - {"Resources", "Outputs"}}
        for section in self._template.keys() & {"Resources", "Outputs"}:
            resolved[section] = {
                name: self.value({key: value for key, value in body.items() if key != "Condition"})
                for name, body in self._template[section].items()
                if "Condition" not in body or self._condition(body["Condition"])
            }
        return resolved

    def check_rules(self) -> None:
        """Raises ValueError with the words of the first assertion that does not hold."""
        for name, rule in self._template.get("Rules", {}).items():
            if "RuleCondition" in rule and not self._condition(rule["RuleCondition"]):
                continue
            for assertion in rule["Assertions"]:
                if not self._condition(assertion["Assert"]):
                    raise ValueError(f"{name}: {assertion['AssertDescription']}")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for item in node if (value := self.value(item)) is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name == "Ref":
                return self._ref(argument)
            if name.startswith("Fn::"):
                return self._function(name, argument)
        return {key: value for key, item in node.items() if (value := self.value(item)) is not _NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        match name, argument:
            case "Fn::GetAtt", [resource, "Arn"]:
                return self._identity(_ARN, resource)
            case "Fn::GetAtt", [resource, "QueueName" as attribute]:
                return self.value(self._template["Resources"][resource]["Properties"][attribute])
            case "Fn::Sub", str(text):
                return self._sub(text, {})
            case "Fn::Sub", [str(text), dict(names)]:
                return self._sub(text, self.value(names))
            case "Fn::Join", [str(separator), items]:
                return separator.join(self.value(items))
            case "Fn::Split", [str(separator), text]:
                return str(self.value(text)).split(separator)
            case "Fn::FindInMap", [str(name), first, second]:
                return self._template["Mappings"][name][str(self.value(first))][str(self.value(second))]
            case "Fn::If", [condition, then, otherwise]:
                return self.value(then if self._condition(condition) else otherwise)
        raise ValueError(f"cannot resolve {name}: {argument}")

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        return self._arguments[name] if name in self._arguments else self._identity(_REF, name)

    def _sub(self, text: str, names: dict[str, Any]) -> str:
        def replacement(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(names[name])
            if name.endswith(".Arn"):
                return self._identity(_ARN, name.removesuffix(".Arn"))
            return str(self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replacement, text)

    def _identity(self, patterns: dict[str, str], name: str) -> str:
        resource = self._template["Resources"].get(name)
        if resource is None or resource["Type"] not in patterns:
            raise ValueError(f"cannot refer to {name}")
        scalars = {
            key: self.value(value)
            for key, value in resource["Properties"].items()
            if f"${{{key}}}" in patterns[resource["Type"]]
        }
        return self._sub(patterns[resource["Type"]], scalars)

    def _condition(self, node: Any) -> bool:
        match node:
            case str(name) | {"Condition": str(name)}:
                return self._condition(self._template["Conditions"][name])
            case {"Fn::Equals": [left, right]}:
                return str(self.value(left)) == str(self.value(right))
            case {"Fn::Not": [inner]}:
                return not self._condition(inner)
            case {"Fn::Or": list(several)}:
                return any(self._condition(each) for each in several)
            case {"Fn::And": list(several)}:
                return all(self._condition(each) for each in several)
            case {"Fn::Contains": [list(values), value]}:
                return str(self.value(value)) in values
        raise ValueError(f"cannot judge the condition {node}")
