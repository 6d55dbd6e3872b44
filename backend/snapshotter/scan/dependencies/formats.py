"""TOML, JSON, YAML and XML from hostile bytes: data of plain types, or a ManifestError.

Each parser has inputs that take it down: deep nesting, aliases and entities that multiply, huge integers, plain
size. All are refused here.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, ClassVar, Final
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from snapshotter.scan.dependencies.record import ManifestError

MAX_BYTES: Final = 16 * 1024 * 1024  # the largest lock files of real projects are half of it
MAX_DEPTH: Final = 100
_MAX_ALIASES: Final = 1_000
_MAX_MERGED: Final = 20  # mappings in one
# A key of very many parts, each bare or quoted: reading one takes time that grows with the square of them.
_LONG_KEY: Final = re.compile(
    r"""(?<![\w-])(?:(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)"""
    f"{{{MAX_DEPTH}}}"
)
_MERGE: Final = "tag:yaml.org,2002:merge"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Takes a merge key (`<<`) for a plain one: to merge masses of aliases would multiply them."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        start: [one for one in resolvers if one[0] != _MERGE]
        for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def text(blob: bytes) -> str:
    """UTF-8 text without its byte order mark. Raises ManifestError for a blob over MAX_BYTES."""
    if len(blob) > MAX_BYTES:
        raise ManifestError(f"larger than {MAX_BYTES:,} bytes")
    return blob.decode("utf-8-sig", "backslashreplace")


def toml(blob: bytes) -> dict[str, Any]:
    """A TOML document."""
    source = text(blob)
    if _LONG_KEY.search(source):
        raise ManifestError(f"not TOML: a key of over {MAX_DEPTH} parts")
    try:
        return tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ManifestError(f"not TOML: {_reason(error)}") from error


def json_object(blob: bytes) -> dict[str, Any]:
    """A JSON document whose root is an object."""
    source = text(blob)
    try:
        return mapping(json.loads(source), "the document")
    except (RecursionError, ValueError) as error:
        raise ManifestError(f"not JSON: {_reason(error)}") from error


def yaml_object(blob: bytes) -> dict[str, Any]:
    """A YAML document whose root is a mapping; merge keys stay as they are (see `merged`), custom tags are refused."""
    source = text(blob)
    try:
        loader = _Loader(source)
        try:
            _check_events(loader)
        finally:
            loader.dispose()
        return mapping(yaml.load(source, Loader=_Loader), "the document")  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ManifestError(f"not YAML: {_reason(error)}") from error


def yaml_documents(blob: bytes) -> list[yaml.Node]:
    """The documents of a YAML stream as nodes, which know their lines."""
    source = text(blob)
    try:
        loader = _Loader(source)
        try:
            _check_events(loader)
        finally:
            loader.dispose()
        return [node for node in yaml.compose_all(source, Loader=_Loader) if node is not None]
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ManifestError(f"not YAML: {_reason(error)}") from error


def _check_events(loader: Any) -> None:
    """Refuse masses of aliases and what nests too deeply, before anything is built."""
    depth = aliases = 0
    while loader.check_event():
        event = loader.get_event()
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif getattr(event, "tag", None) == _MERGE:
            raise ManifestError("a tag of YAML for merge keys is refused")
        if depth > MAX_DEPTH or aliases > _MAX_ALIASES:
            raise ManifestError(f"over {MAX_DEPTH} levels or {_MAX_ALIASES:,} aliases of YAML")


def xml(blob: bytes) -> Element:
    """The root of an XML document; entities, external references and document types are refused."""
    if len(blob) > MAX_BYTES:
        raise ManifestError(f"larger than {MAX_BYTES:,} bytes")
    try:
        root: Element = fromstring(blob, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise ManifestError(f"not XML: {_reason(error)}") from error
    return root


def mapping(value: Any, what: str) -> dict[str, Any]:
    """The value if it is a mapping; None counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ManifestError(f"{what} is {type(value).__name__}, not a table")
    return value


def merged(table: dict[str, Any]) -> dict[str, Any]:
    """A mapping of YAML with what its merge keys (`<<`) bring in: what is nearer holds. Of masses of them, the first
    count."""
    whole: dict[str, Any] = {}
    waiting: list[Any] = [table]
    for _ in range(_MAX_MERGED):
        if not waiting:
            break
        one = waiting.pop(0)
        if isinstance(one, dict):
            whole = {name: value for name, value in one.items() if name != "<<"} | whole
            waiting[:0] = [one["<<"]] if "<<" in one else []
        elif isinstance(one, list):
            waiting[:0] = one[:_MAX_MERGED]
    return whole


def tables(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings in a list; anything else in it, or instead of it, is passed over."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def strings(value: Any) -> Iterator[str]:
    """The strings in a list; anything else in it, or instead of it, is passed over."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, str))


def string(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return " ".join(str(error).split())[:200] or type(error).__name__
