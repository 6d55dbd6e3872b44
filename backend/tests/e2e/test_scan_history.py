"""A scan that builds on others equals one that starts anew, byte for byte, after any change of a tree."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive.sealed import Sealed
from snapshotter.scan.columns import COLUMNS
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import KEY, RefusingIds, options, quickly, rows, scan_of, scan_options, tables
from tests.support.trees import EXCLUDE, FILE, LINK, MAX_FILE, MAX_FILES, MAX_TOTAL, SUB, Trees

GRANTED: dict[str, str] = {}
REFUSED = {"uploadpack.allowFilter": "false", "uploadpack.allowAnySHA1InWant": "false"}


def play(tmp_path: Path, seed: int, steps: int, object_format: str = "sha1") -> set[str]:
    """Snapshots at random moments over several ways, each against a full scan of the same moment."""
    (tmp_path / "srv").mkdir()
    origin = Origin(tmp_path / "srv" / "x.git", object_format=object_format)
    trees, chance = Trees(origin, seed), random.Random(seed)
    taking = options(
        scan_options(
            key=KEY if seed % 2 else None,
            max_file_bytes=MAX_FILE,
            max_total_bytes=MAX_TOTAL,
            max_files=MAX_FILES,
            exclude=EXCLUDE,
        )
    )
    labs = {name: Lab(tmp_path / name) for name in ("path", "no ids", "http", "refused", "v0")}
    built_on = 0
    with (
        GitHost(tmp_path / "srv", config={"uploadpack.allowFilter": "true"}) as http,
        GitHost(tmp_path / "srv", config=REFUSED) as refused,
        GitHost(tmp_path / "srv", config=REFUSED, v0=True) as v0,
    ):
        ways = {
            "path": str(origin.path),
            "no ids": str(origin.path),
            "http": http.url("x.git"),
            "refused": refused.url("x.git"),
            "v0": v0.url("x.git"),
        }
        for number in range(steps):
            what = f"step {number} of seed {seed}: " + (trees.step() if number else "the beginning")
            # By address: without a key, a secret's fingerprint is of its repo too.
            fulls: dict[str, tuple[Lab, Sealed]] = {}
            for name in chance.sample(sorted(ways), 2):
                if ways[name] not in fulls:
                    anew = Lab(tmp_path / f"full-{number}-{len(fulls)}")
                    fulls[ways[name]] = anew, anew.take(ways[name], taking)
                anew, full = fulls[ways[name]]
                wrap = RefusingIds if name == "no ids" else None
                taken = labs[name].take(ways[name], taking, wrap=wrap)  # type: ignore[arg-type]
                compare(labs[name], taken, anew, full, f"{what}, by {name}")
                built_on += labs[name].observer.warnings == []
    assert built_on > steps
    return trees.done


def compare(lab: Lab, taken: Sealed, anew: Lab, full: Sealed, what: str) -> None:
    """Both scans have the same tables, to the byte, and the same licences and gaps."""
    found, expected = tables(lab, taken), tables(anew, full)
    for table in COLUMNS:
        if found[table] != expected[table]:
            seen, due = (set(map(repr, rows(*one, f"FROM {table}"))) for one in ((lab, taken), (anew, full)))
            pytest.fail(f"{what}: {table}: wrong {sorted(seen - due)}, due {sorted(due - seen)}")
    made, wanted = scan_of(taken), scan_of(full)
    assert (made.gaps, made.licences, made.tables) == (wanted.gaps, wanted.licences, wanted.tables), what
    assert taken.manifest.gaps == full.manifest.gaps, what


def test_a_scan_that_builds_on_others_equals_a_full_one(tmp_path: Path) -> None:
    play(tmp_path, 1, 3)


@pytest.mark.parametrize(("seed", "steps", "object_format"), [(2, 9, "sha1"), (3, 4, "sha256")])
def test_so_it_does_over_many_steps_with_scanners_that_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, steps: int, object_format: str
) -> None:
    quickly(monkeypatch)
    play(tmp_path, seed, steps, object_format)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 12345\n" % (b"5c" * 32)
SUBMODULE = b"11" * 20
GO = {b"pkg/f.go": b"package pkg\n", b"main.go": b'package main\n\nimport "example.com/m/pkg"\n'}
MODULE = b"module example.com/m\n"
PYTHON = {b"lib.py": b"x = 1\n", b"app.py": b"import lib\n"}
NAMED = {b"b.inc": b"def f(): pass\n", b"a/x.inc": b"def f(): pass\n", b"a/y.py": b"def g(): pass\n"}
# The last of as many files as are read, and the one before it, which is read where the last is not.
ATTRIBUTES, GENERATED = b"z/.gitattributes", b"z/+y.py"
SCRIPTS = {
    b"m.ts": b"import {x} from '~/x';\nimport pkg from 'pkg';\n",
    b"a/x.ts": b"export const x = 1;\n",
    b"b/x.ts": b"export const x = 2;\n",
}

PARENT = (
    b"<project><groupId>g</groupId><artifactId>p</artifactId><version>1</version>"
    b"<properties><v>%b</v></properties></project>"
)
MODULE_POM = (
    b"<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>"
    b"<artifactId>m</artifactId><dependencies><dependency><groupId>a</groupId><artifactId>b</artifactId>"
    b"<version>${v}</version></dependency></dependencies></project>"
)

# Changes that add no path and, some of them, no blob; and yet other rows follow from them.
QUIET: dict[str, tuple[dict[bytes, bytes], dict[bytes, tuple[bytes, bytes]]]] = {
    "a file becomes a submodule": (PYTHON, {b"lib.py": (SUB, SUBMODULE)}),
    "a module's file grows too large": (
        GO | {b"go.mod": MODULE},
        {b"go.mod": (FILE, MODULE + b"// x\n" * 999)},
    ),
    "a module's file goes to LFS": (GO | {b"go.mod": MODULE}, {b"go.mod": (FILE, POINTER)}),
    "two modules change places": (
        GO | {b"go.mod": MODULE, b"other/go.mod": b"module example.com/o\n"},
        {b"other/go.mod": (FILE, MODULE), b"go.mod": (FILE, b"module example.com/o\n")},
    ),
    "two files change places, and mean others by the same words": (
        {
            b"a/m.py": b"from . import util\n",
            b"b/m.py": b"x = 1\n",
            b"a/util.py": b"u = 1\n",
            b"b/util.py": b"u = 2\n",
        },
        {b"a/m.py": (FILE, b"x = 1\n"), b"b/m.py": (FILE, b"from . import util\n")},
    ),
    "a pointer stands beyond the limit of all bytes": (
        {b"a.txt": b"a\n", b"z.bin": POINTER},
        {b"b%d.txt" % n: (FILE, b"%d\n" % n * 1400) for n in range(MAX_TOTAL // 2800 + 1)},
    ),
    "the licence is in LFS, and stays there": (
        {b"LICENSE": POINTER, b"README.md": POINTER, b"README.rst": b"Title\n", b"package.json": POINTER},
        {b"new.py": (FILE, b"x = 1\n")},
    ),
    "a link becomes a file, so the last file is over the limit": (
        GO | {b"go.mod": MODULE} | {b"f%03d.py" % n: b"x = 1\n" for n in range(MAX_FILES - 3)},
        {b"a-link": (FILE, b"x = 1\n")},
    ),
    "a parent's property that a module's version is": (
        {b"pom.xml": PARENT % b"1.0", b"m/pom.xml": MODULE_POM},
        {b"pom.xml": (FILE, PARENT % b"1.1")},
    ),
    "a list of any name that a requirements file takes in": (
        {b"requirements.txt": b"-r lists/base.txt\nflask\n", b"lists/base.txt": b"a==1\n"},
        {b"lists/base.txt": (FILE, b"a==2\n")},
    ),
    "an alias of scripts means another folder": (
        SCRIPTS | {b"tsconfig.json": b'{"compilerOptions": {"paths": {"~/*": ["a/*"]}}}'},
        {b"tsconfig.json": (FILE, b'{"compilerOptions": {"paths": {"~/*": ["b/*"]}}}')},
    ),
    "an alias stays, and a script that uses it is new": (
        SCRIPTS | {b"tsconfig.json": b'{"compilerOptions": {"paths": {"~/*": ["a/*"]}}}'},
        {b"new.ts": (FILE, b"import {y} from '~/x';\n")},
    ),
    "a package of the workspace has another name": (
        SCRIPTS
        | {b"package.json": b'{"workspaces": ["*"]}', b"a/package.json": b'{"name": "pkg", "main": "x.ts"}'},
        {b"a/package.json": (FILE, b'{"name": "other", "main": "x.ts"}')},
    ),
    "the workspace's list is in another file": (
        SCRIPTS
        | {b"pnpm-workspace.yaml": b"packages: [a]\n", b"a/package.json": b'{"name": "pkg", "main": "x.ts"}'},
        {
            b"pnpm-workspace.yaml": (FILE, b"packages: [b]\n"),
            b"package.json": (FILE, b'{"workspaces": ["a"]}'),
        },
    ),
    "a name of an import becomes a submodule": (
        {b"pkg/__init__.py": b"", b"pkg/a.py": b"", b"m.py": b"from pkg import c, a, b\n"},
        {b"pkg/b.py": (FILE, b""), b"pkg/c.py": (LINK, b"a.py")},
    ),
    "two submodules of an import are none any more": (
        {b"pkg/__init__.py": b"", b"pkg/a.py": b"", b"pkg/c.py": b"", b"m.py": b"from pkg import c, a, b\n"},
        {b"pkg/a.py": (SUB, SUBMODULE), b"pkg/c.py": (SUB, SUBMODULE)},
    ),
    "attributes name another language": (
        NAMED | {b".gitattributes": b"*.inc linguist-language=JavaScript\n"},
        {b".gitattributes": (FILE, b"*.inc linguist-language=Python\n")},
    ),
    "a file moves to where attributes name another language": (
        NAMED | {b".gitattributes": b"/a/* linguist-language=Python linguist-generated\n"},
        {b"a/b.inc": (FILE, NAMED[b"b.inc"]), b"c/y.py": (FILE, NAMED[b"a/y.py"])},
    ),
    "attributes come": (
        NAMED,
        {b"a/.gitattributes": (FILE, b"*.py linguist-generated linguist-language=Go\n")},
    ),
    "attributes go": (
        NAMED | {b".gitattributes": b"* linguist-generated\n*.inc linguist-language=py\n"},
        {b".gitattributes": (LINK, b"b.inc")},
    ),
    "attributes are beyond the limit of files": (
        NAMED
        | {ATTRIBUTES: b"* linguist-vendored linguist-generated\n", GENERATED: b"y = 1\n"}
        | {b"f%03d.txt" % n: b"x\n" for n in range(MAX_FILES - 5)},
        {b"a/new.txt": (FILE, b"x\n")},
    ),
    "a file moves to where it would be a manifest": (
        {b"notes.txt": b"requests==1.0\n"},
        {b"requirements.txt": (FILE, b"requests==1.0\n")},
    ),
}


@pytest.mark.parametrize("change", QUIET)
def test_what_follows_from_the_whole_tree_is_told_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    quickly(monkeypatch)
    before, after = QUIET[change]
    trees = Trees(Origin(tmp_path / "x.git"), 0)
    taking = options(scan_options(max_file_bytes=MAX_FILE, max_files=MAX_FILES, max_total_bytes=MAX_TOTAL))
    lab, anew = Lab(tmp_path / "store"), Lab(tmp_path / "anew")
    trees.files = {path: (FILE, content) for path, content in before.items()} | {b"a-link": (LINK, b"app.py")}
    trees.commit()
    lab.take(trees.origin, taking)
    trees.files |= after
    trees.commit()
    compare(lab, lab.take(trees.origin, taking), anew, anew.take(trees.origin, taking), change)


def test_attributes_that_are_beyond_the_limit_of_files_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    before, after = QUIET["attributes are beyond the limit of files"]
    trees = Trees(Origin(tmp_path / "x.git"), 0)
    taking = options(scan_options(max_file_bytes=MAX_FILE, max_files=MAX_FILES, max_total_bytes=MAX_TOTAL))
    lab = Lab(tmp_path / "store")
    trees.files = {}
    said = []
    for files in ({path: (FILE, content) for path, content in before.items()}, after):
        trees.files |= files
        trees.commit()
        taken = lab.take(trees.origin, taking)
        said += rows(lab, taken, f"SELECT generated, vendored FROM files WHERE path = '{GENERATED.decode()}'")
        said += rows(
            lab, taken, f"SELECT skip_reason IS NULL FROM files WHERE path = '{ATTRIBUTES.decode()}'"
        )
    assert said == [(True, True), (True,), (False, False), (False,)]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_random_histories_of_scans(tmp_path: Path, seed: int) -> None:
    assert len(play(tmp_path, seed, 40, ("sha1", "sha256")[seed % 4 == 0])) > 20


@pytest.mark.full
@pytest.mark.parametrize("seed", range(200, 230))
def test_very_many_with_scanners_that_start_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    quickly(monkeypatch)
    play(tmp_path, seed, 60, ("sha1", "sha256")[seed % 4 == 0])
