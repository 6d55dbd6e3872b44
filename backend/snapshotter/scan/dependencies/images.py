"""Container images: Dockerfiles and compose files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from snapshotter.base.text import plural
from snapshotter.scan.dependencies.formats import mapping, merged, string, text, yaml_object
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, PartlyRead, dependency

_IMAGE: Final = re.compile(r"([A-Za-z0-9][\w.:/-]*?)(?::([\w][\w.-]*))?(?:@(sha256:[0-9a-f]{64}))?")
_FROM: Final = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.I)
_ARG: Final = re.compile(r"ARG\s+(\S.*)", re.I)
_DEFAULT: Final = re.compile(r"(?:\A|(?<=\s))(\w+)=(\"[^\"]*\"|'[^']*'|\S*)")
_COPY: Final = re.compile(r"(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=(\S+)", re.I)
_MOUNT: Final = re.compile(r"--mount=(?:\S*,)?from=([^\s,]+)")
_TAKES_TEXT: Final = re.compile(r"(?:RUN|COPY|ADD)\s", re.I)
_HERE: Final = re.compile(r"(?<!<)<<-?['\"]?([A-Za-z_]\w*)")
_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
_LATEST: Final = "latest"  # what is meant where no tag is written, and so no version
_DEFAULT_HOSTS: Final = ("docker.io", "index.docker.io")
_OFFICIAL: Final = "library/"
_LONGEST: Final = 500  # characters; arguments that name each other would grow without end


def dockerfile(blob: bytes) -> Iterator[Dependency]:
    """The base images of a Dockerfile, with the defaults of the build arguments before the first of them filled in,
    and the images that files are copied or mounted from; its own stages are none."""
    arguments: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    bases = unknown = 0
    for line in _instructions(text(blob)):
        if not bases and (argument := _ARG.match(line)):
            for name, value in _DEFAULT.findall(argument.group(1)):
                arguments[name] = _filled(value.strip("\"'"), arguments)
        elif base := _FROM.match(line):
            written, stage = _filled(base.group(1), arguments), base.group(2)
            if written.lower() not in stages:
                unknown += "$" in written
                yield from image(written, "base")
            stages |= {str(bases), (stage or "").lower()}
            bases += 1
        else:
            for written in _sources(line):
                if written.lower() not in stages and not written.isdigit():
                    yield from image(written, "copy")
    if unknown:
        raise PartlyRead(f"{plural(unknown, 'base image')} of which only a build knows the name")


def _sources(line: str) -> list[str]:
    """The stages and images that an instruction copies or mounts files from."""
    if copied := _COPY.match(line):
        return [copied.group(1).strip("\"'")]
    return _MOUNT.findall(line) if line[:4].upper() == "RUN " else []


def _instructions(source: str) -> Iterator[str]:
    """The lines, joined where they go on, without the text of here-documents: a query in one has a FROM too."""
    lines = [line.strip() for line in re.sub(r"\\\r?\n", " ", source).splitlines()]
    known = set(lines)
    ends: list[str] = []
    for line in lines:
        if ends:
            ends = ends[1:] if line == ends[0] else ends
        else:
            # Arithmetic shifts look like one too, but no line ends them.
            ends = [end for end in _HERE.findall(line) if end in known] if _TAKES_TEXT.match(line) else []
            yield line


def _filled(value: str, arguments: dict[str, str]) -> str:
    def known(match: re.Match[str]) -> str:
        return arguments.get(match.group(1) or match.group(3)) or match.group(2) or match.group()

    return _VARIABLE.sub(known, value[:_LONGEST])[:_LONGEST]


def compose(blob: bytes) -> Iterator[Dependency]:
    """The images of a compose file's services, with the defaults of variables filled in; an image that is built here
    is none."""
    unknown = 0
    for name, service in mapping(yaml_object(blob).get("services"), "services").items():
        held = merged(mapping(service, str(name)))
        if "build" not in held:
            written = _filled(string(held.get("image")), {})
            unknown += "$" in written
            yield from image(written, "service")
    if unknown:
        raise PartlyRead(f"{plural(unknown, 'image')} of which only a run knows the name")


def image(reference: str, scope: str) -> Iterator[Dependency]:
    """The row of one image reference; no row for anything else, such as an unfilled variable.

    The version is the tag that is written, else the digest.
    """
    match = _IMAGE.fullmatch(reference)
    if not match:
        return
    path, tag, digest = match.groups()
    host, slash, rest = path.partition("/")
    hosted = bool(slash) and ("." in host or ":" in host or host == "localhost")
    name = rest if hosted else path
    if (
        host in _DEFAULT_HOSTS or not hosted
    ):  # written out or not, the registry and its own namespace are the same
        hosted, name = False, name.removeprefix(_OFFICIAL)
    yield dependency(
        NamedPackage(
            "docker",
            name,
            digest if tag in (None, _LATEST) else tag,
            qualifiers={"repository_url": host} if hosted else None,
        ),
        "@".join(one for one in (tag, digest) if one),
        scope,
    )
