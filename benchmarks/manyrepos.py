"""Hundreds of small bare repositories in a second: one `git fast-import` makes all their objects.

Each has objects of its own, which it borrows (`objects/info/alternates`) from one folder beside them all, and refs of
its own: `main`, a branch beside it, and an annotated tag. What a git server sends of it is its own objects alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from fastimport import commit_head, fast_import, git, inline_file
from generate import EPOCH

_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
_PIECE = 1 << 20  # bytes made at a time


class ManyRepos:
    """The repositories in the folder `root`, each in a folder `<name>.git`; their objects lie in `lent` beside it."""

    def __init__(self, root: Path, seed: int = 1) -> None:
        self.root = root
        self.lent = root.with_name(f"{root.name}-objects.git")
        self._random = random.Random(seed)
        self._commits = 0
        root.mkdir(parents=True)
        self.lent.mkdir()
        git(self.lent, "init", "--quiet", "--bare", ".")

    def path(self, name: str) -> Path:
        """Where the repository lies."""
        return self.root / f"{name}.git"

    def add(self, names: Sequence[str]) -> None:
        """Make repositories of three commits each."""
        fast_import(self.lent, (piece for name in names for piece in self._history(name)))
        for name in names:
            self._place(name)
        self._publish(names)

    def add_large(self, name: str, size: int) -> None:
        """Make a repository of one file of `size` bytes that nothing compresses."""
        head = (
            commit_head(_ref(name, "main"), EPOCH, "large", False)
            + f"M 100644 inline noise\ndata {size}\n".encode()
        )
        pieces = (self._random.randbytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE))
        fast_import(self.lent, chain([head], pieces, [b"\n"]))
        self._place(name)
        self._publish([name])

    def add_empty(self, name: str) -> None:
        """Make a repository without a ref."""
        git(self.root, "init", "--quiet", "--bare", "--initial-branch=main", f"{name}.git")

    def commit(self, names: Sequence[str], size: int = 400) -> None:
        """One more commit on the main branch of each, with a file of `size` bytes."""
        mains = [_ref(name, "main") for name in names]
        fast_import(
            self.lent, (piece for main in mains for piece in self._commit(main, again=True, size=size))
        )
        self._publish(names)

    def rewrite(self, names: Sequence[str], size: int = 400) -> None:
        """A main branch that has nothing of what it was: one commit with a file of `size` bytes."""
        pieces = (piece for name in names for piece in self._commit(_ref(name, "main"), size=size))
        fast_import(self.lent, pieces)
        self._publish(names)

    def _place(self, name: str) -> None:
        """Make the folder of a repository that has no refs yet."""
        path = self.path(name)
        (path / "refs").mkdir(parents=True)
        (path / "objects" / "info").mkdir(parents=True)
        (path / "objects" / "info" / "alternates").write_text(f"{self.lent.resolve()}/objects\n")
        (path / "config").write_text(_CONFIG)
        (path / "HEAD").write_text("ref: refs/heads/main\n")

    def _history(self, name: str) -> Iterator[bytes]:
        main, side = _ref(name, "main"), _ref(name, "side")
        yield from self._commit(main, size=6_000)
        yield from self._commit(main)
        yield f"reset {side}\nfrom {main}\n\n".encode()
        yield from self._commit(side)
        yield f"tag {name}/v1\nfrom {main}\ntagger A U Thor <author@example.org> {EPOCH} +0000\n".encode()
        yield b"data 3\nv1\n\n"

    def _commit(self, branch: str, *, again: bool = False, size: int = 400) -> Iterator[bytes]:
        """A commit that follows the branch of this stream, if there is one; with `again`, that of the repository."""
        self._commits += 1
        yield commit_head(branch, EPOCH + self._commits, f"commit {self._commits}", again)
        text = f"{branch}: {self._commits}\n{self._random.randbytes(size // 2).hex()}\n"
        yield inline_file(f"notes-{self._commits % 4}.txt", text.encode())

    def _publish(self, names: Sequence[str]) -> None:
        """Write each repository's refs as those of its own that the lending repository has now."""
        refs: dict[str, list[str]] = {name: [] for name in names}
        shown = git(self.lent, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)")
        for line in shown.splitlines():
            ref, oid, peeled = line.split(" ")
            _, kind, name, own = ref.split("/")
            if name in refs:
                refs[name].append(f"{oid} refs/{kind}/{own}\n" + (f"^{peeled}\n" if peeled else ""))
        for name, lines in refs.items():
            packed = "# pack-refs with: peeled fully-peeled sorted \n" + "".join(lines)
            new = self.path(name) / "packed-refs.new"
            new.write_text(packed)
            new.replace(self.path(name) / "packed-refs")


def _ref(name: str, branch: str) -> str:
    """A repository's branch, in the repository that lends."""
    return f"refs/heads/{name}/{branch}"
