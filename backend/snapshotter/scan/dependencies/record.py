"""One dependency as a manifest names it: the columns of the `dependencies` table, less path and blob."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from packageurl import PackageURL

MAX_ROWS: Final = 100_000  # of one manifest


class Dependency(NamedTuple):
    """One package that a manifest or a lock file names. What is not known is None.

    `version` is exact; for actions and images it is the tag that is written out. `requirement` is the constraint as
    written. `scope` is the manifest's own word for when it is needed (`runtime` where a manifest has none; an extra
    or a group by its name), None where a lock file does not tell. `direct` is whether the project asks for it
    itself, None where a lock file does not tell. `purl` is None for what comes from no registry: from a folder, a git
    repository or an address of its own.
    """

    ecosystem: str
    name: str
    version: str | None
    requirement: str | None
    scope: str | None
    direct: bool | None
    purl: str | None


class ManifestError(Exception):
    """A manifest that cannot be read, with the reason; the rows of other manifests are not affected."""


_CREDENTIALS: Final = re.compile(r"(\w://)[^/@\s]*@")
_MAX_NAME: Final = 300
_MAX_REQUIREMENT: Final = 500


def dependency(
    ecosystem: str,
    name: str,
    version: str | None = None,
    requirement: str | None = None,
    scope: str | None = "runtime",
    direct: bool | None = True,
    *,
    registry: bool = True,
    qualifiers: dict[str, str] | None = None,
    subpath: str = "",
) -> Dependency:
    """A row with its package URL, by the purl specification's types and name rules; an empty text counts as None.

    `ecosystem` is the purl type. The namespace is the part of `name` that the type's rules make one: an npm
    scope, a Maven group, the path before the last segment of a Go module, an action or an image. Without
    `registry` there is no package URL. Credentials in a URL of a requirement are left out. Raises ManifestError
    for a name that cannot be one.
    """
    name, scope = _plain(name), _plain(scope or "")[:_MAX_NAME]
    namespace, _, bare = name.rpartition(":" if ecosystem == "maven" else "/")
    if not bare or len(name) > _MAX_NAME or len(version or "") > _MAX_NAME:
        raise ManifestError(f"{name[:100]!r} is no package name")
    try:
        purl = PackageURL(ecosystem, namespace or None, bare, version or None, qualifiers, subpath or None)
    except ValueError as error:
        raise ManifestError(f"{name[:100]!r} is no package name") from error
    written = _CREDENTIALS.sub(r"\1", " ".join(_plain(requirement or "").split()))[:_MAX_REQUIREMENT]
    address = purl.to_string() if registry else None
    return Dependency(ecosystem, name, version or None, written or None, scope or None, direct, address)


def _plain(text: str) -> str:
    """Text that encodes to UTF-8. JSON can spell half a surrogate pair, which does not."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
