"""GitHub and GitLab on loopback, as far as lists of repositories are asked for: answers, headers, pages, limits and
redirects of the shape that their REST documentation shows and their servers give."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.httpservers import Scripted, Seen, reply

Reply = tuple[int, dict[str, str], object]
LIMITED = "API rate limit exceeded for installation ID 1."


@dataclass
class Hosted:
    """A repository of a forge."""

    id: int
    path: str
    archived: bool = False
    fork: bool = False
    wiki: bool = False


class Forge(Scripted, ABC):
    """Lists `repositories`, `rows` on a page whatever is asked for, to whoever has the token (anybody, if it is "").

    `answers` are given instead, one each, while there are any. `on_page` is called before each page of a list.
    """

    base = ""

    def __init__(self, *repositories: Hosted, token: str = "", rows: int = 2) -> None:
        self.repositories = list(repositories)
        self.token, self.rows = token, rows
        self.answers: list[Reply] = []
        self.on_page: Callable[[int], None] = lambda _: None
        super().__init__(self._answer_to)

    @property
    def url_of_pages(self) -> str:
        """What an inventory says as its `url`."""
        return self.url("").rstrip("/")

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, with their queries, below the API's."""
        return [request.target.removeprefix(self.base) for request in self.seen]

    def _answer_to(self, request: Seen) -> Iterable[bytes]:
        status, headers, value = self.answers.pop(0) if self.answers else self._judge(request)
        yield reply(status, {"Content-Type": "application/json"} | headers, json.dumps(value).encode())

    def _judge(self, request: Seen) -> Reply:
        split = urlsplit(request.target)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        given = request.headers.get("authorization", "").partition(" ")[2]
        if self.token and given != self.token:
            return (401, {}, {"message": "Bad credentials"}) if given else (404, {}, {"message": "Not Found"})
        if not split.path.startswith(self.base):
            return 404, {}, "<html>"
        return self.answer_about(unquote(split.path.removeprefix(self.base)), query)

    @abstractmethod
    def answer_about(self, path: str, query: dict[str, str]) -> Reply:
        """The answer for a path below the API's."""

    def page(self, listed: list[Hosted], query: dict[str, str]) -> tuple[list[Hosted], int, bool]:
        """A page's rows, its number, and whether another follows."""
        number = int(query["page"])
        self.on_page(number)
        rows = [each for each in self.repositories if each in listed]
        end = number * self.rows
        return rows[end - self.rows : end], number, len(rows) > end


class GitHub(Forge):
    """A GitHub. `login` is whose the token is; None for an App's. `unshown` is how many private repositories each
    organisation has that the token may not see."""

    base = "/api/v3/"
    login: str | None = "somebody"
    unshown = 0

    def answer_about(self, path: str, query: dict[str, str]) -> Reply:
        """See Forge."""
        match path.split("/"):
            case ["orgs" | "users", owner, "repos"]:
                return self._list(query, owner)
            case ["orgs", owner]:
                owned = [each for each in self.repositories if each.path.startswith(f"{owner}/")]
                return (
                    200,
                    {},
                    {"login": owner, "public_repos": len(owned), "total_private_repos": self.unshown},
                )
            case ["user", "repos"]:
                return self._list(query, self.login or "")
            case ["user"] if self.login:
                return 200, {}, {"login": self.login, "id": 1, "type": "User"}
            case ["user"]:
                return 403, {}, {"message": "Resource not accessible by integration"}
            case ["installation", "repositories"]:
                status, headers, rows = self._list(query, None)
                return status, headers, {"total_count": len(self.repositories), "repositories": rows}
            case ["repositories", number]:
                found = [self._shape(each) for each in self.repositories if str(each.id) == number]
                return (200, {}, found[0]) if found else (404, {}, {"message": "Not Found"})
        return 404, {}, {"message": "Not Found"}

    def _list(self, query: dict[str, str], owner: str | None) -> Reply:
        owned = [each for each in self.repositories if owner in (None, each.path.partition("/")[0])]
        rows, number, more = self.page(owned, query)
        link = f'<{self.url_of_pages}/api/v3/organizations/1/repos?page={number + 1}>; rel="next"'
        headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4999"}
        return 200, headers | ({"Link": link} if more else {}), [self._shape(each) for each in rows]

    def _shape(self, each: Hosted) -> dict[str, Any]:
        owner, _, name = each.path.partition("/")
        return {
            "id": each.id,
            "node_id": "R_kgDO",
            "name": name,
            "full_name": each.path,
            "private": True,
            "owner": {"login": owner, "id": 1, "type": "Organization", "site_admin": False},
            "html_url": f"https://evil.example.org/{each.path}",
            "description": None,
            "fork": each.fork,
            "clone_url": f"https://evil.example.org/{each.path}.git",  # nobody may follow it
            "has_wiki": each.wiki,
            "archived": each.archived,
            "disabled": False,
            "size": 7,
            "default_branch": "main",
            "permissions": {"admin": False, "push": False, "pull": True},
        }


class GitLab(Forge):
    """A GitLab."""

    base = "/api/v4/"

    def answer_about(self, path: str, query: dict[str, str]) -> Reply:
        """See Forge."""
        kind, _, rest = path.partition("/")
        if kind == "projects":
            found = [self._shape(each) for each in self.repositories if str(each.id) == rest]
            return (200, {}, found[0]) if found else (404, {}, {"message": "404 Project Not Found"})
        group = rest.removesuffix("/projects")
        deep = query.get("include_subgroups") == "true"
        inside = [
            each
            for each in self.repositories
            if each.path.startswith(f"{group}/") and (deep or each.path.count("/") == group.count("/") + 1)
        ]
        if kind != "groups" or not inside:
            return 404, {}, {"message": "404 Group Not Found"}
        rows, number, more = self.page(inside, query)
        headers = {"X-Page": str(number), "X-Next-Page": str(number + 1) if more else "", "X-Per-Page": "100"}
        return 200, headers, [self._shape(each) for each in rows]

    def _shape(self, each: Hosted) -> dict[str, Any]:
        shape = {
            "id": each.id,
            "name": each.path.rpartition("/")[2],
            "path_with_namespace": each.path,
            "http_url_to_repo": f"https://evil.example.org/{each.path}.git",
            "archived": each.archived,
            "empty_repo": False,
            "wiki_enabled": each.wiki,
            "wiki_access_level": "enabled" if each.wiki else "disabled",
            "namespace": {"id": 2, "kind": "group", "full_path": each.path.rpartition("/")[0]},
        }
        return shape | ({"forked_from_project": {"id": 1}} if each.fork else {})
