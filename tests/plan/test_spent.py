"""What was spent and what is in flight, from the records alone."""

from __future__ import annotations

import pytest

from runner.job.cost import Price, Used
from runner.job.recorded import Stage, Tally
from runner.plan.remaining import BatchRows
from runner.plan.spent import Spent, spent_by
from tests.plan.making import NOW, batch, job

OLD, NOW_COSTS = Price((1e6, 1e6)), (2e6, 2e6)  # a dollar a token, then two
USED, HALF = Used(2, 0, 3, 4), Tally(1, lost=1)
SENT = {"submitted_at": NOW, "estimated_usd": 50.0}


@pytest.mark.parametrize(
    ("entry", "spent"),
    [
        (batch("b", {"a": "ok", "b": "ok"}, used=USED, price=OLD, **SENT), Spent(14.0)),
        (batch("b", {"a": "ok", "b": "ok"}, used=USED, price=OLD, model="older", **SENT), Spent(7.0)),
        (batch("b", {"a": "ok", "b": "ok"}, used=USED, model="older", **SENT), Spent(unknown=2)),
        (batch("b", {"a": "ok", "b": "ok"}, used=Used(2, 1, 3, 4), **SENT), Spent(14.0, 1)),
        (batch("b", {"a": "ok", "b": "ok"}, **SENT), Spent(at_most_usd=50.0)),  # of an earlier release
        (batch("b", {"a": "ok", "b": "ok"}, submitted_at=NOW), Spent(unknown=2)),
        (batch("b", {"a": "ok", "b": "ok"}, found_in="results/job.jsonl"), Spent()),
        (
            batch("b", {"a": "ok", "b": "lost"}, used=Used(1, 0, 1, 1), tally=Tally(1, lost=1), **SENT),
            Spent(4.0, 0, 25),
        ),
        (batch("b", ["a", "b"], **SENT), Spent(in_flight_usd=50.0)),
        (batch("b", ["a", "b"], submitted_at=NOW), Spent(in_flight_unknown=2)),
        (batch("b", ["a"], stage=Stage.INTENT, create_tries=1, estimated_usd=5.0), Spent(in_flight_usd=5.0)),
        (batch("b", ["a"], stage=Stage.INTENT, estimated_usd=5.0), Spent()),
        (batch("b", ["a"], stage=Stage.DEFERRED, **SENT), Spent()),
        (batch("b", ["a"], stage=Stage.DROPPED, **SENT), Spent()),
        (batch("b", ["a"], stage=Stage.HELD, **SENT), Spent(at_most_usd=50.0)),
    ],
)
def test_each_stage(entry: BatchRows, spent: Spent) -> None:
    wanted = job("job", ["a", "b"], usd_per_million=NOW_COSTS)
    assert spent_by([wanted], [entry]) == {"job": spent}


def test_what_an_output_tells_of_a_batch_on_record_is_not_counted_again() -> None:
    read_back = batch("r", {"a": "ok", "b": "ok"}, used=Used(2, 0, 2, 2), found_in="results/job.jsonl")
    found = batch("b", {"b": "ok", "c": "ok"}, 2, used=Used(2, 0, 2, 2), found_in="remote", **SENT)
    wanted = job("job", ["a", "b", "c"], usd_per_million=NOW_COSTS)
    assert spent_by([wanted], [read_back, found])["job"].usd == pytest.approx(8.0 + 4.0)
