"""What a manifest says: the columns of the `dependencies` table, less path and blob."""

from __future__ import annotations

from typing import NamedTuple

from packageurl import PackageURL


class Dependency(NamedTuple):
    """One package that a manifest or a lock file names.

    `version` is exact or None; `requirement` is the constraint as written, or "". `scope` is the manifest's
    own word for when it is needed (`runtime` where it has none; an extra or a group by its name). `direct` is
    whether the project asks for it itself, None where a lock file does not tell.
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


def dependency(
    ecosystem: str,
    name: str,
    version: str | None = None,
    requirement: str = "",
    scope: str = "runtime",
    direct: bool | None = True,
) -> Dependency:
    """A row with its package URL (the purl specification's types and name rules).

    `ecosystem` is the purl type. The namespace is the part of `name` that the type's rules make one: an npm
    scope, a Maven group, the path of a Go module, an action or an image.
    """
    namespace, _, bare = name.rpartition(":" if ecosystem == "maven" else "/")
    try:
        purl = PackageURL(ecosystem, namespace or None, bare, version or None).to_string()
    except ValueError as error:
        raise ManifestError(f"{name[:200]!r} is no package name") from error
    return Dependency(ecosystem, name, version or None, requirement, scope, direct, purl)
