"""What is shown for a few rows is what is shown for them among all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.job.outcomes import Outcome, pack
from runner.results.locate import OutcomeSource, locate, locate_few
from tests.plan.making import key, packed

LETTERS = "abcdefgh"
TOLD = st.dictionaries(st.sampled_from(LETTERS), st.sampled_from(sorted(Outcome)), max_size=8)


@given(st.lists(st.tuples(TOLD, st.integers(0, 2), st.booleans()), max_size=5), st.lists(st.sampled_from(LETTERS)))
def test_few_are_as_among_all(told: list[tuple[dict[str, Outcome], int, bool]], asked: list[str]) -> None:
    sources = [
        OutcomeSource(
            b"".join(sorted(pack(key(letter), outcome, n, 7) for letter, outcome in outcomes.items())),
            generation, f"b{n}", "here", (), is_judged=is_judged,
        )
        for n, (outcomes, generation, is_judged) in enumerate(told)
    ]  # fmt: skip
    assert locate_few(packed(asked), sources) == locate(packed(asked), sources)
