"""What new rows take the place of, where few keys among many are gone: the same as sets say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.job.packed import keys_of
from runner.job.recorded import JobRecord
from runner.plan.repay import LeftRows, Replaced, replaced
from tests.plan.making import batch, job, packed

MANY = [f"row {n}" for n in range(120)]
SOME = st.sets(st.sampled_from([*MANY, *(f"other {n}" for n in range(6))]), max_size=7)


@given(
    gone=st.sets(st.sampled_from(MANY), min_size=1, max_size=20),
    unanswered=st.sets(st.sampled_from(MANY), max_size=8),
    left=st.lists(st.tuples(SOME, st.integers(0, 7)), max_size=3),
    ok=st.integers(0, 120),
)
def test_few_among_many(gone: set[str], unanswered: set[str], left: list[tuple[set[str], int]], ok: int) -> None:
    answered = [name for name in MANY if name not in unanswered]
    history = [
        batch("one", dict.fromkeys(answered[:60], "ok")),
        batch("two", dict.fromkeys(answered[60:], "final"), 2),
        batch("free", dict.fromkeys(answered[50:70], "ok"), 3, estimated_usd=0.0),
    ]
    now = job("alpha", [name for name in MANY if name not in gone])
    found = replaced(
        now,
        (JobRecord("alpha", "specs/a.yaml", "openai", "", len(MANY), ok=ok), keys_of(packed(MANY))),
        history,
        [LeftRows("alpha", keys_of(packed(sorted(letters))), number) for letters, number in left],
        (),
        lambda: now.distinct,
    )
    told = min(ok, _in_sets(gone, {*answered[:70]}, left))
    assert found == Replaced(told, min(told, _in_sets(gone, {*answered[:60]}, left)))


def _in_sets(gone: set[str], known: set[str], left: list[tuple[set[str], int]]) -> int:
    total = len(gone & known)
    for letters, number in left:
        total += max(0, min(number - len(letters & known), len(gone & (letters - known))))
        known = known | letters
    return total
