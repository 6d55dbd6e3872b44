"""The benchmark repository: deterministic, made by `git fast-import`, shaped like real code.

Files are edited in place by lines, functions come and go, branches fork and merge, tags are set; now
and then a binary-like file is replaced, which is what makes real packs heavy. Then `git repack -adb`,
bitmaps and all, as hosts keep their repositories.

    python benchmarks/generate.py DEST --profile tiny|small|default|large
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastimport import build, commit_head, default_branch, fast_import, git, inline_file, text_of

EPOCH = 1_600_000_000


@dataclass(frozen=True)
class Profile:
    """How much: commits, files, how often a binary-like file is replaced, and its size in bytes."""

    commits: int
    files: int
    binary_every: int
    binary_bytes: int


PROFILES = {
    "tiny": Profile(300, 60, 60, 150_000),  # a pack of about 1 MiB, where only round trips count
    "small": Profile(5_000, 600, 200, 150_000),  # a pack of about 20 MiB
    "default": Profile(80_000, 5_000, 1_000, 180_000),  # over 200 MiB and 500,000 objects, nearly all text
    "large": Profile(
        20_000, 3_000, 10, 220_000
    ),  # about 500 MiB, most of it binary: for memory, not for speed
}


def generate(path: Path, profile: str = "default", seed: int = 1) -> Path:
    """A bare repository of the profile at `path`; the same bytes every time, kept if it is there already."""
    return build(path, _Writer(PROFILES[profile], seed).stream(), f"{PROFILES[profile]} {seed}")


_CODE = (".py", ".c", ".h", ".go", ".js", ".ts", ".java", ".rs", ".rb", ".php", ".cs")


def grow(path: Path, commits: int, seed: int) -> str:
    """Add commits to the default branch, each editing two files, and return the new tip's id."""
    rng, branch = random.Random(seed), default_branch(path)
    names = git(path, "ls-tree", "-r", "--name-only", "-z", branch).split("\0")
    sources = [name for name in names if name.endswith(_CODE) and name.isascii() and '"' not in name]
    texts: dict[str, list[str]] = {}

    def stream() -> Iterator[bytes]:
        for index in range(commits):
            yield commit_head(branch, EPOCH * 2 + seed * 1000 + index, f"grow {seed}.{index}", index == 0)
            for name in rng.sample(sources, 2):
                lines = texts.setdefault(name, text_of(path, branch, name).splitlines() or [""])
                _edit(rng, lines)
                yield inline_file(name, "\n".join(lines).encode() + b"\n")

    fast_import(path, stream())
    return git(path, "rev-parse", branch).strip()


