"""The packed arithmetic equals the plain one, for any history."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from runner.job.capabilities import Limits
from runner.job.packed import common, keys_of, union, unpack, without
from runner.plan.batches import cut
from runner.plan.remaining import TO_SEND, JobRows, Row, fold
from tests.plan.making import batch, job, key, packed

LETTERS = "abcdefghij"
letters = st.lists(st.sampled_from(LETTERS), max_size=12)
results = st.dictionaries(st.sampled_from(LETTERS), st.sampled_from(["ok", "final", "retry", "lost"]), max_size=8)
history = st.lists(st.one_of(results, st.lists(st.sampled_from(LETTERS), max_size=8, unique=True)), max_size=5)


def naive(wanted: list[str], told: list[dict[str, str] | list[str]], most: int) -> list[Row]:
    """One letter after the other, one batch after the other."""
    rows = []
    seen: set[str] = set()
    for letter in wanted:
        outcomes = [one[letter] for one in told if isinstance(one, dict) and letter in one]
        in_flight = any(isinstance(one, list) and letter in one for one in told)
        last = [one for one in told if isinstance(one, dict) and letter in one and one[letter] == "retry"]
        lost = bool(outcomes) and "lost" in outcomes and not _retried_after_lost(outcomes)
        if "ok" in outcomes:
            row = Row.OK
        elif in_flight:
            row = Row.IN_FLIGHT
        elif lost:
            row = Row.LOST
        elif "final" in outcomes or outcomes.count("retry") >= most:
            row = Row.ERROR
        elif "retry" in outcomes:
            row = Row.AGAIN if set(last[-1].values()) & {"ok", "final"} else Row.STALLED
        else:
            row = Row.NEW
        if row in (Row.NEW, Row.AGAIN):
            row = Row.EQUAL if letter in seen else row
            seen.add(letter)
        rows.append(row)
    return rows


def _retried_after_lost(outcomes: list[str]) -> bool:
    return "retry" in outcomes[outcomes.index("lost") :] and outcomes[::-1].index("retry") < outcomes[::-1].index(
        "lost"
    )


MANY = batch("many", [f"another request {number}" for number in range(4097)], 99)  # too many to be folded in one go


@given(st.one_of(letters, st.lists(st.sampled_from(LETTERS), unique=True)), history, st.integers(1, 3), st.booleans(),
       st.booleans())  # fmt: skip
def test_fold_equals_plain_arithmetic(
    wanted: list[str], told: list[dict[str, str] | list[str]], most: int, is_large: bool, is_known: bool
) -> None:
    batches = [batch(f"b{n}", one, n) for n, one in enumerate(told) if one] + [MANY] * is_large
    distinct = keys_of(packed(wanted)) if is_known else b""
    (rows,) = fold([job("job", wanted, max_attempts=most, distinct=distinct)], batches)
    assert [Row(state) for state in rows.states] == naive(wanted, told, most)
    assert sum(rows.counts) == len(wanted)


@given(st.lists(st.sampled_from(Row), min_size=1), st.data())
def test_what_is_sent_is_counted(stood: list[Row], data: st.DataObject) -> None:
    states = bytearray(stood)
    rows = JobRows(bytearray(states), [states.count(row) for row in sorted(Row)])
    some = data.draw(st.sets(st.integers(0, len(stood) - 1), min_size=1), label="sent")
    first, end = min(some), max(some) + 1
    sent = range(first, end) if data.draw(st.booleans(), label="in one run") else sorted(some)
    rows.send(array("I", sent), "b1")
    after = [Row.IN_FLIGHT if n in sent else row for n, row in enumerate(stood)]
    if not set(after) & set(TO_SEND):
        after = [Row.IN_FLIGHT if row is Row.EQUAL else row for row in after]
    assert list(rows.states) == after
    assert rows.counts == [after.count(row) for row in sorted(Row)]


@given(letters, letters)
def test_each_request_is_asked_by_one_job(first: list[str], second: list[str]) -> None:
    one, two = fold([job("alpha", first), job("beta", second)], [])
    asked = [first[n] for n in one.ordinals(Row.NEW)] + [second[n] for n in two.ordinals(Row.NEW)]
    assert sorted(asked) == sorted(set(first) | set(second))


@given(st.lists(st.sampled_from(LETTERS)), st.lists(st.sampled_from(LETTERS)))
def test_packed_sets_are_sets(left: list[str], right: list[str]) -> None:
    mine, theirs = keys_of(packed(left)), keys_of(packed(right))
    assert list(unpack(mine)) == sorted({key(letter) for letter in left})
    assert set(unpack(without(mine, theirs))) == {key(letter) for letter in set(left) - set(right)}
    assert common(mine, theirs) == len(set(left) & set(right))
    assert union([mine, theirs]) == keys_of(packed(left + right))
    larger = union([mine, MANY.keys])
    assert without(larger, theirs) == union([without(mine, theirs), MANY.keys])
    assert common(larger, theirs) == common(mine, theirs)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 7), st.integers(61, 200))
def test_cut_keeps_every_row_once_under_the_limits(sizes: list[int], lines: int, size_bytes: int) -> None:
    batches = list(cut(array("I", range(len(sizes))), array("I", sizes), Limits(lines, size_bytes), "job"))
    assert [n for ordinals, _ in batches for n in ordinals] == list(range(len(sizes)))
    for ordinals, total in batches:
        assert total == sum(sizes[n] + 1 for n in ordinals)
        assert len(ordinals) <= lines
        assert total <= size_bytes
