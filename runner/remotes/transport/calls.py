"""A remote that takes one request a call, behind the face of one batch: many calls at once, each on record before.

Such a remote knows no id of ours and cannot be searched. So the intent is durable before a request is sent and the
receipt right after; of a call that got no answer a person decides, or it is made again where the specs allow it. A
crash leaves no more in doubt than were under way, and no call is made twice without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path

from runner.clock import Clock
from runner.errors import Refused
from runner.job.calls import FREE, CallEntry, CallStep
from runner.job.observed import Found, Observed, Origin, ResultFile
from runner.job.outcomes import Outcome
from runner.job.stored import Inventory, Stored
from runner.remotes.audio import error_line
from runner.remotes.transport.atonce import AtOnceLoop
from runner.remotes.transport.caller import Caller
from runner.remotes.transport.loop import NOT_SENT, Loop
from runner.remotes.transport.receipts import ReceiptLoop
from runner.remotes.transport.schedule import Schedule
from runner.remotes.transport.shown import seen_in
from runner.remotes.vendor import LARGEST_FILE, Advanced, Budget, Input, LineageFile, Submission, Uploaded, Work

TOGETHER = 64  # threads that write outcomes, which are durable by the group


class Calls:
    """Implements `remotes.vendor.Provider` over a Caller. One object is for one command: schedules live in it.

    clock: the command's own, which knows until when it may go on.
    """

    def __init__(self, caller: Caller, clock: Clock) -> None:
        self.caller = caller
        self.card = caller.card
        self._clock = clock
        self._schedules: dict[str, Schedule] = {}  # by batch

    def __repr__(self) -> str:
        return f"Calls({self.caller})"

    @property
    def origin(self) -> Origin:
        return self.caller.origin

    @property
    def skew(self) -> timedelta:
        return self.caller.skew

    def advance(self, work: Work, budget: Budget) -> Advanced:
        """Send and look at what can be now; the batch is COMPLETED once each request has an outcome, or is in doubt.

        Raises StateError where the journal cannot be read or written.
        """
        states = work.journal.states
        unknown = _decide_open(work, budget)
        loop = self._loop(work, budget)
        if unsent := sum(states.count(step) for step in FREE):
            loop.halt = loop.error = budget.refusal(unsent)
        if unsent or loop.is_due:
            loop.run(loop.parallelism(unsent))
        seen = seen_in(states, loop.unseen)
        is_out = states.repeated or states.count(CallStep.NONE) + states.count(CallStep.CLEARED) < states.rows
        refused = "" if loop.halt is None or is_out else loop.halt.message
        return Advanced(seen, loop.error, (*unknown, *loop.unknown), refused)

    def _loop(self, work: Work, budget: Budget) -> Loop:
        if self.caller.pace is not None:
            return AtOnceLoop(self.caller, self._clock, work, budget, self.caller.pace)
        return ReceiptLoop(self.caller, self._clock, work, budget, self._schedule(work, budget))

    def _schedule(self, work: Work, budget: Budget) -> Schedule:
        """When to look at what is in flight: as planned in the pass before, else at once."""
        key = work.batch.key
        known = self._schedules.get(key)
        in_flight = set(work.journal.states.at(CallStep.RECEIPT))
        if known is None or {number for _, number in known.due} != in_flight:
            known = self._schedules[key] = Schedule()
            for number in sorted(in_flight):
                known.add(number, 0.0)
        known.low_seconds, known.high_seconds = self.card.min_poll_seconds, self.card.max_poll_seconds
        if budget.poll_seconds is not None:
            known.low_seconds = known.high_seconds = budget.poll_seconds
        return known

    # -- the remote has no batches: it lists none, shows none, and nothing is uploaded for one

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        raise self._no_batches()

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        return None

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        raise self._no_batches()

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        return Found()

    def is_of(self, project: str, seen: Observed) -> bool:
        return False

    def revoke(self, upload_ref: str) -> bool:
        return False

    def stored(self, project: str) -> Inventory:
        return Inventory()

    def delete(self, stored: Stored) -> bool:
        return False

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        return list(listed)

    def look(self, remote_id: str) -> Observed:
        raise self._no_batches()

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        return iter(())

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        raise self._no_batches()

    def lineage(self, remote_id: str) -> list[LineageFile]:
        raise self._no_batches()

    def download_input(self, observed: Observed, to: Path) -> int:
        raise self._no_batches()

    def cancel(self, remote_id: str) -> Observed:
        raise self._no_batches()

    def _no_batches(self) -> Refused:
        return Refused(f"`{self.origin.provider}` takes one request a call, and has no batches")

    def close(self) -> None:
        self.caller.close()


def abandon(work: Work, pool: Callable[[int], Executor]) -> None:
    """Wait for nothing more: what was not sent is free again, what was sent and not answered is in doubt."""
    journal, states = work.journal, work.journal.states
    sent = (CallStep.INTENT, CallStep.RECEIPT, CallStep.REPEATED)  # the last was to be sent once more
    journal.append(*(CallEntry(number, CallStep.HELD) for step in sent for number in states.at(step)))
    unsent = [number for step in (CallStep.NONE, CallStep.CLEARED) for number in states.at(step)]
    lines = [error_line(work.custom_id(number), NOT_SENT, "cancelled before it was sent") for number in unsent]
    with pool(TOGETHER) as executor:  # many share a commit
        list(executor.map(journal.answer, unsent, repeat(Outcome.RETRY), lines))


def _decide_open(work: Work, budget: Budget) -> list[int]:
    """Calls that an earlier command left without a receipt: nobody knows what became of them. Those in doubt."""
    held: list[int] = []
    again: list[int] = []
    states = work.journal.states
    for number in states.at(CallStep.INTENT):
        can_repeat = budget.resubmits and states[number].repeats + 1 < budget.max_attempts
        (again if can_repeat else held).append(number)
    if held or again:
        work.journal.append(
            *(CallEntry(number, CallStep.HELD) for number in held),
            *(CallEntry(number, CallStep.REPEATED) for number in again),
        )
    return held
