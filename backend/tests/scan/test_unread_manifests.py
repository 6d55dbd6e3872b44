"""Manifests that nobody reads are told by their paths."""

from __future__ import annotations

import pytest

from snapshotter.scan.dependencies import is_manifest, unread


@pytest.mark.parametrize(
    "path",
    """
    build.gradle app/build.gradle.kts gradle/deps.gradle mix.lock ios/Podfile.lock conanfile.txt conanfile.py vcpkg.json
    stack.yaml deno.lock bun.lock bun.lockb setup.py Gemfile x.gemspec Package.swift build.sbt environment.yml
    renv.lock MODULE.bazel .terraform.lock.hcl charts/x/Chart.yaml shop.cabal Cartfile.resolved
    pylock.toml pylock.dev.toml project/plugins.sbt x.nuspec .gitlab-ci.yml .circleci/config.yml .pre-commit-config.yaml
    tox.ini main.tf infra/main.tf.json x.tofu live/terragrunt.hcl
    .devcontainer/devcontainer.json Project.toml subprojects/zlib.wrap roles/requirements.yml Brewfile buf.lock
    """.split(),
)
def test_a_manifest_that_nobody_reads(path: str) -> None:
    assert unread([path, "a.py"]) == [path]
    assert not is_manifest(path)


@pytest.mark.parametrize(
    "path",
    """
    pyproject.toml package.json pom.xml gradle.lockfile composer.lock Pipfile.lock packages.lock.json pubspec.lock
    Package.resolved a.py README.md setup.pyc gradle.properties settings.gradle settings.gradle.kts build.gradle/x.txt
    xGemfile mix.lock.bak docs/gemspec config.yml wraps/x.wrap pylock.a.b.toml
    """.split(),
)
def test_what_is_read_or_is_no_manifest(path: str) -> None:
    assert unread([path]) == []


@pytest.mark.parametrize(
    ("path", "lock"),
    [
        ("Gemfile", "Gemfile.lock"),
        ("a/gems.rb", "a/gems.locked"),
        ("a/x.gemspec", "a/Gemfile.lock"),
        ("Package.swift", "Package.resolved"),
        ("app/build.gradle.kts", "app/gradle.lockfile"),
        ("setup.py", "uv.lock"),
    ],
)
def test_a_lock_file_beside_it_speaks_for_a_manifest(path: str, lock: str) -> None:
    assert unread([path, lock]) == []
    assert unread([path, f"other/{lock}"]) == [path]


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        ("a/main.tf a/outputs.tf a/versions.tf", "a/versions.tf"),
        ("a/outputs.tf a/main.tf", "a/main.tf"),
        ("a/vpc.tf a/iam.tf", "a/iam.tf"),
        ("a/main.tf b/main.tf main.tf", "a/main.tf b/main.tf main.tf"),
        ("a/main.tf a/.terraform.lock.hcl b/main.tf", "a/.terraform.lock.hcl b/main.tf"),
        ("a/terraform.tfvars a/x.tfstate a/main.tf.bak", ""),
    ],
)
def test_a_folder_of_terraform_is_told_by_one_file(paths: str, told: str) -> None:
    assert unread(paths.split()) == told.split()


def test_paths_come_sorted_and_once() -> None:
    assert unread(iter(["b/mix.lock", "a/mix.lock", "b/mix.lock", "c.py"])) == ["a/mix.lock", "b/mix.lock"]
