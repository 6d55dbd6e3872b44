"""A tree by its folders: opened where most of it lies, closed where little does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_MAX_DEPTH: Final = 32  # of folders that are told apart


@dataclass(slots=True)
class Folder:
    """A folder with all below it. `path` ends with a slash; the root's is empty. `weight` is that of all its files
    and `own` of those directly in it; `direct` says that it stands for these alone."""

    path: str
    files: int = 0
    weight: int = 0
    own: int = 0
    languages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    below: dict[str, Folder] = field(default_factory=dict)
    merged: int = 0
    direct: bool = False

    @property
    def language(self) -> str | None:
        """The language with most weight here."""
        return min(self.languages, key=lambda name: (-self.languages[name], name), default=None)


def grow(files: Iterable[tuple[str, str | None, int]]) -> Folder:
    """The root folder of files, each given as (path, language, weight)."""
    root = Folder("")
    for path, language, weight in files:
        folder = root
        _add(folder, language, weight)
        for part in path.split("/")[:-1][:_MAX_DEPTH]:
            if part not in folder.below:
                folder.below[part] = Folder(f"{folder.path}{part}/")
            folder = folder.below[part]
            _add(folder, language, weight)
        folder.own += weight
    return root


def _add(folder: Folder, language: str | None, weight: int) -> None:
    folder.files += 1
    folder.weight += weight
    if language:
        folder.languages[language] += weight


def split(root: Folder, most: int) -> list[Folder]:
    """At most `most` folders, none within another, that hold the whole tree; heaviest first.

    The heaviest folder is opened again and again while its parts are of a size worth telling apart. The own
    files of an opened folder stand under its own path, as `direct`. Where the root alone has more
    folders than `most`, the lightest are one last folder, whose `merged` counts them.
    """
    leaves = _sorted([*root.below.values(), *_own(root)])
    while heavy := next(
        (one for one in leaves if _worth_opening(one, root.weight, most - len(leaves))), None
    ):
        leaves.remove(heavy)
        leaves = _sorted([*leaves, *heavy.below.values(), *_own(heavy)])
    if len(leaves) <= most:
        return leaves
    rest = leaves[most - 1 :]
    languages: dict[str, int] = defaultdict(int)
    for language, weight in (item for one in rest for item in one.languages.items()):
        languages[language] += weight
    files, weights = sum(one.files for one in rest), sum(one.weight for one in rest)
    return [*leaves[: most - 1], Folder("", files, weights, weights, languages, merged=len(rest))]


def _sorted(folders: Iterable[Folder]) -> list[Folder]:
    return sorted(folders, key=lambda one: (-one.weight, -one.files, one.path))


def _worth_opening(folder: Folder, whole: int, room: int) -> bool:
    # An eighth of the whole: more detail than that tells a reader little of where the code is.
    return bool(folder.below) and folder.weight * 8 > whole > 0 and len(folder.below) <= room


def _own(folder: Folder) -> list[Folder]:
    """The files directly in a folder, as a folder of their own; an empty list if there are none."""
    parts = folder.below.values()
    files = folder.files - sum(one.files for one in parts)
    if not files:
        return []
    languages = dict(folder.languages)
    for language, weight in (item for one in parts for item in one.languages.items()):
        languages[language] -= weight
    kept = {name: weight for name, weight in languages.items() if weight > 0}
    return [Folder(folder.path, files, folder.own, folder.own, kept, direct=True)]
