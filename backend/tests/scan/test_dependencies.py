"""Dependencies: a golden table for every manifest kind, and input that is meant to hurt."""

from __future__ import annotations

import json
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL

from snapshotter.scan.dependencies import MAX_ROWS, ManifestError, is_manifest, module_path, parse
from snapshotter.scan.dependencies.formats import MAX_BYTES
from tests.scan import golden

FILES = golden.manifests()


@pytest.mark.parametrize("name", FILES)
def test_a_manifest_gives_its_golden_rows(name: str) -> None:
    assert golden.dependencies(name) == golden.stored("dependencies")[name]


@pytest.mark.parametrize("name", FILES)
def test_a_row_has_a_package_url_of_its_own_name_and_version(name: str) -> None:
    for row in parse(name, FILES[name].read_bytes()):
        if row.purl is None:
            continue
        purl = PackageURL.from_string(row.purl)
        assert (purl.type, purl.version) == (row.ecosystem, row.version)
        assert row.name.lower().endswith(purl.name.lower())


@pytest.mark.parametrize("name", FILES)
def test_no_credential_of_a_url_is_kept(name: str) -> None:
    assert b"not-a-secret" not in repr(parse(name, FILES[name].read_bytes())).encode()


@pytest.mark.parametrize(
    "path",
    [
        "requirements.txt",
        "a/dev-requirements.txt",
        "requirements/base.in",
        "docker/Dockerfile",
        "Dockerfile.prod",
        "web.Dockerfile",
        "Containerfile",
        "x/package.json",
        ".github/workflows/a.yaml",
        "sub/.github/workflows/a.yml",
        "gems.locked",
    ],
)
def test_paths_of_manifests(path: str) -> None:
    assert is_manifest(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a.txt",
        "xpackage.json",
        "package.json.bak",
        "Dockerfile/readme",
        "github/workflows/a.yml",
        "cargo.toml",
    ],
)
def test_paths_of_other_files(path: str) -> None:
    assert not is_manifest(path)
    with pytest.raises(ManifestError):
        parse(path, b"")


def test_a_go_module_tells_its_path() -> None:
    assert module_path(FILES["go.mod"].read_bytes()) == "example.com/shop"
    assert module_path(b"// module no\n") is None


