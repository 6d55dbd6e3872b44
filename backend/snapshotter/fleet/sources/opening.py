"""From the sources of an inventory to what can be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import UsageError
from snapshotter.base.observer import Observer
from snapshotter.fleet.inventory import FolderTable, GitHubTable, Inventory, SourceTable
from snapshotter.fleet.sources.listed import RepoSource
from snapshotter.fleet.token_hosts import check_tokens
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import WireLimits
from snapshotter.transport.credentials import Credentials, GitCredentials


@dataclass(frozen=True)
class Reach:
    """How forges are reached: with which credentials, CAs (a PEM file; None for the system's) and limits of time."""

    credentials: Credentials
    limits: WireLimits
    ca_bundle: str | None = None
    allow_http: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, str], limits: WireLimits, *, allow_http: bool) -> Reach:
        """The way that the settings name. Raises UsageError for hosts' tokens that cannot be read."""
        ca_bundle = settings["SNAPSHOTTER_CA_BUNDLE"] or None
        return cls(GitCredentials.of(settings), limits, ca_bundle, allow_http)


def check_hosts(inventory: Inventory, settings: Mapping[str, str]) -> None:
    """Raise UsageError if a token that names no host is in force, and the inventory is about several hosts."""
    forges = [place_of(table).url for table in inventory.sources if not isinstance(table, FolderTable)]
    check_tokens([*forges, *(repo.origin.url for repo in inventory.repos)], settings)


def place_of(table: SourceTable) -> Origin:
    """What a forge's token is looked up for: its host, and the owner of what it lists."""
    if isinstance(table, FolderTable):
        raise UsageError("a folder has no token")
    owner = table.owner if isinstance(table, GitHubTable) else table.group
    return parse(f"{table.url.rstrip('/')}/{owner}")


def opened(
    inventory: Inventory, reach: Reach, cancel: Cancel, observer: Observer
) -> Iterator[tuple[SourceTable, RepoSource]]:
    """The inventory's sources, each when it is asked for; nothing is sent yet.

    Raises UsageError for a forge whose client is not installed. One client serves all sources of one forge.
    """
    from snapshotter.fleet.sources import github, gitlab
    from snapshotter.fleet.sources.api import Api, Ask
    from snapshotter.fleet.sources.folder import FolderSource

    @lru_cache(None)
    def client(kind: str, url: str) -> Ask:
        make = github.client if kind == "github" else gitlab.client
        return make(url.rstrip("/"), reach.ca_bundle, reach.limits)

    for table in inventory.sources:
        if isinstance(table, FolderTable):
            yield table, FolderSource(table, inventory.folder or Path())
            continue
        kind = "github" if isinstance(table, GitHubTable) else "gitlab"
        place = place_of(table)
        api = Api(place, client(kind, table.url), reach.credentials, cancel, observer, reach.allow_http)
        if isinstance(table, GitHubTable):
            yield table, github.GitHubSource(table, api)
        else:
            yield table, gitlab.GitLabSource(table, api)
