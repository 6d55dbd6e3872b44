"""SQL over what the store holds: every repository's snapshots and scans.

`ask` is the use case. How it goes: guard reads the SQL; selection finds the snapshots by listing; rows and tables bring
what the SQL names, through the cache; engine runs it, locked. docs/query.md describes the views.
"""

from snapshotter.query.model import LeftOut, Options
from snapshotter.query.question import Answer, ask

__all__ = ["Answer", "LeftOut", "Options", "ask"]
