"""A remote that takes one request a call, behind the face of one batch: many calls at once, each on record before.

Such a remote knows no id of ours and cannot be searched. So the intent is durable before a request is sent and the
receipt right after; of a call that got no answer a person decides, or it is made again where the specs allow it. A
crash leaves no more in doubt than were under way, and no call is made twice without a word.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

from runner.clock import Clock, is_over
from runner.errors import (
    AuthFailed,
    BlockedError,
    DataError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RemoteError,
    RunnerError,
)
from runner.job.calls import FREE, CallEntry, CallStep, States
from runner.job.capabilities import Capabilities
from runner.job.observed import Counts, Found, Observed, Origin, Phase, ResultFile
from runner.job.outcomes import Outcome
from runner.job.stored import Inventory, Stored
from runner.mending import NOT_SO
from runner.remotes.audio import Heard, Receipt, Recording, error_line, line_of
from runner.remotes.online import Answered, refusal_line
from runner.remotes.reading.lines import COMMON
from runner.remotes.transport.pace import Pace
from runner.remotes.transport.schedule import Schedule
from runner.remotes.vendor import LARGEST_FILE, Advanced, Budget, Input, LineageFile, Submission, Uploaded, Work

SENDING, WAITING = "sending", "waiting for answers"  # in Batch.raw_status
MOST_LOOKS_GONE = 8  # a receipt that still answers 404 by then will not be heard of again
LONG_SENT = timedelta(hours=1)  # nor one that answers 404 so long after the last request was sent
UNSENT_IN_A_ROW = 3  # then it is the remote that cannot be reached, and not one request
PAUSES_IN_A_ROW = 7  # the same, where each pause is longer than the last: half a minute in all
LOST_IN_A_ROW = 20  # replies; then it is the remote that gives none, and asking on would only cost
FIRST_PAUSE = 0.5  # seconds until a request of unknown outcome is sent again; doubled each time
TELL_SECONDS = 1.0
TOGETHER = 64  # threads that write outcomes, which are durable by the group
NOT_SENT, REFUSED, UNANSWERED = "not_sent", "refused", "unanswered"


class Caller(Protocol):
    """One remote API that takes a request a call. Raises the RemoteError family only; keys appear in no message.

    What is sent, `Work.request` gives: a recording with its form, or a row with its body. A remote that gives a receipt
    is looked at until there is an answer, and `remotes.audio.line_of` writes its line; one that answers at once gives
    the line itself.
    """

    card: Capabilities
    parallelism: int  # requests that may be sent at once

    @property
    def pace(self) -> Pace | None:
        """How fast they may be; None for a remote that gives receipts, and is waited for between passes."""
        ...

    @property
    def origin(self) -> Origin: ...

    @property
    def skew(self) -> timedelta:
        """How far the remote's clock is ahead of ours, by the last `Date` it sent; nothing where it sent none yet."""
        ...

    def submit(self, request: Any) -> Receipt | Answered:
        """Send one request, a recording streamed from disk: one call, never retried here.

        Raises NotSent, Refused or RateLimited when nothing was accepted, OutcomeUnknown when it may have been;
        DataError when the file cannot be read or is not what it was, and then nothing was accepted either.
        """
        ...

    def look(self, receipt: Receipt) -> Heard:
        """What became of it. Raises NotFound on 404 only; everything else that fails is not an absence."""
        ...

    def close(self) -> None: ...


def threads(number: int) -> Executor:
    """So many threads for calls that wait on a remote."""
    return ThreadPoolExecutor(number, thread_name_prefix="calls")


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
        schedule = self._schedule(work, budget)
        unknown = _decide_open(work, budget)
        loop = SendLoop(self.caller, self._clock, work, budget, schedule)
        if unsent := sum(states.count(step) for step in FREE):
            loop.halt = loop.error = budget.refusal(unsent)
        if unsent or (schedule.due and schedule.due[0][0] <= self._clock.monotonic()):
            at_once = budget.parallelism or self.caller.parallelism
            loop.run(min(at_once, max(unsent, 1)) if self.caller.pace else at_once)
        seen = seen_in(states, loop.unseen)
        is_out = states.repeated or states.count(CallStep.NONE) + states.count(CallStep.CLEARED) < states.rows
        refused = "" if loop.halt is None or is_out else loop.halt.message
        return Advanced(seen, loop.error, (*unknown, *loop.unknown), refused)

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