DEEP = 100_000
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">%s]><project>&i;</project>' % b"".join(
    b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(9)
)
HOSTILE = {
    "nested JSON": ("package.json", b'{"dependencies":' + b"[" * DEEP + b"]" * DEEP + b"}"),
    "nested JSON objects": ("package-lock.json", b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "nested TOML arrays": ("pyproject.toml", b"a = " + b"[" * DEEP + b"]" * DEEP),
    "nested TOML tables": ("Cargo.toml", b"a = " + b"{a=" * DEEP + b"1" + b"}" * DEEP),
    "huge integer": ("package.json", b'{"version":' + b"9" * 100_000 + b"}"),
    "nested YAML": ("pnpm-lock.yaml", b"[" * DEEP + b"]" * DEEP),
    "nested YAML blocks": ("pnpm-lock.yaml", b"".join(b" " * n + b"a:\n" for n in range(2_000))),
    "YAML merge by a tag": ("compose.yml", b"services: {a: {!!merge x: {image: b}}}\n"),
    "YAML aliases": ("action.yml", b"a: &a [x]\nb: [" + b"*a, " * 5_000 + b"]\n"),
    "YAML tag": ("action.yml", b"a: !!python/object/apply:os.system [id]\n"),
    "YAML key": ("action.yml", b"? {a: [1]}\n: 1\n"),
    "XML entities": ("pom.xml", BOMB),
    "XML external": ("pom.xml", b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><project/>'),
    "nested XML": ("pom.xml", b"<a>" * DEEP),
    "XML encoding": ("pom.xml", b'<?xml version="1.0" encoding="nonsense"?><project/>'),
    "too large": ("yarn.lock", b"a" * (MAX_BYTES + 1)),
    "too large XML": ("pom.xml", b" " * (MAX_BYTES + 1)),
    "rows": ("go.mod", b"module a\n" + b"".join(b"require a/b%d v1\n" % n for n in range(MAX_ROWS + 1))),
    "not an object": ("package.json", b"[1]"),
    "not a table": ("package.json", b'{"dependencies": [1]}'),
    "not a pom": ("pom.xml", b"<html/>"),
    "no name": ("package-lock.json", b'{"packages":{"node_modules/":{"version":"1"}}}'),
    "prose": ("requirements.txt", b"These are the requirements, as agreed:\nit must be fast!\n"),
    "no module": ("go.mod", b"require a v1\n"),
    "no lock": ("yarn.lock", b"hello\n"),
    "no gems": ("Gemfile.lock", b"hello\n"),
    "empty": ("package.json", b""),
    "binary": ("Cargo.lock", bytes(range(256))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_manifests_are_refused(name: str) -> None:
    with pytest.raises(ManifestError) as refused:
        parse(*HOSTILE[name])
    assert 5 < len(str(refused.value)) < 300


def test_deep_but_valid_xml_is_read() -> None:
    assert parse("pom.xml", b"<project>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</project>") == []


def test_properties_that_multiply_stay_short() -> None:
    def version(**properties: str) -> str | None:
        named = "".join(f"<{name}>{value}</{name}>" for name, value in properties.items())
        row = (
            "<dependency><groupId>a</groupId><artifactId>b</artifactId><version>${p0}</version></dependency>"
        )
        blob = f"<project><properties>{named}</properties><dependencies>{row}</dependencies></project>"
        return parse("pom.xml", blob.encode())[0].version

    assert version(p0="${p1}" * 15, p1="1" * 30) == "1" * 300
    assert version(**{f"p{level}": f"${{p{level + 1}}}" * 20 for level in range(9)}) is None


def test_half_a_surrogate_pair_is_text_that_encodes() -> None:
    rows = parse("package.json", b'{"dependencies":{"a":"\\ud800", "b":"1.0.0"}}')
    assert rows[0].requirement is not None
    assert rows[0].requirement.encode() == b"\\ud800"


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from([*FILES]), blob=st.binary(max_size=300))
def test_any_bytes_give_rows_or_a_manifest_error(name: str, blob: bytes) -> None:
    _rows_or_refusal(name, blob)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from([*FILES]),
    cut=st.integers(0, 900),
    length=st.integers(0, 60),
    text=st.text(max_size=4),
)
def test_damaged_manifests_give_rows_or_a_manifest_error(name: str, cut: int, length: int, text: str) -> None:
    blob = FILES[name].read_bytes()
    _rows_or_refusal(name, blob[:cut] + text.encode("utf-8", "replace") + blob[cut + length :])


_VALUES = [None, True, 0, 1.5, "x", "", [], {}, [None], [{}], [[]], {"": None}, {"a": {}}, {"version": 1}]


@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    name=st.sampled_from(
        [name for name in FILES if name.endswith((".json", "Pipfile.lock", "composer.lock", ".resolved"))]
    ),
)
def test_json_of_the_wrong_types_gives_rows_or_a_manifest_error(seed: int, name: str) -> None:
    spoilt = _spoilt(json.loads(FILES[name].read_bytes()), random.Random(seed))
    _rows_or_refusal(name, json.dumps(spoilt).encode())


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    name=st.sampled_from([name for name in FILES if name.endswith((".yaml", ".yml", "pubspec.lock"))]),
)
def test_yaml_of_the_wrong_types_gives_rows_or_a_manifest_error(seed: int, name: str) -> None:
    spoilt = _spoilt(yaml.safe_load(FILES[name].read_bytes()), random.Random(seed))
    _rows_or_refusal(name, yaml.safe_dump(spoilt).encode())


def _spoilt(value: object, chance: random.Random) -> object:
    if chance.random() < 0.08:
        return chance.choice(_VALUES)
    if isinstance(value, dict):
        return {key: _spoilt(item, chance) for key, item in value.items()}
    return [_spoilt(item, chance) for item in value] if isinstance(value, list) else value


def _rows_or_refusal(name: str, blob: bytes) -> None:
    try:
        rows = parse(name, blob)
    except ManifestError:
        return
    for row in rows:
        assert row.name
        assert row.purl is None or row.purl.startswith(f"pkg:{row.ecosystem}/")
        assert "" not in row
        json.dumps(row).encode()
