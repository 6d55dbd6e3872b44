"""The benchmark tree of the scan: 5,000 files, 100 MB, in the mix of languages of a grown repository.

Deterministic text that looks like code to a lexer and parses cleanly: imports that mean other files of the
tree, documented types and functions with loops, branches, calls and strings. Beside it manifests, prose, data, a few
minified and binary files, and a few planted secrets, all made up.

    python benchmarks/sources.py DEST
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastimport import build, commit_head, default_branch, fast_import, git, inline_file, text_of
from generate import EPOCH, NOUNS, VERBS
from syntaxes import SYNTAX, Syntax


class Scale(NamedTuple):
    """How large a tree is: files beside the manifests, their mean size in bytes, and commits that each change ten."""

    files: int = 5_000
    mean_bytes: int = 17_600
    commits: int = 200


LARGE = Scale()


_ENDS = {"rb": ("end", "end"), "sh": ("fi", "done"), "py": ("", "")}
_MIX = (
    "py 20 ts 12 js 9 go 11 java 11 c 7 h 4 cc 5 rs 5 cs 3 rb 3 php 3 sh 1 kt 1 md 5 json 4 yaml 4 css 1 min.js 0.3"
    " bin 0.5"
).split()
_SUFFIXES, _WEIGHTS = _MIX[::2], [float(weight) for weight in _MIX[1::2]]
_NAMES = [noun for noun in NOUNS if noun != "module"]  # which is a word of Ruby's own
_WORDS = (*VERBS, *NOUNS, *"the of a to and in with when every other last next before after its not".split())
_MANIFESTS = {
    "requirements.txt": "requests==2.31.0\nflask>=2.3\nnumpy==1.26.4\n",
    "package.json": '{"name": "big", "dependencies": {"left-pad": "^1.3.0", "react": "18.2.0"}}\n',
    "go.mod": "module example.org/big\n\ngo 1.22\n\nrequire golang.org/x/text v0.14.0\n",
    "Cargo.toml": '[package]\nname = "big"\nversion = "0.1.0"\n\n[dependencies]\nserde = "1.0"\n',
    "Dockerfile": "FROM python:3.11-slim\nCOPY . /app\n",
    ".github/workflows/ci.yml": "on: push\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n",
    "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n",
    "README.md": "# Big\n\nA tree to measure a scan by.\n",
}


def repository(path: Path, seed: int = 1, scale: Scale = LARGE) -> Path:
    """A bare repository with the tree and some history, the same every time; kept if it is there already."""
    made_from = f"sources 2 {scale.files} {scale.mean_bytes} {scale.commits} {seed}"
    return build(path, _stream(random.Random(seed), scale), made_from)


def change(path: Path, files: int, seed: int) -> str:
    """Add one commit to the default branch that changes so many source files, and return its id."""
    rng, branch = random.Random(seed), default_branch(path)
    names = git(path, "ls-tree", "-r", "--name-only", "-z", branch).split("\0")
    known = [name for name in names if name.rpartition(".")[2] in SYNTAX]
    sources = [name for name in known if name.isascii() and '"' not in name]  # fast-import quotes the others

    def stream() -> Iterator[bytes]:
        yield commit_head(branch, EPOCH * 2 + seed, f"change {seed}", True)
        for name in rng.sample(sources, min(files, len(sources))):
            text = text_of(path, branch, name)
            yield inline_file(name, (text + _remark(rng, name.rpartition(".")[2])).encode())

    fast_import(path, stream())
    return git(path, "rev-parse", branch).strip()


def _stream(rng: random.Random, scale: Scale) -> Iterator[bytes]:
    """The first commit with every file, then commits that each change ten."""
    suffixes = rng.choices(_SUFFIXES, _WEIGHTS, k=scale.files)
    modules = [f"{rng.choice(NOUNS)}_{index:04d}" for index in range(scale.files)]
    names = [
        f"{rng.choice(NOUNS)}/{rng.choice(VERBS)}_{rng.randrange(14)}/{module}.{suffix}"
        for module, suffix in zip(modules, suffixes, strict=True)
    ]
    texts: dict[str, bytes] = {}
    yield commit_head("refs/heads/main", EPOCH, "begin", False)
    for name, suffix in zip(names, suffixes, strict=True):
        mean = scale.mean_bytes
        size = int(min(mean * 0.15 + rng.expovariate(1 / (mean * 0.85)), 12 * mean))
        data = _content(rng, suffix, size, modules)
        if suffix in SYNTAX:
            texts[name] = data
        yield inline_file(name, data)
    for name, text in _MANIFESTS.items():
        yield inline_file(name, text.encode())
    sources = sorted(texts)
    for index in range(scale.commits):
        yield commit_head("refs/heads/main", EPOCH + 60 * index, f"change {index}", False)
        for name in rng.sample(sources, 10):
            texts[name] += _remark(rng, name.rpartition(".")[2]).encode()
            yield inline_file(name, texts[name])


def _content(rng: random.Random, suffix: str, size: int, modules: list[str]) -> bytes:
    if suffix in SYNTAX:
        return _source(rng, suffix, size, modules).encode()
    if suffix == "bin":
        return rng.randbytes(size)
    if suffix == "min.js":
        return ";".join(f"var {_name(rng)}={rng.randrange(1 << 20)}" for _ in range(size // 28)).encode()
    if suffix == "json":
        rows = [
            {"name": _name(rng), "value": rng.randrange(1 << 20), "note": _text(rng)}
            for _ in range(size // 110)
        ]
        return json.dumps(rows, indent=1).encode()
    if suffix == "yaml":
        return "".join(f"- name: {_name(rng)}\n  note: {_text(rng)}\n" for _ in range(size // 70)).encode()
    if suffix == "css":
        return "".join(
            f".{_name(rng)} {{ width: {rng.randrange(999)}px; }}\n" for _ in range(size // 40)
        ).encode()
    return "".join(f"{_text(rng)} {_text(rng)}.\n\n" for _ in range(size // 75)).encode()


def _source(rng: random.Random, suffix: str, size: int, modules: list[str]) -> str:
    """A source file of about so many bytes."""
    syntax, pieces, length = SYNTAX[suffix], ["<?php\n"] if suffix == "php" else [], 0
    if suffix == "go":
        pieces.append(f"package {rng.choice(NOUNS)}\n\n")
    pieces += [_fill(rng, syntax.load, "", rng.choice(modules)) for _ in range(rng.randint(2, 9))]
    if rng.random() < 0.004:
        token = "".join(rng.choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", k=36))
        pieces.append(f"{syntax.comment} token: ghp_{token}\n")
    while length < size:
        unit = _type(rng, suffix, syntax)
        pieces.append(unit)
        length += len(unit)
    return "".join(pieces)


def _type(rng: random.Random, suffix: str, syntax: Syntax) -> str:
    """A type with its functions; beside one another where the language writes them so."""
    name = "".join(rng.choice(NOUNS).title() for _ in range(2)) + f"{rng.randrange(4000):x}"
    lines = ["", _fill(rng, syntax.doc, name), _fill(rng, syntax.open_type, name)]
    inside = "    " if syntax.close_type or suffix == "py" else ""
    for _ in range(rng.randint(2, 8)):
        lines.append(_fill(rng, syntax.doc, name, indent=inside))
        lines.append(_fill(rng, syntax.function, name, indent=inside))
        lines += _body(rng, suffix, syntax, inside + "    ", rng.randint(3, 12))
        lines += [
            _fill(rng, syntax.give, name, indent=inside + "    "),
            _fill(rng, syntax.close, indent=inside),
            "",
        ]
    return "".join([*lines, _fill(rng, syntax.close_type, name)])


def _body(rng: random.Random, suffix: str, syntax: Syntax, indent: str, count: int) -> list[str]:
    """Statements; now and then a branch or a loop with statements of its own."""
    lines, (end_when, end_loop) = [], _ENDS.get(suffix, ("}}", "}}"))
    for _ in range(count):
        chance = rng.random()
        if chance < 0.2 and len(indent) < 20:
            opening, end = (syntax.when, end_when) if chance < 0.13 else (syntax.loop, end_loop)
            lines.append(_fill(rng, opening, indent=indent))
            lines += _body(rng, suffix, syntax, indent + "    ", rng.randint(1, 3))
            lines.append(_fill(rng, end, indent=indent))
        elif chance < 0.3:
            lines.append(f"{indent}{syntax.comment} {_text(rng)}\n")
        else:
            lines.append(_fill(rng, syntax.text if chance < 0.45 else syntax.call, indent=indent))
    return lines


def _fill(rng: random.Random, template: str, name: str = "", module: str = "", indent: str = "") -> str:
    """A template's lines at an indentation; nothing for an empty one."""
    if not template:
        return ""
    text = template.format(
        C=name or "Record",
        f=_name(rng),
        a=rng.choice(_NAMES),
        b="count",
        c="known",
        i=rng.randrange(1 << 16),
        w=_text(rng),
        m=module,
    )
    return "".join(f"{indent}{line}\n" for line in text.split("\n"))


def _remark(rng: random.Random, suffix: str) -> str:
    return f"{SYNTAX[suffix].comment} {_text(rng)} {rng.randrange(1 << 30)}\n"


def _name(rng: random.Random) -> str:
    return f"{rng.choice(VERBS)}_{rng.choice(NOUNS)}_{rng.randrange(4000):x}"


def _text(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(3, 9)))


def main() -> None:
    """Make the repository, or take it as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dest", type=Path)
    path = repository(parser.parse_args().dest)
    shutil.rmtree(path / "hooks", ignore_errors=True)
    print(git(path, "rev-parse", "main").strip())


if __name__ == "__main__":
    main()
