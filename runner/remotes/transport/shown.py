"""A batch of single calls as its journal shows it."""

from __future__ import annotations

from runner.job.calls import FREE, CallStep, States
from runner.job.observed import Counts, Observed, Phase
from runner.job.outcomes import Outcome

SENDING, WAITING = "sending", "waiting for answers"  # in Batch.raw_status


def seen_in(states: States, why: str = "") -> Observed:
    """A batch of single calls as its journal shows it."""
    if states.count(CallStep.ANSWERED) + states.count(CallStep.HELD) == states.rows:
        return Observed("", Phase.COMPLETED, Phase.COMPLETED.value, counts_of(states), stall=why)
    is_sending = any(states.count(step) for step in FREE)
    return Observed("", Phase.RUNNING, SENDING if is_sending else WAITING, counts_of(states), stall=why)


def counts_of(states: States) -> Counts:
    answered = states.count_of(Outcome.OK)
    return Counts(len(states), answered, states.count(CallStep.ANSWERED) - answered)
