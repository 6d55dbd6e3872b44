"""The job's document: what is refused, and that the schema in docs judges as the code does."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from snapshotter.base.errors import UsageError
from snapshotter.fleet.document import Job, Reference, json_schema, read
from snapshotter.fleet.stored_job import reference_in

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs" / "job.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("{", "not a job"),
        ("[]", "not a job"),
        ("{}", "names no origin"),
        ({"origins": []}, "names no origin"),
        ({"origin": "x", "origins": ["y"]}, "one of them"),
        ({"origin": "x", "colour": 1}, "`colour`"),
        ({"origin": "x", "options": {"segment-size": "1MiB"}}, "`segment-size`"),
        ({"origin": "x", "options": {"max_refs": 0}}, "max_refs"),
        ({"origin": "x", "labels": {"a": 1}}, "labels"),
        ({"verb": "delete", "origin": "x"}, "delete"),
        ({"verb": "prove", "origin": "x"}, "prove"),
        ({"origin": "x", "skip": ["http"]}, "`skip`"),
        ({"verb": "verify", "skip": ["http"]}, "`skip`"),
        ({"verb": "verify", "origin": "x"}, "verify"),
        ({"verb": "verify", "labels": {"a": "b"}}, "verify"),
        ({"verb": "prove", "newest": True}, "`newest`"),
        ({"origin": "x", "quick": True}, "`quick`"),
        ({"origin": ""}, "$.origin"),
        ({"origin": "x", "store": ""}, "$.store"),
        ({"origin": "x", "labels": {"": "y"}}, "$.labels"),
        ('{"origins": ["x"], "origins": ["y"]}', "a key twice"),
        ('{"origin": "x", "options": {"full": true, "full": false}}', "a key twice"),
        ('{"origin": "x"}{"origin": "y"}', "trailing"),
        ('\ufeff{"origin": "x"}', "not a job"),
        ('{"origin": "\\ud800"}', "not a job"),
        ("[" * 100_000, "not a job"),
        ('{"labels":' + '{"a":' * 20_000, "not a job"),
    ],
)
def test_a_document_that_is_no_job_is_refused(document: object, named: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(UsageError) as caught:
        read(text.encode())
    assert caught.value.message.startswith("not a job: ")
    assert named in caught.value.message
    assert caught.value.hint


def test_a_refused_document_s_values_are_never_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        read(b'{"origin": {"url": "https://u:hunter2@example.com/x"}}')
    assert "hunter2" not in caught.value.message


def test_the_schema_in_docs_is_the_code_s() -> None:
    assert json_schema() == SCHEMA


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"origin": "x"},
        {"origins": ["x", "y"]},
        {"origins": []},
        {"origin": "x", "origins": ["y"]},
        {"origin": 1},
        {"origin": "x", "more": 1},
        {"origin": "x", "options": {"full": True, "max_refs": 3}},
        {"origin": "x", "options": {"max_refs": 0}},
        {"origin": "x", "labels": {"k": "v"}},
        {"verb": "prove"},
        {"verb": "prove", "store": "s3://b/p/"},
        {"verb": "prove", "origins": ["x"]},
        {"verb": "x"},
        {"verb": "prove", "skip": ["http"]},
        {"verb": "prove", "quick": True},
        {"verb": "verify"},
        {"verb": "verify", "newest": True, "quick": True, "store": "s3://b/p/"},
        {"verb": "verify", "origin": "x"},
        {"verb": "verify", "only": ["put"]},
        {"origin": "x", "newest": True},
        {"origin": "x", "only": ["put"]},
        {"origin": ""},
        {"origin": "x", "store": ""},
        {"origins": [""]},
        {"origin": "x", "labels": {"": "v"}},
        {"document": "s3://b/_jobs/x", "sha256": "0" * 64},
        {"document": "s3://b/_jobs/x", "sha256": "x"},
        {"document": "s3://b/_jobs/x"},
        {"document": "", "sha256": "0" * 64},
        {"document": "s3://b/_jobs/x", "sha256": "0" * 64, "origin": "x"},
    ],
    ids=json.dumps,
)
def test_the_schema_judges_as_the_code_does(document: object) -> None:
    try:
        text = json.dumps(document).encode()
        fits = isinstance(reference_in(text) or read(text), (Job, Reference))
    except UsageError:
        fits = False
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(document) == fits
