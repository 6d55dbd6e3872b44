"""Links from the report: to a known host's pages of the scanned commit, and to the artifacts beside it.

A link's host and form are this program's own. The path is the repository's, so it is quoted, and one that a browser
would read as another place is not linked.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, Self
from urllib.parse import quote

from snapshotter.scan.facts import Facts
from snapshotter.scan.report import blocks
from snapshotter.scan.report.html import Child, Html, element

_LONGEST: Final = 400  # characters of a link; a longer one would be cut
_ORIGIN: Final = re.compile(
    r"(?:(?:https|ssh|git)://)?(?:[\w.-]+@)?([\w.-]+)(?::\d+/|[:/])((?:[\w.-]+/)+[\w.-]+?)(?:\.git)?/?", re.A
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class _Host(NamedTuple):
    """Where a host shows a file of a commit, a line of it, and the commit."""

    file: str
    line: str
    commit: str


_GITEA: Final = _Host("src/commit/{commit}/{path}", "#L{line}", "commit/{commit}")
# A host of somebody's own may run any of these programs: a link there would be a guess, and perhaps a dead one.
_HOSTS: Final = {
    "github.com": _Host("blob/{commit}/{path}", "#L{line}", "commit/{commit}"),
    "gitlab.com": _Host("-/blob/{commit}/{path}", "#L{line}", "-/commit/{commit}"),
    "bitbucket.org": _Host("src/{commit}/{path}", "#lines-{line}", "commits/{commit}"),
    "codeberg.org": _GITEA,
    "gitea.com": _GITEA,
}


class Links(NamedTuple):
    """The links of one report. Without a known host its paths are text."""

    root: str = ""
    host: _Host | None = None
    commit: str = ""

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """The links for an origin, by any transport, on a host whose pages are known."""
        origin = _ORIGIN.fullmatch(facts.origin)
        host = _HOSTS.get(origin.group(1).lower()) if origin else None
        if origin is None or host is None or not _COMMIT.fullmatch(facts.commit) or _climbs(origin.group(2)):
            return cls()
        return cls(f"https://{origin.group(1).lower()}/{origin.group(2)}", host, facts.commit)

    def path(self, value: str, line: int | None = None) -> Html:
        """A path of the scanned tree, and a line in it."""
        shown = blocks.path(value, line)
        # A backslash may be an escape of what is not UTF-8: then these are not the path's own bytes.
        if self.host is None or "\\" in value or _climbs(value):
            return shown
        place = self.host.file.format(commit=self.commit, path=quote(value))
        return self._to(place + (self.host.line.format(line=line) if line else ""), shown)

    def origin(self, shown: Html) -> Html:
        """The repository's own page."""
        return self._to("", shown) if self.host else shown

    def scanned(self, shown: Html) -> Html:
        """The scanned commit."""
        return self._to(self.host.commit.format(commit=self.commit), shown) if self.host else shown

    def _to(self, place: str, shown: Child) -> Html:
        link = f"{self.root}/{place}".rstrip("/")
        if len(link) > _LONGEST:
            return element("span", shown)
        # Without a referrer: the host need not learn from which store its reader came.
        return element("a", shown, href=link, rel="noreferrer")


def _climbs(path: str) -> bool:
    """Whether a browser would take some of a path's segments for something else than names."""
    return any(part in ("", ".", "..") for part in path.split("/"))
