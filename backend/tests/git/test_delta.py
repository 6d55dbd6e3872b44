"""Deltas: what their instructions make, and that any bytes are one or are refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable, Unusable
from snapshotter.git.delta import apply_delta, delta_inserts
from tests.support.packs import copy_all, varint


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_delta_of_inserts_makes_what_it_says(base: bytes, target: bytes) -> None:
    pieces = [target[at : at + 127] for at in range(0, len(target), 127)]
    delta = varint(len(base)) + varint(len(target)) + b"".join(bytes([len(p)]) + p for p in pieces)
    assert apply_delta(base, delta, len(target)) == delta_inserts(delta) == target


def test_what_a_delta_brings_is_what_it_does_not_copy() -> None:
    delta = varint(300) + varint(607) + copy_all(300) + b"\x03abc" + copy_all(300) + b"\x04defg"
    assert delta_inserts(delta) == b"abcdefg"
    assert apply_delta(bytes(300), delta, 1000) == bytes(300) + b"abc" + bytes(300) + b"defg"


@pytest.mark.parametrize("instructions", [b"\0\x01", b"\x02\x03ab"])
def test_an_insert_that_is_cut_off_is_refused_whatever_its_target_is(instructions: bytes) -> None:
    with pytest.raises(Unusable, match="ends early"):
        apply_delta(b"", varint(0) + instructions, 1000)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_what_can_be_applied_tells_what_it_brings(base: bytes, instructions: bytes) -> None:
    try:
        made = apply_delta(base, varint(len(base)) + instructions, 1000)
    except Unavailable:
        with suppress(Unavailable):
            delta_inserts(instructions)
    else:
        assert len(delta_inserts(varint(len(base)) + instructions)) <= len(made)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_a_delta_or_refused(base: bytes, delta: bytes) -> None:
    try:
        assert len(apply_delta(base, delta, 1000)) <= 1000
    except Unavailable as error:
        assert error.code == "bad-pack"
