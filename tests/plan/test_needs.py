"""Jobs that wait for others, in any shape without a circle: all of them end, in order, and nothing is asked twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from runner.job.expect import Expectation, bound
from runner.job.project import Evals
from runner.plan.plan import Recorded, make
from runner.plan.remaining import Row
from tests.plan.making import batch, job, key

LETTERS = "abcdef"
NAMES = ("dear", "fine", "good", "high", "idle")
EXPECTED = Evals(expect=(Expectation(metric="answered", bound=bound(">= 0.9")),))


@st.composite
def projects(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, tuple[str, ...]], set[str]]:
    """Rows by job, some of which others want too; what each needs, of those behind it in a random order; and those that
    something is expected of."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(2, 5))]
    rows = {name: draw(st.text(st.sampled_from(LETTERS), min_size=1, max_size=4)) for name in names}
    needs = {
        name: tuple(draw(st.lists(st.sampled_from(names[:place]), max_size=2, unique=True))) if place else ()
        for place, name in enumerate(names)
    }
    return rows, needs, draw(st.sets(st.sampled_from(names)))


@given(projects())
def test_they_are_asked_one_after_the_other_each_request_once(
    project: tuple[Mapping[str, str], Mapping[str, tuple[str, ...]], set[str]],
) -> None:
    rows, needs, expected_of = project
    desired = [
        job(name, rows[name], needs=needs[name], evals=EXPECTED if name in expected_of else Evals())
        for name in sorted(rows)
    ]
    letters = {key(letter): letter for letter in LETTERS}
    done: list[tuple[str, Sequence[str]]] = []
    scored: set[str] = set()
    for _ in range(2 * len(rows) + 1):
        batches = [
            batch(f"b{number}", dict.fromkeys(sent, "ok"), number, owner=owner)
            for number, (owner, sent) in enumerate(done, 1)
        ]
        plan = make(desired, Recorded(batches, meets=dict.fromkeys(scored, True)), {})
        settled = {
            one.address
            for one, states in zip(desired, plan.rows, strict=True)
            if all(Row(state) in (Row.OK, Row.EQUAL) for state in states.states)
        }
        good = {name for name in settled if name not in expected_of or name in scored}
        if settled == set(rows):
            break
        for cut in plan.submissions:
            assert set(needs[cut.address]) <= good, "nothing is sent before what it needs is settled and good"
            keys = next(one.keys for one in desired if one.address == cut.address)
            done.append((cut.address, [letters[bytes(keys[16 * n : 16 * n + 16])] for n in cut.ordinals]))
        scored |= settled
    else:
        raise AssertionError(f"they wait for each other: {plan.jobs}")
    asked = [letter for _, sent in done for letter in sent]
    assert sorted(asked) == sorted(set("".join(rows.values()))), "each request once"
