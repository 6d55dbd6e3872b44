"""Test the snapshot bucket's rule on encryption by three writes, of which it must refuse two.

    uv run python backend/scripts/aws/s3_policy_test.py \
        --bucket fruitful-lab-snapshots-prod --prefix repo-scans/snapshotter/policy-tests

Exit 0 only if all three behave; 1 if one misbehaves; 2 for wrong arguments; 4 if it could not
check: no credentials, no network, no such bucket. The objects that it writes expire after a day.
"""

from __future__ import annotations

import argparse
import io
import os
import sys

from snapshotter.aws import identity
from snapshotter.aws.scope import scope_of
from snapshotter.base import settings
from snapshotter.base.unexpected import as_error


def main() -> int:
    """Run the test and print one line for each write; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--bucket", required=True, help="the bucket, for example fruitful-lab-snapshots-prod")
    parser.add_argument(
        "--prefix", required=True, help="where to write, for example repo-scans/snapshotter/policy-tests"
    )
    parser.add_argument(
        "--allow-any-prefix",
        action="store_true",
        help="write outside repo-scans/snapshotter/ too, for other buckets",
    )
    given = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    try:
        return _test(given.bucket, given.prefix, anywhere=given.allow_any_prefix)
    except Exception as unexpected:  # noqa: BLE001 - whatever it is, it is no finding, which exit 1 would say
        error = as_error(unexpected)
        print(f"❌ {error.message}", *(f"  {detail}" for detail in error.details), file=sys.stderr, sep="\n")
        print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code


def _test(bucket: str, prefix: str, *, anywhere: bool) -> int:
    from snapshotter.access import policy_test
    from snapshotter.access.proof import target
    from snapshotter.access.wire import here

    found = settings.dotenv()
    identity.adopt(found, os.environ)
    store = target(None, settings.Settings(found | dict(os.environ))["SNAPSHOTTER_STORE"])
    scope = scope_of(bucket, store.prefix if store.bucket == bucket else "")
    outcomes = policy_test.run(here(), bucket, prefix, scope=scope, anywhere=anywhere)
    for outcome in outcomes:
        print(outcome.line)
    return policy_test.exit_code(outcomes)


if __name__ == "__main__":
    sys.exit(main())
