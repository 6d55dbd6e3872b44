"""A manifest as it is stored: canonical JSON with the digest of itself, and what a reader refuses.

Canonical JSON is UTF-8 with sorted keys and no spaces. A reader refuses a schema version that it does not know, unknown
fields, and bytes that are not in canonical form.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from snapshotter.archive.canonical import canonical, with_own_digest
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import READABLE, Manifest
from snapshotter.base.errors import Damaged, NewerSchema
from snapshotter.git.refs import OID_LENGTHS

# Runs of one chain. A release makes at most a quarter of that; without a bound, a forged chain costs a reader any time.
_MAX_CHAIN: Final = 100


class Sealed(NamedTuple):
    """A manifest as stored: the record, its bytes, and their SHA-256."""

    manifest: Manifest
    data: bytes
    sha256: str


def seal(manifest: Manifest) -> Sealed:
    """The manifest's stored form, with the digest of itself."""
    sealed = with_own_digest(manifest)
    data = canonical(sealed)
    return Sealed(sealed, data, hashlib.sha256(data).hexdigest())


def open_sealed(data: bytes, where: RunKey) -> Sealed:
    """Read a stored manifest of the run `where`.

    Raises NewerSchema for a schema that this release does not know; Damaged if it is unreadable, not canonical,
    altered, or the record of another run.
    """
    manifest = _decode(data, where)
    # Written anew and compared: so a spelling of the same values that nobody hashed is refused too.
    sealed = seal(manifest)
    if sealed.data != data:
        raise _bad(
            where, "its bytes are not what they were when it was written (self_sha256)", "manifest-damaged"
        )
    if manifest.key != where:
        raise _bad(where, f"it is the record of {manifest.key.folder}", "manifest-misplaced")
    if len(manifest.chain) > _MAX_CHAIN:
        what = f"its chain has {len(manifest.chain):,} runs, and none has over {_MAX_CHAIN}"
        raise _bad(where, what, "manifest-damaged")
    if any(RunId.parse(run) is None for run in manifest.chain) or (
        manifest.chain != sorted(set(manifest.chain))
    ):
        raise _bad(where, "its chain is not one of run ids in order", "manifest-damaged")
    history = manifest.history
    ids = [*history.prerequisites, history.pack_checksum] if history else []
    if any(OID_LENGTHS.get(len(oid)) != manifest.object_format for oid in ids):
        raise _bad(where, f"its history is not {manifest.object_format}", "manifest-damaged")
    return sealed


def check_continues(manifest: Manifest, parent: Manifest) -> None:
    """Raises Damaged (code `mixed-chain`) if a manifest's chain goes on from its parent's in another object format.

    No repository holds both, so such a chain restores nothing.
    """
    if set(manifest.chain) & set(parent.chain) and manifest.object_format != parent.object_format:
        why = mixed_formats(manifest.object_format, parent.run_id, parent.object_format)
        raise _bad(manifest.key, why, "mixed-chain")


def mixed_formats(own: str, parent: str, of_parent: str) -> str:
    """What is wrong with a snapshot whose chain goes on from a parent of another object format."""
    return f"its chain mixes object formats: it is {own}, and {parent} is {of_parent}"


def _decode(data: bytes, where: RunKey) -> Manifest:
    try:
        version = _VERSIONS.decode(data).schema_version
        if version not in READABLE:
            known = " and ".join(map(str, READABLE))
            raise NewerSchema(
                _cannot_be_used(where, f"it has schema version {version}, and this program knows {known}"),
                hint="use the release of snapshotter that wrote it, or a newer one",
            )
        return _MANIFESTS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(where, f"it does not read as a manifest ({error})", "manifest-unreadable") from None


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


# Made here, by one thread: two that decode a type for the first time at once crash the process (msgspec 0.22).
_VERSIONS: Final = msgspec.json.Decoder(_Version)
_MANIFESTS: Final = msgspec.json.Decoder(Manifest)


def _cannot_be_used(where: RunKey, why: str) -> str:
    return f"the manifest of {where.folder} cannot be used: {why}"


def _bad(where: RunKey, why: str, code: str) -> Damaged:
    return Damaged(
        _cannot_be_used(where, why),
        code=code,
        hint="run `snapshotter verify` on it, and name an older snapshot with @RUN-ID meanwhile",
    )
