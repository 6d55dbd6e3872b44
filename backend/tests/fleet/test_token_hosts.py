"""A token that names no host is for a job of one host only."""

from __future__ import annotations

import pytest

from snapshotter.base.errors import UsageError
from snapshotter.base.settings import Settings
from snapshotter.fleet.token_hosts import check_tokens

GENERAL = {"SNAPSHOTTER_GIT_TOKEN": "s3cr3t"}
COMMAND = {"SNAPSHOTTER_GIT_TOKEN_COMMAND": "echo s3cr3t"}
BOUND = {
    "SNAPSHOTTER_GIT_TOKENS": '{"a.test": "s3cr3t"}',
    "SNAPSHOTTER_GIT_TOKEN_B_TEST": "s3cr3t",
    "SNAPSHOTTER_SSH_KEY": "s3cr3t",
}


@pytest.mark.parametrize("given", [GENERAL, COMMAND, GENERAL | BOUND])
@pytest.mark.parametrize(
    "origins",
    [
        ["https://a.test/x", "https://b.test/x"],
        ["https://a.test/x", "https://a.test:8443/x"],
        ["https://a.test/x", "ftp://", "http://127.0.0.1:8080/x"],
        ["https://a.test/x", "https://u:p@b.test/x"],
    ],
)
def test_origins_at_several_hosts_are_refused_a_token_that_names_none(
    given: dict[str, str], origins: list[str]
) -> None:
    with pytest.raises(UsageError) as raised:
        check_tokens(origins, Settings(given))
    error = raised.value
    assert error.code == "tokens"
    assert error.message.startswith("SNAPSHOTTER_GIT_TOKEN")
    assert "a.test" in error.details
    assert "SNAPSHOTTER_GIT_TOKENS" in error.hint
    assert "s3cr3t" not in str(error.as_dict())


@pytest.mark.parametrize(
    ("given", "origins"),
    [
        (GENERAL, ["https://a.test/x", "https://A.test:443/y", "git@b.test:x", "ssh://c.test/x", "/srv/x"]),
        (BOUND, ["https://a.test/x", "https://b.test/x"]),
        ({}, ["https://a.test/x", "https://b.test/x"]),
        (GENERAL, []),
    ],
)
def test_one_host_or_tokens_that_name_theirs_are_as_they_should_be(
    given: dict[str, str], origins: list[str]
) -> None:
    check_tokens(origins, Settings(given))
