"""Any history, any moment: a snapshot after each of many random steps restores to exactly that moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions
from tests.support.git import Origin, State
from tests.support.lab import Lab

MAX_INCREMENTS = 5


class History:
    """A repository that changes by random steps, as a busy one does, including what people should not do."""

    def __init__(self, origin: Origin, seed: int) -> None:
        self.origin = origin
        self.random = random.Random(seed)
        self.names = 0
        self.done: set[str] = set()
        for _ in range(3):
            self.commits()

    def step(self) -> str:
        """Do one to three things, then sometimes tidy up as hosts do."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self.commits, 6),
            (self.merge, 3),
            (self.force_push, 3),
            (self.create_branch, 3),
            (self.delete_branch, 2),
            (self.tag, 3),
            (self.delete_tag, 2),
            (self.tag_blob_or_tree, 3),
            (self.nested_tag, 2),
            (self.move_tag, 2),
            (self.note, 2),
            (self.nothing, 2),
            (self.head, 3),
            (self.alias, 1),
            (self.back, 2),
            (self.no_branches, 1),
        ]
        chosen = self.random.choices(*zip(*steps, strict=True), k=self.random.choice((1, 1, 2, 3)))
        if self.random.random() < 0.15:
            chosen.append(self.gc)
        for do in chosen:
            do()
            self.done.add(do.__name__)
        return " ".join(do.__name__ for do in chosen)

    def branches(self) -> list[str]:
        listed = self.origin.git("for-each-ref", "--format=%(refname) %(symref)", "refs/heads").decode()
        return [line.strip() for line in listed.splitlines() if line.endswith(" ")]

    def refs(self, under: str) -> list[str]:
        return self.origin.git("for-each-ref", "--format=%(refname)", under).decode().split()

    def name(self, under: str) -> str:
        self.names += 1
        folder = self.random.choice(("", "feature/", "ü-", "x" * 60))
        return f"{under}/{folder}{self.names}"

    def branch(self) -> str:
        return self.random.choice(self.branches() or ["refs/heads/main"])

    def files(self) -> dict[str | bytes, bytes]:
        lines = [f"line {self.random.randrange(50)}\n" for _ in range(self.random.randrange(300))]
        name = f"d{self.random.randrange(3)}/f{self.random.randrange(8)}"
        return {name: "".join(lines).encode(), "noise": self.random.randbytes(200)}

    def commits(self) -> None:
        branch = self.branch()
        for _ in range(self.random.choice((1, 1, 2, 4))):
            self.origin.commit(branch, self.files())

    def merge(self) -> None:
        into, other = self.branch(), self.branch()
        if into != other and self.branches():
            self.origin.commit(into, self.files(), parents=[self.origin.oid(into), self.origin.oid(other)])

    def force_push(self) -> None:
        branch = self.branch()
        back = self.origin.git("rev-list", "--max-count=4", branch, check=False).decode().split()
        parents = [back[-1]] if back and self.random.random() < 0.7 else []
        self.origin.commit(branch, self.files(), parents=parents)

    def back(self) -> None:
        """A branch goes back to an ancestor: nothing new, but less."""
        branch = self.branch()
        if older := self.origin.git("rev-list", "--max-count=3", branch, check=False).decode().split():
            self.origin.ref(branch, older[-1])

    def create_branch(self) -> None:
        if self.branches():
            self.origin.ref(self.name("refs/heads"), self.origin.oid(self.branch()))

    def delete_branch(self) -> None:
        if len(self.branches()) > 1:
            self.origin.ref(self.branch(), None)

    def no_branches(self) -> None:
        """Every branch goes and only tags stay; some come back with the next commit."""
        if self.refs("refs/tags"):
            for branch in self.refs("refs/heads"):
                self.origin.git("symbolic-ref", "-q", "--delete", branch, check=False)
                self.origin.git("update-ref", "--no-deref", "-d", branch)

    def tag(self) -> None:
        if self.branches():
            name = self.name("refs/tags").removeprefix("refs/tags/")
            self.origin.git("tag", "-a", "-m", f"about {name}", name, self.branch())

    def tag_blob_or_tree(self) -> None:
        kind = self.random.choice(("blob", "tree", "empty blob"))
        if kind == "tree" and self.branches():
            oid = self.origin.oid(f"{self.branch()}^{{tree}}")
        else:
            oid = self.origin.blob(self.random.randbytes(50) if kind == "blob" else b"")
        self.origin.ref(self.name("refs/tags"), oid)
        if self.random.random() < 0.3:
            name = self.name("refs/tags").removeprefix("refs/tags/")
            self.origin.git("tag", "-a", "-m", "of a blob or tree", name, oid)

    def nested_tag(self) -> None:
        if tags := self.refs("refs/tags"):
            name = self.name("refs/tags").removeprefix("refs/tags/")
            self.origin.git("tag", "-a", "-m", "a tag of a tag", name, self.random.choice(tags))

    def move_tag(self) -> None:
        if (tags := self.refs("refs/tags")) and self.branches():
            self.origin.ref(self.random.choice(tags), self.origin.oid(self.branch()))

    def delete_tag(self) -> None:
        if tags := self.refs("refs/tags"):
            self.origin.ref(self.random.choice(tags), None)

    def note(self) -> None:
        if self.branches():
            text = f"note {self.random.random()}"
            self.origin.git("notes", "add", "-f", "-m", text, self.origin.oid(self.branch()))

    def alias(self) -> None:
        if self.branches():
            self.origin.git("symbolic-ref", self.name("refs/heads"), self.branch())

    def head(self) -> None:
        """HEAD moves: to another branch, to one that does not exist, or away from all branches."""
        where = self.random.choice(("branch", "dangling", "detached"))
        if where == "branch" or not self.branches():
            self.origin.git("symbolic-ref", "HEAD", self.branch())
        elif where == "dangling":
            self.origin.git("symbolic-ref", "HEAD", "refs/heads/not-there")
        else:
            tip = self.origin.oid(self.branch())
            commit = (
                self.origin.git("commit-tree", "-p", tip, "-m", "aside", f"{tip}^{{tree}}").decode().strip()
            )
            self.origin.git("update-ref", "--no-deref", "HEAD", self.random.choice((tip, commit)))

    def gc(self) -> None:
        self.origin.git("gc", "-q", "--prune=now")

    def nothing(self) -> None:
        """A quiet hour."""


