"""Which batch came after which, from the records alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.apply.lineage import chain_of, last_links, of_job, shown_for, tree
from runner.job.observed import Origin
from runner.job.recorded import Batch, Stage
from runner.plan.plan import Recorded
from runner.plan.remaining import RetryRows, fold
from tests.plan.making import HERE, NOW, THERE, job, packed
from tests.plan.making import batch as asked


def batch(number: int, **fields: Any) -> Batch:
    """The batch `b<number>`, whose id on the remote is `r<number>`."""
    usual: dict[str, Any] = {
        "key": f"b{number}",
        "project": "p",
        "owner": "a",
        "origin": HERE,
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "window_hours": 24,
        "rows": 1,
        "size_bytes": 1,
        "keys_sha256": "",
        "attempt": 1,
        "generation": 0,
        "sequence": number,
        "intent_at": NOW,
        "stage": Stage.COLLECTED,
        "remote_id": f"r{number}",
    }
    return Batch(**{**usual, **fields})


def drawn(*batches: Batch) -> list[tuple[int, str, str, tuple[str, ...]]]:
    return [(link.depth, link.batch.key, link.continues, link.asks_again) for link in tree(batches)]


def test_a_continuation_and_a_remainder_asked_again() -> None:
    assert drawn(
        batch(1),
        batch(2, continued_from="r1", parents=("b1",)),
        batch(3, parents=("b1", "b2")),
        batch(4, parents=("gone",)),
    ) == [
        (0, "b1", "", ()),
        (1, "b2", "r1", ()),
        (2, "b3", "", ("r1", "r2")),
        (0, "b4", "", ("gone",)),
    ]


def test_branches_keep_the_order_of_submission() -> None:
    found = drawn(batch(1), batch(2), batch(3, parents=("b1",)), batch(4, parents=("b2",)), batch(5, parents=("b1",)))
    assert [(depth, key) for depth, key, *_ in found] == [(0, "b1"), (1, "b3"), (1, "b5"), (0, "b2"), (1, "b4")]


def test_an_id_of_another_origin_is_another_batch() -> None:
    mine, theirs = batch(1, origin=THERE), batch(2, continued_from="r1")
    assert [link.depth for link in tree([mine, theirs])] == [0, 0]
    assert last_links([mine, theirs]) == [mine, theirs]


def test_the_last_links_and_their_chains() -> None:
    first, second, third = batch(1), batch(2, continued_from="r1"), batch(3, continued_from="r2")
    alone, dropped = batch(4), batch(5, continued_from="r3", stage=Stage.DROPPED, remote_id="")
    everything = [first, second, third, alone, dropped]
    assert last_links(everything) == [third, alone]
    assert chain_of(third, everything) == [first, second, third]
    assert chain_of(alone, everything) == [alone]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3)), max_size=10),
    st.sampled_from([HERE, THERE]),
)
def test_every_batch_is_drawn_once_whatever_they_say(ties: list[tuple[int, list[int]]], origin: Origin) -> None:
    batches = [
        batch(n, origin=origin, continued_from=f"r{before}" if before else "", parents=tuple(f"b{p}" for p in parents))
        for n, (before, parents) in enumerate(ties)
    ]
    links = tree(batches)
    assert sorted(link.batch.key for link in links) == sorted(one.key for one in batches)
    depths = [link.depth for link in links]
    assert all(next_depth <= depth + 1 for depth, next_depth in pairwise(depths))
    assert all(chain_of(one, batches)[-1] == one for one in batches)


def test_only_what_is_shown_and_what_it_came_after() -> None:
    """The first batch answered `x`, the second everything else; a stranger's batch has nothing to do with the job."""
    wanted = job("a", "xy")
    entries = [
        asked("b1", {"x": "ok", "y": "retry"}),
        asked("b2", {"y": "ok"}, 2, parents=("b1",)),
        asked("b3", {"z": "ok"}, 3, owner="other"),
    ]
    recorded = Recorded(batches=entries)
    (rows,) = fold([wanted], entries)
    assert [one.key for one in shown_for(wanted, rows, recorded)] == ["b1", "b2"]
    entries[0] = asked("b1", {"y": "retry"}, owner="renamed")
    (rows,) = fold([wanted], entries)
    recorded = Recorded(batches=entries)
    assert [one.key for one in shown_for(wanted, rows, recorded)] == ["b2"]
    assert [one.key for one in of_job(wanted, rows, recorded)] == ["b1", "b2"]


def test_an_answer_that_is_asked_again_is_shown_until_there_is_a_newer_one() -> None:
    wanted = job("a", "x")
    entries = [asked("b1", {"x": "ok"})]
    retries = [RetryRows(1, packed("x"), replaces=True)]
    (rows,) = fold([wanted], entries, retries)
    assert [one.key for one in shown_for(wanted, rows, Recorded(batches=entries, retries=retries))] == ["b1"]
