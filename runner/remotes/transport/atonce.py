"""Single calls to a remote that answers each at once: asked at its pace until everything has an outcome."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from runner.clock import Clock, is_over
from runner.errors import NotSent, OutcomeUnknown, RateLimited, Refused
from runner.job.outcomes import Outcome
from runner.mending import NOT_SO
from runner.remotes.audio import Receipt
from runner.remotes.online import Answered, refusal_line
from runner.remotes.reading.lines import COMMON
from runner.remotes.transport.caller import Caller
from runner.remotes.transport.loop import TELL_SECONDS, Loop, Task, code_of
from runner.remotes.transport.pace import Pace
from runner.remotes.vendor import Budget, Work

PAUSES_IN_A_ROW = 7  # each longer than the last, half a minute in all: then it is the remote that cannot be reached
PAUSES_OF_A_FREE_ONE = 3  # the same, of a server of one's own
LOST_IN_A_ROW = 20  # replies; then it is the remote that gives none, and asking on would only cost
FIRST_PAUSE = 0.5  # seconds until a request of unknown outcome is sent again; doubled each time
UNANSWERED = "unanswered"


class AtOnceLoop(Loop):
    """pace: of the caller."""

    def __init__(self, caller: Caller, clock: Clock, work: Work, budget: Budget, pace: Pace) -> None:
        super().__init__(caller, clock, work, budget)
        self._pace = pace
        self._again: list[tuple[float, int]] = []  # a heap of (monotonic seconds, number): what is sent once more
        self._lost_in_a_row = 0  # replies

    @property
    def is_due(self) -> bool:
        return False

    def parallelism(self, unsent: int) -> int:
        return min(self._at_once, max(unsent, 1))

    def tasks(self) -> Iterator[Task | float]:
        """Requests to send, each when it may go out; a number of seconds where none may before, or may come back."""
        fresh = self._unsent()
        number: int | None = None
        while not is_over(self._clock) and self.halt is None:
            if (pause := self._pace.wait_seconds()) > 0:
                yield pause
                continue
            now = self._clock.monotonic()
            with self._lock:
                is_due = bool(self._again) and self._again[0][0] <= now
                number = heapq.heappop(self._again)[1] if is_due else next(fresh, None)
                until = self._again[0][0] - now if self._again else None
            if number is not None:
                self._pace.sending(self._work.tokens(number))
                yield self._send, number
            elif until is not None:
                yield max(until, 0.001)
            elif self._under_way:  # what is under way may have to be sent once more
                yield TELL_SECONDS
            else:
                return

    def _once_more(self, number: int, after_seconds: float = 0.0) -> None:
        """Send a request again in this loop."""
        with self._lock:
            heapq.heappush(self._again, (self._clock.monotonic() + after_seconds, number))

    def _taken(self, number: int, taken: Receipt | Answered, began: float) -> None:
        if isinstance(taken, Receipt):
            raise AssertionError("a remote that gives receipts has no pace")
        self._lost_in_a_row = 0
        ms = (self._clock.monotonic() - began) * 1000
        outcome, used = _verdict(taken.line)
        self._pace.answered(taken.headers, self._work.tokens(number), used)
        self._journal.answer(number, outcome, taken.line)
        self._budget.answered(number, taken.line, ms)

    def _turned_away(self, number: int, error: Refused) -> None:
        self._lost_in_a_row = 0
        line = refusal_line(self._work.custom_id(number), error.status, code_of(error), error.words or error.message)
        self._journal.answer(number, _verdict(line)[0], line)
        self._budget.answered(number, line, 0.0)

    def _put_off(self, number: int, error: RateLimited) -> None:
        self._pace.pause(error.retry_after)
        self.unseen = error.message
        self._once_more(number)

    def _unreached(self, number: int, error: NotSent) -> None:
        self._pace.pause()
        self._once_more(number)
        if self._pace.failures >= (PAUSES_OF_A_FREE_ONE if self._caller.card.is_free else PAUSES_IN_A_ROW):
            self.halt = self.error = error

    def _doubt(self, number: int, error: OutcomeUnknown) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= max(LOST_IN_A_ROW, 2 * self._at_once):
            self.halt = self.error = error
        super()._doubt(number, error)

    def _repeated(self, number: int, repeats: int) -> None:
        self._once_more(number, FIRST_PAUSE * 2.0**repeats)

    def _lost(self, number: int, repeats: int, error: OutcomeUnknown) -> None:
        if not self._budget.resubmits:
            self._hold(number, error.message)
            return
        message = f"sent {repeats + 1} times, and no reply was heard to the end: {error.message}"
        line = refusal_line(self._work.custom_id(number), None, UNANSWERED, message)
        self._journal.answer(number, Outcome.FINAL, line)
        self._budget.answered(number, line, 0.0)


def _verdict(line: bytes) -> tuple[Outcome, int]:
    """What an answer came to, and the tokens that it says were used."""
    shape = COMMON.shapes[0]
    try:
        usage = shape.usage_of(shape.read(line[:-1]))
    except NOT_SO:
        parsed = COMMON.parse(line[:-1])
        return parsed.outcome or Outcome.FINAL, parsed.input_tokens + parsed.output_tokens
    if usage is None:
        return Outcome.OK, 0
    return Outcome.OK, (usage.prompt_tokens or usage.input_tokens) + (usage.completion_tokens or usage.output_tokens)
