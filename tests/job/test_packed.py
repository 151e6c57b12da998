"""Packed keys, held to Python's own sets."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import weakref
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import StateError
from runner.job.infile import Growing, InFile, Run, are_same, pieces
from runner.job.outcomes import ANSWERS, Outcome, good, pack, unanswered
from runner.job.packed import (
    KEY_BYTES,
    bounds,
    common,
    distinct_in,
    edited,
    keys_of,
    positions_of,
    restricted,
    sorted_run,
    union,
    unpack,
    without,
    without_all,
)


def in_file(packed: bytes) -> InFile:
    """The same bytes in a file, with others around them."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with what is returned
    file.write(b"before" + packed + b"after")
    found = InFile(file, 6, len(packed))
    weakref.finalize(found, file.close)
    return found


KEYS = st.lists(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), max_size=20)


@given(KEYS, st.integers(1, 3))
def test_distinct_keys_are_counted(keys: list[bytes], times: int) -> None:
    packed = b"".join(keys * times)
    assert distinct_in(packed) == distinct_in(bytearray(packed)) == len({*keys})
    assert keys_of(packed) == sorted_run(packed) == b"".join(sorted({*keys}))


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
    assert restricted(in_file(packed), b"".join(wanted), KEY_BYTES + 8) == found
    some = wanted[:: max(len(wanted) // 20, 1)][:20]
    few = b"".join(name + told[name] for name in some if name in told)
    assert restricted(in_file(packed), b"".join(some), KEY_BYTES + 8) == few
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
        assert edited(packed_left, lost, added)[:] == packed_right
        assert edited(in_file(packed_left), lost, added)[:] == packed_right
        assert edited(packed_left, added, lost)[:] == packed_left
        assert edited(packed_left, lost, packed_right[: 16 * 9])[:] == b"".join(
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


@settings(max_examples=10)
@given(gone=st.sets(st.integers(0, LARGE - 1), max_size=40), more=st.sets(st.integers(LARGE, LARGE + 499), max_size=40))
def test_a_set_that_lies_in_a_file_is_as_good(gone: set[int], more: set[int]) -> None:
    left = b"".join(sorted(NAMES[n] for n in range(LARGE) if n not in gone))
    right = b"".join(sorted({*NAMES[:LARGE], *(NAMES[n] for n in more)}))
    part = right[: 16 * SMALL]
    held = [(left, right), (right, left), (left, part), (part, left), (left, left), (left, b"")]
    for one, other in held:
        for a, b in ((in_file(one), other), (one, in_file(other)), (in_file(one), in_file(other))):
            runs: list[Run] = [a, b]
            assert without(a, b)[:] == without(one, other)
            assert common(a, b) == common(one, other)
            assert union(runs)[:] == union([one, other])
            assert restricted(a, b) == restricted(one, other)
            assert bounds(a) == bounds(one)
            assert without_all(a, [b, part])[:] == without_all(one, [other, part])
            assert are_same(a, b) == (one == other)
            assert b"".join(pieces(a)) == one
    few = b"".join(sorted(NAMES[n] for n in gone))
    assert positions_of(in_file(right), few) == positions_of(right, few)


@settings(max_examples=10)
@given(st.integers(), st.integers(0, 40_000), st.integers(1, 3))
def test_many_keys_are_sorted_into_a_file(seed: int, number: int, times: int) -> None:
    random = Random(seed)
    keys = [random.randbytes(KEY_BYTES) for _ in range(number)]
    packed = b"".join(keys * times)
    assert sorted_run(packed)[:] == sorted_run(in_file(packed))[:] == keys_of(packed) == b"".join(sorted({*keys}))


@given(st.lists(st.integers(0, 200_000), max_size=6))
def test_what_grows_is_what_was_written(sizes: list[int]) -> None:
    growing, written = Growing(), b""
    for number, size in enumerate(sizes):
        data = bytes([number]) * size
        growing.write(data)
        written += data
    growing.copy(in_file(written), len(written) // 3, len(written))
    written += written[len(written) // 3 :]
    run = growing.run()
    assert run[:] == written and growing.run() is run
    assert isinstance(run, InFile) == (len(written) >= 1 << 18)


@given(st.binary(max_size=20_000), st.lists(st.tuples(st.integers(-9, 20_009), st.integers(-9, 20_009)), max_size=20))
def test_slices_of_a_file(data: bytes, asked: list[tuple[int, int]]) -> None:
    stored = in_file(data)
    for start, end in asked:
        assert stored[start:end] == data[start:end]
    assert (len(stored), stored[:], stored[::3]) == (len(data), data, data[::3])


def test_threads_ask_for_slices_of_one_file() -> None:
    data = Random(5).randbytes(1 << 20)
    stored = in_file(data)

    def is_right(seed: int) -> bool:
        random = Random(seed)
        places = [random.randrange(len(data) - 16) for _ in range(20_000)]
        return all(stored[at : at + 16] == data[at : at + 16] for at in places)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(is_right, range(8)))
    finally:
        sys.setswitchinterval(before)


def test_a_file_that_is_cut_is_noticed() -> None:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with what is made of it
    file.write(bytes(10_000))
    stored = InFile(file, 0, 10_000)
    weakref.finalize(stored, file.close)
    file.truncate(5_000)
    assert stored[:5_000] == bytes(5_000)
    with pytest.raises(StateError):
        stored[4_000:6_000]


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
