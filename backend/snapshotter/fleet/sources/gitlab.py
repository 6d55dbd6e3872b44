"""The projects of a group of GitLab, and of the groups in it.

Pages are asked for by their number, in the order of the projects' ids, which no rename changes. No URL that an answer
holds is followed. Source: GitLab's pages "Groups API", "Projects API" and "REST API".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import msgspec

from snapshotter.base.errors import Unavailable
from snapshotter.fleet.inventory import GitLabTable
from snapshotter.fleet.sources.api import MOST_PAGES, Answer, Api, Ask, Lost, Parameters, decoded, missing
from snapshotter.fleet.sources.listed import Listed
from snapshotter.transport import WireLimits

_ROWS: Final = 100  # of a page, the most that GitLab gives


class _Project(msgspec.Struct):
    """A project in an answer, as far as it is used."""

    id: int
    path_with_namespace: str
    archived: bool = False
    forked_from_project: dict[str, Any] | None = None
    wiki_enabled: bool | None = None
    wiki_access_level: str | None = None

    @property
    def has_wiki(self) -> bool:
        """Whether it has a wiki, by the newer of two fields if it is there."""
        if self.wiki_access_level is not None:
            return self.wiki_access_level != "disabled"
        return bool(self.wiki_enabled)


_PROJECT: Final = msgspec.json.Decoder(_Project)
_PROJECTS: Final = msgspec.json.Decoder(list[_Project])


class GitLabSource:
    """See RepoSource."""

    def __init__(self, table: GitLabTable, api: Api) -> None:
        self._table, self._api = table, api
        self._url = table.url.rstrip("/")

    def listed(self) -> Iterator[Listed]:
        """See RepoSource."""
        group = quote(self._table.group, safe="")
        for page in range(1, MOST_PAGES + 1):
            asked: Parameters = {
                "per_page": _ROWS,
                "page": page,
                "order_by": "id",
                "sort": "asc",
                "include_subgroups": "true" if self._table.subgroups else "false",
                "with_shared": "false",
            }
            answer = self._api.get(f"groups/{group}/projects", asked)
            for project in decoded(_PROJECTS, answer):
                yield self._listed(project)
            if not answer.headers.get("x-next-page"):
                return
        raise Unavailable("a list of projects without end", code="forge", hint="check the source's `url`")

    def found(self, id: str) -> Listed | None:  # noqa: A002 - see RepoSource
        """See RepoSource."""
        answer = self._api.get(f"projects/{quote(id, safe='')}", allowed=(403, 404))
        return self._listed(decoded(_PROJECT, answer)) if answer.status == 200 else None

    def _listed(self, project: _Project) -> Listed:
        path, group = project.path_with_namespace, self._table.group + "/"
        base = f"{self._url}/{path}"
        inside = path.lower().startswith(group.lower())
        return Listed(
            id=str(project.id),
            path=path,
            name=(path[len(group) :] if inside else path).lower(),
            origin=f"{base}.git",
            archived=project.archived,
            fork=project.forked_from_project is not None,
            wiki=f"{base}.wiki.git" if project.has_wiki else None,
        )


def client(url: str, ca_bundle: str | None, limits: WireLimits) -> Ask:
    """The way to a GitLab, through python-gitlab. Raises UsageError if that is not installed."""
    try:
        import gitlab
        import requests
    except ImportError:
        raise missing("gitlab") from None

    own = urlsplit(url)

    def ask(path: str, parameters: Parameters, token: str | None) -> Answer:
        answers: list[Any] = []  # the client's errors leave out headers

        def seen(answer: Any, **_: object) -> None:
            answers.append(answer)
            moved = urlsplit(urljoin(answer.url, answer.headers.get("location", "")))
            if answer.is_redirect and (moved.scheme, moved.netloc) != (own.scheme, own.netloc):
                raise Lost("it redirects to another host")

        with requests.Session() as session:
            session.hooks["response"] = [seen]
            lab: Any = gitlab.Gitlab(
                url,
                oauth_token=token,
                ssl_verify=ca_bundle or True,
                timeout=limits.idle_seconds,
                user_agent="fruitful-snapshotter",
                session=session,
            )
            try:
                # Without the client's own waits: `Api` has some that can be cancelled, and that have a bound.
                lab.http_request("get", f"/{path}", query_data=dict(parameters), obey_rate_limit=False)
            except gitlab.exceptions.GitlabError:
                pass  # the answer tells more
            except requests.RequestException as lost:
                raise Lost(type(lost).__name__) from None
        if not answers:
            raise Lost("no answer")
        return Answer(answers[-1].status_code, answers[-1].headers, answers[-1].content)

    return ask
