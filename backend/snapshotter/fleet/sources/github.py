"""The repositories of an organisation or a user of GitHub.

Pages are asked for by their number, and an origin is made of the forge's own URL and the repository's name: no URL that
an answer holds is followed. Source: GitHub's pages "REST API endpoints for repositories" and "Using pagination in the
REST API".
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from snapshotter.base.errors import Unavailable
from snapshotter.base.text import plural
from snapshotter.fleet.inventory import GitHubTable
from snapshotter.fleet.sources.api import MOST_PAGES, Answer, Api, Ask, Lost, Parameters, decoded, missing
from snapshotter.fleet.sources.listed import Listed
from snapshotter.transport import WireLimits
from snapshotter.transport.app_key import api_of

_ROWS: Final = 100  # of a page, the most that GitHub gives
_MOST_REDIRECTS: Final = 3  # of one question: after a rename there is one


class _Repository(msgspec.Struct):
    """A repository in an answer, as far as it is used. `size` is in KiB."""

    id: int
    full_name: str
    archived: bool = False
    fork: bool = False
    has_wiki: bool = False
    size: int = 0


class _Installed(msgspec.Struct):
    repositories: list[_Repository]


class _Organisation(msgspec.Struct):
    """How many repositories it has; of the private ones, only those who administer it are told."""

    public_repos: int = 0
    total_private_repos: int = 0


class _Login(msgspec.Struct):
    login: str = ""


_REPOSITORY: Final = msgspec.json.Decoder(_Repository)
_LIST: Final = msgspec.json.Decoder(list[_Repository] | _Installed)
_ORGANISATION: Final = msgspec.json.Decoder(_Organisation)
_LOGIN: Final = msgspec.json.Decoder(_Login)


class GitHubSource:
    """See RepoSource."""

    def __init__(self, table: GitHubTable, api: Api) -> None:
        self._table, self._api = table, api
        self._url = table.url.rstrip("/")

    def listed(self) -> Iterator[Listed]:
        """See RepoSource."""
        path, owned_only = self._list()
        count = 0
        for page in range(1, MOST_PAGES + 1):
            asked: dict[str, str | int] = {
                "per_page": _ROWS,
                "page": page,
                "sort": "created",
                "direction": "asc",
            }
            if path == "user/repos":
                asked["affiliation"] = "owner"
            answer = self._api.get(path, asked)
            rows = decoded(_LIST, answer)
            for repository in rows.repositories if isinstance(rows, _Installed) else rows:
                if not owned_only or _owner(repository) == self._table.owner.lower():
                    count += 1
                    yield self._listed(repository)
            if 'rel="next"' not in answer.headers.get("link", ""):
                self._warn_of_unshown(count)
                return
        raise Unavailable("a list of repositories without end", code="forge", hint="check the source's `url`")

    def found(self, id: str) -> Listed | None:  # noqa: A002 - see RepoSource
        """See RepoSource."""
        answer = self._api.get(f"repositories/{quote(id, safe='')}", allowed=(403, 404, 451))
        return self._listed(decoded(_REPOSITORY, answer)) if answer.status == 200 else None

    def _list(self) -> tuple[str, bool]:
        """The path of the list, and whether others' repositories are in it, too.

        A user's private ones are only in that user's own list, or in that of an App's installation.
        """
        owner = quote(self._table.owner, safe="")
        if self._table.organisation:
            return f"orgs/{owner}/repos", False
        if self._api.has_token:
            answer = self._api.get("user", allowed=(403, 404))
            if answer.status == 403:  # a user's token may always ask: this one is an App's
                return "installation/repositories", True
            if answer.status == 200 and decoded(_LOGIN, answer).login.lower() == self._table.owner.lower():
                return "user/repos", False
        return f"users/{owner}/repos", False

    def _warn_of_unshown(self, count: int) -> None:
        """Warn if an organisation has more repositories than the token is shown: they are left out without a word."""
        if not self._table.organisation:
            return
        answer = self._api.get(f"orgs/{quote(self._table.organisation, safe='')}", allowed=(403, 404))
        has = decoded(_ORGANISATION, answer) if answer.status == 200 else _Organisation()
        total = has.public_repos + has.total_private_repos
        if total > count:
            told = f"{self._table.title} has {plural(total, 'repository', 'repositories')}, and lists {count:,} to us"
            self._api.observer.warn(f"{told}: the token may not see the others")

    def _listed(self, repository: _Repository) -> Listed:
        path = repository.full_name
        base = f"{self._url}/{path}"
        return Listed(
            id=str(repository.id),
            path=path,
            name=path.partition("/")[2].lower(),
            origin=f"{base}.git",
            archived=repository.archived,
            fork=repository.fork,
            wiki=f"{base}.wiki.git" if repository.has_wiki else None,
            bytes=repository.size * 1024,
        )


def client(url: str, ca_bundle: str | None, limits: WireLimits) -> Ask:
    """The way to a GitHub, through githubkit. Raises UsageError if that is not installed."""
    try:
        import githubkit
        import httpx
        from githubkit.exception import GitHubException, RequestFailed
    except ImportError:
        raise missing("github") from None
    split = urlsplit(url)
    base = api_of(split.netloc).replace("https://", f"{split.scheme}://", 1)
    timeout = httpx.Timeout(limits.idle_seconds, connect=limits.connect_seconds)
    verify = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True

    def ask(path: str, parameters: Parameters, token: str | None) -> Answer:
        kit: Any = githubkit.GitHub(
            token,
            base_url=base,
            user_agent="fruitful-snapshotter",
            follow_redirects=False,
            timeout=timeout,
            ssl_verify=verify,
            http_cache=False,
            auto_retry=False,  # `Api` waits: it can be cancelled, and it has a bound
        )
        target: str = path
        given: dict[str, str | int] | None = dict(parameters)
        for _ in range(_MOST_REDIRECTS + 1):
            try:
                response = kit.request("GET", target, params=given).raw_response
            except RequestFailed as failed:
                response = failed.response.raw_response
            except GitHubException as lost:
                cause = getattr(lost, "exc", lost)
                raise Lost(
                    type(cause).__name__
                ) from None  # the request, with its token, is in what it raises
            moved = httpx.URL(base).join(response.headers.get("location", ""))
            if response.status_code not in (301, 302, 307, 308):
                break
            if (moved.scheme, moved.netloc) != (split.scheme, httpx.URL(base).netloc):
                raise Lost("it redirects to another host")
            target, given = str(moved), None
        return Answer(response.status_code, response.headers, response.content)

    return ask


def _owner(repository: _Repository) -> str:
    return repository.full_name.partition("/")[0].lower()
