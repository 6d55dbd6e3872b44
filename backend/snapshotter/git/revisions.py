"""Questions about the commits in a repository of ours: which it holds, who descends from whom, what they weigh."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.git import program


class Revisions:
    """What is in the git directory `path`. Raises as `program.run` does."""

    def __init__(self, path: Path, cancel: Cancel) -> None:
        self.path = path
        self._cancel = cancel

    def holds(self, oids: Iterable[str]) -> set[str]:
        """Those of the objects that are here."""
        asked = sorted({*oids})
        if not asked:
            return set()
        out = self._run(["cat-file", "--batch-check=%(objectname)"], asked)
        # What is missing is answered by its id and a word.
        return {*asked} & {*out.decode("utf-8", "replace").splitlines()}

    def leads_to(self, old: str, new: str) -> bool:
        """Whether `new` is `old`, or a commit that descends from it; False if either is no commit that is here."""
        argv = ["merge-base", "--is-ancestor", old, new]
        return program.ask(argv, self._cancel, where=self._where()).code == 0

    def weight(self, tips: Iterable[str], known: Collection[str] = ()) -> int:
        """What a pack of all that `tips` reach weighs about, without what is reached from `known`."""
        argv = ["rev-list", "--objects", "--disk-usage", "--stdin"]
        return int(self._run(argv, [*tips, *(f"^{oid}" for oid in known)]))

    def first_parents(self, tip: str, known: Collection[str] = ()) -> list[str]:
        """The commits of the line that leads to `tip`, the oldest first, without what is reached from `known`."""
        argv = ["rev-list", "--first-parent", "--reverse", "--stdin"]
        return self._run(argv, [tip, *(f"^{oid}" for oid in known)]).decode().split()

    def _where(self) -> list[str]:
        return [f"--git-dir={self.path}"]

    def _run(self, argv: list[str], lines: Iterable[str] | None = None) -> bytes:
        stdin = None if lines is None else "".join(f"{line}\n" for line in lines).encode()
        return program.run(argv, self._cancel, where=self._where(), stdin=stdin)