class _Writer:
    """The fast-import stream of one repository: every file's versions in a row, then the commits.

    In that order fast-import finds each version's delta against the one before it, as a host's
    repacked repository has them.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._rng = rng = random.Random(seed)
        self._names = [_path(rng, index) for index in range(profile.files)]
        busy = max(3, profile.files // 10)
        self._plan: list[
            list[int]
        ] = []  # the files that each commit changes; half of the work is in a tenth of them
        for _ in range(profile.commits):
            self._plan.append(
                sorted({rng.randrange(busy if rng.random() < 0.5 else profile.files) for _ in range(3)})
            )
        self._marks: dict[tuple[int, int], int] = {}  # blob mark by commit and file

    def stream(self) -> Iterator[bytes]:
        """All of it, in pieces."""
        yield from self._blobs()
        yield from self._commits()

    def _blobs(self) -> Iterator[bytes]:
        edits: list[list[int]] = [[] for _ in self._names]
        for commit, files in enumerate(self._plan):
            for file in files:
                edits[file].append(commit)
        for file, commits in enumerate(edits):
            lines: list[str] = []
            for _ in range(self._rng.randint(10, 70)):
                lines += _function(self._rng)
            for commit in [-1, *commits]:
                if commit >= 0:
                    _edit(self._rng, lines)
                yield self._blob((commit, file), "\n".join(lines).encode() + b"\n")

    def _blob(self, key: tuple[int, int], data: bytes) -> bytes:
        self._marks[key] = mark = len(self._marks) + 1
        return b"blob\nmark :%d\ndata %d\n%b\n" % (mark, len(data), data)

    def _commits(self) -> Iterator[bytes]:
        yield commit_head("refs/heads/main", EPOCH, "begin", False)
        for file, name in enumerate(self._names):
            yield b"M 100644 :%d %b\n" % (self._marks[-1, file], name.encode())
        for index, files in enumerate(self._plan):
            yield from self._one(index + 1)
            for file in files:
                yield b"M 100644 :%d %b\n" % (self._marks[index, file], self._names[file].encode())
            if index % self._profile.binary_every == 1:
                size = int(self._profile.binary_bytes * self._rng.uniform(0.6, 1.4))
                yield inline_file(
                    f"assets/{self._rng.randrange(60):02d}/image.bin", self._rng.randbytes(size)
                )
            if index % 400 == 399:
                yield _tag(index + 1)

    def _one(self, index: int) -> Iterator[bytes]:
        """A commit's head: most are on main; topic branches of three commits fork, and are merged later."""
        branch, start, topic = "refs/heads/main", b"", index // 40
        if index % 40 in (5, 6, 7):
            branch = f"refs/heads/topic/{topic}"
            start = b"from refs/heads/main\n" if index % 40 == 5 else b""
        elif index % 40 == 12:
            start = f"merge refs/heads/topic/{topic}\n".encode()
        elif index % 40 == 13 and topic % 8:  # most branches are deleted once merged
            yield f"reset refs/heads/topic/{topic}\nfrom {'0' * 40}\n\n".encode()
        yield commit_head(branch, EPOCH + index * 60, f"change {index}", False) + start


VERBS = tuple("read write load parse find make merge check split open close send plan trace".split())
NOUNS = tuple(
    "index buffer header entry stream record table token window cursor limit branch digest segment archive module"
    " session request answer policy".split()
)


def _name(rng: random.Random) -> str:
    return f"{rng.choice(VERBS)}_{rng.choice(NOUNS)}_{rng.randrange(4000):x}"


def _line(rng: random.Random) -> str:
    noun, number = rng.choice(NOUNS), rng.randrange(40)
    return f"    {noun}_{number} = {_name(rng)}({rng.choice(NOUNS)}, {rng.randrange(1 << 20)})"


def _function(rng: random.Random) -> list[str]:
    head = [f"def {_name(rng)}({rng.choice(NOUNS)}, {rng.choice(NOUNS)}_{rng.randrange(9)}):"]
    return [
        *head,
        *(_line(rng) for _ in range(rng.randint(3, 14))),
        f"    return {rng.choice(NOUNS)}",
        "",
        "",
    ]


def _edit(rng: random.Random, lines: list[str]) -> None:
    """What a commit does to a file: lines changed in place, functions more or less."""
    for _ in range(rng.randint(1, 12)):
        lines[rng.randrange(len(lines))] = _line(rng)
    at = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[at:at] = _function(rng)
    elif len(lines) > 200:
        del lines[at : at + 12]


def _path(rng: random.Random, index: int) -> str:
    return f"{rng.choice(NOUNS)}/{rng.choice(VERBS)}_{rng.randrange(14)}/{rng.choice(NOUNS)}_{index:05d}.py"


def _tag(index: int) -> bytes:
    if index % 800:
        return f"reset refs/tags/build-{index}\nfrom refs/heads/main\n\n".encode()
    message = f"release {index}".encode()
    tagger = f"tagger A U Thor <author@example.org> {EPOCH + index * 60} +0000\n"
    head = f"tag v{index // 800}\nfrom refs/heads/main\n{tagger}"
    return head.encode() + f"data {len(message)}\n".encode() + message + b"\n"


def main() -> None:
    """Make the repository that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dest", type=Path)
    parser.add_argument("--profile", choices=sorted(PROFILES), default="default")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    path = generate(given.dest, given.profile, given.seed)
    print(git(path, "rev-parse", "main").strip(), git(path, "count-objects", "-v").replace("\n", " "))


if __name__ == "__main__":
    main()
