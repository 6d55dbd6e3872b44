"""Container images and actions: Dockerfile `FROM`, and `uses:` and `image:` in GitHub workflows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, tables, text, yaml_object
from snapshotter.scan.dependencies.record import Dependency, dependency

_IMAGE: Final = re.compile(r"([A-Za-z0-9][\w.:/-]*?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?")
_FROM: Final = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.I)
_ARG: Final = re.compile(r"ARG\s+(\w+)=(\S*)", re.I)
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
# A tag of an action can be moved, and so can a branch.
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_LONGEST: Final = 500  # characters; arguments that name each other would grow without end


def dockerfile(blob: bytes) -> Iterator[Dependency]:
    """The base images of a Dockerfile, with the defaults of its build arguments filled in."""
    arguments: dict[str, str] = {}
    stages = {"scratch"}
    for raw in re.sub(r"\\\r?\n", " ", text(blob)).splitlines():
        line = raw.strip()
        if argument := _ARG.match(line):
            arguments[argument.group(1)] = argument.group(2).strip("\"'")[:_LONGEST]
        elif base := _FROM.match(line):
            written, stage = base.groups()
            if written.lower() not in stages:
                yield from image(_filled(written, arguments), "base")
            stages.add((stage or "").lower())


def _filled(value: str, arguments: dict[str, str]) -> str:
    def known(match: re.Match[str]) -> str:
        return arguments.get(match.group(1) or match.group(3)) or match.group(2) or match.group()

    return _VARIABLE.sub(known, value[:_LONGEST])[:_LONGEST]


def image(reference: str, scope: str) -> Iterator[Dependency]:
    """The row of one image reference; no row for anything else, such as an unfilled variable.

    Only a digest is an exact version; a tag is the requirement.
    """
    match = _IMAGE.fullmatch(reference)
    if not match:
        return
    path, tag, digest = match.groups()
    host, slash, rest = path.partition("/")
    hosted = bool(slash) and ("." in host or ":" in host or host == "localhost")
    qualifiers = {"repository_url": host} if hosted else None
    name = rest if hosted else path
    yield dependency("docker", name, digest, tag or "", scope, qualifiers=qualifiers)


def actions(blob: bytes) -> Iterator[Dependency]:
    """What a GitHub workflow or action uses. Only a full commit id is an exact version."""
    document = yaml_object(blob)
    yield from _steps(mapping(document.get("runs"), "runs").get("steps"))
    for name, job in mapping(document.get("jobs"), "jobs").items():
        job = mapping(job, str(name))
        yield from _uses(job.get("uses"))
        yield from _steps(job.get("steps"))
        services = mapping(job.get("services"), "services")
        for container in (job.get("container"), *services.values()):
            reference = container.get("image") if isinstance(container, dict) else container
            yield from image(string(reference), "ci")


def _steps(steps: Any) -> Iterator[Dependency]:
    for step in tables(steps):
        yield from _uses(step.get("uses"))


def _uses(value: Any) -> Iterator[Dependency]:
    written = string(value).strip()
    if written.startswith("docker://"):
        yield from image(written.removeprefix("docker://"), "ci")
        return
    path, at, ref = written.partition("@")
    parts = path.split("/")
    if not at or len(parts) < 2 or parts[0] in (".", "..") or not all(parts):
        return  # an action of this repository itself, or nothing
    version = ref if _COMMIT.fullmatch(ref) else None
    subpath = "/".join(parts[2:])
    yield dependency("github", "/".join(parts[:2]), version, ref, "ci", subpath=subpath)
