"""Which parser reads a manifest, by its path."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import Final

from snapshotter.scan.dependencies import (
    actions,
    cargo,
    composer,
    dart,
    dotnet,
    go,
    gradle,
    images,
    maven,
    npm,
    npm_lock,
    pnpm,
    pyproject,
    python_locks,
    requirements,
    requirements_file,
    ruby,
    swift,
    yarn,
)
from snapshotter.scan.dependencies.record import Dependency
from snapshotter.scan.dependencies.tied import Family

Parser = Callable[[bytes], Iterator[Dependency]]

# Manifests that stand for themselves.
_NAMES: Final[dict[str, Parser]] = {
    "setup.cfg": pyproject.setup_cfg,
    "Pipfile": pyproject.pipfile,
    "Pipfile.lock": python_locks.pipfile_lock,
    "uv.lock": python_locks.uv_lock,
    "poetry.lock": python_locks.poetry_lock,
    "pdm.lock": python_locks.poetry_lock,
    "package-lock.json": npm_lock.package_lock,
    "npm-shrinkwrap.json": npm_lock.package_lock,
    "yarn.lock": yarn.yarn_lock,
    "pnpm-lock.yaml": pnpm.pnpm_lock,
    "Cargo.lock": cargo.cargo_lock,
    "Gemfile.lock": ruby.gemfile_lock,
    "gems.locked": ruby.gemfile_lock,
    "composer.lock": composer.composer_lock,
    "packages.lock.json": dotnet.packages_lock,
    "packages.config": dotnet.packages_config,
    "dotnet-tools.json": dotnet.tools,
    "gradle.lockfile": gradle.lockfile,
    "buildscript-gradle.lockfile": gradle.lockfile,
    "pubspec.yaml": dart.pubspec,
    "pubspec.lock": dart.pubspec_lock,
    "Package.resolved": swift.package_resolved,
    "action.yml": actions.actions,
    "action.yaml": actions.actions,
}
_PATTERNS: Final[tuple[tuple[re.Pattern[str], Parser], ...]] = (
    (re.compile(r"(?:.*/)?\.github/workflows/[^/]+\.ya?ml"), actions.actions),
    (
        re.compile(
            r"(?:.*/)?(?:[Dd]ockerfile|Containerfile)(?:[.-](?!.*\.(?:md|rst|sh|py)\Z)[\w.-]+)?"
            r"|.*\.[Dd]ockerfile"
        ),
        images.dockerfile,
    ),
    (re.compile(r"(?:.*/)?(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml"), images.compose),
    (re.compile(r".*\.versions\.toml"), gradle.catalog),
    (re.compile(r"(?:.*/)?\.mvn/extensions\.xml"), maven.extensions),
)

# Manifests that others of their kind explain.
FAMILIES: Final[dict[str, Callable[[], Family]]] = {
    "maven": maven.Poms,
    "cargo": cargo.CargoTomls,
    "go": go.GoModules,
    "npm": npm.PackageJsons,
    "composer": composer.ComposerJsons,
    "dotnet": dotnet.DotnetProjects,
    "python": pyproject.Pyprojects,
    "pip": requirements.RequirementsFiles,
}
_FAMILY_NAMES: Final = {
    "pom.xml": "maven",
    "Cargo.toml": "cargo",
    "composer.json": "composer",
    "go.mod": "go",
    go.WORK: "go",
    **dict.fromkeys(npm.FILES, "npm"),
    "pyproject.toml": "python",
    **dict.fromkeys(dotnet.SHARED, "dotnet"),
}
_PROJECT: Final = re.compile(r".*\.(?:cs|fs|vb)proj")


def parser_of(path: str) -> Parser | None:
    """What reads a manifest that stands for itself."""
    named = _NAMES.get(posixpath.basename(path))
    return named or next((parser for pattern, parser in _PATTERNS if pattern.fullmatch(path)), None)


def family_of(path: str) -> str | None:
    """The family of a manifest that others explain."""
    named = _FAMILY_NAMES.get(posixpath.basename(path))
    if named or not path.endswith((".txt", ".in", "proj")):
        return named
    return "pip" if requirements.NAMED.fullmatch(path) else "dotnet" if _PROJECT.fullmatch(path) else None


def bears_on(path: str) -> str | None:
    """The family whose rows may change when a file of this path comes, goes or changes: a manifest's own, and that of
    lists, which requirements files may take in under any name."""
    return family_of(path) or ("pip" if requirements_file.LIST.fullmatch(path) else None)


def is_manifest(path: str) -> bool:
    """Whether a file of this path is read for dependencies."""
    return family_of(path) is not None or parser_of(path) is not None
