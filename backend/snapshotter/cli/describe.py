"""Values in words: for each, the lines that people read. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from snapshotter.base import runbook
from snapshotter.base.text import human_bytes, plural

if TYPE_CHECKING:
    from snapshotter.archive.layout import RunKey
    from snapshotter.archive.listed_run import ListedRun
    from snapshotter.archive.manifest import Artifact, Gap, Manifest, RefChangeList, RefChanges, Scan
    from snapshotter.archive.sealed import Sealed
    from snapshotter.archive.submodule_states import SubmoduleState
    from snapshotter.capture.later_scan import SnapshotScan
    from snapshotter.doctor.check import Check
    from snapshotter.query.examples import Example
    from snapshotter.recover.lfs_restore import RestoredLfs
    from snapshotter.recover.many import Verification
    from snapshotter.recover.restore import Restored
    from snapshotter.recover.verdict import Verdict

_NOUNS: Final = {
    "files": "file",
    "symbols": "symbol",
    "imports": "import",
    "dependencies": "dependency",
    "secrets": "secret",
}
_MARKS: Final = {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "skipped"}
_UNCHECKED: Final = "UNCHECKED"
_SHORT: Final = 12  # characters of an object id


def name_of(key: RunKey) -> str:
    """The name of a snapshot that every verb takes: ``repo@run-id``."""
    return f"{key.repo}@{key.run_id}"


def snapshot(manifest: Manifest, where: str) -> list[str]:
    """A snapshot in a few lines; `where` is the store, or the folder, that holds it."""
    facts = [plural(manifest.refs.count, "ref")]
    if manifest.history:
        facts += [plural(manifest.history.objects, "object"), human_bytes(manifest.history.bytes)]
        facts += [plural(len(manifest.history.segments), "segment")]
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    lines = [
        name_of(manifest.key),
        f"  {manifest.kind} ({manifest.reason}): {', '.join(facts)}, {seconds:.2f} s",
    ]
    if changed := change_counts(manifest.ref_changes):
        lines.append(f"  refs {changed}")
    lines += [f"  LFS {manifest.lfs.told}"] if manifest.lfs and manifest.lfs.objects else []
    lines += scan(manifest.scan) if manifest.scan else []
    return [*lines, *map(_gap, manifest.gaps), f"  in {where}"]


def wiki(sealed: Sealed | None, where: str) -> list[str]:
    """The snapshot of a wiki, below that of its origin; None if there is none."""
    return ["", "its wiki:", *snapshot(sealed.manifest, where)] if sealed else ["  no wiki"]


def submodules(states: Sequence[SubmoduleState], *, scanned: bool) -> list[str]:
    """A line for each submodule of a tree: what it is, and whether the store has it."""
    if not states:
        return ["", "no submodules" if scanned else "submodules are not known: there is no scan"]
    lines = ["", f"{plural(len(states), 'submodule')}:"]
    for each in states:
        one = each.submodule
        if each.snapshot is None:
            fate = "no snapshot" if one.url else "no URL that can be taken"
        else:
            fate = f"{'in' if each.held else 'perhaps in'} {name_of(each.snapshot)}"
        lines.append(f"  {one.path}  {one.commit[:12]}  {one.url or 'unknown'}  {fate}")
    return lines


def whole_snapshot(sealed: Sealed, run: ListedRun, later: Scan | None, where: str) -> list[str]:
    """Everything that `show` shows of a snapshot. `later` is a scan that was made for it afterwards."""
    manifest = sealed.manifest
    scanned = manifest.scan.artifacts if manifest.scan else []
    elsewhere = [artifact for artifact in scanned if artifact not in manifest.artifacts]
    guessed = " (guessed: the origin does not say)" if manifest.head_guessed else ""
    return [
        *snapshot(manifest, where),
        f"  origin {manifest.origin}, HEAD {manifest.head or 'none'}{guessed}, {manifest.object_format}",
        f"  parent {manifest.parent.run_id if manifest.parent else 'none'}",
        f"  chain {' '.join(manifest.chain) or 'none'}",
        *([f"  wiki {manifest.wiki}"] if manifest.wiki else []),
        *([f"  the wiki of {manifest.wiki_of}"] if manifest.wiki_of else []),
        *(f"  label {key}={value}" for key, value in sorted(manifest.labels.items())),
        *(f"{_artifact(artifact)}  sha256 {artifact.sha256}" for artifact in manifest.artifacts),
        f"  manifest.json  sha256 {sealed.sha256}",
        *(
            f"{_artifact(artifact)}  in {artifact.key.rpartition('/' + artifact.name)[0]}"
            for artifact in elsewhere
        ),
        *([f"  scanned later, by run {later.run_id}", *scan(later)] if later else []),
        *(f"  {receipt}" for receipt in run.receipts),
    ]


def _artifact(artifact: Artifact) -> str:
    return f"  {artifact.name}  {human_bytes(artifact.bytes)}"


def _gap(gap: Gap, what: str = "gap") -> str:
    return f"  {what}: {gap.kind}, {gap.count:,} (like {', '.join(gap.sample[:2])})"


def scan(scan: Scan) -> list[str]:
    """A scan: how many rows its tables have, licences, gaps."""
    # A submodule has a row in the table of files, but its files are not in this repository.
    submodules = sum(gap.count for gap in scan.gaps if gap.kind == "submodules")
    counts = scan.tables | {"files": scan.tables.get("files", 0) - submodules}
    rows = ", ".join(plural(counts.get(many, 0), one, many) for many, one in _NOUNS.items())
    licences = sorted({spdx for licence in scan.licences for spdx in licence.spdx})
    known = f"; {', '.join(licences)}" if licences else ""
    return [f"  scan of {scan.ref}: {rows}{known}", *(_gap(gap, "gap of the scan") for gap in scan.gaps)]


def later_scan(scanned: SnapshotScan) -> list[str]:
    """A scan that was made for a snapshot without one, or was there already."""
    title = name_of(scanned.snapshot.key)
    known = "" if scanned.is_new else f" has a scan already, by run {scanned.scan.run_id}"
    return [f"{title}{known}", *scan(scanned.scan)]


def changes_by_name(changes: RefChanges) -> Mapping[str, RefChangeList]:
    """Ref changes by the names that people are shown. Every changed ref is under exactly one of them."""
    from snapshotter.capture.changes import forward

    return {
        "created": changes.created,
        "deleted": changes.deleted,
        "moved": forward(changes),
        "rewritten": changes.rewritten,
        "of unknown ancestry": changes.unknown,
    }


def change_counts(changes: RefChanges | None) -> str:
    """``created 2, moved 1, rewritten 1``, or '' when nothing changed. No ref is counted twice."""
    if changes is None:
        return ""
    named = changes_by_name(changes).items()
    return ", ".join(f"{name} {listed.count:,}" for name, listed in named if listed.count)


def diff(old: Manifest, new: Manifest, changes: RefChanges) -> list[str]:
    """The refs that differ between two snapshots, in groups: created, deleted, moved and so on."""
    lines = [f"{name_of(old.key)} -> {name_of(new.key)}"]
    for sign, (name, listed) in zip("+-~!?", changes_by_name(changes).items(), strict=True):
        lines.append(f"{name}: {listed.count:,}")
        lines += [
            f"  {sign} {change.ref}  {(change.old or '')[:_SHORT]} -> {(change.new or '')[:_SHORT]}"
            for change in listed.refs
        ]
        if more := listed.count - len(listed.refs):
            lines.append(f"  … and {more:,} more")
    return lines


def age(taken: datetime, now: datetime) -> str:
    """How long ago: ``3 min ago``, ``5 h ago``, ``12 d ago``."""
    hours = (now - taken).total_seconds() / 3600
    if hours < 0:  # another machine's clock, or this one's, is wrong
        return "in the future"
    span = f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"
    return f"{span} ago"


def restored(run: ListedRun, result: Restored) -> list[str]:
    """A restored repository."""
    return [
        f"{name_of(run.key)} restored to {result.destination}",
        f"  {plural(result.refs, 'ref')}, HEAD {result.head or 'none'}, "
        f"{plural(len(result.chain), 'bundle')}, {human_bytes(result.bytes)}; every object is there",
        *_restored_lfs(result),
    ]


def _restored_lfs(result: Restored) -> list[str]:
    """What became of LFS objects, and how they get into a work tree."""
    lfs = result.lfs
    if not lfs.objects:
        return []
    facts = f"  LFS {lfs.placed:,} of {plural(lfs.objects, 'object')}, {human_bytes(lfs.bytes)}"
    lacking = "".join(f", {fact}" for fact in without_lfs(lfs))
    advice = ", in place for git-lfs: in a work tree, `git lfs install --local && git lfs checkout`"
    return [facts + lacking + (advice if lfs.placed else "")]


def without_lfs(lfs: RestoredLfs) -> list[str]:
    """How many LFS objects that the store should hold could not be had."""
    facts = {"damaged in the store": lfs.damaged, "could not be read": lfs.unread}
    return [f"{count:,} {fact}" for fact, count in facts.items() if count]


def verification(result: Verification, affected: Sequence[RunKey]) -> list[str]:
    """The result of each verification, and which snapshots depend on what is damaged."""
    verdicts = result.verdicts
    states = [_state(verdict) for verdict in verdicts] + [_UNCHECKED for _ in result.unread]
    width = max(map(len, states), default=0)
    lines = [line for verdict in verdicts for line in _verdict(verdict, width)]
    for each in result.unread:
        lines += [f"{_UNCHECKED:<{width}}  {each.repo}", f"    {each.error.message}"]
    if result.expired:
        lines.append(f"{plural(len(result.expired), 'snapshot')} left out: what they rest on has expired")
    if affected:
        lines += ["", "affected snapshots:", *(f"  {name_of(key)}" for key in affected)]
    for verdict in verdicts:  # one is enough: the cause is the store's, so it is the same for all
        if verdict.unrecorded:
            lines += [
                "",
                f"no receipt was written, so the next snapshot will not know of this: {verdict.unrecorded.message}",
            ]
            break
    return lines


def _state(verdict: Verdict) -> str:
    return "ok" if verdict.ok else "DAMAGED" if verdict.problems else _UNCHECKED


def _verdict(verdict: Verdict, width: int) -> list[str]:
    lfs = verdict.outline.lfs if verdict.outline else None
    held = f", LFS {lfs.told}" if lfs and lfs.objects else ""
    facts = f"{plural(verdict.refs, 'ref')}{held}, {verdict.seconds:.2f} s"
    troubles = [*verdict.problems, verdict.unchecked]
    return [
        f"{_state(verdict):<{width}}  {name_of(verdict.run)}  {facts}",
        *(f"    {trouble}" for trouble in troubles if trouble),
    ]


def check(check: Check) -> list[str]:
    """One check of the preflight; if it failed or warns, what to do."""
    lines = [f"{_MARKS[check.state]:8} {check.name:12} {check.says}"]
    if check.state in ("warning", "failed"):
        lines += [f"{'':8} hint: {check.hint}"] if check.hint else []
        lines.append(f"{'':8} see {runbook.link(check.heading)}")
    return lines


def examples(examples: Sequence[Example]) -> Iterator[str]:
    """Questions with the commands that ask them."""
    for number, example in enumerate(examples, 1):
        yield from [""] if number > 1 else []
        yield f"# {number}. {example.question}"
        yield from example.command.splitlines()
