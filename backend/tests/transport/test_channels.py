"""What a child's own words make of its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import NoGitAnswer, OriginNotFound, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.ssh import SshClient
from tests.support.wires import NoCredentials


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ("ssh: connect to host h port 22: Connection refused", Unavailable, "no-connection"),
        ("ssh: connect to host h port 22: Connection timed out", Unavailable, "no-connection"),
        ("ssh: Could not resolve hostname h: Name or service not known", Unavailable, "no-connection"),
        ("git@h: Permission denied (publickey).", AccessDenied, "origin-denied"),
        ("Host key verification failed.", Unavailable, "host-key"),
        ("fatal: 'x' does not appear to be a git repository", OriginNotFound, "origin-not-found"),
        ("something else", NoGitAnswer, "not-git"),
    ],
)
def test_an_ssh_that_ends_without_a_word_on_stdout(
    tmp_path: Path, words: str, kind: type[SnapshotterError], code: str
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\ncat <<"END" >&2\n{words}\nEND\nexit 255\n')
    ssh.chmod(0o700)
    connector = Connector(NoCredentials(), WireLimits(), ssh=SshClient(str(ssh)))
    transport = connector(parse("git@h:x"), Cancel())
    with pytest.raises(SnapshotterError) as raised:
        transport.ls_refs()
    transport.close()
    assert (type(raised.value), raised.value.code) == (kind, code)
    assert words in raised.value.details
    assert raised.value.hint
