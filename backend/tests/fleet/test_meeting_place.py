"""Off loopback a scheduler is spoken to by TLS only, and listens at one address."""

from __future__ import annotations

import json

import pytest

from snapshotter.base.errors import UsageError
from snapshotter.fleet.meeting_place import VARIABLE, Certificates, MeetingPlace, parse
from tests.support.clusters import certificates_by_the_guide

SOME = Certificates("ca", "cert", "key")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls://10.0.0.5:8786", MeetingPlace("tls", "10.0.0.5", 8786)),
        ("tls://Scheduler.internal:1", MeetingPlace("tls", "scheduler.internal", 1)),
        ("tls://[fd00::5]:8786", MeetingPlace("tls", "fd00::5", 8786)),
        ("tcp://127.0.0.1:8786", MeetingPlace("tcp", "127.0.0.1", 8786)),
        ("tcp://[::1]:8786", MeetingPlace("tcp", "::1", 8786)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, expected: MeetingPlace) -> None:
    assert parse(text, SOME) == expected
    assert parse(str(expected), SOME) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.0.0.5:8786", "not the address"),
        ("http://10.0.0.5:8786", "not the address"),
        ("tls://10.0.0.5", "not the address"),
        ("tls://10.0.0.5:0", "not the address"),
        ("tls://10.0.0.5:70000", "not the address"),
        ("tls://user@10.0.0.5:8786", "not the address"),
        ("tls://10.0.0.5:8786\n", "not the address"),
        ("tls://auto:8786", "no machine to connect to"),
        ("tcp://10.0.0.5:8786", "plain TCP"),
        ("tcp://localhost.example.org:8786", "plain TCP"),
    ],
)
def test_what_cannot_be_connected_to_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        parse(text, SOME)
    assert raised.value.hint


@pytest.mark.parametrize("text", ["tls://0.0.0.0:8786", "tls://[::]:8786", "tcp://0.0.0.0:8786"])
def test_nobody_listens_at_all_addresses(text: str) -> None:
    with pytest.raises(UsageError, match="every address"):
        parse(text, SOME, listening=True)


def test_tls_needs_certificates_and_says_where_they_come_from() -> None:
    with pytest.raises(UsageError, match="certificates") as raised:
        parse("tls://10.0.0.5:8786", None)
    assert VARIABLE in raised.value.hint


def test_auto_is_one_address_of_this_machine() -> None:
    try:
        own = parse("tls://auto:0", SOME, listening=True).own()
    except UsageError as error:  # a machine without a route
        assert "no route" in error.message
        return
    assert parse(f"tls://{own.host}:8786", SOME, listening=True).port == 8786


def test_without_the_setting_there_are_no_certificates() -> None:
    assert Certificates.of({}) is None
    assert Certificates.of({VARIABLE: ""}) is None


def test_what_the_guide_makes_is_taken() -> None:
    made = certificates_by_the_guide()
    found = Certificates.of({VARIABLE: made})

    assert found is not None
    assert found.key == json.loads(made)["key"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda made, other: "{", id="no JSON"),
        pytest.param(
            lambda made, other: json.dumps({"ca": made["ca"], "cert": made["cert"]}), id="a key is missing"
        ),
        pytest.param(lambda made, other: json.dumps(made | {"more": "x"}), id="more than is known"),
        pytest.param(lambda made, other: json.dumps(made | {"key": other["key"]}), id="another's key"),
        pytest.param(lambda made, other: json.dumps(made | {"ca": "x"}), id="no CA"),
        pytest.param(lambda made, other: json.dumps(made | {"cert": "ä"}), id="no ASCII"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_never_told(change) -> None:  # type: ignore[no-untyped-def]
    made, other = (json.loads(certificates_by_the_guide(number)) for number in (0, 1))
    with pytest.raises(UsageError) as raised:
        Certificates.of({VARIABLE: change(made, other)})

    told = f"{raised.value.message} {raised.value.hint} {raised.value.__cause__}"
    assert VARIABLE in told
    assert made["key"].splitlines()[1] not in told
    assert other["key"].splitlines()[1] not in told


def test_a_key_is_not_in_what_a_debugger_prints() -> None:
    assert "SECRET" not in repr(Certificates("ca", "cert", "SECRET"))
