"""The Dockerfile's steps, run without docker: what it builds, and that it runs as the task does.

The build stage's own commands make the environment, from the hashes in infra/, in a folder instead of /opt; then the
entry point runs as user 10001 with nothing in its environment but what the Dockerfile says, and a home that it cannot
write. Needs a package index, as the build does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from githost import GitHost
from snapshotter import __version__
from tests.infra.pins import pinned
from tests.infra.template import SERVICE, load, resolve
from tests.support.git import Origin

ROOT = Path(__file__).resolve().parents[3]
USER = 10001
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Each instruction and its arguments, in order, with continued lines joined."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of the build stage, then those of the image."""
    found: list[list[tuple[str, str]]] = []
    for name, arguments in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, arguments))
    return found


def all_of(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [arguments for instruction, arguments in stage if instruction == name]


def variables(stage: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [word.partition("=") for line in all_of(stage, "ENV") for word in line.split()]
    return {name: value for name, _, value in pairs}


BUILD, IMAGE = stages()


def test_the_base_is_pinned_by_a_digest_that_must_be_given() -> None:
    assert all_of(instructions(), "ARG")[:2] == ["PYTHON=python:3.11-slim-bookworm", "PYTHON_DIGEST"]
    assert all_of(instructions(), "FROM") == [
        "${PYTHON}@${PYTHON_DIGEST} AS build",
        "${PYTHON}@${PYTHON_DIGEST}",
    ]
    guide = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    assert "--build-arg PYTHON_DIGEST=" in guide


def test_it_is_built_for_the_architecture_of_the_task() -> None:
    guide = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    architectures = load(SERVICE)["Parameters"]["CpuArchitecture"]["AllowedValues"]
    named = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
    assert named.keys() == set(architectures)
    for architecture, platform in named.items():
        assert re.search(rf"{platform}[^\n]*{architecture}", guide), architecture
    assert 'docker build --platform "$PLATFORM"' in guide
    assert "--platform" in TEXT.partition("ARG PYTHON=")[0], "the Dockerfile says so too"


def test_every_step_that_installs_takes_only_what_a_hash_names() -> None:
    installs = [step for line in all_of(BUILD, "RUN") for step in line.split("&&") if " install " in step]
    assert len(installs) == 3
    assert "bin/python check" in " ".join(all_of(BUILD, "RUN")), "and what is installed is whole"
    for step in installs:
        pinned = re.search(r"--require-hashes +-r infra/", step) and "--only-binary :all:" in step
        assert pinned or "--no-index --no-deps wheels/" in step, step
    (wheel,) = [step for line in all_of(BUILD, "RUN") for step in line.split("&&") if "pip wheel" in step]
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(wheel.split()), "it asks no index"


def test_it_is_the_image_that_the_task_definition_expects() -> None:
    service = resolve(SERVICE, Image=f"x@sha256:{'0' * 64}", Job="{}", VpcId="vpc-1", SubnetIds="subnet-1")
    container = service["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"][0]
    assert (
        all_of(IMAGE, "USER")
        == [container["User"]]
        == [load(SERVICE)["Parameters"]["ContainerUser"]["Default"]]
    )
    assert json.loads(all_of(IMAGE, "ENTRYPOINT")[0]) == container["EntryPoint"][-1:] == ["snapshotter"]
    assert json.loads(all_of(IMAGE, "CMD")[0]) == container["Command"] == ["job"]
    assert json.loads(all_of(IMAGE, "VOLUME")[0]) == [
        mount["ContainerPath"] for mount in container["MountPoints"]
    ]


def test_the_volume_is_declared_after_the_user_owns_it() -> None:
    names = [name for name, _ in IMAGE]
    owned = next(n for n, (_, arguments) in enumerate(IMAGE) if f"chown {USER}:{USER} /tmp" in arguments)
    assert owned < names.index("VOLUME")


def test_the_image_has_git_and_ssh_and_no_compiler() -> None:
    (apt,) = [line for line in all_of(IMAGE, "RUN") if "apt-get install" in line]
    install = re.search(r"apt-get install --yes --no-install-recommends ([a-z0-9 -]+?) &&", apt)
    assert install
    assert install[1].split() == ["git", "openssh-client"]
    assert "! command -v cc" in apt
    assert not re.search(r"gcc|build-essential|make\b", apt.partition("&& !")[0])


def test_nothing_but_the_package_enters_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*"
    copied = {word for line in all_of(BUILD, "COPY") for word in line.split()[:-1]}
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all_of(IMAGE, "COPY") == ["--from=build /opt/snapshotter /opt/snapshotter"]


@dataclass(frozen=True)
class Image:
    """What the steps made: `root` stands for /, `tmp` for the volume."""

    root: Path

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def rules(self) -> Path:
        """Where the secret scanner's compiled rules are."""
        return Path(self.at(variables(IMAGE)["SNAPSHOTTER_RULE_CACHE"]))

    def at(self, text: str) -> str:
        """A text with the image's folders in it, for this folder."""
        return re.sub(r"(?<![\w.])/(?=opt/|var/|tmp\b)", f"{self.root}/", text)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """ENTRYPOINT with CMD or `command`, as the user, in no environment but the image's and `env`."""
        entry = json.loads(all_of(IMAGE, "ENTRYPOINT")[0])
        return self.execute([*entry, *(command or json.loads(all_of(IMAGE, "CMD")[0]))], **env)

    def execute(
        self, argv: list[str], *, as_root: bool = False, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Any program, likewise."""
        said = {name: self.at(value) for name, value in variables(IMAGE).items()}
        said["PATH"] = said["PATH"].replace("$PATH", "/usr/local/bin:/usr/bin:/bin")
        full = said | {"HOME": str(self.home), "TMPDIR": str(self.tmp)} | env
        drop = os.geteuid() == 0 and not as_root
        privileges = {"user": USER, "group": USER, "extra_groups": []} if drop else {}
        return subprocess.run(
            ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in full.items()), *argv],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            umask=0o022,
            **privileges,
        )


def interpreter() -> str:
    """A Python that any user may run: this one, or the system's."""
    for path in (Path(sys.executable).resolve(), Path("/usr/local/bin/python3"), Path("/usr/bin/python3")):
        if path.exists() and all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents):
            return str(path)
    return pytest.fail("NO PYTHON THAT ANOTHER USER MAY RUN: the container's steps are not tested")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    root = Path(tempfile.mkdtemp(prefix="image-"))
    try:
        root.chmod(0o755)
        made = Image(root)
        build(root)
        for folder in (made.tmp, made.home):
            folder.mkdir()
        made.rules.mkdir(mode=0o755, parents=True)
        if os.geteuid() == 0:
            for folder in (made.tmp, made.rules):
                os.chown(folder, USER, USER)
        made.tmp.chmod(0o700)
        made.home.chmod(0o555)
        (bill,) = [step for step in all_of(IMAGE, "RUN") if "sbom" in step]
        for step in [bill, *as_user()]:
            done = made.execute(["/bin/sh", "-c", made.at(step)], as_root=step == bill)
            assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
        yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def as_user() -> list[str]:
    """The image's steps after it turned into the user: those before need a Debian of their own."""
    names = [name for name, _ in IMAGE]
    return all_of(IMAGE[names.index("USER") :], "RUN")


def build(root: Path) -> None:
    """The build stage's steps, with `root` for /, a new Python environment for the base's Python."""
    base = root / "base"
    subprocess.run([interpreter(), "-m", "venv", str(base)], check=True)
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    env |= {"PATH": f"{base}/bin:/usr/local/bin:/usr/bin:/bin"}
    work = root
    for name, arguments in BUILD:
        if name == "ARG":
            env |= dict([arguments.split("=", 1)])
        elif name == "ENV":
            env |= {
                key: value.replace("/opt", f"{root}/opt")
                for key, value in variables([(name, arguments)]).items()
            }
        elif name == "WORKDIR":
            work = root / arguments.lstrip("/")
            work.mkdir(parents=True)
        elif name == "COPY":
            *sources, target = arguments.split()
            for source in sources:
                copy(ROOT / source, work / target / (Path(source).name if target.endswith("/") else ""))
        elif name == "RUN":
            done = subprocess.run(
                ["/bin/sh", "-c", arguments.replace("/opt/", f"{root}/opt/")],
                cwd=work,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_image_runs_a_job_from_its_environment(image: Image, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    before = contents(image)
    with GitHost(tmp_path) as host:
        document = json.dumps({"origin": host.url("origin.git"), "store": f"file:{image.tmp}/store"})
        done = image.run(SNAPSHOTTER_JOB=document, SNAPSHOTTER_SCAN="0")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["origins"]
    assert result["kind"] == "base"
    assert all(json.loads(line) for line in done.stderr.splitlines())
    verified = image.run("verify", "--all", "--store", f"file:{image.tmp}/store")
    assert verified.returncode == 0, verified.stderr
    examined = image.run("doctor", "--store", f"file:{image.tmp}/store")
    assert examined.returncode == 0, examined.stdout
    assert contents(image) == before, "nothing outside the volume is written"
    written = list((image.tmp / "store").rglob("manifest.json"))
    assert len(written) == 1
    if os.geteuid() == 0:
        assert written[0].stat().st_uid == USER


def test_the_secret_scanners_rules_are_compiled_in_the_image_for_its_user(image: Image) -> None:
    made = [path for path in image.rules.rglob("*") if path.is_file()]
    assert made
    assert sum(path.stat().st_size for path in made) > 100_000
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in image.rules.rglob("*")} == {USER}
    assert "chown 10001:10001 /var/cache/snapshotter" in " ".join(all_of(IMAGE, "RUN"))


def test_the_image_scans_with_those_rules_and_without_a_gap(image: Image, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "leaky.git")
    # In the form of a token, in two parts so that no scanner takes this file for a leak; it never was one.
    token = "ghp_" + "R7q2Xv9LmN4sKd8TzYw1BcGh5JpAeU0f3iQo"
    origin.commit(
        files={"settings.py": f'github_token = "{token}"\n'.encode(), "main.py": b"import settings\n"}
    )
    before = contents(image)
    with GitHost(tmp_path) as host:
        document = {
            "origin": host.url("leaky.git"),
            "store": f"file:{image.tmp}/scans",
            "options": {"scan": True, "secret_gate": True},
        }
        done = image.run(
            SNAPSHOTTER_JOB=json.dumps(document), SNAPSHOTTER_FINGERPRINT_KEY="a key of the team's"
        )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    (result,) = told["origins"]
    assert (told["error"]["code"], told["succeeded"], result["kind"]) == ("secret-gate", 1, "base")
    assert (result["scan"]["tables"]["secrets"], result["scan"]["gaps"]) == (1, [])
    assert contents(image) == before, "the scanner took the compiled rules as they are"
    assert token not in done.stdout + done.stderr
    assert not list(image.tmp.glob("snapshotter-scan-*")), "its working files go with it"


def test_without_a_job_it_says_so(image: Image) -> None:
    done = image.run()
    assert done.returncode == 2
    assert "SNAPSHOTTER_JOB" in json.loads(done.stdout)["error"]["hint"]


def test_every_verb_is_in_the_image(image: Image) -> None:
    assert image.run("--version").stdout == f"snapshotter {__version__}\n"
    assert image.run("prove", "--help").returncode == 0
    assert image.run("snapshot", "--help").returncode == 0


def test_what_is_installed_is_what_the_package_asks_for_and_no_more(image: Image) -> None:
    packages = [path.name for path in (image.root / "opt").rglob("*.dist-info")]
    assert any(name.startswith("fruitful_snapshotter-") for name in packages)
    assert any(name.startswith("python_gitlab-") for name in packages), "what fleets are listed with"
    assert not [name for name in packages if re.match(r"(pytest|mypy|ruff|hypothesis|pip|setuptools)-", name)]
    links = [path.read_text(encoding="utf-8") for path in (image.root / "opt").rglob("*.pth")]
    assert not [text for text in links if str(ROOT) in text], "the package is in the image, not linked to"


def test_what_is_installed_is_what_is_pinned(image: Image) -> None:
    pins = {
        name: each.version for name, each in pinned(ROOT / "infra" / "requirements.txt").items() if each.here
    }
    assert installed(image) == pins | {"fruitful-snapshotter": __version__}


def test_the_bill_of_materials_lists_every_distribution_and_every_debian_package(image: Image) -> None:
    text = (image.root / "opt" / "snapshotter" / "sbom.cdx.json").read_text(encoding="utf-8")
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    listed = [*bill["components"], bill["metadata"]["component"]]
    python = {each["name"]: each["version"] for each in listed if each["purl"].startswith("pkg:pypi/")}
    assert python == installed(image)
    if shutil.which("dpkg-query"):
        debian = {each["name"] for each in listed if each["purl"].startswith("pkg:deb/debian/")}
        assert "git" in debian
    refs = {each["bom-ref"] for each in listed}
    assert len(refs) == len(listed)
    edges = {row["ref"]: set(row["dependsOn"]) for row in bill["dependencies"]}
    assert set().union(*edges.values()) <= refs
    product = bill["metadata"]["component"]["bom-ref"]
    for name in ("duckdb", "githubkit"):  # the second by an extra
        assert any(ref.startswith(f"pkg:pypi/{name}@") for ref in edges[product])
    script = image.at("/opt/snapshotter/sbom.py")
    assert image.execute(["python", script]).stdout == text, "equal contents make equal bytes"


def test_compiled_files_hold_no_time_of_the_build(image: Image) -> None:
    compiled = [*(image.root / "opt").rglob("*.pyc")]
    assert compiled
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {1}, (
        "unchecked, by a hash"
    )


def installed(image: Image) -> dict[str, str]:
    """Each distribution in the image, by its canonical name, with its version."""
    packages = [path.name for path in (image.root / "opt").rglob("*.dist-info")]
    pairs = (name.removesuffix(".dist-info").rsplit("-", 1) for name in packages)
    return {canonicalize_name(name): version for name, version in pairs}


def contents(image: Image) -> set[tuple[str, float]]:
    places = (image.root / "opt", image.home, image.rules)
    return {(str(path), path.lstat().st_mtime) for place in places for path in [place, *place.rglob("*")]}
