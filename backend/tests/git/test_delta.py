"""Deltas: what their instructions make, and that any bytes are one or are refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.git.delta import apply_delta
from tests.support.packs import varint


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_delta_of_inserts_makes_what_it_says(base: bytes, target: bytes) -> None:
    pieces = [target[at : at + 127] for at in range(0, len(target), 127)]
    delta = varint(len(base)) + varint(len(target)) + b"".join(bytes([len(p)]) + p for p in pieces)
    assert apply_delta(base, delta, len(target)) == target


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_a_delta_or_refused(base: bytes, delta: bytes) -> None:
    try:
        assert len(apply_delta(base, delta, 1000)) <= 1000
    except Unavailable as error:
        assert error.code == "bad-pack"
