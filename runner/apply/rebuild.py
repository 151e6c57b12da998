"""A memory from what remotes and outputs show, as a first apply in a fresh clone would find it; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from runner.apply import recover
from runner.apply.collect import collect
from runner.apply.preview import preview, why_not
from runner.apply.readback import remember
from runner.apply.refresh import look
from runner.apply.session import Session
from runner.clock import LONGEST_LOOK, hurried
from runner.errors import OF_OUR_MEMORY, RunnerError
from runner.job.observed import Observed
from runner.job.recorded import Batch
from runner.plan.change import Action
from runner.plan.decide import decide
from runner.plan.guard import Guards


class Rebuilt(NamedTuple):
    batches: list[Batch]  # as they are known now
    not_asked: Mapping[str, str]  # by provider, why nobody could ask it


def rebuild(session: Session) -> Rebuilt:
    """Fill the session's memory, which holds nothing yet. Remotes are asked for nothing but reading.

    Raises RunnerError where a file of answers is not to be had, as an apply would.
    """
    remember(session)
    not_asked: dict[str, str] = {}
    found = 1
    while found:  # what is brought home may leave requests that another batch of ours has answered
        found = sum(_searched(session, name, not_asked) for name in _listable(session)) + _brought_home(session)
    told = preview(session, Guards()).not_asked
    return Rebuilt(session.records.batches(), {**told, **not_asked})


def _listable(session: Session) -> list[str]:
    return sorted({job.provider for job in session.desired if job.card.search.can_list})


def _searched(session: Session, name: str, not_asked: dict[str, str]) -> int:
    if name in not_asked:
        return 0
    if not (why := why_not(session, name)):
        try:
            with hurried(session.clock, LONGEST_LOOK):
                return recover.search_remotes(session, [name])
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            why = error.message
    not_asked[name] = why
    return 0


def _brought_home(session: Session) -> int:
    """How many batches that have ended were collected; one that is not to be had now is left to an apply."""
    active = [batch for batch in session.records.batches() if batch.is_active]
    brought = 0
    for key, seen in look(session, active).observations.items():
        batch = session.records.batch(key)
        if batch is None or not isinstance(seen, Observed) or decide(batch, seen).action is not Action.FETCH:
            continue
        try:
            brought += not collect(session, batch, seen).is_active
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` is not here yet: {error.message}")
    return brought
