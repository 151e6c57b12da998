"""A sample is the same for the same seed, whatever the order; ids are checked within a few bytes a row."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.data.rows import SourceRow
from runner.data.sample import positions
from runner.data.unique import IdHashes


def rows_of(values: list[int]) -> list[SourceRow]:
    return [SourceRow({"v": value, "w": "x"}, "a", i + 1, i) for i, value in enumerate(values)]


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 12), st.integers(0, 3), st.randoms())
def test_the_sample_does_not_depend_on_order(values: list[int], count: int, seed: int, random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    chosen = positions(rows_of(values), count, seed)
    other = positions(rows_of(shuffled), count, seed)
    assert sorted(values[i] for i in chosen) == sorted(shuffled[i] for i in other)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) == min(count, len(values))


def test_the_order_of_columns_does_not_count() -> None:
    one = [SourceRow({"a": i, "b": 1}, "a", i, i) for i in range(100)]
    two = [SourceRow({"b": 1, "a": i}, "a", i, i) for i in range(100)]
    assert positions(one, 10, 7) == positions(two, 10, 7)
    assert positions(one, 10, 7) != positions(one, 10, 8)


def test_a_sample_is_fixed_across_releases() -> None:
    assert list(positions(rows_of(list(range(1000))), 5, 7)) == [117, 144, 243, 632, 830]


def test_doubled_ids_are_suspects() -> None:
    hashes = IdHashes()
    hashes.update(f"id-{number}" for number in range(5000))
    assert hashes.suspects() == frozenset()
    hashes.update(["id-77", "id-77"])
    assert hashes.suspects() == {*hashes.of(["id-77"])}
