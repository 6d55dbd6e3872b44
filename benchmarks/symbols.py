"""Symbols and imports against ctags: processor time of one core on the same files.

    python benchmarks/symbols.py FOLDER [--runs 5]

FOLDER holds any source trees. Prints JSON: MB/s of source for both and their ratio (ours over ctags'), by
language and in total. The bar is a total ratio of 0.12. Languages that ctags does not read (Swift, Scala) are
measured but not counted, nor is Kotlin, whose ctags parser is slower than ours by a factor of ten.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from snapshotter.scan.symbols.analysis import MAX_BYTES, analyze
from snapshotter.scan.symbols.languages import refine

LANGUAGES = {
    ".py": "Python",
    ".js": "JavaScript",
    ".ts": "TypeScript",
    ".go": "Go",
    ".rs": "Rust",
    ".java": "Java",
    ".c": "C",
    ".h": "C Header",
    ".cc": "C++",
    ".cpp": "C++",
    ".cs": "C#",
    ".rb": "Ruby",
    ".php": "PHP",
    ".sh": "BASH",
    ".kt": "Kotlin",
    ".swift": "Swift",
    ".scala": "Scala",
}
UNCOUNTED = {"Kotlin", "Swift", "Scala"}


def files_by_language(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder that have symbols and are not too large."""
    paths: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        language = LANGUAGES.get(path.suffix)
        if language and path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_BYTES:
            paths.setdefault(language, []).append(path)
    return paths


def ctags_seconds(paths: list[Path]) -> float:
    """CPU seconds that ctags takes for these files."""
    with tempfile.NamedTemporaryFile("w", suffix=".list") as names:
        names.write("\n".join(map(str, paths)))
        names.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["ctags", "-f", "-", "--sort=no", "-L", names.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def our_seconds(paths: list[Path], language: str) -> float:
    """CPU seconds that our analysis takes for these files."""
    blobs = [(path.read_bytes(), refine(language, path.name)) for path in paths]
    started = time.process_time()
    for blob, refined in blobs:
        analyze(blob, refined)
    return time.process_time() - started


def main() -> None:
    """Measure a folder and print the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--runs", type=int, default=5)
    options = arguments.parse_args()
    gc.disable()  # as the workers do
    report: dict[str, dict[str, float]] = {}
    total = [0.0, 0.0, 0.0]
    for language, paths in files_by_language(options.folder).items():
        megabytes = sum(path.stat().st_size for path in paths) / 1e6
        analyze(b"", language)  # load the grammar
        theirs = statistics.median(ctags_seconds(paths) for _ in range(options.runs))
        ours = statistics.median(our_seconds(paths, language) for _ in range(options.runs))
        report[language] = row(megabytes, theirs, ours)
        if language not in UNCOUNTED:
            total = [have + more for have, more in zip(total, (megabytes, theirs, ours), strict=True)]
    print(json.dumps({"total": row(*total), "languages": report}, indent=2))


def row(megabytes: float, theirs: float, ours: float) -> dict[str, float]:
    """One line of the report, from CPU seconds."""
    return {
        "megabytes": round(megabytes, 2),
        "ctags_mb_per_s": round(megabytes / max(theirs, 1e-9), 1),
        "ours_mb_per_s": round(megabytes / max(ours, 1e-9), 2),
        "ratio": round(theirs / max(ours, 1e-9), 3),
    }


if __name__ == "__main__":
    main()
