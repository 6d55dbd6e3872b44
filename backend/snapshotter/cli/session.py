"""What a verb's work needs: flags, settings, the environment, the store, whom to tell, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snapshotter.base import settings
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.cli.flags import Flags
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store

if TYPE_CHECKING:
    from snapshotter.archive.expiry import Expiry


@dataclass(frozen=True)
class Session:
    """One command's run. `env` is the environment, with what a `.env` file adds to it for botocore."""

    flags: Flags
    settings: Settings
    env: Mapping[str, str]
    observer: Observer
    cancel: Cancel

    @property
    def allow_http(self) -> bool:
        """Whether plain http was allowed, by flag or setting."""
        return self.flags.allow_http or self.settings.flag("SNAPSHOTTER_ALLOW_HTTP")

    @property
    def store_uri(self) -> str:
        """The store in force, as the user named it: not made safe to show."""
        return self.flags.store or self.settings["SNAPSHOTTER_STORE"]

    @property
    def temp(self) -> Path | None:
        """The folder for temporary files. None means the system's."""
        return Path(self.settings["SNAPSHOTTER_TEMP"]) if self.settings["SNAPSHOTTER_TEMP"] else None

    @property
    def expiry(self) -> Expiry | None:
        """What is said to expire in the store; None if nothing is. Raises UsageError for a setting that is no span."""
        from snapshotter.archive.expiry import Expiry

        return Expiry.stated(self.settings)

    def store(self, uri: str | None = None, *, allow_http: bool = False, reading: bool = False) -> Store:
        """Open the store `uri`, or the store in force. If it is for `reading`, a folder must exist already.

        Raises UsageError for a name that is no store, Unavailable for a store that cannot be opened.
        """
        return open_store(
            uri or self.store_uri,
            allow_http=allow_http or self.allow_http,
            must_exist=reading,
            observer=self.observer,
        )


def open_session(flags: Flags, env: MutableMapping[str, str], observer: Observer, cancel: Cancel) -> Session:
    """The session of a process with the environment `env`, in its working directory.

    The AWS_ variables of a `.env` file are added to `env`: botocore reads the process's environment only.
    Warns of a SNAPSHOTTER_ variable that is no setting. Raises UsageError for a `.env` that is refused.
    """
    from_file = settings.dotenv()
    if from_file:
        from snapshotter.aws import identity  # whoever has no `.env` need not load it: start-up

        identity.adopt(from_file, env)
    for name, near in settings.misspelt([*env, *from_file]):
        observer.warn(f"{name} is no setting, so it has no effect; did you mean {near}?")
    return Session(flags, Settings(from_file | dict(env)), env, observer, cancel)
