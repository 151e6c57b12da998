"""A batch is continued exactly when what it left is what has to be asked; every row is asked once either way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.plan.plan import Recorded, make
from tests.plan.making import batch, card, job

LETTERS = "abcdefgh"
outcomes = st.sampled_from(["ok", "retry", "final"])
histories = st.lists(
    st.dictionaries(st.sampled_from(LETTERS), outcomes, min_size=1).filter(
        lambda rows: set(rows.values()) != {"retry"}
    ),
    max_size=4,
)


@given(histories, st.permutations(LETTERS), st.integers(1, len(LETTERS)))
def test_continuations_are_exact_and_complete(history: list[dict[str, str]], letters: list[str], number: int) -> None:
    batches = [batch(f"b{n}", rows, n, phase="expired") for n, rows in enumerate(history, 1)]
    one = job("job", letters[:number], card=card(can_resume=True), max_attempts=9)
    plain = job("job", letters[:number], card=card(), max_attempts=9)
    [resumed] = make([one], Recorded(batches), {}).jobs
    [anew] = make([plain], Recorded(batches), {}).jobs
    assert sorted(n for s in resumed.submissions for n in s.ordinals) == sorted(
        n for s in anew.submissions for n in s.ordinals
    )
    for submission in resumed.submissions:
        if submission.continues:
            rows = history[int(submission.continues[1:]) - 1]
            left = {letter for letter, outcome in rows.items() if outcome != "ok"}
            assert left == {letters[n] for n in submission.ordinals}
    for rows in history:
        left = {letter for letter, outcome in rows.items() if outcome != "ok"}
        asked = {letters[n] for s in anew.submissions for n in s.ordinals}
        last = {k: max((n for n, r in enumerate(history) if k in r), default=None) for k in left}
        if (
            left
            and left <= asked
            and len(set(last.values())) == 1
            and all(history[n] is rows for n in last.values() if n is not None)
        ):
            assert any(left == {letters[n] for n in s.ordinals} for s in resumed.submissions if s.continues)


def test_a_continuation_may_be_larger_than_an_input() -> None:
    letters = "abcdef"  # the card takes three lines an input
    rows = dict.fromkeys(letters, "retry") | {"g": "ok"}
    [plan] = make([job("job", letters, card=card(can_resume=True))], Recorded([batch("b1", rows)]), {}).jobs
    assert [len(submission.ordinals) for submission in plan.submissions] == [3, 3]
    expired = batch("b1", rows, phase="expired")
    [plan] = make([job("job", letters, card=card(can_resume=True))], Recorded([expired]), {}).jobs
    assert [(s.continues, len(s.ordinals)) for s in plan.submissions] == [("b1", 6)]
