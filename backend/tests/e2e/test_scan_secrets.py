"""Leaked secrets are found, each at its place, and nothing that a run writes or says holds one of their values."""

from __future__ import annotations

import base64
import json
import traceback
import urllib.parse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from snapshotter.scan.runner import ScannerFailed, program
from snapshotter.scan.secrets import SecretFinding, find
from snapshotter.scan.staging import Staging
from tests.scan.planted import AWS, VALUES, in_source
from tests.support.cli import Done, cli
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import KEY, options, rows, rule_cache, scan_of, scan_options

PAT, NPM, GRID = VALUES["github-pat"], VALUES["npmjsaccesstoken"], VALUES["sendgrid"]
GITLAB, LINEAR, PYPI = VALUES["gitlab-pat"], VALUES["linear-api-key"], VALUES["pypi-upload-token"]

# Where text is quoted by a table, the report or the digest: signatures, comments, requirements, README, entry points.
QUOTED: dict[str | bytes, str] = {
    "README.md": f"# Title\n\nLog in with {GITLAB} first.\n\n## {GITLAB}\n",
    "LICENSE": f"MIT License\n\nCopyright {LINEAR}\n",
    "package.json": json.dumps(
        {
            "name": "x",
            "description": NPM,
            "scripts": {"start": f"deploy --token {NPM}"},
            "bin": {NPM: "x.js"},
            "dependencies": {"left-pad": f"git+https://user:{PAT}@github.com/a/b.git"},
        },
        indent=1,
    ),
    "broken/package.json": f'{{"token": "{NPM}", }}',
    "requirements.txt": f"pkg @ git+https://{PAT}@github.com/a/b\n--index-url https://u:{PYPI}@example.com/\n",
    "pyproject.toml": f'[project]\nname = "x"\ndescription = "{PYPI}"\ndependencies = ["y @ https://{PAT}@h.example/y"]\n'
    f'[project.scripts]\nrun = "x:{PAT}"\n',
    "Dockerfile": f'FROM python:3.12\nENV TOKEN={GRID}\nENTRYPOINT ["run", "--token", "{GRID}"]\n',
    ".github/workflows/ci.yml": f"on: push\njobs:\n  a:\n    steps:\n      - uses: a/b@{PAT}\n        token: {PAT}\n",
    "go.mod": f"module example.com/{PAT}\n\nrequire example.com/{PAT}/x v1.2.3\n",
    "constants.py": f'"""{PAT}"""\n\nTOKEN = "{PAT}"\n\n\ndef f(token="{NPM}"):\n    """Uses {GITLAB}."""\n',
    "name.py": f"# {PAT}\nclass {PAT}:\n    def {PAT}(self): ...\n",
    "constants.ts": f'import x from "https://user:{PAT}@example.com/x.js";\n/** {NPM} */\n'
    f'export const token = "{NPM}";\n',
    "constants.go": f'package p\n\nimport "example.com/{PAT}/x"\n\n// Token is {GRID}.\nconst Token = "{GRID}"\n',
    "constants.rs": f'/// {GRID}\npub const TOKEN: &str = "{GRID}";\nuse x::{PAT};\n',
    "Constants.java": f'class C {{\n  /** {NPM} */\n  static final String T = "{NPM}";\n}}\n',
    "long.go": f"package p\n\n// {GRID}\n" + "// more\n" * 60 + "func F() {}\n",
    "long.c": f"/**\n * {GRID}\n" + " * more\n" * 150 + " */\nvoid f() {}\n",
    "longer.c": f"/**\n * {GRID}\n" + " * a\n" * 300 + " */\nvoid f() {}\n",
    "c.h": f'#include "{PAT}.h"\n#define TOKEN "{PAT}"\n',
}


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Origin:
    """Each kind of secret on line 2 of a file of its own, one of them twice, and some where text is quoted."""
    origin = Origin(tmp_path_factory.mktemp("leaky") / "leaky.git")
    files: dict[str | bytes, bytes] = {f"kinds/{kind}.py": in_source(value) for kind, value in VALUES.items()}
    files["kinds/aws.txt"] = f"aws_access_key_id = {AWS[0]}\naws_secret_access_key = {AWS[1]}\n".encode()
    files["again/github.txt"] = f"\n\n\ngithub_token = '{PAT}'\n".encode()
    origin.commit(files=files | {path: text.encode() for path, text in QUOTED.items()})
    return origin


def forms(value: str) -> Iterator[bytes]:
    """A value as it may stand in other text: as it is, a line of it, escaped, in hex, in base64 at any offset."""
    for text in {value, *(line for line in value.splitlines() if "PRIVATE" not in line)}:
        raw = text.encode()
        yield raw
        yield json.dumps(text)[1:-1].encode()
        yield urllib.parse.quote(text, safe="").encode()
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw)
            yield encoded[4 if offset else 0 : -4]
            yield encoded[4 if offset else 0 : -4].translate(bytes.maketrans(b"+/", b"-_"))


NEEDLES = {
    form: kind
    for kind, value in {**VALUES, "aws": AWS[0], "aws secret": AWS[1]}.items()
    for form in forms(value)
}


def assert_clean(where: str, data: bytes) -> None:
    found = {kind for needle, kind in NEEDLES.items() if needle in data}
    assert not found, f"{where} holds {sorted(found)}"


