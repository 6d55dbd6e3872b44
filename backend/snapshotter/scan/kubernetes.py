"""The values of Kubernetes Secrets: all of them, wherever the manifests put them.

The engine that searches for secrets goes on behind what it has found, so of several values below one `kind: Secret` it
sees the first. Here the manifest is read as the YAML (or JSON) that it is. A template is none; of it counts what the
rules find.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from yaml import MappingNode, Node, ScalarNode

from snapshotter.scan.dependencies.formats import yaml_documents
from snapshotter.scan.dependencies.record import ManifestError

LARGEST: Final = 1 << 20  # bytes of a blob; etcd holds no larger object
_SECTIONS: Final = ("data", "stringData")
_SHORTEST: Final = 6  # characters of a value
_MOST: Final = 1_000  # values of one blob
_PLACEHOLDER: Final = re.compile(
    r"example|change[_-]?me|placeholder|dummy|redacted|filtered|your[_-]|insert_|xxxx|\*{4}|\.{3}|\$[{(]|\{\{|<",
    re.I,
)


class SecretValue(NamedTuple):
    """A value, and the line it begins on, from 1. It is never shown."""

    line: int
    value: str

    def __repr__(self) -> str:
        return "<a value of a Secret>"


def values(blob: bytes) -> list[SecretValue]:
    """The values of the Secrets in one blob, in order; none of a blob that is no YAML, or over LARGEST.

    It does not raise: a traceback would show this frame, whose variables hold values.
    """
    if len(blob) > LARGEST:
        return []
    try:
        documents = yaml_documents(blob.replace(b"\t", b" "))  # JSON may have tabs where YAML may not
        return sorted({one for document in documents for one in _of_document(document)})[:_MOST]
    except ManifestError:
        return []


def _of_document(root: Node) -> Iterator[SecretValue]:
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if isinstance(node, MappingNode):
            held = {name.value: value for name, value in node.value if isinstance(name, ScalarNode)}
            if isinstance(kind := held.get("kind"), ScalarNode) and kind.value == "Secret":
                yield from (one for section in _SECTIONS for one in _of_section(held.get(section)))
        below = (
            (part for pair in node.value for part in pair) if isinstance(node, MappingNode) else node.value
        )
        for one in below if not isinstance(node, ScalarNode) else ():
            if id(one) not in seen:
                seen.add(id(one))
                waiting.append(one)


def _of_section(section: Node | None) -> Iterator[SecretValue]:
    for _, node in section.value if isinstance(section, MappingNode) else ():
        if isinstance(node, ScalarNode) and _looks_real(node.value):
            yield SecretValue(node.start_mark.line + 1, node.value)


def _looks_real(value: str) -> bool:
    texts = value, _decoded(value)
    return len(value) >= _SHORTEST and not any(_PLACEHOLDER.search(text) for text in texts)


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
