"""The table of LFS objects: what a run writes is read back, and what none writes is damage."""

from __future__ import annotations

import pytest

from snapshotter.base.errors import Damaged
from snapshotter.scan import lfs_table
from snapshotter.scan.lfs_rows import LfsRow

OID, OTHER = "a1" * 32, "b2" * 32
HELD = LfsRow(OID, 5, True, [f"_lfs/x/a1/a1/{OID}"])
LACKING = LfsRow(OTHER, 7, False, [], "dir/a.bin", "lfs-not-found")


def test_what_is_written_is_read_back() -> None:
    lying = LfsRow(OID, 6, False, [], None, "lfs-wrong-size")  # another pointer, with another size
    rows = [HELD, lying, LACKING]
    assert lfs_table.read(lfs_table.write(rows), "key") == rows


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([HELD._replace(oid="a1a1/x")], "no SHA-256"),
        ([HELD._replace(oid=OID.upper())], "no SHA-256"),
        ([HELD._replace(oid=f"{OID}\n")], "no SHA-256"),
        ([LACKING._replace(oid="")], "no SHA-256"),
        ([HELD._replace(bytes=-1)], "below 0"),
        ([HELD, HELD], "twice"),
        ([HELD, HELD._replace(bytes=6)], "twice"),
        ([LACKING, LACKING], "twice"),
        ([HELD._replace(keys=[None])], "nulls"),
    ],
)
def test_a_table_that_no_run_writes_is_damaged(rows: list[LfsRow], why: str) -> None:
    with pytest.raises(Damaged, match=why) as caught:
        lfs_table.read(lfs_table.write(rows), "some/lfs.parquet")
    assert caught.value.key == "some/lfs.parquet"