def seen_in(states: States, why: str = "") -> Observed:
    """A batch of single calls as its journal shows it."""
    if states.count(CallStep.ANSWERED) + states.count(CallStep.HELD) == states.rows:
        return Observed("", Phase.COMPLETED, Phase.COMPLETED.value, counts_of(states), stall=why)
    is_sending = any(states.count(step) for step in FREE)
    return Observed("", Phase.RUNNING, SENDING if is_sending else WAITING, counts_of(states), stall=why)


def counts_of(states: States) -> Counts:
    answered = states.count_of(Outcome.OK)
    return Counts(len(states), answered, states.count(CallStep.ANSWERED) - answered)


def abandon(work: Work, pool: Callable[[int], Executor]) -> None:
    """Wait for nothing more: what was not sent is free again, what was sent and not answered is in doubt."""
    journal, states = work.journal, work.journal.states
    open_calls = [*states.at(CallStep.INTENT), *states.at(CallStep.RECEIPT)]
    journal.append(*(CallEntry(number, CallStep.HELD) for number in open_calls))
    unsent = [number for step in FREE for number in states.at(step)]
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


Task = tuple[Callable[[int], None], int]  # what is done on a thread, about the request of this number


class SendLoop:
    """All that can be sent or looked at now. Its calls run on several threads.

    A remote that gives receipts is asked once about each request, and what it refuses for now waits for the next pass:
    answers take minutes. One that answers at once has a pace, and is asked until everything has an outcome.
    """

    def __init__(self, caller: Caller, clock: Clock, work: Work, budget: Budget, schedule: Schedule) -> None:
        self._caller = caller
        self._clock = clock
        self._work = work
        self._journal = work.journal
        self._budget = budget
        self._schedule = schedule
        self._lock = threading.Lock()
        self._at_once = budget.parallelism or caller.parallelism
        self.halt: RunnerError | None = None  # why nothing more is sent
        self.error: RunnerError | None = None  # what a person has to put right
        self.unseen = ""  # why a look did not succeed
        self.unknown: list[int] = []
        self._pace = caller.pace
        self._again: list[tuple[float, int]] = []  # a heap of (monotonic seconds, number): what is sent once more
        self._lost = 0  # calls in a row whose reply was lost
        self._unsent = 0  # calls in a row that did not reach the remote
        self._blind = 0  # looks in a row that got no answer

    def run(self, parallelism: int) -> None:
        """Until nothing is left to send and nothing is due. Raises StateError when the journal cannot be written."""
        under_way: set[Future[None]] = set()
        tasks = self._tasks() if self._pace is None else self._paced(self._pace, under_way)
        told_at = self._clock.monotonic()
        with self._budget.pool(parallelism) as pool:
            is_more = True
            while is_more or under_way:
                pause = TELL_SECONDS
                while is_more and len(under_way) < parallelism:
                    task = None if self._budget.is_stopped() else next(tasks, None)
                    is_more = task is not None
                    if isinstance(task, float):
                        pause = min(task, TELL_SECONDS)
                        break
                    if task is not None:
                        under_way.add(pool.submit(task[0], task[1]))
                if under_way:
                    done, _ = wait(under_way, pause, FIRST_COMPLETED)
                    under_way -= done
                    for one in done:
                        one.result()
                elif is_more:
                    self._clock.sleep(pause)
                if self._clock.monotonic() - told_at >= TELL_SECONDS:
                    told_at = self._clock.monotonic()
                    self._budget.tell(seen_in(self._journal.states))

    def _paced(self, pace: Pace, under_way: set[Future[None]]) -> Iterator[Task | float]:
        """Requests to send, each when it may go out; a number of seconds where none may before, or may come back."""
        free = [number for step in FREE for number in self._journal.states.at(step)]
        fresh = iter(sorted(free))
        number: int | None = None
        while not is_over(self._clock) and self.halt is None:
            if (pause := pace.wait_seconds()) > 0:
                yield pause
                continue
            now = self._clock.monotonic()
            with self._lock:
                is_due = bool(self._again) and self._again[0][0] <= now
                number = heapq.heappop(self._again)[1] if is_due else next(fresh, None)
                until = self._again[0][0] - now if self._again else None
            if number is not None:
                pace.sending(self._work.tokens(number))
                yield self._send, number
            elif until is not None:
                yield max(until, 0.001)
            elif under_way:  # what is under way may have to be sent once more
                yield TELL_SECONDS
            else:
                return

    def _once_more(self, number: int, after_seconds: float = 0.0) -> None:
        """Send a request again in this loop, where the remote is one that answers at once."""
        if self._pace is not None:
            with self._lock:
                heapq.heappush(self._again, (self._clock.monotonic() + after_seconds, number))

    def _tasks(self) -> Iterator[Task | float]:
        """Looks that are due and requests to send, in turns, so that neither waits for all of the other."""
        free = [number for step in FREE for number in self._journal.states.at(step)]
        sends = iter(sorted(free))
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
            self._unsent = self._lost = 0
            self._budget.heard()
            if isinstance(taken, Answered):
                self._answered(number, taken, began)
                return
            self._journal.append(CallEntry(number, CallStep.RECEIPT, taken.remote_id, taken.account))
            with self._lock:
                self._schedule.again(number, self._clock.monotonic())

    def _answered(self, number: int, taken: Answered, began: float) -> None:
        """It gave the answer at once: there is nothing to look at."""
        ms = (self._clock.monotonic() - began) * 1000
        outcome, used = _verdict(taken.line)
        if self._pace is not None:
            self._pace.answered(taken.headers, self._work.tokens(number), used)
        self._journal.answer(number, outcome, taken.line)
        self._budget.answered(number, taken.line, ms)

    def _refused(self, number: int, error: Refused) -> None:
        """The remote took it not: for now, as none of them, or for what it is, which is its outcome."""
        is_about_all = isinstance(error, AuthFailed) or _is_about_all(error)
        if not isinstance(error, RateLimited) and not is_about_all:
            self._turned_away(number, error)
            return
        self._journal.append(CallEntry(number, CallStep.CLEARED))
        if isinstance(error, RateLimited) and self._pace is not None:
            self._pace.pause(error.retry_after)
            self.unseen = error.message
            self._once_more(number)
        elif isinstance(error, RateLimited):
            pause = error.retry_after or self._caller.card.defer_seconds
            self._schedule.not_before = self._clock.monotonic() + pause
        else:
            self.halt = self.error = error

    def _turned_away(self, number: int, error: Refused) -> None:
        """Its outcome: the remote does not take this request."""
        custom_id = self._work.custom_id(number)
        code = error.code or str(error.status or REFUSED)
        if self._pace is None:
            self._journal.answer(number, Outcome.FINAL, error_line(custom_id, code, error.message))
            return
        self._unsent = self._lost = 0
        line = refusal_line(custom_id, error.status, code, error.words or error.message)
        self._journal.answer(number, _verdict(line)[0], line)
        self._budget.answered(number, line, 0.0)

    def _not_sent(self, number: int, error: NotSent | BlockedError | DataError) -> None:
        """It did not get to the remote. What is wrong with one file says nothing of the others."""
        match error:
            case DataError():
                self.error = error
            case BlockedError():
                self.halt = self.error = error
            case NotSent(is_out_of_time=False) if self._pace is not None:
                self.unseen = error.message
                self._pace.pause()
                self._once_more(number)
                if self._pace.failures >= (UNSENT_IN_A_ROW if self._caller.card.is_free else PAUSES_IN_A_ROW):
                    self.halt = self.error = error
            case NotSent(is_out_of_time=False):
                self._unsent += 1
                self.unseen = error.message
                if self._unsent >= UNSENT_IN_A_ROW:
                    self.halt = self.error = error
                elif self._journal.states[number].intents >= self._budget.max_attempts:
                    self.error = error

    def _doubt(self, number: int, error: OutcomeUnknown) -> None:
        """It may have been accepted, and nobody can be asked."""
        self._lost += 1
        if self._pace is not None and self._lost >= max(LOST_IN_A_ROW, 2 * self._at_once):
            self.halt = self.error = error
        repeats = self._journal.states[number].repeats
        if self._budget.resubmits and repeats + 1 < self._budget.max_attempts:
            self._journal.append(CallEntry(number, CallStep.REPEATED))
            self._once_more(number, FIRST_PAUSE * 2.0**repeats)
            return
        if self._budget.resubmits and self._pace is not None:
            message = f"sent {repeats + 1} times, and no reply was heard to the end: {error.message}"
            line = refusal_line(self._work.custom_id(number), None, UNANSWERED, message)
            self._journal.answer(number, Outcome.FINAL, line)
            self._budget.answered(number, line, 0.0)
            return
        self._journal.append(CallEntry(number, CallStep.HELD))
        with self._lock:
            self.unknown.append(number)
            self.unseen = error.message

    # -- look

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
            if not isinstance(error, (NotSent, OutcomeUnknown, RateLimited)):
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
        self._journal.append(CallEntry(number, CallStep.HELD))
        with self._lock:
            self._schedule.drop(number)
            self.unknown.append(number)
            self.unseen = "the remote no longer knows it"

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


def _is_about_all(error: Refused) -> bool:
    """Whether a refusal says nothing of this request: the address is wrong, or the account cannot pay."""
    status = error.status or 0
    return 300 <= status < 400 or status in (402, 404, 405, 429)
