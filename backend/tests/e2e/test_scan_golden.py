"""A repository of every language and every kind of manifest, through the whole way: origin, snapshot, stored tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.archive.sealed import Sealed
from snapshotter.scan.columns import COLUMNS
from tests.scan import golden
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import options, rows


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("golden") / "store")


@pytest.fixture(scope="module")
def taken(lab: Lab) -> Sealed:
    origin = Origin(lab.root.parent / "x.git")
    sources = {name.removesuffix(".fixture"): golden.FIXTURES / "symbols" / name for name in golden.LANGUAGES}
    files = {f"src/{name}": path for name, path in sources.items()}
    files |= {f"manifests/{name}": path for name, path in golden.manifests().items()}
    origin.commit(files={name: path.read_bytes() for name, path in files.items()})
    return lab.take(origin, options())


def test_every_language_is_told_as_the_analyzers_have_it(lab: Lab, taken: Sealed) -> None:
    found = rows(lab, taken, "SELECT path, language FROM files WHERE path LIKE 'src/%'")
    wanted = {f"src/{name.removesuffix('.fixture')}": language for name, language in golden.LANGUAGES.items()}
    assert dict(found) == wanted | {"src/bash.sh": "Shell"}  # by its name; BASH is what says so itself


@pytest.mark.parametrize("name", golden.LANGUAGES)
def test_symbols_and_imports_in_the_store_are_the_golden_ones(lab: Lab, taken: Sealed, name: str) -> None:
    path = f"src/{name.removesuffix('.fixture')}"
    error = rows(lab, taken, f"SELECT parse_error FROM files WHERE path = '{path}'")[0][0]
    lines = [
        f"{line}-{end} {kind} {own} = {qualified} | {signature or ''} | {doc or ''}"
        for line, end, kind, own, qualified, signature, doc in rows(
            lab,
            taken,
            "SELECT line, end_line, kind, name, qualified_name, signature, doc FROM symbols"
            f" WHERE path = '{path}'",
        )
    ]
    lines += [
        f"{line} import {module} {names}"
        for line, module, names in rows(
            lab, taken, f"SELECT line, module, names FROM imports WHERE path = '{path}'"
        )
    ]
    first, *wanted = golden.stored("symbols")[name].splitlines()
    assert first == f"{name}: {error or 'parsed'}"
    assert sorted(line.rstrip() for line in lines) == sorted(wanted)


@pytest.mark.parametrize("name", golden.manifests())
def test_dependencies_in_the_store_are_the_golden_ones(lab: Lab, taken: Sealed, name: str) -> None:
    found = rows(
        lab,
        taken,
        "SELECT ecosystem, name, version, requirement, scope, direct, purl FROM dependencies"
        f" WHERE path = 'manifests/{name}'",
    )
    lines = [" | ".join("-" if value is None else str(value) for value in row) for row in found]
    assert sorted(lines) == sorted(golden.stored("dependencies")[name].splitlines()[1:])


def test_nothing_is_missing_and_nothing_left_over(lab: Lab, taken: Sealed) -> None:
    assert taken.manifest.scan is not None
    assert taken.manifest.scan.gaps == []
    assert {path for (path,) in rows(lab, taken, "SELECT DISTINCT path FROM symbols")} == {
        f"src/{name.removesuffix('.fixture')}" for name in golden.LANGUAGES
    }
    assert {path for (path,) in rows(lab, taken, "SELECT DISTINCT path FROM dependencies")} == {
        f"manifests/{name}" for name in golden.manifests()
    }


def test_attributes_say_what_is_generated_vendored_documentation_and_of_which_language(
    tmp_path: Path,
) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    source = b"<?php\nfunction total(int $a) { return $a; }\n"
    files = {
        ".gitattributes": b"*.inc linguist-language=PHP\n/lib/** linguist-vendored\n*.pb.py linguist-generated\n",
        "vendor/.gitattributes": b"* -linguist-vendored linguist-documentation\n",
        "a.inc": source,
        "lib/b.inc": source,
        "c.php": source,
        "d.pb.py": b"x = 1\n",
        "e.py": b"# @generated\nx = 1\n",
        "vendor/f.py": b"y = 1\n",
        "README": b"Read\n",
    }
    origin.commit(files=files)
    taken = lab.take(origin, options())
    columns = 'path, language, code, "generated", vendored, documentation'
    assert rows(
        lab, taken, f"SELECT {columns} FROM files WHERE path NOT LIKE '%attributes' ORDER BY path"
    ) == [
        ("README", None, None, False, False, True),
        ("a.inc", "PHP", 2, False, False, False),
        ("c.php", "PHP", 2, False, False, False),
        ("d.pb.py", "Python", 1, True, False, False),
        ("e.py", "Python", 1, True, False, False),
        ("lib/b.inc", "PHP", 2, False, True, False),
        ("vendor/f.py", "Python", 1, False, False, True),
    ]
    named = rows(lab, taken, "SELECT path, language FROM symbols WHERE name = 'total' ORDER BY path")
    assert named == [("a.inc", "PHP"), ("c.php", "PHP"), ("lib/b.inc", "PHP")]


def test_what_is_not_known_is_null_and_never_an_empty_text(lab: Lab, taken: Sealed) -> None:
    texts = {
        table: [column for column, kind in columns.items() if kind == "VARCHAR"]
        for table, columns in COLUMNS.items()
    }
    empty = {
        f"{table}.{column}"
        for table, columns in texts.items()
        for column in columns
        if rows(lab, taken, f"FROM {table} WHERE \"{column}\" = '' LIMIT 1")
    }
    assert empty == set()


def test_the_report_and_the_digest_name_what_is_there(lab: Lab, taken: Sealed) -> None:
    assert taken.manifest.scan is not None
    texts = {
        artifact.name: lab.store.get(artifact.key).decode()
        for artifact in taken.manifest.scan.artifacts
        if not artifact.name.endswith(".parquet")
    }
    assert sorted(texts) == ["digest.md", "report.html"]
    for language in ("Python", "Kotlin", "Rust"):
        assert language in texts["digest.md"]
        assert language in texts["report.html"]
