"""Secrets, as kingfisher finds them offline. Each is reduced to a fingerprint before anything else sees it.

kingfisher's report carries the values in the clear. It is read from a pipe, never from disk, and the values stay
inside `read_report`: no table, message, exception or frame of a traceback outlives that function with one in it.

Its rules know tokens by their form. Passwords have none, so `rules/` holds rules of ours that go by the name a value
is given; their findings have the confidence `low`.

It is given the blobs without names. By name it would pass over whole files in silence (`package-lock.json`,
`go.sum`, `*.css`, `*.svg`, archives…), so what it finds in a blob depends on the blob and on nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from snapshotter.base.cancel import Cancel
from snapshotter.scan.runner import Command, ScannerFailed, program, run
from snapshotter.scan.staging import Staging, blob_place

_SCANNER: Final = "kingfisher"
# Offline, every occurrence, any size, nothing unpacked; `--no-ignore`: a comment in a repository hides nothing.
_ARGUMENTS: Final = (
    "--no-validate --no-dedup --git-history none --no-extract-archives --max-file-size 0 --no-ignore --format jsonl"
).split()
_QUIET: Final = ["--no-update-check", "--quiet"]
_RULES: Final = ["--rules-path", str(Path(__file__).parent / "rules"), "--confidence", "low"]
_OURS: Final = "fruitful."  # how the names of our own rules begin
_MARKS: Final = "fruitful.marks-kubernetes-secret"  # it finds no secret, but where one may be
_KUBERNETES: Final = "fruitful.kubernetes-secret"
_EXITS: Final = frozenset({0, 200})  # 200: there are findings
LIMIT: Final = 64 << 20  # bytes of report: about 1,000 a finding


class SecretFinding(NamedTuple):
    """One secret in one blob, without its value.

    `line` counts from 1; it is 0 in a blob of over 256 MiB, for which kingfisher gives no lines. `fingerprint` is
    hex, or '' without a key.
    """

    blob: str
    rule: str
    line: int
    confidence: str
    fingerprint: str


def default_rule_cache() -> Path | None:
    """The default folder of kingfisher's compiled rules; None for a user without a home."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path's raises
    return Path(base) / "fruitful-snapshotter" / "kingfisher" if base.startswith("/") else None


class Searched(NamedTuple):
    """The staged blobs of one scan, and the key of their fingerprints."""

    staging: Staging
    key: bytes | None


def find(
    staging: Staging,
    *,
    key: bytes | None,
    seconds: float,
    cancel: Cancel,
    rule_cache: Path | None = None,
    kingfisher: Path | None = None,
) -> list[SecretFinding]:
    """The secrets in every staged blob, sorted; equal blobs and key give equal findings.

    With a key, the fingerprint is the HMAC-SHA256 of the value under it: the same secret has the same fingerprint
    everywhere, and nobody without the key can test a guess. Without one it is '' here, for a plain hash of a weak
    secret can be guessed: what it is made of instead, `ScanTables.mark_secrets` says.

    `rule_cache` is the folder of the compiled rules, `default_rule_cache()` by default. kingfisher uses it only
    where it belongs to the user, fills it where it can, and compiles for some ten seconds where it cannot.
    Raises ScannerFailed (see `runner.run`), also when kingfisher did not read every blob.
    """
    if not staging.blobs:
        return []
    called = command(staging.root, ["blobs"], rule_cache=rule_cache, kingfisher=kingfisher)
    # The output has no name here: a traceback may show this frame's variables.
    found = read_report(
        run(called, folder=staging.root, seconds=seconds, limit=LIMIT, cancel=cancel),
        {"blobs": Searched(staging, key)},
    )
    return complete(found, "blobs", Searched(staging, key), cancel)


def command(
    folder: Path,
    roots: Sequence[str],
    *,
    rule_cache: Path | None = None,
    kingfisher: Path | None = None,
    more: Sequence[str] = (),
) -> Command:
    """The call of kingfisher that searches the folders `roots` in `folder`, one after the other."""
    cache = _cache(rule_cache or default_rule_cache())
    argv = [
        str(kingfisher or program(_SCANNER)),
        "scan",
        *_ARGUMENTS,
        *_QUIET,
        *_RULES,
        *cache,
        *more,
        *roots,
    ]
    return Command(_SCANNER, argv, _environment(folder), _EXITS)


def complete(found: Report | None, root: str, searched: Searched, cancel: Cancel) -> list[SecretFinding]:
    """The findings of one scan, with those that kingfisher only points at, sorted.

    Its blobs lie in its own folder. Raises ScannerFailed if kingfisher wrote no report, or did not read every blob.
    """
    if found is None:
        raise ScannerFailed(_SCANNER, "wrote something else than its report")
    findings, read = found.get(root, (set(), 0))
    staging = searched.staging
    wanted = sum(size > 0 for size in staging.blobs.values())
    if read < wanted:
        raise ScannerFailed(_SCANNER, f"read {read:,} of {wanted:,} blobs")
    told = {one for one in findings if one.rule != _MARKS}
    for blob in sorted({one.blob for one in findings if one.rule == _MARKS}):
        cancel.check()
        told.update(_of_kubernetes(staging, blob, searched.key))
    return _told_once(told)


