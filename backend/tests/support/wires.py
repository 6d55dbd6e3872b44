"""Every way to the repositories in a folder: HTTP, git://, SSH and a local path, with real git on loopback."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.git.origin import Credential
from snapshotter.git.origin import Origin as Address
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.ssh import SshClient
from tests.support.git import ENV, Origin, git

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

# Stands in for pack-objects in repositories called `stalled`: silent for half a minute, while its caller lives.
# A server does not end it when the client is gone, so it must end by itself.
_STALL = """#!/bin/sh
case "$PWD" in
*stalled*) n=0; while [ $n -lt 300 ] && kill -0 $PPID 2>/dev/null; do n=$((n + 1)); sleep 0.1; done ;;
*) exec "$@" ;;
esac
"""


class NoCredentials:
    """For origins that ask for none."""

    def initial(self, origin: Address) -> Credential | None:
        return origin.credential

    def after_refusal(self, origin: Address, refused: Credential | None) -> Credential | None:
        return None


@dataclass
class Way:
    """One way to the repositories: how an origin is written, and the connector that reaches it."""

    name: str
    prefix: str
    root: Path
    ssh_command: str = "ssh"
    open: list[Transport] = field(default_factory=list)

    @property
    def tells_dangling_head(self) -> bool:
        """Protocol v0 has no word for a HEAD without its branch."""
        return not self.name.endswith("v0")

    def connect(
        self, repo: Origin, cancel: Cancel | None = None, limits: WireLimits | None = None
    ) -> Transport:
        """A transport to `repo`, closed with the test."""
        origin = parse(f"{self.prefix}/{repo.path.relative_to(self.root)}")
        connector = Connector(NoCredentials(), limits or WireLimits(), ssh=SshClient(self.ssh_command))
        transport = connector(origin, cancel or Cancel())
        self.open.append(transport)
        return transport


def pack_of(transport: Transport, request: FetchRequest) -> bytes:
    """The pack that a transport brings."""
    pack = bytearray()
    transport.fetch(request, pack.extend)
    return bytes(pack)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv: list[str], port: int, env: dict[str, str], log: Path) -> Iterator[None]:
    """A server of ours until the block ends, from the moment it accepts connections on `port`."""
    with log.open("wb") as out, subprocess.Popen(argv, env=env, stdout=out, stderr=out) as process:
        try:
            until = time.monotonic() + 60
            while not _accepts(port):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{argv[0]} did not start: {log.read_text(errors='replace')}")
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.wait(60)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Servers:
    """Every way to the repositories in `root`, each server started when it is first asked for."""

    NAMES = ("http-v2", "http-v0", "local-v2", "git-v2", "git-v0", "ssh-v2", "ssh-v0")

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = root, scratch
        self._ways: dict[str, Way] = {}
        self._scope = ExitStack()
        hook = scratch / "hook"
        hook.write_text(_STALL)
        hook.chmod(0o755)
        self.hook = hook
        self.gitconfig = scratch / ".gitconfig"
        self.gitconfig.write_text(
            f"[uploadpack]\n\tpackObjectsHook = {hook}\n\tkeepAlive = 0\n[safe]\n\tdirectory = *\n"
        )

    def way(self, name: str) -> Way:
        """The way called `name`. Raises LookupError with the reason if this machine cannot offer it."""
        if name not in self._ways:
            kind, version = name.split("-")
            self._ways[name] = getattr(self, f"_{kind}")(name, v0=version == "v0")
        return self._ways[name]

    def close(self) -> None:
        self._scope.close()

    def _http(self, name: str, *, v0: bool) -> Way:
        config = {"uploadpack.packObjectsHook": str(self.hook), "uploadpack.keepAlive": "0"}
        host = self._scope.enter_context(GitHost(self.root, v0=v0, config=config))
        return Way(name, host.url(), self.root)

    def _local(self, name: str, *, v0: bool) -> Way:
        return Way(name, str(self.root), self.root)

    def _git(self, name: str, *, v0: bool) -> Way:
        port = free_port()
        argv = ["git", *([f"--exec-path={self._old_git()}"] if v0 else []), "daemon", "--reuseaddr"]
        argv += ["--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={self.root}"]
        env = ENV | {"GIT_CONFIG_GLOBAL": str(self.gitconfig)}
        self._scope.enter_context(running(argv, port, env, self.scratch / f"{name}.log"))
        return Way(name, f"git://127.0.0.1:{port}", self.root)

    def _ssh(self, name: str, *, v0: bool) -> Way:
        if SSHD is None:
            raise LookupError("sshd is not installed (Debian: openssh-server), so SSH is not tested")
        if os.geteuid() == 0:  # what init makes for a root's sshd, and a container may lack
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        folder = self.scratch / name
        folder.mkdir()
        for key in ("host", "user"):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(argv, check=True, capture_output=True)
        port = free_port()
        accepted = "" if v0 else "AcceptEnv GIT_PROTOCOL\n"
        (folder / "conf").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
            f"PermitRootLogin prohibit-password\nSetEnv GIT_CONFIG_GLOBAL={self.gitconfig}\n{accepted}"
        )
        self._scope.enter_context(
            running([SSHD, "-D", "-e", "-f", str(folder / "conf")], port, dict(os.environ), folder / "log")
        )
        known = (folder / "host.pub").read_text().split()[:2]
        (folder / "known").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
        words = ["ssh", "-F", os.devnull, "-i", str(folder / "user"), "-o", "IdentitiesOnly=yes"]
        words += ["-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "GlobalKnownHostsFile=/dev/null"]
        return Way(name, f"ssh://127.0.0.1:{port}{self.root}", self.root, shlex.join(words))

    def _old_git(self) -> Path:
        """A git that has never heard of protocol versions: the real one, with that variable removed."""
        real, folder = git(None, "--exec-path").decode().strip(), self.scratch / "old-git"
        folder.mkdir()
        for program in Path(real).iterdir():
            (folder / program.name).symlink_to(program)
        wrapper = folder / "git"
        wrapper.unlink(missing_ok=True)
        wrapper.write_text(f'#!/bin/sh\nunset GIT_PROTOCOL\nexec {real}/git "$@"\n')
        wrapper.chmod(0o755)
        return folder
