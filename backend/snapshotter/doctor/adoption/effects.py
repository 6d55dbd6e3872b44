"""What applying a template does to a bucket in use: effects, one by one, and what would avert a loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from snapshotter.base.errors import Finding, SnapshotterError, Unavailable
from snapshotter.base.text import plural

State = Literal["stays", "changes", "goes", "unread"]
MOST_NAMED = 20  # of many things of one kind, so many are named, and the rest is counted


@dataclass(frozen=True)
class Addition:
    """What to write into the template: `value` for the list at `path` of a resource's properties.

    If `whole`, the value is for `path` itself.
    """

    resource: str
    path: tuple[str, ...]
    value: Any
    whole: bool = False


@dataclass(frozen=True)
class Effect:
    """What applying does to one thing. `items` name what would go; `parameters` and `additions` would keep it.

    `changes` is for what takes nothing away. `unread` could not be checked, so it may be anything. `missing` is the
    logical id of a resource that does not exist yet.
    """

    name: str
    state: State
    says: str
    items: tuple[str, ...] = ()
    hint: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    additions: tuple[Addition, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Adoption:
    """The look at one bucket and its role: as whom, by which parameters, and every effect.

    `resources` are all of the template's, as an import change set names them.
    """

    bucket: str
    prefix: str
    identity: str
    parameters: Mapping[str, str]
    effects: tuple[Effect, ...]
    resources: tuple[Mapping[str, Any], ...] = ()

    def of(self, state: State) -> list[Effect]:
        """The effects of one kind."""
        return [effect for effect in self.effects if effect.state == state]

    @property
    def safe(self) -> bool:
        """Whether everything was read, and nothing would go."""
        return not self.of("goes") and not self.of("unread")

    @property
    def parameters_to_keep(self) -> dict[str, str]:
        """The template's parameters, with the values that keep what they can."""
        kept: dict[str, str] = {}
        for (
            effect
        ) in self.effects:  # the first wins: a rule in force says it more exactly than what it leaves
            for name, value in effect.parameters.items():
                kept.setdefault(name, value)
        return {**self.parameters, **kept}

    @property
    def additions(self) -> tuple[Addition, ...]:
        """What to write into the template beside its parameters."""
        return tuple(addition for effect in self.effects for addition in effect.additions)

    @property
    def to_import(self) -> list[Mapping[str, Any]]:
        """The resources that exist, as `--resources-to-import` takes them."""
        missing = {effect.missing for effect in self.effects}
        return [each for each in self.resources if each["LogicalResourceId"] not in missing]

    def document(self) -> dict[str, Any]:
        """The look as `--json` prints it."""
        return {
            "bucket": self.bucket,
            "prefix": self.prefix,
            "identity": self.identity,
            "safe": self.safe,
            "effects": [asdict(effect) for effect in self.effects],
            "parameters": self.parameters_to_keep,
            "import": self.to_import,
        }


def verdict(adoption: Adoption) -> SnapshotterError | None:
    """The error that the look ends with: a finding if anything would go, "could not check" if anything is open."""
    gone, unread = adoption.of("goes"), adoption.of("unread")
    if gone:
        return Finding(
            f"applying the template would take away: {', '.join(effect.name for effect in gone)}",
            code="adoption-loses",
            hint="merge what is to stay (-o FILE writes the template so), settle the rest, and look again "
            "(docs/aws.md, 'Adopting existing production resources')",
        )
    if unread:
        return Unavailable(
            f"{plural(len(unread), 'part')} could not be read, so this is not called safe",
            code="unchecked",
            hint="look again as an administrator of the account: "
            + ", ".join(effect.name for effect in unread),
        )
    return None


def named(items: list[str]) -> tuple[str, ...]:
    """The first items, and how many more there are."""
    rest = len(items) - MOST_NAMED
    return (*items[:MOST_NAMED], *([f"and {rest:,} more"] if rest > 0 else []))