def play(tmp_path: Path, seed: int, steps: int, object_format: str) -> None:
    (tmp_path / "srv").mkdir()
    origin = Origin(tmp_path / "srv" / "x.git", object_format=object_format)
    history = History(origin, seed)
    path, http = Lab(tmp_path / "by-path"), Lab(tmp_path / "by-http")
    taken: list[tuple[str, State, Sealed, Sealed]] = []
    options = CaptureOptions(segment_bytes=64 * 1024, max_increments=MAX_INCREMENTS)
    with GitHost(tmp_path / "srv") as host:
        for number in range(steps):
            what = f"step {number} of seed {seed}: " + (history.step() if number else "the beginning")
            state = origin.state
            taken.append((what, state, path.take(origin, options), http.take(host.url("x.git"), options)))
    for number, (what, state, by_path, by_http) in enumerate(taken):
        for lab, sealed in ((path, by_path), (http, by_http)):
            assert lab.restored(sealed, lab.root.parent / f"{lab.root.name}-{number}.git") == state, what
    kinds = [sealed.manifest.kind for _, _, sealed, _ in taken]
    assert kinds.count("base") > 1
    assert kinds.count("increment") > 1
    path.assert_whole(taken[0][2])
    http.assert_whole(taken[0][3])


@pytest.mark.parametrize(("seed", "steps", "object_format"), [(1, 36, "sha1"), (2, 14, "sha256")])
def test_every_moment_of_a_random_history_restores(
    tmp_path: Path, seed: int, steps: int, object_format: str
) -> None:
    play(tmp_path, seed, steps, object_format)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 112))
def test_many_random_histories(tmp_path: Path, seed: int) -> None:
    play(tmp_path, seed, 60, ("sha1", "sha256")[seed % 4 == 0])
