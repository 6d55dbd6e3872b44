"""What a local repository holds that no list of its refs shows: its worktrees' own HEADs, and older stashes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.base.cancel import Cancel
from snapshotter.git import program
from snapshotter.git.refs import RefsLedger, is_oid

_STASH: Final = b"refs/stash"


class Unlisted(NamedTuple):
    """Commits that no ref of a ledger reaches, by what names them: worktrees by their paths, stashes as `stash@{1}`."""

    worktree_heads: tuple[bytes, ...] = ()
    stashes: tuple[bytes, ...] = ()


def unlisted(path: str, ledger: RefsLedger, cancel: Cancel) -> Unlisted:
    """What the repository at `path` holds beside the refs in `ledger`: detached HEADs of other worktrees whose commits
    no ref reaches, and the stashes before the newest, which only the reflog of refs/stash knows.

    Raises Unavailable if git cannot tell.
    """
    repository = Path(path)
    where = [f"--git-dir={repository / '.git' if (repository / '.git').exists() else repository}"]
    return Unlisted(
        tuple(_worktree_heads(where, ledger, cancel)), tuple(_older_stashes(where, ledger, cancel))
    )


def _worktree_heads(where: list[str], ledger: RefsLedger, cancel: Cancel) -> list[bytes]:
    heads = dict(_detached(program.run(["worktree", "list", "--porcelain"], cancel, where=where)))
    loose = {path: oid for path, oid in heads.items() if oid.decode() not in ledger.tips}
    if not loose:
        return []
    revisions = [*loose.values(), *(f"^{oid}".encode() for oid in ledger.tips)]
    argv = ["rev-list", "--ignore-missing", "--stdin"]
    beyond = set(program.run(argv, cancel, where=where, stdin=b"\n".join(revisions) + b"\n").split())
    return sorted(path for path, oid in loose.items() if oid in beyond)


def _detached(listed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The worktrees with a detached HEAD: path and commit, from `git worktree list --porcelain`."""
    for block in listed.split(b"\n\n"):
        fields = dict(line.partition(b" ")[::2] for line in block.split(b"\n"))
        if b"detached" in fields and is_oid(oid := fields.get(b"HEAD", b"")):
            yield fields.get(b"worktree", b""), oid


def _older_stashes(where: list[str], ledger: RefsLedger, cancel: Cancel) -> list[bytes]:
    if _STASH not in ledger.oids:
        return []
    argv = ["rev-list", "--ignore-missing", "--walk-reflogs", _STASH.decode()]
    stashes = program.run(argv, cancel, where=where).split()
    return [
        b"stash@{%d}" % number
        for number, oid in enumerate(stashes)
        if number and oid.decode() not in ledger.tips
    ]
