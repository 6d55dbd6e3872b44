"""SQL over what the store holds: every repository's snapshots and scans.

`question.ask` is the use case. `snapshot_choice` finds the snapshots by listing;
`archive_views` and `scan_views` bring what the SQL names, through `cache`. `engine` is DuckDB in a process of its own
(`engine_server`), where `guard` reads the SQL and `locked_engine` is its lock; `running` holds it to its time.
docs/query.md describes the views.
"""
