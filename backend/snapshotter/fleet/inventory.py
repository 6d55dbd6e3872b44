"""What an inventory holds: repositories that it names, and sources that are asked for theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from snapshotter.capture.plan import RequestedOptions
from snapshotter.git.origin import Origin

Text = Annotated[str, msgspec.Meta(min_length=1)]
Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Patterns = Annotated[list[Pattern], msgspec.Meta(min_length=1)]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Login = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Group = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What goes with each repository of a table: labels of its manifests, and options under the names of a job's.

    An option that is not given is its setting's: `scan` is then true, unless SNAPSHOTTER_SCAN is 0.
    """

    labels: dict[Text, str] = {}
    options: RequestedOptions = RequestedOptions()


class RepoTable(_Table, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One repository: a URL (https, ssh, git), `user@host:path`, or a path, which is relative to the inventory's
    folder. No credentials."""

    origin: Text


class _SourceTable(_Table, frozen=True, forbid_unknown_fields=True, kw_only=True):
    include: Patterns | None = None
    exclude: list[Pattern] = []


class FolderTable(_SourceTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every bare repository below a folder, which is relative to the inventory's. Patterns are about the path below it,
    without `.git`; `*` is any text, slashes too."""

    path: Text

    @property
    def title(self) -> str:
        """The source as plans name it."""
        return f"folder {self.path}"


class _ForgeTable(_SourceTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    archived: bool = True
    forks: bool = False
    wikis: bool = False


class GitHubTable(_ForgeTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The repositories of an organisation or a user of GitHub: of either, one. `url` is where its pages are. Patterns
    are about the repository's name, in any case."""

    organisation: Login | None = None
    user: Login | None = None
    url: Text = "https://github.com"

    @property
    def owner(self) -> str:
        """The organisation or user."""
        return self.organisation or self.user or ""

    @property
    def title(self) -> str:
        """The source as plans name it."""
        return f"github {self.url.partition('://')[2].rstrip('/')}/{self.owner}"


class GitLabTable(_ForgeTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The projects of a group of GitLab, and of the groups in it. `url` is where its pages are. Patterns are about the
    path below the group, in any case; `*` is any text, slashes too."""

    group: Group
    subgroups: bool = True
    url: Text = "https://gitlab.com"

    @property
    def title(self) -> str:
        """The source as plans name it."""
        return f"gitlab {self.url.partition('://')[2].rstrip('/')}/{self.group}"


SourceTable = GitHubTable | GitLabTable | FolderTable


class InventoryTables(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `fleet.toml`. Its name, by default that of its file, is what results are kept under. It holds no secrets."""

    name: Name | None = None
    repo: list[RepoTable] = []
    github: list[GitHubTable] = []
    gitlab: list[GitLabTable] = []
    folder: list[FolderTable] = []


@dataclass(frozen=True, slots=True)
class NamedRepo:
    """A repository that the inventory itself names."""

    origin: Origin
    labels: Mapping[str, str]
    options: RequestedOptions


@dataclass(frozen=True)
class Inventory:
    """An inventory that was read and found in order: no origin and no source is in it twice.

    `folder` is what its paths are relative to; None for one from the store, which has none.
    """

    name: str
    repos: Sequence[NamedRepo]
    sources: Sequence[SourceTable]
    folder: Path | None


def json_schema() -> dict[str, object]:
    """The inventory's JSON Schema (draft 2020-12), as kept in docs/fleet.schema.json."""
    (root,), schemas = msgspec.json.schema_components((InventoryTables,), ref_template="#/$defs/{name}")
    # Rules that the fields' types cannot tell.
    schemas["GitHubTable"]["oneOf"] = [
        {"required": [one], "properties": {one: {"type": "string"}, other: {"type": "null"}}}
        for one, other in (("organisation", "user"), ("user", "organisation"))
    ]
    some = [{"required": [kind], "properties": {kind: {"minItems": 1}}} for kind in SOURCE_KEYS]
    schemas["InventoryTables"]["anyOf"] = some
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": schemas}


SOURCE_KEYS = ("repo", "github", "gitlab", "folder")
