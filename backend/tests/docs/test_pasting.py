"""Whatever is pasted from a guide without being filled in first does no harm; the purge takes one run and no more."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, client, ministack

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
BLOCK = re.compile(r"^```(?:bash|sh|console)[^\n]*\n(.*?)^```$", re.M | re.S)
QUOTED = re.compile(r"'[^']*'|\"(?:\\\\.|[^\"\\\\])*\"", re.S)
PURGE = re.findall(
    r"<!-- command: purge -->\n```bash\n(.*?)```",
    (ROOT / "docs" / "aws.md").read_text(encoding="utf-8"),
    re.S,
)
BUCKET, PREFIX = "fruitful-lab-snapshots-prod", "repo-scans/snapshotter"
RUNS = [f"{PREFIX}/github.com__psf__requests/2026/11/23/20261123T031702Z-9f0c2a1{n}/" for n in "ab"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_is_a_redirection(page: Path) -> None:
    """FOLDER=a/<repo>/x outside quotation marks reads a file, and leaves FOLDER=a/: the folder of everything."""
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        bare = QUOTED.sub("", re.sub(r"(?m)(?:^|\s)#.*$", "", block))
        assert not re.search(r"<[A-Za-z]", bare), block


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ministack() as server:
        yield server


def keys_after(purge: str, server: Server, folder: Path) -> set[str]:
    """What is left in a bucket with two runs, each with an object of two versions, after the purge as its owner."""
    s3 = client(server, server.owner)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for key in [run + name for run in RUNS for name in ("manifest.json", "manifest.json", "report.html")]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x", ServerSideEncryption="AES256")
    s3.delete_object(Bucket=BUCKET, Key=RUNS[0] + "report.html")
    try:
        env = server.environment(server.owner) | {"PATH": f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin"}
        subprocess.run(["bash", "-c", purge], cwd=folder, env=env, timeout=120, check=False)
        return {each["Key"] for each in s3.list_object_versions(Bucket=BUCKET).get("Versions", [])}
    finally:
        for kind in ("Versions", "DeleteMarkers"):
            for each in s3.list_object_versions(Bucket=BUCKET).get(kind, []):
                s3.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
        s3.delete_bucket(Bucket=BUCKET)


def test_a_purge_takes_every_version_of_one_run_and_nothing_else(server: Server, tmp_path: Path) -> None:
    filled = re.sub(r"FOLDER=\S+", f"FOLDER={RUNS[0]}", "".join(PURGE))

    assert keys_after(filled, server, tmp_path) == {RUNS[1] + "manifest.json", RUNS[1] + "report.html"}


def test_a_purge_that_is_not_filled_in_takes_nothing(server: Server, tmp_path: Path) -> None:
    every = {run + name for run in RUNS for name in ("manifest.json", "report.html")}

    assert keys_after("".join(PURGE), server, tmp_path) == every
