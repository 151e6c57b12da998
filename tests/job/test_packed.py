"""Packed keys, held to Python's own sets."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.job.outcomes import ANSWERS, Outcome, good, pack, unanswered
from runner.job.packed import (
    KEY_BYTES,
    common,
    distinct_in,
    edited,
    keys_of,
    positions_of,
    restricted,
    union,
    unpack,
    without,
    without_all,
)

KEYS = st.lists(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), max_size=20)


@given(KEYS, st.integers(1, 3))
def test_distinct_keys_are_counted(keys: list[bytes], times: int) -> None:
    packed = b"".join(keys * times)
    assert distinct_in(packed) == distinct_in(bytearray(packed)) == len({*keys})
    assert keys_of(packed) == b"".join(sorted({*keys}))


@given(
    st.sets(st.integers(0, 40_000), min_size=600, max_size=1500), st.sets(st.integers(0, 40_000), max_size=90),
    st.integers(0, 12),
)  # fmt: skip
def test_records_are_found_where_keys_begin_alike(records: set[int], asked: set[int], alike: int) -> None:
    """alike: so many keys share their first half with their neighbours."""

    def key(number: int) -> bytes:
        head = hashed(number >> alike)[:8] if alike else hashed(number)[:8]
        return head + number.to_bytes(8, "big")

    told = {key(number): b"%8d" % number for number in records}
    packed = b"".join(name + told[name] for name in sorted(told))
    wanted = sorted({key(number) for number in asked})
    found = b"".join(name + told[name] for name in wanted if name in told)
    assert restricted(packed, b"".join(wanted), KEY_BYTES + 8) == found
    assert restricted(b"".join(sorted(told)), b"".join(wanted)) == b"".join(filter(told.__contains__, wanted))


SMALL, LARGE = 2000, 6000  # keys: so that sets are compared in runs, not by buckets


def hashed(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()[:16]


NAMES = [hashed(n) for n in range(LARGE + 500)]


@settings(max_examples=20)
@given(
    base=st.integers(0, LARGE - 1),
    gone=st.sets(st.integers(0, LARGE - 1), max_size=30),
    more=st.sets(st.integers(LARGE, LARGE + 499), max_size=30),
    cut=st.integers(0, LARGE),
)
def test_large_sets_that_are_nearly_equal(base: int, gone: set[int], more: set[int], cut: int) -> None:
    """Whole runs are compared as bytes: what comes out is what sets of Python say."""
    names = NAMES
    mine = {names[n] for n in range(LARGE) if n not in gone}
    theirs = ({*names[:LARGE]} | {names[n] for n in more}) - {names[base]}
    part = {key for key in theirs if key < names[cut]}
    for left, right in ((mine, theirs), (theirs, mine), (mine, part), (part, mine), (mine, set()), (mine, mine)):
        packed_left, packed_right = b"".join(sorted(left)), b"".join(sorted(right))
        assert without(packed_left, packed_right) == b"".join(sorted(left - right))
        lost, added = b"".join(sorted(left - right)), b"".join(sorted(right - left))
        assert edited(packed_left, lost, added) == packed_right
        assert edited(packed_left, added, lost) == packed_left
        assert edited(packed_left, lost, packed_right[: 16 * 9]) == b"".join(
            sorted((left & right) | {*unpack(packed_right[: 16 * 9])})
        )
        assert common(packed_left, packed_right) == len(left & right)
        assert union([packed_left, packed_right]) == b"".join(sorted(left | right))
        assert restricted(packed_left, packed_right) == b"".join(sorted(left & right))
    some = [b"".join(sorted(one)) for one in (theirs, part, {names[n] for n in more})]
    assert without_all(b"".join(sorted(mine)), some) == b"".join(
        sorted(mine - theirs - part - {names[n] for n in more})
    )
    few = sorted(names[n] for n in {base, *gone})
    assert restricted(b"".join(sorted(mine)), b"".join(few)) == b"".join(key for key in few if key in mine)
    assert list(positions_of(b"".join(names), b"".join(few))) == sorted({base, *gone})


@pytest.mark.parametrize("share", [0.5, 0.01, 0.0001])
def test_large_sets_that_differ_much_or_little(share: float) -> None:
    random = Random(7)
    left = {hashed(n) for n in range(LARGE) if random.random() > share}
    right = {hashed(n) for n in range(SMALL, LARGE + SMALL) if random.random() > share}
    packed = [b"".join(sorted(one)) for one in (left, right)]
    assert without(*packed) == b"".join(sorted(left - right))
    assert common(*packed) == len(left & right)
    assert union(packed) == b"".join(sorted(left | right))


def test_keys_of_an_index_by_their_outcome() -> None:
    outcomes = [Outcome(1 + n % len(Outcome)) for n in range(1000)]
    entries = sorted(zip((hashed(n) for n in range(1000)), outcomes, strict=True))
    index = b"".join(pack(key, outcome, 3, 77) for key, outcome in entries)
    assert good(index) == b"".join(key for key, outcome in entries if outcome is Outcome.OK)
    assert unanswered(index) == b"".join(key for key, outcome in entries if outcome not in ANSWERS)
    all_good = b"".join(pack(key, Outcome.OK) for key, _ in entries)
    assert good(all_good) == b"".join(key for key, _ in entries) and unanswered(all_good) == good(b"") == b""
