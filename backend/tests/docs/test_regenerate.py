"""What is written from the code is what the code writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import regenerate


def test_everything_in_the_repository_is_as_the_code_writes_it() -> None:
    assert list(regenerate.stale()) == [], (
        "run `cd backend && python -m tests.regenerate`, and read the difference"
    )


def test_a_file_that_differs_is_named_and_only_written_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert regenerate.main([], tmp_path) == 0
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == sorted(
        regenerate.GENERATED
    )
    assert regenerate.main(["--check"], tmp_path) == 0
    changed = tmp_path / "docs" / "job.schema.json"
    changed.write_text("{}", "utf-8")
    capsys.readouterr()
    assert regenerate.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out == "stale: docs/job.schema.json\n"
    assert changed.read_text("utf-8") == "{}"
    assert regenerate.main([], tmp_path) == 0
    assert regenerate.main(["--check"], tmp_path) == 0


def test_a_mistyped_flag_writes_nothing(tmp_path: Path) -> None:
    assert regenerate.main(["--chekc"], tmp_path) == 2
    assert list(tmp_path.iterdir()) == []
