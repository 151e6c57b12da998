"""Which of several batches that may have come of one create is taken for it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.apply.session import Session
from runner.apply.settle import adopt
from runner.job.observed import Failure, FailureKind, Observed, Phase
from runner.job.recorded import Batch, Stage
from runner.remotes.vendor import Provider
from tests.apply.test_lineage import batch
from tests.plan.making import NOW


def seen(remote_id: str, age_hours: int, kind: FailureKind | None = None) -> Observed:
    failure = None if kind is None else Failure(kind, "code", "no")
    phase = Phase.RUNNING if kind is None else Phase.FAILED
    return Observed(remote_id, phase, phase.value, failure=failure, created_at=NOW - timedelta(hours=age_hours))


def adopted(*found: Observed) -> tuple[str, list[str]]:
    """The id that is recorded, and those that are cancelled as its twins."""
    saved: list[Batch] = []
    cancelled: list[str] = []

    def cancel(remote_id: str) -> Observed:
        cancelled.append(remote_id)
        return Observed(remote_id, Phase.CANCELLING, "cancelling")

    session: Any = SimpleNamespace(
        records=SimpleNamespace(save=saved.append, batch=lambda key: saved[-1]),
        reporter=SimpleNamespace(step=lambda words: None, warn=lambda words: None),
        clock=SimpleNamespace(now=lambda: NOW),
    )
    provider: Any = SimpleNamespace(cancel=cancel)
    result = adopt(cast(Session, session), cast(Provider, provider), batch(1, stage=Stage.INTENT), found)
    return result.remote_id, cancelled


def test_the_oldest_goes_on_and_its_twins_do_not() -> None:
    assert adopted(seen("b", 1), seen("a", 2)) == ("a", ["b"])


@pytest.mark.parametrize("kind", FailureKind)
def test_one_that_goes_on_is_not_given_up_for_an_older_refusal(kind: FailureKind) -> None:
    assert adopted(seen("refused", 2, kind), seen("runs", 1)) == ("runs", [])


def test_a_refusal_that_stands_comes_before_one_that_was_put_off() -> None:
    found = seen("put off", 2, FailureKind.QUOTA), seen("refused", 1, FailureKind.BAD_INPUT)
    assert adopted(*found) == ("refused", [])
