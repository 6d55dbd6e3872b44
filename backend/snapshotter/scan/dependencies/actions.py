"""GitHub's actions: `uses:` in workflows and actions, and the images of their jobs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, tables, text, yaml_object
from snapshotter.scan.dependencies.images import image
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_DOCKER: Final = "docker://"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# Never a short commit id, which may be all digits too.
_TAG: Final = re.compile(r"(?![0-9a-f]{7,40}\Z)v?\d+(?:\.\d+)*(?:[-+.]?[A-Za-z][\w.+-]*)?")
_REMARK: Final = re.compile(r"uses:[ \t]*['\"]?([^\s'\"#]{1,300}@[0-9a-f]{40,64})['\"]?[ \t]+#([^\n]{0,200})")
_NAMED_VERSION: Final = re.compile(
    r"\s*(?:[\w./-]*[=@:]\s*)*\(?((?:v\d+(?:\.\d+)*|\d+(?:\.\d+)+)(?:[-+.]?[A-Za-z][\w.+-]*)?)(?![^\s,;)])"
)


def actions(blob: bytes) -> Iterator[Dependency]:
    """What a GitHub workflow or action uses. A version is a tag that is written out, the one that a remark beside a
    commit id names, or that id; a branch is none."""
    document = yaml_object(blob)
    remarks = _remarks(text(blob))
    runs = mapping(document.get("runs"), "runs")
    yield from _steps(runs.get("steps"), remarks)
    if (container := string(runs.get("image"))).startswith(_DOCKER):
        yield from image(container.removeprefix(_DOCKER), "ci")
    for name, job in mapping(document.get("jobs"), "jobs").items():
        job = mapping(job, str(name))
        yield from _uses(job.get("uses"), remarks)
        yield from _steps(job.get("steps"), remarks)
        services = mapping(job.get("services"), "services")
        for container in (job.get("container"), *services.values()):
            reference = container.get("image") if isinstance(container, dict) else container
            yield from image(string(reference), "ci")


def _remarks(source: str) -> dict[str, str]:
    """The version that the remark behind each use of a commit names: `# v4.0.2`, `# tag=v4`, `# pin@v4`."""
    versions: dict[str, str] = {}
    for used, remark in _REMARK.findall(source):
        if version := _NAMED_VERSION.match(remark):
            versions.setdefault(used, version.group(1))
    return versions


def _steps(steps: Any, remarks: dict[str, str]) -> Iterator[Dependency]:
    for step in tables(steps):
        yield from _uses(step.get("uses"), remarks)


def _uses(value: Any, remarks: dict[str, str]) -> Iterator[Dependency]:
    written = string(value).strip()
    if written.startswith(_DOCKER):
        yield from image(written.removeprefix(_DOCKER), "ci")
        return
    path, at, ref = written.partition("@")
    parts = path.split("/")
    if not at or len(parts) < 2 or parts[0] in (".", "..") or not all(parts):
        return  # an action of this repository itself, or nothing
    is_commit = _COMMIT.fullmatch(ref)
    version = remarks.get(written, ref) if is_commit else ref if _TAG.fullmatch(ref) else None
    yield dependency(
        NamedPackage("github", "/".join(parts[:2]), version, subpath="/".join(parts[2:])), ref, "ci"
    )
