"""How a remote is asked about many batches: once for all where it lists them, and never again while it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from runner.apply.refresh import Originals, look
from runner.apply.session import Session
from runner.errors import NotSent, OutcomeUnknown, RemoteError
from runner.job.capabilities import Search
from runner.job.observed import Observed, Phase
from runner.job.recorded import Stage
from runner.plan.decide import CannotSee
from runner.remotes.vendor import Advanced, Budget, Work
from tests.apply.test_lineage import batch
from tests.plan.making import NOW, card


class Remote:
    """Lists nothing for `trouble`, and shows every batch that is looked at."""

    skew = timedelta()
    card = card(search=Search.BY_LABEL)

    def __init__(self, trouble: RemoteError) -> None:
        self.why = trouble
        self.looked: list[str] = []

    def batches(self, since: datetime | None) -> Iterator[Observed]:
        raise self.why

    def advance(self, work: Work, budget: Budget) -> Advanced:
        self.looked.append(work.batch.remote_id)
        return Advanced(Observed(work.batch.remote_id, Phase.RUNNING, "running"))


@pytest.mark.parametrize(
    ("trouble", "looked"), [(NotSent("nobody there"), []), (OutcomeUnknown("no answer"), ["r1", "r2"])]
)
def test_a_remote_that_cannot_be_reached_is_not_asked_for_each_batch(trouble: RemoteError, looked: list[str]) -> None:
    remote = Remote(trouble)
    session = SimpleNamespace(
        remote_of=lambda batch: remote,
        remotes=SimpleNamespace(lost_sight=lambda name: False),
        time_at=lambda provider: NOW,
    )
    polls = look(cast(Session, session), [batch(n, stage=Stage.SUBMITTED) for n in (1, 2)])
    assert remote.looked == looked
    assert [isinstance(observation, CannotSee) for observation in polls.observations.values()] == [not looked] * 2
    assert polls.errors == []  # it may be there again soon


def test_batches_without_a_label_are_told_apart_by_their_uploads() -> None:
    """What was found to be a duplicate of one says nothing about others that show no label either."""
    one, two = batch(1, upload_ref="file-1", remote_id="r1"), batch(2, upload_ref="file-2", remote_id="r2")
    of = Originals([one, two], {})
    duplicate = Observed("r3", Phase.RUNNING, "", input_ref="file-1")
    assert of.get(duplicate) is one
    of.put(duplicate, one.but(duplicates=("r3",)))
    assert of.get(Observed("r2", Phase.RUNNING, "", input_ref="file-2")) is two
    assert of.get(Observed("r4", Phase.RUNNING, "", input_ref="file-4")) is None
    assert of.get(Observed("r5", Phase.RUNNING, "")) is None
