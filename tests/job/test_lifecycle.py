"""A batch goes from stage to stage by the steps of `job/lifecycle.py`, by those only, and never by another way."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import runner
from runner.job import lifecycle
from runner.job.cost import Used
from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase
from runner.job.recorded import Batch, Stage, Tally
from tests.apply.test_lineage import batch
from tests.plan.making import NOW

QUOTA = Failure(FailureKind.QUOTA, "rate_limited", "too many")
RUNNING = Observed("b-1", Phase.RUNNING, "in_progress", Counts(3, 1, 0))
ENDED = Observed("b-1", Phase.COMPLETED, "completed", Counts(3, 3, 0), ended_at=NOW)
MINUTE = timedelta(minutes=1)

STEPS: dict[str, tuple[Stage, Callable[[Batch], Batch]]] = {
    "sending": (Stage.INTENT, lambda one: lifecycle.sending(one, NOW)),
    "submitted": (Stage.SUBMITTED, lambda one: lifecycle.submitted(one, RUNNING, NOW)),
    "taken for": (Stage.SUBMITTED, lambda one: lifecycle.taken_for(one, RUNNING, NOW)),
    "released": (Stage.INTENT, lifecycle.released),
    "begun": (Stage.SUBMITTED, lambda one: lifecycle.begun(one, "sending", NOW)),
    "reopened": (Stage.SUBMITTED, lifecycle.reopened),
    "deferred": (Stage.DEFERRED, lambda one: lifecycle.deferred(one, QUOTA, NOW, MINUTE)),
    "dropped": (Stage.DROPPED, lambda one: lifecycle.dropped(one, "why")),
    "unknown": (Stage.HELD, lambda one: lifecycle.unknown(one, "aa", "why")),
    "collected": (Stage.COLLECTED, lambda one: lifecycle.collected(one, ENDED, "aa", Tally(ok=3), NOW)),
    "read back": (Stage.COLLECTED, lambda one: lifecycle.read_back(one, "aa", Tally(ok=3), NOW, (), Used(3))),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("stage", Stage)
def test_only_moves_of_the_table_can_be_made(name: str, stage: Stage) -> None:
    to, step = STEPS[name]
    if to in lifecycle.MOVES[stage]:
        assert step(batch(1, stage=stage)).stage is to
    else:
        with pytest.raises(AssertionError, match=f"cannot go from {stage} to {to}"):
            step(batch(1, stage=stage))


def test_one_that_was_put_off_keeps_the_id_it_had_among_those_that_were_refused() -> None:
    put_off = lifecycle.deferred(batch(1, stage=Stage.SUBMITTED, remote_id="b-1"), QUOTA, NOW, MINUTE)
    assert (put_off.remote_id, put_off.refused, put_off.not_before) == ("", ("b-1",), NOW + MINUTE)


def test_nothing_else_writes_a_stage() -> None:
    """Neither as a new record nor by changing one: every keyword `stage` of the product stands in the lifecycle."""
    folder = Path(runner.__file__).parent
    writers = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and any(keyword.arg == "stage" for keyword in node.keywords)
        and ast.unparse(node.func) != "BatchView"
    }
    assert writers == {"job/lifecycle.py"}
