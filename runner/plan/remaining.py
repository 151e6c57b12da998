"""wanted - settled - in flight, over packed keys: the arithmetic everything else follows from.

All jobs of a project are folded at once, one of 256 buckets of keys after the other, so that memory stays at one
byte and four a row and every look-up is an ordinary dict in one bucket.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import compress

import msgspec

from runner.job.desired import Desired
from runner.job.infile import Run, loaded
from runner.job.observed import Phase
from runner.job.outcomes import ANSWERS, ENTRY_BYTES, NO_LINE, Outcome, good
from runner.job.packed import KEY_BYTES, bounds, positions_of, unpack
from runner.job.recorded import Batch, Stage


class Row(IntEnum):
    """Where one wanted row stands."""

    NEW = 0  # never asked
    OK = 1
    ERROR = 2  # settled: final, refused, or out of attempts
    AGAIN = 3  # unsettled and may be asked again
    IN_FLIGHT = 4
    LOST = 5  # a person decides
    STALLED = 6  # the last attempt finished nothing at all
    ELSEWHERE = 7  # only another origin has asked or answered it
    SHARED = 8  # an earlier job asks it
    EQUAL = 9  # an earlier row of this job asks it
    REPLACE = 10  # answered, and asked again on purpose
    OPEN = 11  # in a create of which it is not known yet whether it took effect
    QUEUED = 13  # in a batch of ours that is still to be sent, or to be sent again
    UNKNOWN = 12  # the remote may have it and cannot be asked: a person decides
    INVALID = 14  # answered, and the answer is none: asked again, as the job says
    LATE = 15  # its batch took too long and was stopped: asked again, online


UNDER_WAY = (Row.IN_FLIGHT, Row.OPEN, Row.QUEUED)  # in a batch that is waited for
TO_SEND = (Row.NEW, Row.AGAIN, Row.REPLACE, Row.INVALID, Row.LATE, Row.SHARED)
_ROWS = tuple(sorted(Row))  # an enum is slow to go through


class BatchRows(msgspec.Struct, frozen=True):
    """One recorded batch with its keys (sorted, packed) and, once collected, its index (see job/outcomes).

    Of one whose calls are made one by one, and that goes on: what is settled of it by now, as an index of only those
    (`so_far`), and the keys that are still to be sent.
    """

    batch: Batch
    held: Run | Callable[[], Run]  # its keys, or what reads them: where there is an index, hardly anybody asks
    index: Run = b""  # as judged by what the jobs want that ask again for answers that are none
    so_far: bytes = b""
    unsent: bytes = b""

    @property
    def keys(self) -> Run:
        return self.held() if callable(self.held) else self.held


class RetryRows(msgspec.Struct, frozen=True):
    """Keys that were asked again on purpose: older generations no longer settle them."""

    generation: int
    keys: bytes
    replaces: bool


class JobRows(msgspec.Struct):
    """The state of every row of one job, by ordinal."""

    states: bytearray
    counts: list[int] = msgspec.field(default_factory=lambda: [0] * len(_ROWS))
    parents: set[str] = msgspec.field(default_factory=set)  # batches that left rows to be asked again
    shared_with: set[str] = msgspec.field(default_factory=set)  # jobs that ask rows of this one
    origins: set[str] = msgspec.field(default_factory=set)  # other origins that hold rows
    batches: set[str] = msgspec.field(default_factory=set)  # in flight with rows of this job
    bad: int = 0  # rows beside them that cannot become requests
    shown: set[int] = msgspec.field(default_factory=set)  # 1 + the numbers of the batches that rows stand as they do by
    answers: Counter[int] = msgspec.field(default_factory=Counter)  # by the same of them, so many rows at least
    # Ascending ordinals; all others have the answer that they had when the results were written. None: it is not known
    looked_up: array[int] | None = None

    def touch(self, row: Row, batch: Batch, address: str) -> None:
        """Note which batch put a row where it stands."""
        match row:
            case Row.IN_FLIGHT | Row.OPEN | Row.QUEUED:
                self.batches.add(batch.key)
                if batch.owner != address:
                    self.shared_with.add(batch.owner)
            case Row.AGAIN | Row.STALLED | Row.LOST | Row.UNKNOWN | Row.REPLACE | Row.INVALID | Row.LATE:
                self.parents.add(batch.key)
            case Row.ELSEWHERE:
                self.origins.add(str(batch.origin))
            case _:
                pass

    def reject(self, keys: Run, flawed: bytes) -> None:
        """Count answers that are none as errors. keys: of the rows, in their order. flawed: of such answers."""
        for ordinal in positions_of(keys, flawed):
            if self.states[ordinal] == Row.OK:
                self.states[ordinal] = Row.ERROR
        self.counts = [self.states.count(row) for row in _ROWS]

    def send(self, ordinals: Sequence[int], batch: str) -> None:
        """Note that these rows are in flight now, in this batch."""
        # A plan is made for each batch: what is sent is counted, not all rows each time
        at, end = ordinals[0], ordinals[-1] + 1
        is_one_run = end - at == len(ordinals)
        were = self.states[at:end] if is_one_run else bytes(map(self.states.__getitem__, ordinals))
        for row in _ROWS:
            self.counts[row] -= were.count(row)
        self.counts[Row.IN_FLIGHT] += len(ordinals)
        if is_one_run:
            self.states[at:end] = bytes((Row.IN_FLIGHT,)) * len(ordinals)
        else:
            for ordinal in ordinals:
                self.states[ordinal] = Row.IN_FLIGHT
        if self.counts[Row.EQUAL] and not any(self.counts[row] for row in TO_SEND):
            self.states[:] = self.states.replace(
                bytes((Row.EQUAL,)), bytes((Row.IN_FLIGHT,))
            )  # what they equal is sent
            self.counts = [self.states.count(row) for row in _ROWS]
        self.batches.add(batch)

    @property
    def pending(self) -> int:
        """How many rows are in flight or will be sent. Rows that were stopped stand as they are."""
        return sum(self.counts[row] for row in (*UNDER_WAY, *TO_SEND))

    def ordinals(self, *wanted: Row) -> Sequence[int]:
        """The ordinals of the rows in one of these states, ascending."""
        number = sum(self.counts[row] for row in wanted)
        if number in (0, len(self.states)):
            return range(number)
        mask = self.states.translate(bytes(state in wanted for state in range(256)))
        if number * _SPARSE > len(mask):
            return array("I", compress(range(len(mask)), mask))
        found, at = array("I"), mask.find(1)
        while at >= 0:
            found.append(at)
            at = mask.find(1, at + 1)
        return found


# What the batches say about one key, as one integer: attempts, flags, and the number of the batch it is in. A fold over
# millions of keys makes one dict entry for each; an object there would cost ten times the memory and five times the
# time. Most rows of a job share one such integer, so what a row is follows from a handful of them (`Said`).
_ATTEMPTS = 0xFF
OK = 1 << 8
_ERROR = 1 << 9
_LOST = 1 << 10
_STALLED = 1 << 11
IN_FLIGHT = 1 << 12
_ELSEWHERE = 1 << 13
_PAST = 1 << 14  # asked before, but a retry opened a new generation since, or it was not paid for
_PAID = 1 << 15  # and answered then
_QUEUED = 1 << 16  # and in flight only as far as we are concerned
_SILENT = 1 << 17  # one attempt of a batch that finished without a line for it, in whatever generation
_SILENT_BITS = 0xFF * _SILENT
_INVALID = 1 << 25  # answered, and the answer is none
_LATE = 1 << 26  # its batch was stopped since it took too long, and it had no answer
BATCH_SHIFT = 27
_FLAGS = (1 << BATCH_SHIFT) - 1

_ENTRIES = struct.Struct(f">{KEY_BYTES}sQ")
_KEYS = struct.Struct(f"{KEY_BYTES}s")
_FIRST_GENERATION = (0, 0)
_SPARSE = 64  # of rows so far apart each is searched for
MOST_MARKS = 256
_FEW = 4096  # keys of all sides together, that are folded in one go


def fold(
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows] = (),
    accepted: Mapping[str, Sequence[str]] | None = None,
) -> list[JobRows]:
    """The state of every wanted row. Jobs in the order that decides who asks first; batches in order of submission.

    accepted: by provider, the other origins whose answers count as well.
    """
    return folded(jobs, batches, retries, accepted)[0]


def folded(
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows] = (),
    accepted: Mapping[str, Sequence[str]] | None = None,
) -> tuple[list[JobRows], list[Said] | None]:
    """The same, and what is said of each row; None where that is not to be gone on from (`plan/since.py`)."""
    # Keys are spread evenly by their first byte: one 256th of every set lies side by side, and only that much is ever
    # unpacked. A small project is one bucket, since 256 dicts of ten keys cost more than one of a few thousand.
    packed = (
        [job.keys for job in jobs]
        + [entry.index or entry.keys for entry in batches]
        + [retry.keys for retry in retries]
    )
    edges_of = _ends if sum(map(len, packed)) <= _FEW * KEY_BYTES else bounds
    trusted = trust(jobs, batches, accepted or {})
    history = _History(batches, retries, trusted, edges_of)
    # Where no two rows of the only job are equal, as in most projects, nothing is shared; and before anything was sent,
    # each row is as new as the other.
    are_apart = len(jobs) == 1 and len(jobs[0].distinct) == len(jobs[0].keys)
    is_whole = edges_of is _ends or (are_apart and not batches)
    wanted = [_Wanted(job, is_whole=is_whole) for job in jobs]
    buckets = () if are_apart and not batches else sorted({bucket for one in wanted for bucket in one.ordinals})
    for bucket in buckets:
        known = history.bucket(bucket)
        owners: dict[bytes, int] = {}
        for number, one in enumerate(wanted):
            if bucket not in one.ordinals:
                continue
            if known:
                one.settle(bucket, known, batches)
            if not are_apart:
                one.share(bucket, number, owners, jobs)
    said = [one.said for one in wanted if one.said is not None]
    is_known = len(said) == len(jobs) and not history.overlaps
    return [one.counted(batches) for one in wanted], said if is_known else None


def trust(jobs: Sequence[Desired], batches: Sequence[BatchRows], accepted: Mapping[str, Sequence[str]]) -> list[bool]:
    """Of each batch, whether its answers count. accepted: as in `fold`."""
    origins = {job.provider: job.origin for job in jobs}
    return [
        origin == origins.get(origin.provider) or str(origin) in accepted.get(origin.provider, ())
        for origin in (entry.batch.origin for entry in batches)
    ]


def _ends(records: bytes, width: int = KEY_BYTES) -> list[int]:
    """The bounds of one bucket that holds everything."""
    return [0, len(records)]


class _History:
    """What all batches and retries say, one bucket at a time."""

    def __init__(
        self,
        batches: Sequence[BatchRows],
        retries: Sequence[RetryRows],
        trusted: Sequence[bool],
        edges_of: Callable[..., list[int]],
    ) -> None:
        self._entries = batches
        self._batches = list(zip(range(len(batches)), batches, trusted, strict=True))
        self._edges = [edges_of(entry.index, ENTRY_BYTES) if entry.index else edges_of(entry.keys) for entry in batches]
        self._so_far = {
            number: (edges_of(entry.so_far, ENTRY_BYTES), edges_of(entry.unsent))
            for number, entry in enumerate(batches)
            if entry.so_far or entry.unsent
        }
        self._retries = [(retry, edges_of(retry.keys)) for retry in retries]
        self.overlaps = False  # two batches in flight hold the same request

    def bucket(self, bucket: int) -> dict[bytes, int]:
        # In order of submission: what a later batch says of a key is said over what an earlier one did.
        newest = self._generations(bucket)
        known: dict[bytes, int] = {}
        for number, entry, is_trusted in self._batches:
            start, stop = self._edges[number][bucket], self._edges[number][bucket + 1]
            if start == stop:
                continue
            if not is_trusted:
                # Another account or host answered: that is neither an answer nor a reason to pay unasked.
                if entry.index or entry.batch.is_active:
                    _mark(known, entry, start, stop, _ELSEWHERE | (number + 1) << BATCH_SHIFT, newest)
            elif entry.index:
                _learn(known, self._entries, number, entry.index[start:stop], newest)
            elif entry.batch.is_active:
                self.overlaps |= _mark(known, entry, start, stop, IN_FLIGHT | (number + 1) << BATCH_SHIFT)
                if number in self._so_far:
                    self._go_on(known, number, bucket, newest)
        return known

    def _go_on(
        self, known: dict[bytes, int], number: int, bucket: int, newest: Mapping[bytes, tuple[int, int]]
    ) -> None:
        """Of a batch in flight: what was settled is not in flight any more, what was not sent is not yet."""
        entry, (settled, unsent) = self._entries[number], self._so_far[number]
        for (key,) in _KEYS.iter_unpack(entry.unsent[unsent[bucket] : unsent[bucket + 1]]):
            known[key] |= _QUEUED
        index = entry.so_far[settled[bucket] : settled[bucket + 1]]
        for key, _ in _ENTRIES.iter_unpack(index):
            known[key] &= ~IN_FLIGHT
        _learn(known, self._entries, number, index, newest)

    def _generations(self, bucket: int) -> dict[bytes, tuple[int, int]]:
        """By key: its newest generation, and the newest that replaces answers: a later one brings none of them back."""
        newest: dict[bytes, tuple[int, int]] = {}
        for retry, edge in self._retries:
            for (key,) in _KEYS.iter_unpack(retry.keys[edge[bucket] : edge[bucket + 1]]):
                replaced = retry.generation if retry.replaces else newest.get(key, _FIRST_GENERATION)[1]
                newest[key] = (retry.generation, replaced)
        return newest


def _mark(
    known: dict[bytes, int],
    entry: BatchRows,
    start: int,
    stop: int,
    flag: int,
    newest: Mapping[bytes, tuple[int, int]] | None = None,
) -> bool:
    """Put the flag at all keys of a batch; whether one of them had it."""
    before = 0
    packed, width = (entry.index, ENTRY_BYTES) if entry.index else (entry.keys, KEY_BYTES)
    some = packed[start:stop]
    for position in range(0, len(some), width):
        key = some[position : position + KEY_BYTES]
        if newest and newest.get(key, _FIRST_GENERATION)[0] > entry.batch.generation:
            known[key] = known.get(key, 0) | _PAST
        else:
            state = known.get(key, 0)
            before |= state
            # An answer is shown by the batch that gave it, whoever else holds its request
            known[key] = state | flag & _FLAGS if state & OK else state & _FLAGS | flag
    return bool(before & flag & IN_FLIGHT)


def _learn(
    known: dict[bytes, int],
    batches: Sequence[BatchRows],
    number: int,
    index: bytes,
    newest: Mapping[bytes, tuple[int, int]],
) -> None:
    """Fold the outcomes of one collected batch into what is known."""
    # The rules, strongest first. An answer holds, whatever came before or comes after, unless a retry that replaces
    # answers opened a new epoch since. An error that was final in an older epoch is only `_PAST`: the retry asked for
    # exactly those. A request that may be asked again counts one attempt; that the attempt before had finished nothing
    # goes with it, since that speaks of the last attempt only. That one was stopped, or its answer is lost, stays until
    # a person decides: another batch of the same that brought nothing (a create that took effect late, another clone's)
    # says nothing about it. What was not paid for counts no attempt. An answer that is none counts one, and is an
    # answer to every job that takes it for one; what was read back from an output counts none, since the batch that
    # gave it may be on record as well.
    # Lines that never came are counted over all epochs: a person's retries must not go on for ever either.
    batch = batches[number].batch
    here = (number + 1) << BATCH_SHIFT
    entries: Iterable[tuple[bytes, int]] = _ENTRIES.iter_unpack(index)
    if not newest and not known:
        # The usual case: the first batch that asked these, and nobody asked anything again
        told = list(entries)
        answered = OK | here
        known.update([(key, answered) for key, value in told if value >> 60 == Outcome.OK])
        entries = [entry for entry in told if entry[1] >> 60 != Outcome.OK] if len(known) < len(told) else ()
    elif not newest and len(answers := good(index)) * ENTRY_BYTES == len(index) * KEY_BYTES:
        # and the next one that asked others, as where a job is cut into many batches
        fresh = dict.fromkeys(unpack(answers), OK | here)
        if fresh.keys().isdisjoint(known):
            known.update(fresh)
            entries = ()
    stalled = _STALLED if _finished_nothing(batch) else 0
    is_finished = batch.phase is Phase.COMPLETED
    for key, value in entries:
        outcome = value >> 60
        state = known.get(key, 0)
        generation, replaced = newest.get(key, _FIRST_GENERATION) if newest else _FIRST_GENERATION
        is_current = batch.generation >= generation
        if outcome == Outcome.OK and batch.generation >= replaced:
            if not state & OK or batches[(state >> BATCH_SHIFT) - 1].batch.generation < batch.generation:
                known[key] = state & _FLAGS | OK | here
            continue
        if state & OK:
            continue
        if is_finished and outcome == Outcome.RETRY and value & NO_LINE == NO_LINE:
            state += _SILENT if state & _SILENT_BITS != _SILENT_BITS else 0
        if not is_current:
            known[key] = state | _PAST | (_PAID if outcome in ANSWERS else 0)
        else:
            # While another batch has it in flight, that is the one to wait for; what one lost, to decide about
            is_by_another = state & IN_FLIGHT or (state & _LOST and outcome not in ANSWERS)
            at = state & ~_FLAGS if is_by_another else here
            if outcome == Outcome.RETRY:
                known[key] = (state & _FLAGS & ~_STALLED) + 1 | stalled | at
            elif outcome == Outcome.INVALID:
                known[key] = (state & _FLAGS & ~_STALLED) + (not batch.is_read_back) | _INVALID | at
            elif outcome == Outcome.INVALID_FOR_GOOD:
                known[key] = state & _FLAGS | _INVALID | _ERROR | at
            elif outcome == Outcome.UNPAID:
                known[key] = state & _FLAGS | _PAST | at
            elif outcome == Outcome.LATE:
                known[key] = state & _FLAGS & ~_STALLED | _LATE | at
            elif outcome == Outcome.LOST:
                known[key] = state & _FLAGS | _LOST | at
            else:
                known[key] = state & _FLAGS | _ERROR | at


def _finished_nothing(batch: Batch) -> bool:
    """No request of the batch got as far as an answer, good or bad. Where all of it was refused, none was asked."""
    finished = batch.tally.finished + batch.counts.completed + batch.counts.failed
    return batch.phase is not Phase.FAILED and batch.rows > 0 and finished == 0


class Said(msgspec.Struct):
    """What the batches say of each row of one job: a byte a row, which is the place of its state among `states`."""

    marks: bytearray
    states: list[int]  # that occur, as in `_History`; the first is 0: nothing is said

    def spelled_out(self, job: Desired, batches: Sequence[BatchRows]) -> bytearray:
        """How each row stands, where no other row or job asks the same."""
        rows = bytes(row_of(state, job, batches) for state in self.states)
        return self.marks.translate(rows.ljust(MOST_MARKS, b"\0"))

    def rows(self, job: Desired, batches: Sequence[BatchRows]) -> JobRows:
        """The same, with all that is counted of them."""
        met: Counter[int] = Counter()
        for mark, state in enumerate(self.states):
            met[state] += self.marks.count(mark)
        rows = JobRows(self.spelled_out(job, batches), bad=job.bad)
        for state, times in met.items():
            rows.counts[row_of(state, job, batches)] += times
        return _told(rows, job, met, batches)


def _told(rows: JobRows, job: Desired, met: Mapping[int, int], batches: Sequence[BatchRows]) -> JobRows:
    """With what is told of the rows of a job beside how they stand. met: so many of them are in each state."""
    for state, times in met.items():
        number = state >> BATCH_SHIFT
        if not times or not number:
            continue
        if state & OK:
            rows.answers[number] += times
        rows.shown.add(number)
        rows.touch(row_of(state, job, batches), batches[number - 1].batch, job.address)
    return rows


class _Wanted:
    """The rows of one job while they are settled, by bucket."""

    def __init__(self, job: Desired, *, is_whole: bool) -> None:
        """is_whole: one bucket holds everything."""
        self._job = job
        self._keys = loaded(job.keys)
        # A byte a row: the place of what is said of it, among states that are few, as what the batches say is mostly
        # the same. Where they are many, or rows are equal to others: how it stands (`_spell_out`)
        self._bytes = bytearray(job.rows)
        self.said: Said | None = Said(self._bytes, [0])
        self._byte_of = {0: 0}  # of each state that occurs
        self._row_of = {0: Row.NEW}
        self._met: Counter[int] = Counter()
        self._shared_with: set[str] = set()
        self._quiet: set[int] = set()  # buckets in which no row would be asked
        if is_whole:
            self.ordinals = {0: array("I", range(job.rows))}  # by bucket
            return
        self.ordinals = {first: array("I") for first in set(self._keys[::KEY_BYTES])}
        add = {first: ordinals.append for first, ordinals in self.ordinals.items()}
        for ordinal, first in enumerate(self._keys[::KEY_BYTES]):
            add[first](ordinal)

    def settle(self, bucket: int, known: Mapping[bytes, int], batches: Sequence[BatchRows]) -> None:
        """The state of each row in one bucket, as if no other row or job asked the same."""
        keys, put, byte_of = self._keys, self._bytes, self._byte_of
        ordinals = self.ordinals[bucket]
        told = [known.get(keys[ordinal * KEY_BYTES : (ordinal + 1) * KEY_BYTES], 0) for ordinal in ordinals]
        occurring = Counter(told)
        self._met.update(occurring)
        for state in occurring.keys() - byte_of.keys():
            self._learn(state, batches)
        if UNASKED.isdisjoint(map(self._row_of.__getitem__, occurring)):
            self._quiet.add(bucket)
        for ordinal, byte in zip(ordinals, map(byte_of.__getitem__, told), strict=True):
            put[ordinal] = byte

    def _learn(self, state: int, batches: Sequence[BatchRows]) -> None:
        """Take in a state that was not met before."""
        self._row_of[state] = row_of(state, self._job, batches)
        if self.said is not None and len(self.said.states) == MOST_MARKS:
            self._spell_out()
        if self.said is None:
            self._byte_of[state] = self._row_of[state]
        else:
            self._byte_of[state] = len(self.said.states)
            self.said.states.append(state)

    def _spell_out(self) -> None:
        """From now on, a byte says how a row stands."""
        if self.said is None:
            return
        rows = bytes(self._row_of[state] for state in self.said.states)
        self._bytes = self._bytes.translate(rows.ljust(MOST_MARKS, b"\0"))
        self._byte_of.update(self._row_of)
        self.said = None

    def share(self, bucket: int, number: int, owners: dict[bytes, int], jobs: Sequence[Desired]) -> None:
        """Equal requests are one request: the first job in order asks it, and within a job its first row."""
        # Only rows that would be asked are looked at: what is settled or in flight is so for every row that is equal.
        if bucket in self._quiet:
            return
        self._spell_out()
        keys, states = self._keys, self._bytes
        for ordinal in self.ordinals[bucket]:
            if states[ordinal] not in UNASKED:
                continue
            at = ordinal * KEY_BYTES
            mine = number << 32 | ordinal
            owner = owners.setdefault(keys[at : at + KEY_BYTES], mine)
            if owner == mine:
                continue
            if owner >> 32 == number:
                states[ordinal] = Row.EQUAL
            else:
                states[ordinal] = Row.SHARED
                self._shared_with.add(jobs[owner >> 32].address)

    def counted(self, batches: Sequence[BatchRows]) -> JobRows:
        """How the rows stand."""
        states = self._bytes if self.said is None else self.said.spelled_out(self._job, batches)
        counts = [states.count(row) for row in _ROWS]
        rows = JobRows(states, counts, bad=self._job.bad, shared_with=self._shared_with)
        return _told(rows, self._job, self._met, batches)


UNASKED = frozenset((int(Row.NEW), int(Row.AGAIN), int(Row.REPLACE), int(Row.INVALID), int(Row.LATE)))


def row_of(state: int, job: Desired, batches: Sequence[BatchRows]) -> Row:
    """The row of a job of which this is said."""
    row, number = _row_of(state, job), state >> BATCH_SHIFT
    return _as_known(row, batches[number - 1].batch) if number else row


def _as_known(row: Row, batch: Batch) -> Row:
    """The same row, told apart by whether it is known that the remote has it."""
    if row is Row.IN_FLIGHT and batch.stage is Stage.INTENT:
        return Row.OPEN
    if row is Row.IN_FLIGHT and batch.stage is Stage.DEFERRED and batch.failure is not None:
        return Row.QUEUED
    return Row.UNKNOWN if row is Row.LOST and batch.lost_is_unknown else row


# The order is the rule. An answer ends all questions; what is in flight is waited for, whatever failed before; what a
# person has to decide comes before the count of attempts, since another attempt may pay twice.
def _row_of(state: int, job: Desired) -> Row:
    if state & OK or (state & _INVALID and not job.retries_invalid):
        return Row.OK
    if state & IN_FLIGHT:
        return Row.QUEUED if state & _QUEUED else Row.IN_FLIGHT
    if state & _LOST:
        return Row.LOST
    attempts = state & _ATTEMPTS or bool(state & _INVALID)
    if state & _ERROR or attempts >= job.max_attempts:
        return Row.ERROR
    if attempts and (state & _SILENT_BITS) // _SILENT >= job.max_attempts:
        return Row.ERROR  # `no_result`: asking on and on, by a person's word too, has to end
    if attempts and state & (_STALLED | _INVALID):
        return Row.STALLED if state & _STALLED else Row.INVALID
    if attempts or state & _LATE:
        return Row.LATE if state & _LATE and job.online is not None else Row.AGAIN
    if state & _PAST:
        return Row.REPLACE if state & _PAID else Row.AGAIN
    # Where asking costs nothing, another origin's answer is no reason to stop
    return Row.ELSEWHERE if state & _ELSEWHERE and not job.card.is_free else Row.NEW
