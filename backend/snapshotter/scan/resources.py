"""What a scan may use: light, for those who only plan one."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ScanResources:
    """What a scan may use. None of it is recorded, but for the name of the key.

    `fingerprint_key` is secret. `rules` is the folder of the secret scanner's compiled rules; `temp` is where to
    put what does not fit in memory, by default the system's temporary folder. `workers` limits the processes
    that analyse source.
    """

    fingerprint_key: bytes | None = field(default=None, repr=False)
    rules: Path | None = None
    temp: Path | None = None
    workers: int = 2

    @property
    def key_name(self) -> str:
        """A name for the fingerprint key that tells nothing of it; '' without one."""
        if not self.fingerprint_key:
            return ""
        return hmac.digest(self.fingerprint_key, b"the name of this key", hashlib.sha256).hex()[:16]
