"""`snapshotter fleet plan` as a process: tables and documents, exit codes, and what it loads."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.cli import cli, cli_env
from tests.support.forges import GitHub, Hosted
from tests.support.git import Origin

_TELLING = """
import os, sys
end, names = os._exit, {"githubkit", "gitlab", "httpx", "requests", "pydantic", "botocore"}
def tell(code):
    print(sorted(names & set(sys.modules)), file=sys.stderr)
    end(code)
os._exit = tell
sys.argv[1:] = ["fleet", "plan", "fleet.toml", "--json"]
from snapshotter.__main__ import main
main()
"""


def test_a_plan_tells_what_is_in_and_out_and_later_what_changed(tmp_path: Path) -> None:
    Origin(tmp_path / "srv" / "a.git").commit()
    with GitHub(Hosted(1, "psf/requests"), Hosted(2, "psf/black"), Hosted(3, "psf/copy", fork=True)) as forge:
        text = f'[[github]]\norganisation = "psf"\nurl = "{forge.url_of_pages}"\n[[folder]]\npath = "srv"\n'
        (tmp_path / "fleet.toml").write_text(text)
        done = cli("fleet", "plan", "fleet.toml", cwd=tmp_path)
        assert done.code == 0, done.err
        assert re.search(r"/psf/requests\.git +listed by github ", done.out)
        assert re.search(r"github psf/copy +a fork", done.out)
        assert "fleet: 3 repositories would be taken, 1 left out" in done.out

        plan = cli("fleet", "plan", "fleet.toml", "--json", cwd=tmp_path)
        (tmp_path / "plan.json").write_text(plan.out)
        assert [each["id"] for each in plan.json["repos"]] == ["1", "2", ""]

        forge.repositories[1].path = "psf/blackbird"
        later = cli("fleet", "plan", str(tmp_path / "fleet.toml"), "--since", str(tmp_path / "plan.json"))
        assert re.search(r"psf/black +renamed +psf/blackbird", later.out), later.out

        forge.answers = [(404, {}, {"message": "Not Found"})]
        part = cli("fleet", "plan", "fleet.toml", "--json", cwd=tmp_path)
        assert (part.code, len(part.json["repos"]), part.json["error"]["code"]) == (3, 1, "sources")


def test_a_wrong_inventory_is_refused_with_its_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "fleet.toml").write_text("[[repo]]\norign = 'x'\n")
    done = cli("fleet", "plan", "fleet.toml", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "fleet.toml, line 2, column 1: unknown key `orign`" in done.err
    assert cli("fleet", "plan", "nowhere.toml", cwd=tmp_path).code == 2
    assert cli("fleet", "plan", "fleet.toml", "--sha256", "0" * 64, cwd=tmp_path).code == 2


def test_an_inventory_in_the_store_is_read_with_its_digest(tmp_path: Path) -> None:
    text = b'[[repo]]\norigin = "https://git.example.org/a"\n'
    (tmp_path / "store" / "_jobs").mkdir(parents=True)
    (tmp_path / "store" / "_jobs" / "x.toml").write_bytes(text)
    asked = ("fleet", "plan", f"file:{tmp_path}/store/_jobs/x.toml", "--store", tmp_path / "store", "--json")
    done = cli(*asked, "--sha256", hashlib.sha256(text).hexdigest())
    assert (done.code, done.json["inventory"]) == (0, "x"), done
    assert cli(*asked, "--sha256", "0" * 64).code == 1
    assert cli(*asked).code == 2


def test_an_inventory_in_the_store_is_a_stranger_s_however_its_path_is_written(tmp_path: Path) -> None:
    jobs = tmp_path / "store" / "_jobs"
    jobs.mkdir(parents=True)
    Origin(tmp_path / "srv" / "a.git").commit()
    text = f'[[folder]]\npath = "{tmp_path}/srv"\n'.encode()
    (jobs / "x.toml").write_bytes(text)
    (tmp_path / "link.toml").symlink_to(jobs / "x.toml")
    (tmp_path / "own.toml").write_bytes(text)
    sha256 = ("--sha256", hashlib.sha256(text).hexdigest())
    for place in (jobs / "x.toml", "store/_jobs/x.toml", "link.toml", f"file://{jobs}/x.toml"):
        done = cli("fleet", "plan", place, "--store", "store", cwd=tmp_path)
        assert (done.code, done.out) == (2, ""), place
        assert "--sha256" in done.err
        done = cli("fleet", "plan", place, "--store", "store", *sha256, cwd=tmp_path)
        assert (done.code, done.out) == (2, ""), place
        assert "names no folder of this machine" in done.err
    assert cli("fleet", "plan", "own.toml", "--store", "store", cwd=tmp_path).code == 0


def test_the_verbs_of_the_group_are_listed(tmp_path: Path) -> None:
    assert "plan" in cli("fleet", "--help").out
    assert "fleet" in cli("--help").out
    unknown = cli("fleet", "plant", "--json")
    assert (unknown.code, unknown.json["ok"]) == (2, False)


def test_a_client_is_loaded_for_a_source_of_its_kind_only(tmp_path: Path) -> None:
    Origin(tmp_path / "srv" / "a.git").commit()
    (tmp_path / "fleet.toml").write_text('[[folder]]\npath = "srv"\n')
    (tmp_path / "run.py").write_text(_TELLING)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, env=cli_env(), capture_output=True, text=True, check=False
    )
    assert json.loads(done.stdout)["ok"], done.stderr
    assert done.stderr.strip().endswith("[]"), done.stderr


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / "gitlab.py").write_text("raise ImportError\n")
    (tmp_path / "fleet.toml").write_text('[[gitlab]]\ngroup = "a"\n')
    path = os.pathsep.join([str(tmp_path), cli_env()["PYTHONPATH"]])
    done = cli("fleet", "plan", str(tmp_path / "fleet.toml"), PYTHONPATH=path)
    assert done.code == 2
    assert "fruitful-snapshotter[fleet]" in done.err
