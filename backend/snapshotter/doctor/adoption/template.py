"""A CloudFormation template as it comes out for given parameters: the functions that the templates in infra/ use.

Source: the CloudFormation template reference ("Intrinsic functions", "Rules", and "Return values" of each type).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]
_NO_VALUE = object()


@dataclass(frozen=True)
class Identities:
    """What Ref and GetAtt Arn give for each type, from a resource's own properties and pseudo parameters."""

    ref: Mapping[str, str]
    arn: Mapping[str, str]


def load(path: Path) -> Template:
    """The template as written, its short tags (``!Ref X``) in their long form (``{"Ref": "X"}``).

    Raises OSError if it cannot be read, ValueError if it is no template.
    """
    try:
        # The loader is a safe one: it knows the short tags beside YAML's own.
        template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - made of SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise ValueError("it has no Resources")  # noqa: TRY004 - of the file, not of an argument
    return template


def resolve(
    template: Template, parameters: Mapping[str, str | int], pseudo: Mapping[str, str], identities: Identities
) -> Template:
    """The template with every function and condition carried out.

    Resources and outputs whose condition is false, and properties that are ``AWS::NoValue``, are left out. A pseudo
    parameter may be among `parameters`. Raises ValueError for a parameter that the template does not have, lacks, or
    would refuse, for parameters that its rules refuse together, and for a function or a reference that is not known.
    """
    resolver = _Resolver(template, _arguments(template, parameters, pseudo), identities)
    resolver.check_rules()
    return resolver.template()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags."""

    def short_tag(self, name: str, node: yaml.Node) -> dict[str, Any]:
        value: Any
        if isinstance(node, yaml.ScalarNode):
            value = self.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            assert isinstance(node, yaml.MappingNode)  # noqa: S101 - there is no fourth kind
            value = self.construct_mapping(node, deep=True)
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _Loader.short_tag)


def _arguments(
    template: Template, given: Mapping[str, str | int], pseudo: Mapping[str, str]
) -> dict[str, Any]:
    """Every parameter's value, pseudo parameters included, checked as CloudFormation checks them."""
    declared = template.get("Parameters", {})
    if unknown := given.keys() - declared.keys() - pseudo.keys():
        raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {name: given.get(name, value) for name, value in pseudo.items()}
    for name, rule in declared.items():
        if name not in given and "Default" not in rule:
            raise ValueError(f"the parameter {name} has no default")
        values[name] = _checked(name, rule, str(given.get(name, rule.get("Default"))))
    return values


def _checked(name: str, rule: Mapping[str, Any], value: str) -> str | int | list[str]:
    pattern = rule.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, value):
        raise ValueError(f"{name}={value!r} does not match {pattern}")
    if "AllowedValues" in rule and value not in map(str, rule["AllowedValues"]):
        raise ValueError(f"{name}={value!r} is not one of {rule['AllowedValues']}")
    if rule["Type"] == "Number":
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise ValueError(f"{name}={value!r} is no number")
        number = int(value)
        if not rule.get("MinValue", number) <= number <= rule.get("MaxValue", number):
            raise ValueError(f"{name}={number} is out of range")
        return number
    if rule["Type"] == "CommaDelimitedList" or rule["Type"].startswith("List<"):
        return value.split(",")
    return value


class _Resolver:
    """Carries out one template's functions."""

    def __init__(self, template: Template, arguments: Mapping[str, Any], identities: Identities) -> None:
        self._template = template
        self._arguments = arguments
        self._identities = identities

    def template(self) -> Template:
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
                return self._identity(self._identities.arn, resource)
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
        return (
            self._arguments[name] if name in self._arguments else self._identity(self._identities.ref, name)
        )

    def _sub(self, text: str, names: Mapping[str, Any]) -> str:
        def replacement(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(names[name])
            if name.endswith(".Arn"):
                return self._identity(self._identities.arn, name.removesuffix(".Arn"))
            return str(self._ref(name))

        return re.sub(r"\$\{([^}]+)\}", replacement, text)

    def _identity(self, patterns: Mapping[str, str], name: str) -> str:
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
