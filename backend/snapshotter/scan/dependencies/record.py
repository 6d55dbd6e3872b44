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
    itself, None where a lock file does not tell. `purl` is None for what comes from no registry that is known: from a
    folder, a git repository, an address of its own, or a registry by a name of the project's own.
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


class PartlyRead(ManifestError):
    """Raised after the last row of a manifest that names more than its rows: they hold, and the reason is told."""


_CREDENTIALS: Final = re.compile(r"(\w://)[^/@\s]*@")
_MAX_NAME: Final = 300
_MAX_REQUIREMENT: Final = 500


class NamedPackage(NamedTuple):
    """A package as a manifest names it, and what its package URL (purl) is made of.

    Source: the purl specification's types and their rules for names. `ecosystem` is the purl type. The namespace is the
    part of `name` that the type's rules make one: an npm scope, a Maven group, the path before the last segment of a Go
    module, an action or an image. A package that comes from no `registry` has no package URL.
    """

    ecosystem: str
    name: str
    version: str | None = None
    registry: bool = True
    qualifiers: dict[str, str] | None = None
    subpath: str | None = None

    def purl(self) -> str | None:
        """The package URL; None if it comes from no registry. Raises ManifestError for a name that cannot be one."""
        namespace, _, bare = self.name.rpartition(":" if self.ecosystem == "maven" else "/")
        if not bare or len(self.name) > _MAX_NAME or len(self.version or "") > _MAX_NAME:
            raise self._misnamed()
        try:
            purl = PackageURL(
                self.ecosystem,
                namespace or None,
                bare,
                self.version or None,
                self.qualifiers,
                self.subpath or None,
            )
        except ValueError as error:
            raise self._misnamed() from error
        return purl.to_string() if self.registry else None

    def _misnamed(self) -> ManifestError:
        return ManifestError(f"{self.name[:100]!r} is no package name")


def dependency(
    package: NamedPackage,
    requirement: str | None = None,
    scope: str | None = "runtime",
    direct: bool | None = True,
) -> Dependency:
    """The row of a package that a manifest names; an empty text counts as None.

    Credentials in a URL of a requirement are left out. Raises ManifestError for a name that cannot be one.
    """
    package = package._replace(name=_plain(package.name))
    written = _CREDENTIALS.sub(r"\1", " ".join(_plain(requirement or "").split()))[:_MAX_REQUIREMENT]
    return Dependency(
        package.ecosystem,
        package.name,
        package.version or None,
        written or None,
        _plain(scope or "")[:_MAX_NAME] or None,
        direct,
        package.purl(),
    )


def _plain(text: str) -> str:
    """Text that encodes to UTF-8. JSON can spell half a surrogate pair, which does not."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
