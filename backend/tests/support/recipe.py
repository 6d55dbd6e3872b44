"""The recipe of README, run as it stands there, and origins whose every step is snapshotted and remembered."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions
from snapshotter.git.bundle import DETACHED
from tests.support.git import ENV, Origin, git
from tests.support.lab import Lab

README = Path(__file__).parents[3] / "README.md"
FORMAT = README.parent / "docs" / "format.md"
SMALL = CaptureOptions(segment_bytes=64 * 1024)


def documented() -> str:
    """The recipe as README gives it to users."""
    found = re.search(r"<!-- command: restore -->\n```sh\n(.*?)\n```", README.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def by_recipe(lab: Lab, taken: Sealed, folder: Path, *, whole: bool = True) -> Path:
    """Restore as README says, word for word, into `folder`. Git refuses no ref, if the snapshot comes back `whole`."""
    folder.mkdir(parents=True)
    names = []
    for number, key in enumerate(taken.manifest.chain_keys):
        shutil.copytree(lab.root / key.folder, folder / f"copied {number}")
        names.append(f"copied {number}")
    argv = ["sh", "-c", ("set -e\n" if whole else "") + documented(), "sh", *names]
    done = subprocess.run(argv, env=ENV, cwd=folder, capture_output=True, check=False)
    assert not whole or done.returncode == 0, done.stderr.decode(errors="replace")
    return folder / "x.git"


def refs(folder: Path) -> bytes:
    return git(folder, "for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(refname)")


def objects(folder: Path) -> set[bytes]:
    return {line[:40] for line in git(folder, "rev-list", "--all", "--objects").splitlines()}


class Told:
    """An origin whose every step is snapshotted and remembered."""

    def __init__(self, tmp_path: Path, object_format: str = "sha1") -> None:
        self.tmp_path = tmp_path
        self.origin = Origin(tmp_path / "x.git", object_format=object_format)
        # So heavy that no increment outweighs the base.
        self.origin.commit("refs/heads/bulk", {"bulk": random.Random(3).randbytes(40_000)})
        self.lab = Lab(tmp_path / "store")
        self.moments: list[tuple[Sealed, bytes, set[bytes]]] = []

    def take(self, options: CaptureOptions = SMALL) -> Sealed:
        taken = self.lab.take(self.origin, options)
        # `rev-list --all` counts a detached HEAD in; the recipe's refs do not hold it.
        seen = git(
            self.origin.path,
            "rev-list",
            "--objects",
            "--stdin",
            data=b"\n".join(line.split()[0] for line in refs(self.origin.path).splitlines()),
        )
        self.moments.append((taken, refs(self.origin.path), {line[:40] for line in seen.splitlines()}))
        return taken

    def check(self) -> None:
        for number, (taken, then, reachable) in enumerate(self.moments):
            made = by_recipe(self.lab, taken, self.tmp_path / f"recipe-{number}")
            if head := git(made, "rev-parse", "-q", "--verify", DETACHED, check=False):
                assert head.decode().strip() == taken.manifest.head
                git(made, "update-ref", "-d", DETACHED)
            assert refs(made) == then, taken.manifest.run_id
            assert objects(made) == reachable
            assert git(made, "fsck", "--full", "--no-dangling", check=False) == b""
