"""A bundle's header, written and read, and the prerequisites that an increment names in it.

Source: git's gitformat-bundle (v2, and v3 for SHA-256). After the header comes a pack: see `pack_frame`.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from msgspec import Struct

from snapshotter.base.errors import Unusable
from snapshotter.git.refs import RefsLedger, is_oid

DETACHED = b"refs/snapshotter/head"
MAX_HEADER = 512 * 1024 * 1024  # bytes: over a million refs of ordinary length


def prerequisites(parent: RefsLedger, commits: Set[str]) -> frozenset[str]:
    """The commits an increment names as already held: the parent's branch tips, of which `commits` are known to be.

    Git refuses to unbundle a bundle whose prerequisite is not a commit (gitformat-bundle), and servers of
    other makes let a branch hold a tag, a tree or a blob. The set is a guard, not an inventory, so leaving some
    out, or all, loses nothing.
    """
    return parent.branch_tips & commits


def listed(ledger: RefsLedger) -> dict[bytes, str]:
    """What a bundle of these refs lists: each ref, and ``HEAD`` where it resolves, as git's own bundles do.

    A fetch of refs/* passes over HEAD. So a detached one whose commit no ref names is listed under DETACHED too,
    unless the origin has refs below `refs/snapshotter`.
    """
    refs = {ref.name: ref.oid for ref in ledger}
    head = ledger.head_oid or refs.get(ledger.head_target or b"")
    entries = {b"HEAD": head, **refs} if head else refs
    folder = DETACHED.rpartition(b"/")[0]
    in_use = any(name == folder or name.startswith(folder + b"/") for name in refs)
    if ledger.head_oid and ledger.head_oid not in refs.values() and not in_use:
        entries[DETACHED] = ledger.head_oid
    return entries


def header(ledger: RefsLedger, required: Iterable[str]) -> bytes:
    """A bundle header that lists every ref of `ledger`, changed or not.

    git's own `bundle create` lists only what it packs; then a pruning fetch would delete the rest.
    """
    lines = [b"# v2 git bundle\n"]
    if ledger.object_format != "sha1":
        lines = [b"# v3 git bundle\n", b"@object-format=%b\n" % ledger.object_format.encode()]
    lines += (b"-%b \n" % oid.encode() for oid in sorted(required))
    lines += (b"%b %b\n" % (oid.encode(), name) for name, oid in listed(ledger).items())
    lines.append(b"\n")
    return b"".join(lines)


class BundleHeader(Struct, frozen=True):
    """What a bundle's header says: object format, prerequisite ids, refs by name, and its length in bytes."""

    object_format: str
    prerequisites: frozenset[str]
    refs: dict[bytes, str]
    length: int

    def matches(self, ledger: RefsLedger) -> bool:
        """Whether the header lists exactly the ledger's refs, as we write them or as schema version 1 did: those
        bundles list HEAD only where it is detached."""
        return self.refs == listed(ledger) or self.refs == ledger.oids


def parse_header(data: bytes) -> BundleHeader | None:
    """Read a bundle's header from its first bytes; None if more bytes are needed.

    Raises Unusable if the bytes are no bundle.
    """
    end = data.find(b"\n\n")
    if end < 0:
        if len(data) > MAX_HEADER or not b"# v2 git bundle\n".startswith(data[:16].replace(b"v3", b"v2")):
            raise _not_a_bundle("does not begin as a bundle")
        return None
    signature, *lines = data[:end].split(b"\n")
    if signature not in (b"# v2 git bundle", b"# v3 git bundle"):
        raise _not_a_bundle("does not begin as a bundle")
    fmt, required, refs = "sha1", set(), {}
    for line in lines:
        oid, _, name = line.removeprefix(b"-").partition(b" ")
        if line == b"@object-format=sha256":
            fmt = "sha256"
        elif not is_oid(oid):
            raise _not_a_bundle("has a header line that cannot be read")
        elif line.startswith(b"-"):
            required.add(oid.decode())
        else:
            refs[name] = oid.decode()
    return BundleHeader(fmt, frozenset(required), refs, end + 2)


def _not_a_bundle(what: str) -> Unusable:
    """The error for a stored object that should be a bundle."""
    return Unusable(
        f"the stored bundle {what}",
        code="bad-bundle",
        hint="the object was altered or is not ours; run `snapshotter verify` on this snapshot",
    )
