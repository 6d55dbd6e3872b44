"""The look at a bucket in use in words: effect by effect, and what would keep it. Nothing is printed here."""

from __future__ import annotations

import json

from snapshotter.doctor.adoption.effects import Adoption, Effect, State

_MARKS: dict[State, str] = {
    "stays": "stays",
    "changes": "changes",
    "goes": "GOES",
    "unread": "could not check",
}


def adoption(found: Adoption) -> list[str]:
    """The bucket, every effect, and the parameters and parts of the template that would keep what goes."""
    lines = [f"s3://{found.bucket}/{found.prefix}", f"as {found.identity}", ""]
    width = max(len(effect.name) for effect in found.effects)
    lines += [line for effect in found.effects for line in _effect(effect, width)]
    if found.parameters_to_keep:
        lines += ["", "parameters that keep what they can:"]
        lines += [f"  {name}={value}" for name, value in found.parameters_to_keep.items()]
    if found.additions:
        lines += ["", "and in the template, under Resources:"]
    for addition in found.additions:
        place = ".".join((addition.resource, "Properties", *addition.path))
        verb = "" if addition.whole else "+ "
        lines.append(f"  {place}: {verb}{json.dumps(addition.value, default=str)}")
    return [*lines, ""]


def _effect(effect: Effect, width: int) -> list[str]:
    lines = [f"{_MARKS[effect.state]:15}  {effect.name:<{width}}  {effect.says}"]
    lines += [f"{'':15}  {'':<{width}}    {item}" for item in effect.items]
    if effect.hint:
        lines.append(f"{'':15}  hint: {effect.hint}")
    return lines
