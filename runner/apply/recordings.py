"""Send the recordings of a wave and look at those that were sent: many at once, each call on record before it goes out.

The remote knows no id of ours and cannot be searched. So the intent is durable before a recording is sent and the
receipt right after; a call that got no answer is held for a person, or asked again where the specs allow it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import datetime, timedelta
from pathlib import Path

from runner.apply.reporter import progress_of
from runner.apply.schedule import Rules, Schedule
from runner.apply.session import Session
from runner.apply.wave import WAITING, Place, Wave
from runner.errors import (
    AuthFailed,
    BlockedError,
    DataError,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RunnerError,
)
from runner.job.outcomes import Outcome
from runner.remotes.audio import AudioProvider, Heard, Receipt, Recording, error_line, line_of
from runner.remotes.reading.lines import COMMON
from runner.state.wave import FREE, Entry, Step

MOST_LOOKS_GONE = 8  # a receipt that still answers 404 by then will not be heard of again
LONG_SENT = timedelta(hours=1)  # nor one that answers 404 so long after the last recording was sent
UNSENT_IN_A_ROW = 3  # then it is the remote that cannot be reached, and not one recording
TELL_SECONDS = 1.0
NOT_SENT, REFUSED = "not_sent", "refused"
NOBODYS = Recording(Path(), "", 0, "", "", {})  # no job wants the answer any more; it is kept all the same


class Round:
    """One round over a wave: everything that can be sent or looked at now. Its calls run on several threads."""

    def __init__(self, session: Session, wave: Wave, provider: AudioProvider, schedule: Schedule, rules: Rules) -> None:
        self._session = session
        self._clock = session.clock
        self._wave = wave
        self._journal = wave.journal
        self._provider = provider
        self._schedule = schedule
        self._rules = rules
        self._lock = threading.Lock()
        self._places = threading.Lock()
        self.halt: RunnerError | None = None  # why nothing more is sent
        self.trouble: RunnerError | None = None  # what a person has to put right
        self.unseen = ""  # why a look did not succeed
        self.held: list[int] = []
        self._unsent = 0  # calls in a row that did not reach the remote
        self._blind = 0  # looks in a row that got no answer

    def run(self, parallelism: int) -> None:
        """Until nothing is left to send and nothing is due. Raises StateError when the journal cannot be written."""
        tasks = self._tasks()
        told_at = self._clock.monotonic()
        with self._session.pool(parallelism) as pool:
            under_way: set[Future[None]] = set()
            is_more = True
            while is_more or under_way:
                while is_more and len(under_way) < parallelism:
                    task = None if self._session.stop.is_set() else next(tasks, None)
                    is_more = task is not None
                    if task is not None:
                        under_way.add(pool.submit(task[0], task[1]))
                done, under_way = wait(under_way, TELL_SECONDS, FIRST_COMPLETED)
                for one in done:
                    one.result()
                if self._clock.monotonic() - told_at >= TELL_SECONDS:
                    told_at = self._clock.monotonic()
                    self._session.reporter.progress(progress_of([self._wave.as_seen()], self._session.seen_at))

    def _tasks(self) -> Iterator[tuple[Callable[[int], None], int]]:
        """Looks that are due and recordings to send, in turns, so that neither waits for all of the other."""
        free = [number for step in FREE for number in self._journal.states.at(step)]
        sends = iter(sorted(free))
        is_sending = True
        now = self._clock.monotonic()
        while not self._is_over():
            if is_sending:
                now = self._clock.monotonic()  # what comes due after the last was sent is for the next round to look at
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

    def _is_over(self) -> bool:
        """Whether the command was told to wait no longer."""
        return self._clock.until is not None and self._clock.monotonic() >= self._clock.until

    def _may_send(self) -> bool:
        return self.halt is None and self._clock.monotonic() >= self._schedule.not_before

    # -- send

    def _send(self, number: int) -> None:
        place = self._place(number)
        if place is None or self._is_read_back(number):
            why = "no job wants it any more" if place is None else "an output answers it"
            line = error_line(self._wave.custom_id(number), NOT_SENT, f"{why}; it was not sent")
            self._journal.answer(number, Outcome.RETRY, line)
            return
        try:
            recording = place.recording()
        except DataError as error:
            self.trouble = error
            return
        self._journal.append(Entry(number, Step.INTENT))
        try:
            receipt = self._provider.submit(recording)
        except OutcomeUnknown as error:
            self._doubt(number, error)
        except RateLimited as error:
            self._journal.append(Entry(number, Step.CLEARED))
            pause = error.retry_after or self._provider.card.defer_seconds
            self._schedule.not_before = self._clock.monotonic() + pause
        except NotSent as error:
            self._journal.append(Entry(number, Step.CLEARED))
            self._unsent += 1
            self.unseen = error.message
            if self._unsent >= UNSENT_IN_A_ROW:
                self.halt = self.trouble = error
            elif self._journal.states[number].intents >= self._rules.max_attempts:
                self.trouble = error
        except (AuthFailed, BlockedError, DataError) as error:
            self._journal.append(Entry(number, Step.CLEARED))
            self.trouble = error
            if not isinstance(error, DataError):
                self.halt = error
        except Refused as error:
            if _is_about_all(error):
                self._journal.append(Entry(number, Step.CLEARED))
                self.halt = self.trouble = error
                return
            code = error.code or str(error.status or REFUSED)
            self._journal.answer(number, Outcome.FINAL, error_line(self._custom_id(number), code, error.message))
        else:
            self._journal.append(Entry(number, Step.RECEIPT, receipt.remote_id, receipt.account))
            self._unsent = 0
            self._note_seen()
            with self._lock:
                self._schedule.again(number, self._clock.monotonic(), self._rules)

    def _doubt(self, number: int, error: OutcomeUnknown) -> None:
        """It may have been accepted, and nobody can be asked."""
        if self._rules.resubmits and self._journal.states[number].intents < self._rules.max_attempts:
            self._journal.append(Entry(number, Step.REPEATED))
            return
        self._journal.append(Entry(number, Step.HELD))
        with self._lock:
            self.held.append(number)
            self.unseen = error.message

    # -- look

    def _look(self, number: int) -> None:
        state = self._journal.states[number]
        receipt = Receipt(state.remote_id, state.account)
        try:
            heard = self._provider.look(receipt)
        except NotFound:
            self._missing(number)
        except RunnerError as error:
            self.unseen = error.message
            self._blind += 1
            if not isinstance(error, (NotSent, OutcomeUnknown, RateLimited)):
                self.trouble = error
            self._look_again(number)
        else:
            self._blind = 0
            self._note_seen()
            self._heard(number, receipt, heard)

    def _heard(self, number: int, receipt: Receipt, heard: Heard) -> None:
        if not heard.phase.has_ended:
            self._look_again(number)
            return
        place = self._place(number)
        recording = _as_asked(place) if place else NOBODYS
        line = line_of(self._custom_id(number), recording, receipt, heard)
        self._journal.answer(number, COMMON.parse(line[:-1]).outcome or Outcome.FINAL, line)
        with self._lock:
            self._schedule.drop(number)

    def _missing(self, number: int) -> None:
        """A new recording may not be known everywhere yet; one that stays unknown is held for a person."""
        with self._lock:
            looks = self._schedule.gone[number] = self._schedule.gone.get(number, 0) + 1
        if looks < MOST_LOOKS_GONE and not self._has_waited_long():
            self._look_again(number)
            return
        self._journal.append(Entry(number, Step.HELD))
        with self._lock:
            self._schedule.drop(number)
            self.held.append(number)
            self.unseen = "the remote no longer knows it"

    def _note_seen(self) -> None:
        self._session.seen_at[self._wave.batch.key] = self._clock.now()

    def time(self) -> datetime:
        """What time it is at the remote, as far as it tells: our own clock may be put right between two commands."""
        return self._session.time_at(self._provider)

    def _has_waited_long(self) -> bool:
        """Whether the last recording was sent long ago. A command that makes a single pass counts no looks."""
        batch = self._wave.batch
        since = batch.seen_at if batch.raw_status == WAITING else None
        return since is not None and self.time() - since > LONG_SENT

    def _look_again(self, number: int) -> None:
        with self._lock:
            self._schedule.again(number, self._clock.monotonic(), self._rules)

    def _place(self, number: int) -> Place | None:
        with self._places:  # the first look makes a table
            return self._wave.place(number)

    def _is_read_back(self, number: int) -> bool:
        with self._places:
            return self._wave.is_read_back(number)

    def _custom_id(self, number: int) -> str:
        with self._places:
            return self._wave.custom_id(number)


def _is_about_all(error: Refused) -> bool:
    """Whether a refusal says nothing of this recording: the address is wrong, or the account cannot pay."""
    status = error.status or 0
    return 300 <= status < 400 or status in (402, 404, 405, 429)


def _as_asked(place: Place) -> Recording:
    """How a recording was asked for; its file may be another one by now."""
    return Recording(Path(), "", 0, "", "", place.compiled.form)
