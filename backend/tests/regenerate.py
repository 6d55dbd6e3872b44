"""What is written from the code: the schemas in docs/ and the scan's golden tables.

    cd backend && python -m tests.regenerate            write them anew
    cd backend && python -m tests.regenerate --check    only say which differ; exit status 1 if any does

Read the difference before committing it: schemas and golden tables are promises.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snapshotter.archive import manifest
from snapshotter.fleet import document, inventory, stored_summary
from tests.scan import golden

ROOT = Path(__file__).resolve().parents[2]


def _schema(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


# By path below the project's root, how the file's text is made.
GENERATED: dict[str, Callable[[], str]] = {
    "docs/manifest.schema.json": lambda: _schema(manifest.json_schema()),
    "docs/job.schema.json": lambda: _schema(document.json_schema()),
    "docs/fleet.schema.json": lambda: _schema(inventory.json_schema()),
    "docs/fleet-summary.schema.json": lambda: _schema(stored_summary.json_schema()),
    "backend/tests/scan/fixtures/symbols.golden.txt": golden.all_symbols,
    "backend/tests/scan/fixtures/dependencies.golden.txt": golden.all_dependencies,
}


def stale(root: Path = ROOT) -> dict[str, str]:
    """The files below `root` that are missing or differ from what the code makes, with what it makes."""
    texts = {name: make() for name, make in GENERATED.items()}
    return {
        name: text
        for name, text in texts.items()
        if not (root / name).is_file() or (root / name).read_text("utf-8") != text
    }


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write the stale files, or with `--check` only name them. Returns the exit status."""
    if [*arguments] not in ([], ["--check"]):
        print("usage: python -m tests.regenerate [--check]", file=sys.stderr)
        return 2
    differing = stale(root)
    for name, text in differing.items():
        if not arguments:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, "utf-8")
        print(f"{'stale' if arguments else 'written'}: {name}")
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
