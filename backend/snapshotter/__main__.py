"""The entry point. `--version` answers before anything heavy is loaded."""

from __future__ import annotations

import sys

from snapshotter.cli import streams


def main() -> None:
    """Run the command line."""
    streams.open_standard_streams()
    streams.ending(_answer)


def _answer() -> None:
    if sys.argv[1:] == ["--version"]:
        from snapshotter import __version__

        print(f"snapshotter {__version__}")  # noqa: T201 - the answer
        return
    import gc

    # Loading modules makes much, and all of it stays: to look through it again and again is a tenth of a start.
    gc.set_threshold(100_000, 10, 10)
    from snapshotter.cli.app import run

    run()


if __name__ == "__main__":
    main()
