"""A repository that we made, as git fills it, checks it and checks it out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, printable
from snapshotter.git import program
from snapshotter.git.refs import RefsLedger

_MAX_FINDINGS = 1000  # lines of fsck: a hostile repository has any number


class NotWhole(Unusable):
    """The repository lacks objects that its history needs."""

    default_code = "not-whole"


class Repository:
    """A repository that we made: `path` is its git directory."""

    def __init__(self, path: Path, cancel: Cancel) -> None:
        self.path = path
        self._cancel = cancel

    @classmethod
    def create(cls, path: Path, object_format: str, cancel: Cancel) -> Repository:
        """A new, empty, bare repository at `path`, without templates and so without hooks."""
        form = f"--object-format={object_format}"
        program.run(["init", "--quiet", "--bare", "--template=", form, str(path)], cancel)
        return cls(path, cancel)

    def index_pack(self, chunks: Iterable[memoryview]) -> None:
        """Add a pack, given in pieces, completing deltas against objects held before it.

        Hashes every object. Raises GitFailed with git's own words if the pack is not whole.
        """
        program.feed(["index-pack", "--stdin", "--fix-thin"], chunks, self._cancel, place=self._place())

    def write_refs(self, ledger: RefsLedger) -> None:
        """Set every ref at once, symbolic refs and HEAD too, in place of those before.

        One `packed-refs` file, as `git clone` writes, instead of a file for each ref.
        """
        shutil.rmtree(self.path / "refs")
        (self.path / "refs" / "heads").mkdir(parents=True)  # without it git sees no repository
        lines = [b"# pack-refs with: peeled fully-peeled sorted \n"]
        for ref in ledger:
            if ref.symref is None:
                lines.append(b"%b %b\n" % (ref.oid.encode(), ref.name))
                if ref.peeled:
                    lines.append(b"^%b\n" % ref.peeled.encode())
        (self.path / "packed-refs").write_bytes(b"".join(lines))
        for ref in ledger:
            if ref.symref is not None:
                place = Path(os.fsdecode(os.path.join(os.fsencode(self.path), ref.name)))  # noqa: PTH118 - names are bytes
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"ref: %b\n" % ref.symref)
        if ledger.head_target is not None:
            (self.path / "HEAD").write_bytes(b"ref: %b\n" % ledger.head_target)
        elif ledger.head_oid:
            (self.path / "HEAD").write_bytes(b"%b\n" % ledger.head_oid.encode())

    def check_whole(self, tips: Iterable[str], known: Iterable[str] = ()) -> None:
        """Check that every object that can be reached from `tips` is there. Raises NotWhole with git's words.

        What can be reached from `known` was checked before, and is not checked again.
        """
        revisions = "".join(f"{oid}\n" for oid in tips) + "".join(f"^{oid}\n" for oid in known)
        argv = ["rev-list", "--objects", "--stdin", "--quiet"]
        answer = program.ask(argv, self._cancel, place=self._place(), stdin=revisions.encode())
        if answer.code:
            raise NotWhole(f"its history is not whole: {program.words(answer.err) or 'rev-list failed'}")

    def refs(self) -> dict[bytes, str]:
        """Object id by ref name, as git reads them."""
        lines = self._run(["for-each-ref", "--format=%(objectname) %(refname)"]).splitlines()
        return {name: oid.decode() for oid, _, name in (line.partition(b" ") for line in lines)}

    def fsck(self) -> list[str]:
        """What `git fsck --strict` reports, as lines. To be recorded, and no verdict: well-known projects have some."""
        argv = ["fsck", "--strict", "--no-dangling", "--no-progress", "--no-reflogs"]
        answer = program.ask(argv, self._cancel, place=self._place())
        return [printable(line) for line in decode_name(answer.out + answer.err).splitlines()][:_MAX_FINDINGS]

    def configure(self, settings: Sequence[tuple[str, str]]) -> None:
        """Set configuration in the repository itself."""
        for key, value in settings:
            self._run(["config", "--add", "--", key, value])

    def checkout(self, tree: Path) -> None:
        """Fill the work tree from HEAD: no hooks, no filters but git's own, no submodules."""
        argv = ["read-tree", "-m", "-u", "HEAD"]
        place = ["-C", str(tree), *self._place(), f"--work-tree={tree}"]
        program.run(argv, self._cancel, place=place)

    def _place(self) -> list[str]:
        return [f"--git-dir={self.path}"]

    def _run(self, argv: list[str]) -> bytes:
        return program.run(argv, self._cancel, place=self._place())
