"""Batches are stopped each for itself, and a remote that is not there is not asked again and again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from runner.apply.cancel import cancel_all
from runner.apply.session import Session
from runner.errors import NotSent, OutcomeUnknown, RemoteError
from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch, Stage
from runner.state.base import NOTHING, ForkedStore
from runner.state.records import Records
from tests.apply.test_lineage import batch
from tests.plan.making import HERE, NOW, THERE


class Remote:
    """Stops what it can; `troubles` are raised by remote id, and under `""` for all of them."""

    def __init__(self, **troubles: RemoteError) -> None:
        self.troubles = troubles
        self.asked: list[str] = []

    def cancel(self, remote_id: str) -> Observed:
        self.asked.append(remote_id)
        trouble = self.troubles.get(remote_id) or self.troubles.get("all")
        if trouble is not None:
            raise trouble
        return Observed(remote_id, Phase.CANCELLING, "cancelling")


def stopped(remotes: dict[Any, Remote], *batches: Batch) -> list[str]:
    session = cast(
        Session,
        SimpleNamespace(
            remote_of=lambda batch: remotes[batch.origin],
            records=Records(ForkedStore(NOTHING)),
            time_at=lambda provider: NOW,
        ),
    )
    pairs = list(cancel_all(session, batches))
    assert [before for before, _ in pairs] == list(batches)
    return [after.phase.value if isinstance(after, Batch) else after.message for _, after in pairs]


def running(number: int, **fields: Any) -> Batch:
    return batch(number, stage=Stage.SUBMITTED, **fields)


def test_one_that_cannot_be_stopped_does_not_keep_the_others_running() -> None:
    remote = Remote(r1=OutcomeUnknown("no answer"))
    assert stopped({HERE: remote}, *map(running, (1, 2, 3))) == ["no answer", "cancelling", "cancelling"]
    assert remote.asked == ["r1", "r2", "r3"]


def test_a_remote_that_cannot_be_reached_is_asked_once() -> None:
    dead, alive = Remote(all=NotSent("nobody there")), Remote()
    batches = running(1), running(2, origin=THERE), running(3)
    assert stopped({HERE: dead, THERE: alive}, *batches) == ["nobody there", "cancelling", "nobody there"]
    assert (dead.asked, alive.asked) == (["r1"], ["r2"])
