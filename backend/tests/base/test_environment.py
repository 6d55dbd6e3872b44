"""What of our environment a child gets."""

from __future__ import annotations

import pytest

from snapshotter.base import environment
from snapshotter.base.variables import SETTINGS

SECRETS = {
    "AWS_ACCESS_KEY_ID": "s",
    "AWS_SECRET_ACCESS_KEY": "s",
    "AWS_SESSION_TOKEN": "s",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "s",
    "SNAPSHOTTER_GIT_TOKEN_GIT_EXAMPLE_TEST": "s",
    "GITHUB_TOKEN": "s",
} | {setting.name: "s" for setting in SETTINGS}


@pytest.mark.parametrize("network", [False, True])
def test_a_child_gets_what_is_on_the_list_and_its_own(network: bool) -> None:
    env = SECRETS | {"PATH": "/bin", "LC_TIME": "C", "GIT_DIR": "/x", "TMPDIR": "/t"}
    given = environment.for_child({"GIT_PROTOCOL": "version=2", "TMPDIR": "/own"}, network=network, env=env)
    assert given == {"PATH": "/bin", "LC_TIME": "C", "TMPDIR": "/own", "GIT_PROTOCOL": "version=2"}


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "no_proxy", "SSH_AUTH_SOCK", "KRB5CCNAME"])
def test_what_leads_to_a_host_is_for_those_that_go_there(name: str) -> None:
    assert environment.for_child({}, env={name: "x"}) == {}
    assert environment.for_child({}, network=True, env={name: "x"}) == {name: "x"}


def test_a_users_own_command_has_the_users_environment_without_our_settings() -> None:
    given = environment.for_users_own({"GIT_ASKPASS": "true"}, env=SECRETS | {"VAULT_ADDR": "x"})
    assert not [name for name in given if name.startswith("SNAPSHOTTER_")]
    assert {"VAULT_ADDR", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GIT_ASKPASS"} <= given.keys()
