"""Which of the refs that an origin lists are taken, and which are left out and why.

Patterns come first, so that whoever is told of a ref in the way can leave it out. Then goes what no repository can
hold: one sick ref does not cost the others. Of what is taken, some refs come back by `restore` alone.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import lru_cache

from msgspec import Struct

from snapshotter.git.ref_names import HEADS, folders, possible_name, too_long
from snapshotter.git.refs import Ref, RefListing, RefsLedger, is_null


class Selection(Struct, frozen=True):
    """The refs to take, and the names of those left out: by the patterns; because no repository can hold them
    (a name that git refuses, a null id); because the origin lists them but lacks their object."""

    ledger: RefsLedger
    by_pattern: Sequence[bytes] = ()
    impossible: Sequence[bytes] = ()
    lacking: Sequence[bytes] = ()


def select(
    listed: RefListing, include: Sequence[str], exclude: Sequence[str], lacking: Set[str] = frozenset()
) -> Selection:
    """The refs to take of those listed. `lacking` are the object ids that the origin turned out not to have.

    A pattern is a full ref name in which ``*`` matches any characters, slashes too; without
    ``include`` every ref is in. HEAD stays as it is: what it points at may then be left out.
    Raises Unusable for a name listed twice, and for object ids of another format than the origin's.
    """
    chosen, by_pattern = _chosen(listed, include, exclude)
    impossible = [ref.name for ref in chosen if not possible_name(ref.name) or is_null(ref.oid)]
    sick = [ref.name for ref in chosen if ref.oid in lacking]
    target, oid = listed.head_target, listed.head_oid
    if (target is not None and not possible_name(target)) or (oid and is_null(oid)):
        impossible.append(b"HEAD")
        target, oid = None, oid if oid and not is_null(oid) else None
    if oid in lacking:
        sick.append(b"HEAD")
        oid = None
    left_out = {*impossible, *sick}
    ledger = RefsLedger.build(
        (ref for ref in chosen if ref.name not in left_out), target, oid, listed.object_format
    )
    return Selection(
        replace(ledger, head_guessed=listed.head_guessed), by_pattern, sorted(impossible), sorted(sick)
    )


def clashing(ledger: RefsLedger) -> list[bytes]:
    """The refs that lie below another ref's name: refs/heads/a/b beside refs/heads/a.

    Only a packed-refs file can hold both. `restore` writes such a file and so brings both back; a restore by
    hand, with `git fetch`, brings one of them.
    """
    names = {ref.name for ref in ledger}
    return [ref.name for ref in ledger if any(folder in names for folder in folders(ref.name))]


def not_by_hand(ledger: RefsLedger, no_commits: Set[str]) -> list[bytes]:
    """The refs that `restore` brings back and `git fetch` refuses to write.

    Git lets a branch hold a commit and nothing else (`no_commits` are the ids of other objects), and it writes each
    ref into a file, for which some names are too long.
    """
    return [
        ref.name
        for ref in ledger
        if too_long(ref.name) or (ref.name.startswith(HEADS) and (ref.peeled or ref.oid in no_commits))
    ]


def _chosen(
    listed: RefListing, include: Sequence[str], exclude: Sequence[str]
) -> tuple[list[Ref], list[bytes]]:
    """The refs that the patterns choose, and the names of the others, sorted."""
    included = _matcher(tuple(include)) if include else None
    excluded = _matcher(tuple(exclude)) if exclude else None
    chosen, left_out = [], []
    for ref in listed:
        name = ref.name.decode("latin-1")
        if (included is None or included.match(name)) and not (excluded and excluded.match(name)):
            chosen.append(ref)
        else:
            left_out.append(ref.name)
    return chosen, sorted(left_out)


@lru_cache(64)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    # Kept, for a fleet's repositories have the same patterns: to compile them took longer than to list small ones.
    # A name may be any bytes, so patterns are matched byte by byte: latin-1 makes one character of each.
    translated = (fnmatch.translate(p.encode().decode("latin-1")) for p in patterns)
    return re.compile("|".join(translated))
