"""Where a repository lives: an origin as a value, which is never shown with its credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from snapshotter.base.urls import is_loopback
from snapshotter.git.repo_name import repo_name, strip_git

DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}

# Hosts that answer to any case of a path: there, one repository must not have two names.
CASE_BLIND_HOSTS = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})

_SUBDELIMS = "/!$&'()*+,;=:@~"  # what a path's text keeps as it is (RFC 3986)


@dataclass(frozen=True)
class Credential:
    """A user and a secret for an origin; never part of any text.

    A URL with a user only has an empty secret: hosts write names there, and users write tokens.
    """

    user: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)  # a fleet holds very many
class Origin:
    """A parsed origin. `scheme` is one of https, http, ssh, git, file; `path` is as the server sees it."""

    scheme: str
    host: str
    port: int | None
    path: str
    user: str | None = None
    credential: Credential | None = field(default=None, repr=False, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether the origin is a path on this machine."""
        return self.scheme == "file"

    @property
    def is_loopback(self) -> bool:
        """Whether the origin's host is this machine by name or address."""
        return is_loopback(self.host)

    @property
    def netloc(self) -> str:
        """``host[:port]`` without a default port; IPv6 in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port is None or self.port == DEFAULT_PORTS[self.scheme]:
            return host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The origin for logs, manifests and git, always without its credentials."""
        if self.is_local:
            return self.path
        if self.scheme == "ssh" and not self.path.startswith("/"):
            user = f"{self.user}@" if self.user else ""
            return f"{user}{self.netloc}:{self.path}"
        user = f"{quote(self.user, safe='')}@" if self.user and self.scheme == "ssh" else ""
        plain = self.scheme in ("ssh", "git")  # there, `path` is without the URL's escapes
        special = r"[%?# @]" if user else r"[%?# ]"  # after a user, a second @ would make it another host
        path = re.sub(special, lambda match: quote(match[0]), self.path) if plain else self.path
        return f"{self.scheme}://{user}{self.netloc}{path}"

    @property
    def canonical(self) -> str:
        """What makes two spellings one origin: host, non-default port and path, by whatever transport."""
        if self.is_local:
            return f"file://{self.path}"
        plain = self.scheme in ("ssh", "git")
        path = strip_git((quote(self.path, safe=_SUBDELIMS) if plain else self.path).strip("/"))
        if self.host in CASE_BLIND_HOSTS:
            path = path.lower()
        home_relative = path.startswith("~") or (self.scheme == "ssh" and not self.path.startswith("/"))
        user = f"{self.user}@" if home_relative and self.user not in (None, "git") else ""
        return f"{user}{self.netloc}/{path}"

    @property
    def repo(self) -> str:
        """The origin's name in keys: one path segment of at most 120 characters."""
        return repo_name(self.canonical)

    def __str__(self) -> str:
        return self.url