def _of_kubernetes(staging: Staging, blob: str, key: bytes | None) -> list[SecretFinding]:
    """The values of the Kubernetes Secrets in one blob. It does not raise, as `read_report` does not."""
    from snapshotter.scan import kubernetes  # with YAML, which runs without a scan do not load

    if staging.blobs[blob] > kubernetes.LARGEST:
        return []
    held = kubernetes.values((staging.root / blob_place(blob)).read_bytes())
    return [
        SecretFinding(blob, _KUBERNETES, one.line, "low", fingerprint(one.value, key) if key else "")
        for one in held
    ]


def warm(rule_cache: Path, *, folder: Path, seconds: float, cancel: Cancel) -> None:
    """Compile kingfisher's rules into the folder `rule_cache`, so that no scan of this user has to.

    The result holds for this processor's features and this version. `folder` is for kingfisher's own temporary
    files. Raises ScannerFailed.
    """
    rule_cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    argv = [str(program(_SCANNER)), "rules", "compile-cache", *_QUIET, *_RULES, *_cache(rule_cache)]
    command = Command(_SCANNER, argv, _environment(folder))
    run(command, folder=folder, seconds=seconds, limit=1 << 16, cancel=cancel)


def _cache(rule_cache: Path | None) -> list[str]:
    return ["--rule-cache-dir", str(rule_cache.absolute())] if rule_cache else ["--no-rule-cache"]


def _environment(folder: Path) -> dict[str, str]:
    """Hide this machine's database of file types from kingfisher, so that every machine finds the same."""
    return {"XDG_DATA_DIRS": str(folder), "XDG_DATA_HOME": str(folder)}


class _Rule(msgspec.Struct):
    id: str


class _Match(msgspec.Struct):
    path: str
    line: int
    confidence: str
    snippet: str

    def __repr__(self) -> str:
        return "<a match, with its value>"


class _Stats(msgspec.Struct):
    blobs_scanned: int


class _Scan(msgspec.Struct):
    status: str


class _Repository(msgspec.Struct):
    repository: str
    scan: _Scan
    stats: _Stats


class _Audit(msgspec.Struct):
    repositories: list[_Repository]


class _Record(msgspec.Struct):
    """One line of the report: a finding, or the account at its end."""

    rule: _Rule | None = None
    finding: _Match | None = None
    audit: _Audit | None = None


_RECORDS: Final = msgspec.json.Decoder(_Record)  # made by one thread, as a manifest's is


Report = dict[str, tuple[set[SecretFinding], int]]
"""By root: its findings, and how many of its blobs were read."""


def read_report(output: bytes, roots: Mapping[str, Searched]) -> Report | None:
    """What kingfisher says of each root; None for anything but a complete report on their blobs.

    It does not raise: a traceback would show this frame, whose variables hold values.
    """
    report: Report = {}
    complete = False
    for line in output.splitlines():
        try:
            record = _RECORDS.decode(line)
        except msgspec.DecodeError:
            return None
        if record.audit is not None:
            complete = True
            for one in record.audit.repositories:
                root = one.repository.rpartition("/")[2]
                if one.scan.status != "completed" or (root not in roots and one.stats.blobs_scanned):
                    return None
                report[root] = (report.get(root, (set(), 0))[0], one.stats.blobs_scanned)
        elif record.rule is None or record.finding is None:
            return None
        else:
            match = record.finding
            root, blob = match.path.partition("/")[0], match.path.rpartition("/")[2]
            if root not in roots or blob not in roots[root].staging.blobs:
                return None
            key = roots[root].key
            mark = fingerprint(match.snippet, key) if key else ""
            found = SecretFinding(blob, record.rule.id, match.line, match.confidence, mark)
            report.setdefault(root, (set(), 0))[0].add(found)
    return report if complete else None


def _told_once(findings: set[SecretFinding]) -> list[SecretFinding]:
    """The findings, sorted. Ours go by names, so they yield to a rule that knows what stands on their line, and of
    several on one line the first by name is enough."""
    known = {(one.blob, one.line) for one in findings if not one.rule.startswith(_OURS)}
    ours: dict[tuple[str, int, str], SecretFinding] = {}
    for one in sorted(findings):
        if one.rule.startswith(_OURS) and (one.blob, one.line) not in known:
            ours.setdefault((one.blob, one.line, one.fingerprint), one)
    return sorted([*(one for one in findings if not one.rule.startswith(_OURS)), *ours.values()])


def fingerprint(value: str, key: bytes) -> str:
    """The fingerprint that a secret of this value has wherever it is found: its HMAC-SHA256 under `key`, as hex."""
    return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
