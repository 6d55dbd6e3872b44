"""Policy statements: whether two are the same, and what one is in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Statement = Mapping[str, Any]
_SETS = ("Action", "NotAction", "Resource", "NotResource")
_WHO = ("Principal", "NotPrincipal")


def of(document: Any) -> list[dict[str, Any]]:
    """The statements of a policy, given as text or as read already."""
    policy = json.loads(document) if isinstance(document, str) else document
    found = policy.get("Statement", []) if isinstance(policy, Mapping) else []
    return found if isinstance(found, list) else [found]


def missing(have: Iterable[Statement], wanted: Iterable[Statement]) -> list[Statement]:
    """The statements that `have` has and `wanted` has not, whatever they are called."""
    known = [canonical(each) for each in wanted]
    return [each for each in have if canonical(each) not in known]


def canonical(statement: Statement) -> dict[str, Any]:
    """A statement in one form, as IAM compares them: a single value is a list of one, and lists have no order."""
    made: dict[str, Any] = {"Effect": statement.get("Effect")}
    made |= {name: _set(statement[name]) for name in _SETS if name in statement}
    made |= {name: _who(statement[name]) for name in _WHO if name in statement}
    if conditions := statement.get("Condition"):
        made["Condition"] = {
            operator: {key.lower(): _set(values) for key, values in keys.items()}
            for operator, keys in conditions.items()
        }
    return made


def beyond(statement: Statement, own: str) -> bool:
    """Whether a statement reaches resources that do not begin with `own`, a bucket and prefix."""
    return any(not name.partition(":::")[2].startswith(own) for name in _set(statement.get("Resource", "*")))


def words(statement: Statement) -> str:
    """A statement in one line: its name, what it says of which actions, to whom, about what."""
    parts = {name: _set(statement[name]) for name in _SETS if name in statement}
    who = [json.dumps(statement[name]) for name in _WHO if name in statement]
    told = "; ".join(f"{name} {', '.join(values)}" for name, values in parts.items())
    when = f"; if {json.dumps(statement['Condition'])}" if statement.get("Condition") else ""
    to = f"; {' '.join(who)}" if who else ""
    return f"{statement.get('Sid') or 'without a Sid'}: {statement.get('Effect')}: {told}{to}{when}"


def _set(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return sorted(str(each).lower() if isinstance(each, bool) else str(each) for each in values)


def _who(value: Any) -> Any:
    """Everybody is ``*`` or ``{"AWS": "*"}``."""
    kinds = {"AWS": value} if isinstance(value, str) else value
    return {kind: _set(names) for kind, names in kinds.items()}
