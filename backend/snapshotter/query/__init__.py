"""SQL over what the store holds: every repository's snapshots and scans.

`question.ask` is the use case. `guard` reads the SQL; `snapshot_choice` finds the snapshots by listing;
`archive_views` and `scan_views` bring what the SQL names, through `cache`; `locked_engine` runs it.
docs/query.md describes the views.
"""
