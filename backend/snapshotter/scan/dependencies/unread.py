"""Manifests that nobody here reads: so that no rows are not taken for no dependencies."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Final

from snapshotter.scan.dependencies.kinds import is_manifest

# The lock files that are read, and that hold all that the file beside them asks for: by the end of its name.
_LOCKED_BY: Final[dict[str, tuple[str, ...]]] = {
    "Gemfile": ("Gemfile.lock",),
    "gems.rb": ("gems.locked",),
    ".gemspec": ("Gemfile.lock", "gems.locked"),
    "Package.swift": ("Package.resolved",),
    ".gradle": ("gradle.lockfile",),
    ".gradle.kts": ("gradle.lockfile",),
    "setup.py": ("poetry.lock", "uv.lock", "Pipfile.lock", "pdm.lock"),
}
_NAMES: Final = frozenset(
    """
    Gemfile gems.rb Package.swift build.gradle build.gradle.kts setup.py
    mix.exs mix.lock rebar.config rebar.lock gleam.toml
    Podfile Podfile.lock Cartfile Cartfile.resolved
    conanfile.txt conanfile.py conan.lock vcpkg.json
    stack.yaml stack.yaml.lock cabal.project cabal.project.freeze
    deno.json deno.jsonc deno.lock bun.lock bun.lockb jsr.json bower.json
    environment.yml environment.yaml conda-lock.yml pixi.toml pixi.lock pylock.toml
    build.sbt project.clj deps.edn shadow-cljs.edn ivy.xml build.sc
    paket.dependencies paket.lock project.assets.json
    DESCRIPTION renv.lock Manifest.toml cpanfile cpanfile.snapshot
    MODULE.bazel MODULE.bazel.lock WORKSPACE WORKSPACE.bazel flake.lock
    Chart.yaml Chart.lock .terraform.lock.hcl
    dub.json dub.selections.json shard.yml shard.lock elm.json haxelib.json
    build.zig.zon dune-project opam
    package.yaml Project.toml JuliaProject.toml Makefile.PL Build.PL dist.ini Brewfile buf.lock jsonnetfile.json
    .pre-commit-config.yaml devcontainer.json .devcontainer.json kustomization.yaml helmfile.yaml
    tox.ini tox.toml terragrunt.hcl
    .gitlab-ci.yml azure-pipelines.yml bitbucket-pipelines.yml .drone.yml .woodpecker.yml cloudbuild.yaml
    """.split()
)
_PATTERNS: Final = re.compile(
    r".+\.(?:cabal|gemspec|podspec|nimble|opam|rockspec|sbt|nuspec)|(?!settings\.).+\.gradle(?:\.kts)?"
    r"|pylock\.[^.]+\.toml"
)
# By the whole path: the name alone says too little.
_PATHS: Final = re.compile(r"(?:.*/)?(?:\.circleci/config\.yml|subprojects/[^/]+\.wrap|requirements\.ya?ml)")
# Terraform and OpenTofu take all files of a folder as one text. Where it asks for providers, by custom; any may.
_HCL: Final = re.compile(r".+\.(?:tf|tofu)(?:\.json)?")
_HCL_LOCK: Final = ".terraform.lock.hcl"
_HCL_ASKS: Final = ("versions", "terraform", "providers", "main")


def unread(paths: Iterable[str]) -> list[str]:
    """The paths, of all paths of a tree, that name packages by their kind and are read by no parser here, sorted.

    A manifest beside a lock file that is read, and that holds all that it asks for, is not among them.
    """
    known = set(paths)
    return sorted({path for path in known if _is_unread(path, known)} | _of_terraform(known))


def _of_terraform(known: set[str]) -> set[str]:
    """One file of each folder of Terraform's without a lock, which tells more: the one that asks for providers, by its
    name, else the first."""
    folders: dict[str, list[str]] = {}
    for path in known:
        folder, name = posixpath.split(path)
        if _HCL.fullmatch(name) and posixpath.join(folder, _HCL_LOCK) not in known:
            folders.setdefault(folder, []).append(path)
    return {min(paths, key=_by_asking) for paths in folders.values()}


def _by_asking(path: str) -> tuple[int, str]:
    stem = posixpath.basename(path).partition(".")[0]
    return _HCL_ASKS.index(stem) if stem in _HCL_ASKS else len(_HCL_ASKS), path


def _is_unread(path: str, known: set[str]) -> bool:
    folder, name = posixpath.split(path)
    if is_manifest(path) or not (name in _NAMES or _PATTERNS.fullmatch(name) or _PATHS.fullmatch(path)):
        return False
    locks = next((locks for end, locks in _LOCKED_BY.items() if name.endswith(end)), ())
    return not any(posixpath.join(folder, lock) in known for lock in locks)
