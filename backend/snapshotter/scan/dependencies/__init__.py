"""Dependencies, from the manifests and lock files that name them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from snapshotter.scan.dependencies import cargo, go, images, maven, node, python, ruby
from snapshotter.scan.dependencies.go import module_path
from snapshotter.scan.dependencies.record import Dependency, ManifestError

__all__ = ["MAX_ROWS", "Dependency", "ManifestError", "is_manifest", "module_path", "parse"]

MAX_ROWS: Final = 100_000  # of one manifest

_Parser = Callable[[bytes], Iterator[Dependency]]

_NAMES: Final[dict[str, _Parser]] = {
    "pyproject.toml": python.pyproject,
    "uv.lock": python.uv_lock,
    "poetry.lock": python.poetry_lock,
    "package.json": node.package_json,
    "package-lock.json": node.package_lock,
    "npm-shrinkwrap.json": node.package_lock,
    "yarn.lock": node.yarn_lock,
    "pnpm-lock.yaml": node.pnpm_lock,
    "go.mod": go.go_mod,
    "Cargo.toml": cargo.cargo_toml,
    "Cargo.lock": cargo.cargo_lock,
    "pom.xml": maven.pom,
    "Gemfile.lock": ruby.gemfile_lock,
    "gems.locked": ruby.gemfile_lock,
    "action.yml": images.actions,
    "action.yaml": images.actions,
}
_PATTERNS: Final[tuple[tuple[re.Pattern[str], _Parser], ...]] = (
    (
        re.compile(r"(?:.*/)?(?:[\w.-]*requirements[\w.-]*|requirements/[\w.-]+)\.(?:txt|in)"),
        python.requirements,
    ),
    (re.compile(r"(?:.*/)?\.github/workflows/[^/]+\.ya?ml"), images.actions),
    (re.compile(r"(?:.*/)?(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?|.*\.[Dd]ockerfile"), images.dockerfile),
)


def _parser(path: str) -> _Parser | None:
    named = _NAMES.get(posixpath.basename(path))
    return named or next((parser for pattern, parser in _PATTERNS if pattern.fullmatch(path)), None)


def is_manifest(path: str) -> bool:
    """Whether `parse` reads a file of this path."""
    return _parser(path) is not None


def parse(path: str, blob: bytes) -> list[Dependency]:
    """The dependencies that a manifest names, in its own order, each once.

    `ecosystem` is the purl type. Raises ManifestError, and nothing else, for content that cannot be read, for
    more than MAX_ROWS rows, and for a path that is no manifest.
    """
    parser = _parser(path)
    if parser is None:
        raise ManifestError("its path is not that of a manifest")
    rows = dict.fromkeys(islice(parser(blob), MAX_ROWS + 1))
    if len(rows) > MAX_ROWS:
        raise ManifestError(f"names more than {MAX_ROWS:,} packages")
    return list(rows)
