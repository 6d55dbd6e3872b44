"""One dependency as a manifest names it: the columns of the `dependencies` table, less path and blob."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from packageurl import PackageURL


class Dependency(NamedTuple):
    """One package that a manifest or a lock file names.

    `version` is exact or None; `requirement` is the constraint as written, or "". `scope` is the manifest's
    own word for when it is needed (`runtime` where it has none; an extra or a group by its name). `direct` is
    whether the project asks for it itself, None if a lock file does not tell.
    """

    ecosystem: str
    name: str
    version: str | None
    requirement: str
    scope: str
    direct: bool | None
    purl: str


class ManifestError(Exception):
    """A manifest that cannot be read, with the reason; the rows of other manifests are not affected."""


_CREDENTIALS: Final = re.compile(r"(\w://)[^/@\s]*@")
_MAX_NAME: Final = 300
_MAX_REQUIREMENT: Final = 500


def dependency(
    ecosystem: str,
    name: str,
    version: str | None = None,
    requirement: str = "",
    scope: str = "runtime",
    direct: bool | None = True,
    *,
    qualifiers: dict[str, str] | None = None,
    subpath: str = "",
) -> Dependency:
    """A row with its package URL, by the purl specification's types and name rules.

    `ecosystem` is the purl type. The namespace is the part of `name` that the type's rules make one: an npm
    scope, a Maven group, the path before the last segment of a Go module, an action or an image. Credentials
    in a URL of a requirement are left out. Raises ManifestError for a name that cannot be one.
    """
    name, scope = _plain(name), _plain(scope)[:_MAX_NAME]
    namespace, _, bare = name.rpartition(":" if ecosystem == "maven" else "/")
    if not bare or len(name) > _MAX_NAME or len(version or "") > _MAX_NAME:
        raise ManifestError(f"{name[:100]!r} is no package name")
    try:
        purl = PackageURL(ecosystem, namespace or None, bare, version or None, qualifiers, subpath or None)
    except ValueError as error:
        raise ManifestError(f"{name[:100]!r} is no package name") from error
    written = _CREDENTIALS.sub(r"\1", " ".join(_plain(requirement).split()))[:_MAX_REQUIREMENT]
    return Dependency(ecosystem, name, version or None, written, scope, direct, purl.to_string())


def _plain(text: str) -> str:
    """Text that encodes to UTF-8. JSON can spell half a surrogate pair, which does not."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
