"""What .gitattributes say of paths, held against git's own reading, and the languages that they may name."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.scan import lines
from snapshotter.scan.attributes import PathAttributes, TreeAttributes
from snapshotter.scan.classify import documentation
from snapshotter.scan.globs import wildmatch
from snapshotter.scan.language_names import key_of
from snapshotter.scan.runner import program
from snapshotter.scan.staging import Staging, name_key

NAMES = ("generated", "vendored", "documentation", "language")
PATHS = [
    "a",
    "a.py",
    "b.PY",
    "gen/a.py",
    "gen/x/a.py",
    "gen/x/y/a.py",
    "src/gen/a.py",
    "src/[x]/a b.py",
    "src/é.py",
    "!a",
    "#a",
    "src/a\\b",
    "aab",
    "a-b]c",
    "x/gen",
]


def as_git(folder: Path, files: dict[str, bytes], paths: list[str]) -> dict[str, PathAttributes]:
    """The same by `git check-attr`, read as linguist reads it."""
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    told = subprocess.run(
        [
            "git",
            "-c",
            "core.attributesFile=/dev/null",
            "check-attr",
            "-z",
            "--stdin",
            *(f"linguist-{n}" for n in NAMES),
        ],
        cwd=folder,
        input=b"\0".join(path.encode() for path in paths) + b"\0",
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    said: dict[str, dict[str, str]] = {path: {} for path in paths}
    for path, name, value in zip(told[::3], told[1::3], told[2::3], strict=False):
        said[path.decode()][name.decode().removeprefix("linguist-")] = value.decode("latin-1")

    def truth(value: str) -> bool | None:
        return None if value == "unspecified" else value not in ("unset", "false")

    return {
        path: PathAttributes(
            truth(one["generated"]),
            truth(one["vendored"]),
            truth(one["documentation"]),
            None if one["language"] in ("unspecified", "set", "unset") else one["language"],
        )
        for path, one in said.items()
    }


def ours(files: dict[str, bytes], paths: list[str]) -> dict[str, PathAttributes]:
    found = TreeAttributes(files)
    return {path: found.of(path.encode()) for path in paths}


@pytest.mark.parametrize(
    "text",
    [
        "*.py linguist-generated\n",
        "*.py linguist-generated\na.py -linguist-generated\n",
        "a.py linguist-generated=false linguist-vendored=true\n",
        "*.py linguist-generated linguist-language=Ruby\na.py !linguist-generated !linguist-language\n",
        "gen/** linguist-generated\n",
        "gen/* linguist-generated\n",
        "gen/ linguist-generated\n",
        "gen linguist-generated\n",
        "/gen/**/a.py linguist-generated\n",
        "**/gen/** linguist-vendored\n",
        "**/x/*.py linguist-documentation\n",
        "/a linguist-generated\n",
        "src/?x?/a* linguist-generated\n",
        '"src/[[]x]/a b.py" linguist-generated\n',
        '"src/\\303\\251.py" linguist-generated\n',
        "src/\xc3\xa9.py linguist-generated\n",
        "src/?.py linguist-generated\n",
        "[a-b]* linguist-generated\n[!a]* linguist-vendored\n[[:upper:]]* linguist-documentation\n",
        "*[]]c linguist-language=X\n",
        "\\!a linguist-generated\n\\#a linguist-vendored\n!a linguist-language=X\n#a linguist-language=Y\n",
        "[attr]machine linguist-generated -linguist-vendored\n*.py machine linguist-vendored\n",
        "[attr]machine linguist-generated -linguist-vendored\n*.py linguist-vendored machine\na.py -machine\n",
        "[attr]a linguist-generated b\n[attr]b a linguist-vendored\n*.py b\n",
        "*.py text eol=lf diff linguist-language=C++ # no comment\n",
        "  *.py\tlinguist-generated\r\n\n*.PY   linguist-vendored   \n",
        "a** linguist-generated\na*b linguist-vendored\n***/a.py linguist-documentation\n",
        "*.py linguist-generated -=x\n*.py linguist-vendored\n",
        "\xef\xbb\xbf*.py linguist-generated\n",
        "[a linguist-generated\n*\\ linguist-vendored\n",
        "*.py " + "x" * 3000 + " linguist-generated\n",
        '"*.py linguist-generated\n',
    ],
)
def test_a_line_says_what_git_reads_in_it(tmp_path: Path, text: str) -> None:
    files = {".gitattributes": text.encode("latin-1")}
    assert ours(files, PATHS) == as_git(tmp_path, files, PATHS)


def test_the_nearest_file_counts_and_what_it_takes_back_is_taken_back(tmp_path: Path) -> None:
    files = {
        ".gitattributes": b"*.py linguist-generated linguist-vendored linguist-language=A\n"
        b"[attr]m linguist-documentation\n",
        "gen/.gitattributes": b"a.py !linguist-generated\n/x/a.py -linguist-vendored\n[attr]m linguist-generated\n",
        "gen/x/.gitattributes": b"a.py linguist-language=B m\n",
        "src/.gitattributes": b"gen/** m\n",
    }
    found = ours(files, PATHS)
    assert found == as_git(tmp_path, files, PATHS)
    assert found["gen/x/a.py"] == PathAttributes(None, False, True, "B")


@pytest.mark.parametrize("seed", range(8))
def test_random_attributes_are_read_as_git_does(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    pieces = [
        "a",
        "b",
        "x",
        "gen",
        "src",
        "*",
        "**",
        "?",
        "/",
        "/",
        ".py",
        "[ab]",
        "[!x]",
        "[a-x]",
        "\\a",
        "*",
        "/**/",
    ]

    def line() -> str:
        pattern = "".join(chance.choices(pieces, k=chance.randint(1, 6)))
        states = [f"{chance.choice(['', '', '-', '!'])}linguist-{chance.choice(NAMES[:3])}" for _ in range(2)]
        return f"{pattern} {' '.join(states)} linguist-language={chance.randint(0, 9)}\n"

    files = {
        f"{folder}.gitattributes": "".join(line() for _ in range(8)).encode()
        for folder in ("", "gen/", "src/gen/")
    }
    words = ["a", "b", "x", "gen", "src", "a.py", "xab.py"]
    paths = sorted({"/".join(chance.choices(words, k=chance.randint(1, 5))) for _ in range(150)})
    assert ours(files, paths) == as_git(tmp_path, files, paths)


def test_of_a_pattern_of_many_stars_only_one_is_tried_anew() -> None:
    """Nothing goes back into an atomic group. With two stars outside of them a match is quadratic, and so on."""
    for pattern in ("*a" * 90, "**/a/" * 90, "**/*a*" * 50):
        outside = re.sub(r"\(\?>(?:[^()]|\([^()]*\))*\)", "", wildmatch(pattern).pattern)
        assert outside.count("*") <= 1, pattern


def test_hostile_patterns_come_to_an_end() -> None:
    stars = b"".join(b"*a" * 90 + b"%d linguist-generated\n" % n for n in range(300))
    deep = b"".join(b"**/a/" * 90 + b"%d linguist-generated\n" % n for n in range(300))
    for data in (stars, deep):
        attributes = TreeAttributes({".gitattributes": data})
        for path in (b"a" * 4000, b"a/" * 2000 + b"a"):
            assert attributes.of(path) == PathAttributes()


def test_patterns_count_up_to_a_number_in_all() -> None:
    data = b"*.%d linguist-generated\n" * 20_000 % tuple(range(20_000))
    attributes = TreeAttributes({".gitattributes": data})
    assert [attributes.of(path).generated for path in (b"x.0", b"x.999", b"x.1000", b"x.19999")] == [
        True,
        True,
        None,
        None,
    ]


def test_a_name_of_a_language_has_the_extension_by_which_scc_counts_it(tmp_path: Path) -> None:
    listed = subprocess.run(
        [program("scc"), "--languages"], capture_output=True, text=True, check=True
    ).stdout
    languages = dict(re.findall(r"^(.*) \((.*)\)$", listed, re.M))
    shared = [key for held in languages.values() for key in held.split(",")]
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as staging:
        staged = {}
        for number, language in enumerate(languages):
            key = key_of(language)
            assert key is not None, language
            staged[language] = staging.add(f"{number:040x}", key, b"hello\n")
            assert name_key(key) == key or name_key(f"x.{key}") == key
        counted = lines.count(staging, seconds=60, cancel=Cancel())
    found = {language: counted[name].language for language, name in staged.items()}
    wrong = {language for language, one in found.items() if one != language}
    assert all(shared.count(str(key_of(language))) > 1 for language in wrong), wrong
    assert len(wrong) < 8


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("C++", "cpp"),
        ("c", "c"),
        ("Objective-C", "m"),
        ("Jupyter-Notebook", "ipynb"),
        ("Jupyter Notebook", "ipynb"),
        ("Protocol-Buffer", "proto"),
        ("cpp", "cpp"),
        ("js", "js"),
        ("golang", "go"),
        ("TSX", "tsx"),
        ("PLpgSQL", "sql"),
        ("No such thing", None),
        ("", None),
    ],
)
def test_people_write_a_language_in_their_ways(name: str, key: str | None) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", True),
        ("a/Readme", True),
        ("CHANGELOG.rst", True),
        ("LICENSE-MIT", True),
        ("docs/conf.py", True),
        ("a/docs/x.py", False),
        ("a/documentation/x.md", True),
        ("readme_test.py", False),
        ("src/install.py", True),
        ("examples/a.py", False),
    ],
)
def test_documentation_is_told_by_a_path(path: str, expected: bool) -> None:
    assert documentation(path) is expected
