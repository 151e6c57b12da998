"""Sending the requests of a batch one by one, on several threads, each on record before.

What both kinds of remote have in common: when a call counts as made, and what is done about one that was not. How
they differ is in `receipts.py` and `atonce.py`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from runner.clock import Clock
from runner.errors import (
    AuthFailed,
    BlockedError,
    DataError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RunnerError,
)
from runner.job.calls import FREE, CallEntry, CallStep
from runner.job.outcomes import Outcome
from runner.remotes.audio import Receipt, error_line
from runner.remotes.online import Answered
from runner.remotes.transport.caller import Caller
from runner.remotes.transport.shown import seen_in
from runner.remotes.vendor import Budget, Work

TELL_SECONDS = 1.0
NOT_SENT = "not_sent"

Task = tuple[Callable[[int], None], int]  # what is done on a thread, about the request of this number


class Loop(ABC):
    """All that can be done now about a batch."""

    def __init__(self, caller: Caller, clock: Clock, work: Work, budget: Budget) -> None:
        self._caller = caller
        self._clock = clock
        self._work = work
        self._journal = work.journal
        self._budget = budget
        self._lock = threading.Lock()
        self._at_once = budget.parallelism or caller.parallelism
        self._under_way: set[Future[None]] = set()
        self.halt: RunnerError | None = None  # why nothing more is sent
        self.error: RunnerError | None = None  # what a person has to put right
        self.unseen = ""  # why a look did not succeed
        self.unknown: list[int] = []

    @property
    @abstractmethod
    def is_due(self) -> bool:
        """Whether there is something to do though nothing is to be sent."""

    @abstractmethod
    def parallelism(self, unsent: int) -> int:
        """How many threads so many requests want."""

    @abstractmethod
    def tasks(self) -> Iterator[Task | float]:
        """What is to be done, each when it may be; a number of seconds where nothing may be before."""

    def run(self, parallelism: int) -> None:
        """Until nothing is left to send and nothing is due. Raises StateError when the journal cannot be written."""
        tasks, told_at = self.tasks(), self._clock.monotonic()
        with self._budget.pool(parallelism) as pool:
            is_more = True
            while is_more or self._under_way:
                pause = TELL_SECONDS
                while is_more and len(self._under_way) < parallelism:
                    task = None if self._budget.is_stopped() else next(tasks, None)
                    is_more = task is not None
                    if isinstance(task, float):
                        pause = min(task, TELL_SECONDS)
                        break
                    if task is not None:
                        self._under_way.add(pool.submit(task[0], task[1]))
                if self._under_way:
                    done, _ = wait(self._under_way, pause, FIRST_COMPLETED)
                    self._under_way -= done
                    for one in done:
                        one.result()
                elif is_more:
                    self._clock.sleep(pause)
                if self._clock.monotonic() - told_at >= TELL_SECONDS:
                    told_at = self._clock.monotonic()
                    self._budget.tell(seen_in(self._journal.states))

    def _unsent(self) -> Iterator[int]:
        return iter(sorted(number for step in FREE for number in self._journal.states.at(step)))

    def _send(self, number: int) -> None:
        if why := self._work.why_not(number):
            line = error_line(self._work.custom_id(number), NOT_SENT, f"{why}; it was not sent")
            self._journal.answer(number, Outcome.RETRY, line)
            return
        try:
            request = self._work.request(number)
        except DataError as error:
            self.error = error
            return
        # From here on nobody may know whether it was sent: a command that is killed leaves INTENT, which the next one
        # takes for in doubt. CLEARED is for what the remote certainly did not take, and frees the recording in the same
        # loop; what cannot be certain is held, and what is wrong with all of them (a key, an account without money)
        # stops the loop and not one row.
        began = self._clock.monotonic()
        self._journal.append(CallEntry(number, CallStep.INTENT))
        try:
            taken = self._caller.submit(request)
        except OutcomeUnknown as error:
            self._doubt(number, error)
        except Refused as error:
            self._refused(number, error)
        except (NotSent, BlockedError, DataError) as error:
            self._journal.append(CallEntry(number, CallStep.CLEARED))
            self._not_sent(number, error)
        else:
            self._budget.heard()
            self._taken(number, taken, began)

    def _refused(self, number: int, error: Refused) -> None:
        """The remote took it not: for now, as none of them, or for what it is, which is its outcome."""
        is_about_all = isinstance(error, AuthFailed) or _is_about_all(error)
        if not isinstance(error, RateLimited) and not is_about_all:
            self._turned_away(number, error)
            return
        self._journal.append(CallEntry(number, CallStep.CLEARED))
        if isinstance(error, RateLimited):
            self._put_off(number, error)
        else:
            self.halt = self.error = error

    def _not_sent(self, number: int, error: NotSent | BlockedError | DataError) -> None:
        """It did not get to the remote. What is wrong with one file says nothing of the others."""
        match error:
            case DataError():
                self.error = error
            case BlockedError():
                self.halt = self.error = error
            case NotSent(is_out_of_time=False):
                self.unseen = error.message
                self._unreached(number, error)

    def _doubt(self, number: int, error: OutcomeUnknown) -> None:
        """It may have been accepted, and nobody can be asked."""
        repeats = self._journal.states[number].repeats
        if self._budget.resubmits and repeats + 1 < self._budget.max_attempts:
            self._journal.append(CallEntry(number, CallStep.REPEATED))
            self._repeated(number, repeats)
        else:
            self._lost(number, repeats, error)

    def _hold(self, number: int, why: str) -> None:
        """A person decides about it."""
        self._journal.append(CallEntry(number, CallStep.HELD))
        with self._lock:
            self.unknown.append(number)
            self.unseen = why

    # -- what became of a call, where the two kinds differ

    @abstractmethod
    def _taken(self, number: int, taken: Receipt | Answered, began: float) -> None:
        """The remote took it. began: seconds, of the clock's monotonic time."""

    @abstractmethod
    def _turned_away(self, number: int, error: Refused) -> None:
        """The remote does not take this request: its outcome."""

    @abstractmethod
    def _put_off(self, number: int, error: RateLimited) -> None:
        """The remote takes nothing for now."""

    @abstractmethod
    def _unreached(self, number: int, error: NotSent) -> None:
        """It certainly did not get there, though there was time."""

    @abstractmethod
    def _repeated(self, number: int, repeats: int) -> None:
        """Its reply was lost after so many repetitions, and it may be sent once more."""

    @abstractmethod
    def _lost(self, number: int, repeats: int, error: OutcomeUnknown) -> None:
        """The same, and it may not."""


def code_of(error: Refused) -> str:
    """What a line of results calls a refusal."""
    return error.code or str(error.status or "refused")


def _is_about_all(error: Refused) -> bool:
    """Whether a refusal says nothing of this request: the address is wrong, or the account cannot pay."""
    status = error.status or 0
    return 300 <= status < 400 or status in (402, 404, 405, 429)
