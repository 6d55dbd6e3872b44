"""The entry point. `--version` answers before anything heavy is loaded."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    _open_standard_streams()
    if sys.argv[1:] == ["--version"]:
        from snapshotter import __version__

        print(f"snapshotter {__version__}")  # noqa: T201 - the answer
        return
    from snapshotter.cli.app import run

    run()


def _open_standard_streams() -> None:
    """Give every closed standard stream /dev/null: else the next file or socket would get its number, and what is
    printed, or a child's input, would be that."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115 - open for as long as the process lives
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)


if __name__ == "__main__":
    main()
