"""Ten questions that people ask, and the SQL that answers them. Each is run by a test against known answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Example:
    """A question, its SQL (without double quotes, so that a shell takes it in them), and the flags it needs."""

    question: str
    sql: str
    flags: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command as one types it."""
        return " ".join([f'snapshotter query "{self.sql}"', *self.flags])


EXAMPLES: Final = (
    Example(
        "Who still uses log4j below 2.17?",
        """\
SELECT repo, path, version FROM dependencies
WHERE ecosystem = 'maven' AND name = 'org.apache.logging.log4j:log4j-core'
  AND version_key(version) < version_key('2.17')
ORDER BY ALL""",
    ),
    Example(
        "Where did each secret first appear? (add WHERE fingerprint = '…' for one)",
        """\
SELECT DISTINCT ON (fingerprint) fingerprint, taken_at, repo, path, line, rule FROM secrets
ORDER BY fingerprint, taken_at, repo, path, line""",
        ("--history",),
    ),
    Example(
        "What changed between two dates?",
        """\
WITH before AS (SELECT repo, max(run_id) AS run_id FROM snapshots WHERE taken_at < '2026-11-01' GROUP BY repo),
  after AS (SELECT repo, max(run_id) AS run_id FROM snapshots WHERE taken_at < '2026-12-01' GROUP BY repo),
  old AS (SELECT repo, path, blob FROM files SEMI JOIN before USING (repo, run_id)),
  new AS (SELECT repo, path, blob FROM files SEMI JOIN after USING (repo, run_id))
SELECT repo, path,
  CASE WHEN old.blob IS NULL THEN 'added' WHEN new.blob IS NULL THEN 'removed' ELSE 'changed' END AS change
FROM old FULL JOIN new USING (repo, path)
WHERE old.blob IS DISTINCT FROM new.blob AND repo IN (SELECT repo FROM before)
ORDER BY ALL""",
        ("--history",),
    ),
    Example(
        "Which files are the largest?",
        """\
SELECT repo, path, bytes, language FROM files
WHERE kind = 'file'
ORDER BY bytes DESC, repo, path LIMIT 20""",
    ),
    Example(
        "Where did the languages shift most, from the first snapshot to the last?",
        """\
WITH ends AS (SELECT repo, min(taken_at) AS first, max(taken_at) AS last FROM files GROUP BY repo)
SELECT repo, language,
  coalesce(sum(code) FILTER (taken_at = first), 0)::BIGINT AS lines_before,
  coalesce(sum(code) FILTER (taken_at = last), 0)::BIGINT AS lines_after
FROM files JOIN ends USING (repo)
WHERE language IS NOT NULL AND first < last
GROUP BY repo, language
HAVING lines_before <> lines_after
ORDER BY abs(lines_after - lines_before) DESC, repo, language LIMIT 20""",
        ("--history",),
    ),
    Example(
        "Which files does nobody import, where imports can be told?",
        """\
SELECT repo, path, code FROM (SELECT *, regexp_replace(path, '/?[^/]*$', '') AS folder FROM files)
SEMI JOIN (SELECT repo, language FROM imports WHERE resolved_path IS NOT NULL) AS told USING (repo, language)
ANTI JOIN (SELECT repo, resolved_path AS path FROM imports) AS imported USING (repo, path)
ANTI JOIN (SELECT repo, resolved_path AS folder FROM imports) AS package USING (repo, folder)  -- Go imports folders
WHERE NOT coalesce(vendored, false) AND NOT coalesce(generated, false)
ORDER BY code DESC, repo, path""",
    ),
    Example(
        "Which branches were rewritten, and when?",
        """\
SELECT taken_at, repo, ref, old, new FROM ref_changes
WHERE change = 'rewritten'
ORDER BY taken_at DESC, repo, ref""",
        ("--history",),
    ),
    Example(
        "Which repositories lack a snapshot of the last day?",
        """\
SELECT repo, taken_at AS newest, kind FROM snapshots
WHERE taken_at < now()::TIMESTAMP - INTERVAL 1 DAY
ORDER BY newest, repo""",
    ),
    Example(
        "Which GitHub Actions are not pinned to a commit?",
        """\
SELECT name, requirement, count(DISTINCT repo) AS repos FROM dependencies
WHERE ecosystem = 'github' AND NOT regexp_full_match(requirement, '[0-9a-f]{40}')
GROUP BY ALL
ORDER BY repos DESC, name, requirement""",
    ),
    Example(
        "Where is a function or class of this name defined, and what does it take?",
        """\
SELECT repo, path, line, kind, signature FROM symbols
WHERE name = 'parse_url'
ORDER BY repo, path, line""",
    ),
)
