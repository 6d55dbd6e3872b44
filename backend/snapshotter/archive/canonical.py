"""Canonical JSON, and records that carry the digest of themselves.

UTF-8, sorted keys, no spaces: equal values have equal bytes, so a digest of the bytes is one of the value.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol, TypeVar

import msgspec


class Record(Protocol):
    """A msgspec struct with room for its own digest."""

    @property
    def self_sha256(self) -> str:
        """The SHA-256 of the record's canonical form with this field empty; '' before it is sealed."""
        ...


R = TypeVar("R", bound=Record)


def canonical(value: Any) -> bytes:
    """Canonical JSON of anything msgspec can encode."""
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def with_own_digest(record: R) -> R:
    """The record with `self_sha256` filled in, whatever it held before.

    It tells a flipped bit from an edit even in a record whose digest no other record names yet.
    """
    replace: Any = msgspec.structs.replace
    blank = replace(record, self_sha256="")
    sealed: R = replace(blank, self_sha256=hashlib.sha256(canonical(blank)).hexdigest())
    return sealed
