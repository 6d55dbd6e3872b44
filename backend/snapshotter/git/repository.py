"""A repository that we made, as git fills it, checks it and checks it out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, printable
from snapshotter.git import program
from snapshotter.git.ref_names import named
from snapshotter.git.refs import RefsLedger, is_oid

_MAX_FOLLOWED = 255  # bytes of a component of HEAD's target
_MAX_FINDINGS = 1000  # lines of fsck: a hostile repository has any number


class NotWhole(Unusable):
    """The repository lacks objects that its history needs."""

    default_code = "not-whole"


class Repository:
    """A repository that we made: `path` is its git directory."""

    def __init__(self, path: Path, cancel: Cancel) -> None:
        self.path = path
        self._cancel = cancel
        self._peels: dict[str, str] = {}  # what ids peel to: themselves, or a tag's object

    @classmethod
    def create(cls, path: Path, object_format: str, cancel: Cancel) -> Repository:
        """A new, empty, bare repository at `path`, without templates and so without hooks."""
        form = f"--object-format={object_format}"
        program.run(["init", "--quiet", "--bare", "--template=", form, str(path)], cancel)
        return cls(path, cancel)

    def index_pack(self, chunks: Iterable[memoryview]) -> None:
        """Add a pack, given in pieces, completing deltas against objects held before it.

        Hashes every object, and looks for each that one of them names: here or in the pack. So a repository that has
        grown by this alone is whole. Raises GitFailed with git's own words if the pack is not.
        """
        argv = ["index-pack", "--stdin", "--fix-thin", "--check-self-contained-and-connected"]
        # 1: some of what they name was here before.
        program.feed(argv, chunks, self._cancel, where=self._where(), success=(0, 1))

    def write_refs(self, ledger: RefsLedger) -> None:
        """Set every ref at once, symbolic refs and HEAD too, in place of those before.

        One `packed-refs` file, as `git clone` writes, instead of a file for each ref. What tags peel to is asked
        of the objects, which must be here; what the ledger says of it is for `differences` to judge.
        """
        shutil.rmtree(self.path / "refs")
        (self.path / "refs" / "heads").mkdir(parents=True)  # without it git sees no repository
        ledger = ledger.restorable
        peeled = self._peeled(ledger)
        lines = [b"# pack-refs with: peeled fully-peeled sorted \n"]
        for ref in ledger:
            if ref.symref is None:
                lines.append(b"%b %b\n" % (ref.oid.encode(), ref.name))
                if ref.oid in peeled:
                    lines.append(b"^%b\n" % peeled[ref.oid].encode())
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

    def differences(self, ledger: RefsLedger) -> list[str]:
        """What git reads here otherwise than the ledger says, a sentence for each kind; empty if they agree.

        Compared are every ref's name, id and alias, and HEAD, all as git itself reads them.
        """
        ledger = ledger.restorable
        read, recorded = self._refs(), {ref.name: (ref.oid, ref.symref or b"") for ref in ledger}
        other = sorted(name for name in {*read, *recorded} if read.get(name) != recorded.get(name))
        sentences = [f"git does not read back {named(other)} as the ledger has them"] if other else []
        aliases = {ref.name: ref.symref for ref in ledger if ref.symref}
        head = ledger.head_target  # git names the last of a row of symbolic refs
        recorded_head = aliases.get(head, head) if head is not None else (ledger.head_oid or "").encode()
        # git follows no HEAD whose target no file system could hold, and reads all the rest.
        followed = max(map(len, recorded_head.split(b"/"))) <= _MAX_FOLLOWED
        if recorded_head and followed and self._head() != recorded_head:
            sentences.append("git does not read back HEAD as the ledger has it")
        return sentences

    def wrongly_peeled(self, ledger: RefsLedger) -> list[bytes]:
        """The refs of which the ledger says that they peel to what, by their objects, they do not."""
        peeled = self._peeled(ledger)
        return [ref.name for ref in ledger if ref.peeled and peeled.get(ref.oid) != ref.peeled]

    def check_held(self, ledger: RefsLedger) -> None:
        """Check that what the refs name is here, and so, by `index_pack`, all that it reaches. Raises NotWhole."""
        self._peel(ledger.tips)
        if lacking := sorted(ledger.tips - self._peels.keys()):
            more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
            raise NotWhole(f"its history is not whole: it lacks {lacking[0]}{more}")

    def fsck(self) -> list[str]:
        """What `git fsck --strict` reports, as lines. To be recorded, and no verdict: well-known projects have some."""
        argv = ["fsck", "--strict", "--no-dangling", "--no-progress", "--no-reflogs"]
        answer = program.ask(argv, self._cancel, where=self._where())
        return [printable(line) for line in decode_name(answer.out + answer.err).splitlines()][:_MAX_FINDINGS]

    def configure(self, settings: Sequence[tuple[str, str]]) -> None:
        """Set configuration in the repository itself, each key to one value."""
        for key, value in settings:
            self._run(["config", "--replace-all", "--", key, value])

    def checkout(self, tree: Path) -> None:
        """Fill the work tree from HEAD: no hooks, no filters but git's own, no submodules."""
        argv = ["read-tree", "-m", "-u", "HEAD"]
        where = ["-C", str(tree), *self._where(), f"--work-tree={tree}"]
        program.run(argv, self._cancel, where=where)

    def refresh(self, tree: Path) -> None:
        """Have the index know the files of `tree`, which were moved there from where they were checked out."""
        where = ["-C", str(tree), *self._where(), f"--work-tree={tree}"]
        program.ask(["update-index", "-q", "--refresh"], self._cancel, where=where)

    def _refs(self) -> dict[bytes, tuple[str, bytes]]:
        """Object id and alias (or nothing) by ref name, as git reads them."""
        lines = self._run(["for-each-ref", "--format=%(objectname) %(refname) %(symref)"]).splitlines()
        return {name: (oid.decode(), symref) for oid, name, symref in (line.split(b" ", 2) for line in lines)}

    def _head(self) -> bytes:
        """HEAD as git reads it: the name of a ref, or an object id; empty if git reads neither."""
        for argv in (["symbolic-ref", "-q", "HEAD"], ["rev-parse", "-q", "--verify", "HEAD"]):
            if head := program.ask(argv, self._cancel, where=self._where()).out:
                return head.removesuffix(b"\n")
        return b""

    def _peeled(self, ledger: RefsLedger) -> Mapping[str, str]:
        """What annotated tags peel to, by their ids: of the ledger's refs and of others asked about before."""
        self._peel(ref.oid for ref in ledger)
        return {oid: peeled for oid, peeled in self._peels.items() if peeled != oid}

    def _peel(self, oids: Iterable[str]) -> None:
        """Ask of ids what they peel to, unless that is known."""
        new = sorted(set(oids) - self._peels.keys())
        if not new:
            return
        request = "".join(f"{oid}^{{}}\n" for oid in new).encode()
        argv = ["cat-file", "--batch-check=%(objectname)"]
        answer = program.run(argv, self._cancel, where=self._where(), stdin=request).split(b"\n")
        # An object that is missing, or a tag of one, is answered by words.
        pairs = zip(new, answer, strict=False)
        self._peels |= {oid: line.decode() for oid, line in pairs if is_oid(line)}

    def _where(self) -> list[str]:
        """git's options that name the repository, so that git looks for none by itself."""
        return [f"--git-dir={self.path}"]

    def _run(self, argv: list[str]) -> bytes:
        return program.run(argv, self._cancel, where=self._where())
