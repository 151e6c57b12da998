"""Single calls to a remote that gives a receipt, and the answer some minutes later.

Each request is asked about once a loop. What the remote refuses for now waits for the next pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from runner.clock import Clock, is_over
from runner.errors import PASSING, NotFound, NotSent, OutcomeUnknown, RateLimited, Refused, RemoteError, RunnerError
from runner.job.calls import CallEntry, CallStep
from runner.job.outcomes import Outcome
from runner.remotes.audio import Heard, Receipt, Recording, error_line, line_of
from runner.remotes.online import Answered
from runner.remotes.reading.lines import COMMON
from runner.remotes.transport.caller import Caller
from runner.remotes.transport.loop import Loop, Task, code_of
from runner.remotes.transport.schedule import Schedule
from runner.remotes.transport.shown import WAITING
from runner.remotes.vendor import Budget, Work

MOST_LOOKS_GONE = 8  # a receipt that still answers 404 by then will not be heard of again
LONG_SENT = timedelta(hours=1)  # nor one that answers 404 so long after the last request was sent
UNSENT_IN_A_ROW = 3  # then it is the remote that cannot be reached, and not one request


class ReceiptLoop(Loop):
    """Sends, and looks at what is due."""

    def __init__(self, caller: Caller, clock: Clock, work: Work, budget: Budget, schedule: Schedule) -> None:
        super().__init__(caller, clock, work, budget)
        self._schedule = schedule
        self._unsent_in_a_row = 0
        self._blind = 0  # looks in a row that got no answer

    @property
    def is_due(self) -> bool:
        due = self._schedule.due
        return bool(due) and due[0][0] <= self._clock.monotonic()

    def parallelism(self, unsent: int) -> int:
        return self._at_once

    def tasks(self) -> Iterator[Task | float]:
        """Looks that are due and requests to send, in turns, so that neither waits for all of the other."""
        sends = self._unsent()
        is_sending = True
        now = self._clock.monotonic()
        while not is_over(self._clock):
            if is_sending:
                now = self._clock.monotonic()  # what comes due after the last was sent is for the next loop to look at
            with self._lock:
                due = self._schedule.take(now) if self._blind < UNSENT_IN_A_ROW else None
            if due is not None:
                yield self._look, due
            number = next(sends, None) if is_sending else None
            is_sending = number is not None and self._may_send()
            if number is not None and is_sending:
                yield self._send, number
            elif due is None:
                return

    def _may_send(self) -> bool:
        return self.halt is None and self._clock.monotonic() >= self._schedule.not_before

    # -- send

    def _taken(self, number: int, taken: Receipt | Answered, began: float) -> None:
        if isinstance(taken, Answered):
            raise AssertionError("a remote that answers at once has a pace")
        self._unsent_in_a_row = 0
        self._journal.append(CallEntry(number, CallStep.RECEIPT, taken.remote_id, taken.account))
        with self._lock:
            self._schedule.again(number, self._clock.monotonic())

    def _turned_away(self, number: int, error: Refused) -> None:
        line = error_line(self._work.custom_id(number), code_of(error), error.message)
        self._journal.answer(number, Outcome.FINAL, line)

    def _put_off(self, number: int, error: RateLimited) -> None:
        pause = error.retry_after or self._caller.card.defer_seconds
        self._schedule.not_before = self._clock.monotonic() + pause

    def _unreached(self, number: int, error: NotSent) -> None:
        self._unsent_in_a_row += 1
        if self._unsent_in_a_row >= UNSENT_IN_A_ROW:
            self.halt = self.error = error
        elif self._journal.states[number].intents >= self._budget.max_attempts:
            self.error = error

    def _repeated(self, number: int, repeats: int) -> None:
        """In the next pass."""

    def _lost(self, number: int, repeats: int, error: OutcomeUnknown) -> None:
        self._hold(number, error.message)

    def _look(self, number: int) -> None:
        state = self._journal.states[number]
        receipt = Receipt(state.remote_id, state.account)
        try:
            heard = self._caller.look(receipt)
        except NotFound:
            self._missing(number)
        except RunnerError as error:
            if isinstance(error, RemoteError) and error.is_out_of_time:
                self._look_again(number)
                return
            self.unseen = error.message
            self._blind += 1
            if not isinstance(error, PASSING):
                self.error = error
            self._look_again(number)
        else:
            self._blind = 0
            self._budget.heard()
            self._heard(number, receipt, heard)

    def _heard(self, number: int, receipt: Receipt, heard: Heard) -> None:
        if not heard.phase.has_ended:
            self._look_again(number)
            return
        recording = Recording(Path(), "", 0, "", "", self._work.fields(number))  # its file may be another one by now
        line = line_of(self._work.custom_id(number), recording, receipt, heard)
        self._journal.answer(number, COMMON.parse(line[:-1]).outcome or Outcome.FINAL, line)
        with self._lock:
            self._schedule.drop(number)

    def _missing(self, number: int) -> None:
        """A new request may not be known everywhere yet; of one that stays unknown a person decides."""
        with self._lock:
            looks = self._schedule.gone[number] = self._schedule.gone.get(number, 0) + 1
        if looks < MOST_LOOKS_GONE and not self._has_waited_long():
            self._look_again(number)
            return
        self._hold(number, "the remote no longer knows it")
        with self._lock:
            self._schedule.drop(number)

    def _has_waited_long(self) -> bool:
        """Whether the last request was sent long ago, by the remote's clock: ours may be put right meanwhile.

        A command that makes a single pass counts no looks.
        """
        batch = self._work.batch
        since = batch.seen_at if batch.raw_status == WAITING else None
        return since is not None and self._clock.now() + self._caller.skew - since > LONG_SENT

    def _look_again(self, number: int) -> None:
        with self._lock:
            self._schedule.again(number, self._clock.monotonic())
