"""Packed keys, held to Python's own sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.job.packed import KEY_BYTES, distinct_in, keys_of

KEYS = st.lists(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), max_size=20)


@given(KEYS, st.integers(1, 3))
def test_distinct_keys_are_counted(keys: list[bytes], times: int) -> None:
    packed = b"".join(keys * times)
    assert distinct_in(packed) == distinct_in(bytearray(packed)) == len({*keys})
    assert keys_of(packed) == b"".join(sorted({*keys}))
