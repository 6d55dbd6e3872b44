"""docs/fleet.md does what it says: its inventory is run, killed, resumed and looked at by its own commands."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Done, cli, cli_env, command, wait_for
from tests.support.fleet_host import FleetHost
from tests.support.git import Origin

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "fleet.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ snapshotter (.+)$", PAGE, re.M)
RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


def typed(line: str, folder: Path, run_id: str = "") -> Done:
    """A command of the page, in a folder of its own; `run_id` stands for the one in the page."""
    return cli(*shlex.split(RUN.sub(run_id, line)), cwd=folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_page_is_run_as_it_stands(number: signal.Signals, tmp_path: Path) -> None:
    plan, run, unended, resume, status, document = COMMANDS
    for name in ("one", "two", "attic/three"):
        Origin(tmp_path / "srv" / f"{name}.git").commit()
    with FleetHost(tmp_path / "host", {"quiet": 1}) as host:
        (inventory,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
        assert inventory.count("\n") == 5
        own = {
            "/srv/git": str(tmp_path / "srv"),
            "https://git.example.org/tools.git": host.repo_url("quiet-0"),
        }
        for theirs, ours in own.items():
            assert theirs in inventory
            inventory = inventory.replace(theirs, ours)
        (tmp_path / "fleet.toml").write_text(inventory)
        planned = typed(plan, tmp_path)
        assert (planned.code, "3 repositories would be taken, 1 left out" in planned.out) == (0, True), (
            planned
        )

        host.hold()
        with subprocess.Popen(
            command(*shlex.split(run)), cwd=tmp_path, env=cli_env(), stderr=subprocess.PIPE, text=True
        ) as process:
            wait_for(process, lambda: host.held)
            process.send_signal(number)
            _, said = process.communicate()
        assert process.returncode == (130 if number == signal.SIGINT else -number), said
        (run_id,) = {*RUN.findall(said)}
        host.release()
        looked = typed(unended, tmp_path)
        assert (looked.code, f"--resume {run_id}` goes on with it" in looked.out) == (3, True), looked

        resumed = typed(resume, tmp_path, run_id)
        assert resumed.code == 0, resumed
        final = typed(status, tmp_path)
        assert (final.code, "3 of 3 repositories lack nothing" in final.out) == (0, True), final
        shown = typed(document, tmp_path).json
        assert [each["state"] for each in shown["repos"]] == ["good"] * 3