def assert_store_is_clean(root: Path) -> None:
    """No object holds a value but the history, which is the repository itself. Parquet is read row by row."""
    seen = 0
    for path in root.rglob("*"):
        if not path.is_file() or path.name.startswith("history.bundle"):
            continue
        assert_clean(path.name, path.read_bytes())
        assert_clean("the key of " + path.name, bytes(path))
        if path.suffix == ".parquet":
            seen += 1
            with duckdb.connect() as connection:
                for row in connection.execute(f"FROM '{path}'").fetchall():
                    assert_clean(f"{path.name}: {row[0]}", repr(row).encode())
                    assert_clean(f"{path.name}: {row[0]}", "\0".join(map(str, row)).encode())
    assert seen


def snapshot(leaky: Origin, store: Path, *flags: str, **env: str) -> Done:
    env |= {"SNAPSHOTTER_RULE_CACHE": str(rule_cache())}
    return cli("snapshot", leaky.path, "--store", store, "--scan", *flags, **env)


@pytest.mark.parametrize("key", ["", "a key of ours"])
def test_no_value_leaves_the_repository(leaky: Origin, tmp_path: Path, key: str) -> None:
    env = {"SNAPSHOTTER_FINGERPRINT_KEY": key} if key else {}
    first = snapshot(leaky, tmp_path / "store", "--verbose", **env)
    again = snapshot(leaky, tmp_path / "store", "--json", "--secret-gate", **env)
    assert (first.code, again.code) == (0, 1)
    assert again.json["error"]["code"] == "secret-gate"
    queried = cli("query", "FROM secrets", "--store", tmp_path / "store", "--format", "json")
    assert queried.code == 0, queried.err
    for done in (first, again, queried):
        assert_clean("stdout", done.out.encode())
        assert_clean("stderr", done.err.encode())
        assert key not in done.out + done.err or not key
    assert_store_is_clean(tmp_path / "store")


def test_each_secret_has_a_row_with_its_path_and_line(leaky: Origin, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store")
    taken = lab.take(leaky, options(scan_options(key=KEY)))
    found = rows(lab, taken, "SELECT path, line, rule, fingerprint FROM secrets")
    lacking = [
        kind
        for kind in VALUES
        if not any(path == f"kinds/{kind}.py" and line == 2 and kind in rule for path, line, rule, _ in found)
    ]
    assert lacking == []
    assert len(VALUES) >= 12
    assert ("kinds/aws.txt", 1) in {(path, line) for path, line, _, _ in found}
    prints = {path: mark for path, _, rule, mark in found if "github-pat" in rule or "github.1" in rule}
    assert prints["kinds/github-pat.py"] == prints["again/github.txt"] == prints["constants.py"]
    assert len({mark for path, _, _, mark in found if path.startswith("kinds/")}) >= len(VALUES)


def test_a_file_that_is_carried_over_hides_its_secrets_too(leaky: Origin, tmp_path: Path) -> None:
    """README and manifests are read again for report and digest; that they hold secrets is known from before."""
    lab, origin = Lab(tmp_path / "store"), Origin(tmp_path / "x.git")
    origin.commit(files={path: text.encode() for path, text in QUOTED.items()})
    lab.take(origin, options())
    origin.commit(files={"new.py": b"import constants\n"})
    second = lab.take(origin, options())
    assert scan_of(second).run_id == second.manifest.run_id
    assert_store_is_clean(lab.root)


def test_what_was_not_searched_is_not_quoted(tmp_path: Path) -> None:
    """A README beyond the limit of all bytes was not given to the search for secrets."""
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    quoted: dict[str | bytes, bytes] = {path: text.encode() for path, text in QUOTED.items()}
    origin.commit(files=quoted | {".first": b"x" * 2000})
    taken = lab.take(origin, options(scan_options(max_total_bytes=2000)))
    assert rows(lab, taken, "SELECT count(*) FROM files WHERE skip_reason IS NULL") == [(1,)]
    assert_store_is_clean(lab.root)


@pytest.mark.parametrize("how", ["fails", "prints what it found and fails"])
def test_where_the_search_fails_nothing_is_quoted(leaky: Origin, tmp_path: Path, how: str) -> None:
    real, fake = program("kingfisher"), tmp_path / "kingfisher"
    fake.write_text(f"#!/bin/sh\n{f'{real} $*' if 'prints' in how else ':'}\nexit 9\n")
    fake.chmod(0o755)
    lab = Lab(tmp_path / "store")
    taken = lab.take(leaky, options(scan_options(resources={"find_secrets": partial(find, kingfisher=fake)})))
    assert [gap.kind for gap in scan_of(taken).gaps] == ["scanner-failed"]
    assert_store_is_clean(lab.root)
    assert_clean("warnings", "".join(lab.observer.warnings).encode())


def test_no_exception_of_a_scan_holds_a_value(leaky: Origin, tmp_path: Path) -> None:
    """The report breaks off after its findings: what is told, and all that a traceback would show, is clean."""
    real, fake = program("kingfisher"), tmp_path / "kingfisher"
    fake.write_text(f"#!/bin/sh\n{real} $*\necho '{{]'\n")
    fake.chmod(0o755)
    told: list[str] = []

    def watched(staging: Staging, **how: Any) -> list[SecretFinding]:
        try:
            return find(staging, kingfisher=fake, **how)
        except ScannerFailed as error:
            told.extend(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            raise

    lab = Lab(tmp_path / "store")
    taken = lab.take(leaky, options(scan_options(resources={"find_secrets": watched})))
    assert scan_of(taken).gaps[0].sample == ["kingfisher wrote something else than its report"]
    assert "staging = " in "".join(told)
    assert_clean("gaps", repr(taken.manifest).encode())
    assert_clean("traceback", "".join(told).encode())
    assert_store_is_clean(lab.root)
