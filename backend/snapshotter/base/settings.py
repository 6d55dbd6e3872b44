"""The settings in force: the environment over `.env` over the defaults of the table in `variables`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.base.variables import DEFAULTS

_UNITS = {"": 1, "B": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_ONE_LETTER_WRONG = 0.95  # how similar, from 0 to 1, two long names are that differ in one letter
# They name programs, or files that name programs (botocore's credential_process).
_RUN_PROGRAMS = frozenset(
    {
        "SNAPSHOTTER_GIT_TOKEN_COMMAND",
        "SNAPSHOTTER_SSH_COMMAND",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_DATA_PATH",
    }
)


class Settings(Mapping[str, str]):
    """The settings in force. Reading one that is not in the table is a programming error, except hosts' tokens."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {key: value for key, value in values.items() if key.startswith("SNAPSHOTTER_")}

    def __getitem__(self, name: str) -> str:
        if name.startswith("SNAPSHOTTER_GIT_TOKEN_") and name not in DEFAULTS:
            return self._values[name]
        default = DEFAULTS[name]
        return self._values.get(name) or default

    def __iter__(self) -> Iterator[str]:
        return iter(DEFAULTS)

    def __len__(self) -> int:
        return len(DEFAULTS)

    def under(self, values: Mapping[str, str]) -> Settings:
        """These settings with some others over them."""
        return Settings(self._values | dict(values))

    def flag(self, name: str) -> bool:
        """A yes-or-no setting. Raises UsageError for anything else."""
        value = self[name].lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("", "0", "false", "no", "off"):
            return False
        raise UsageError(f"{name} is neither yes nor no: {value}", hint="give 1 or 0")

    def number(self, name: str, least: int = 1) -> int:
        """A whole number of at least `least`. Raises UsageError for anything else."""
        try:
            value = int(self[name])
        except ValueError:
            value = least - 1
        if value < least:
            raise UsageError(f"{name} is not a number of at least {least}: {self[name]}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A setting of several words."""
        return tuple(self[name].split())


def misspelt(names: Iterable[str]) -> list[tuple[str, str]]:
    """The SNAPSHOTTER_ variables among `names` that are no setting, each with the setting most like it."""
    import difflib  # which few runs need

    known = [name for name in DEFAULTS if "<" not in name]
    slips = []
    for name in sorted(set(names)):
        if not name.startswith("SNAPSHOTTER_") or name in DEFAULTS:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.0)[0]
        similar = difflib.SequenceMatcher(None, name, near).ratio()
        # SNAPSHOTTER_GIT_TOKEN_<HOST> is a setting for any host, unless it is but a letter away from another.
        if not name.startswith("SNAPSHOTTER_GIT_TOKEN_") or similar > _ONE_LETTER_WRONG:
            slips.append((name, near))
    return slips


def load(env: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
    """The settings of this process: `.env` in `folder` (default: the working directory), below `env`."""
    return Settings(dotenv(folder) | dict(env))


def dotenv(folder: Path | None = None) -> dict[str, str]:
    """The SNAPSHOTTER_ and AWS_ variables of a `.env` file; nothing else in it is taken.

    Raises UsageError if the file cannot be read, or sets what would run a program: in a checkout, the file may
    be that of whoever wrote the repository.
    """
    path = (folder or Path.cwd()) / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        variables = dotenv_values(path, interpolate=False)
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(
            f"{path} cannot be read ({type(error).__name__})",
            hint="it must be UTF-8 text, and readable by this user",
        ) from error
    ours = {
        key: value for key, value in variables.items() if value and key.startswith(("SNAPSHOTTER_", "AWS_"))
    }
    if programs := sorted(_RUN_PROGRAMS & ours.keys()):
        raise UsageError(
            f"{printable(str(path))} would have a program run: {', '.join(programs)}",
            hint="a .env may be from a stranger who wrote the repository around it; if it is yours, set this in the "
            "environment instead",
        )
    return ours


def parse_size(text: str) -> int:
    """Bytes in ``16MiB``, ``16M`` or ``16777216``. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,18})\s*([KMG]?)i?B?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"not a size: {text}", hint="write it like 16MiB")
    return int(match[1]) * _UNITS[match[2].upper()]


def parse_span(text: str) -> timedelta:
    """The span in ``90s``, ``30m``, ``12h``, ``30d`` or ``8w``; a bare number is seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise UsageError(f"not a span of time: {text}", hint="write it like 90s, 30m, 12h or 30d")
    try:
        return timedelta(seconds=float(match[1]) * _SPANS[match[2] or "s"])
    except OverflowError:
        raise UsageError(f"a span of time beyond all calendars: {text}", hint="write it like 30d") from None
