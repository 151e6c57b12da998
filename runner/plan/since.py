"""The state of every row after something came of a few batches in flight: no other row is looked up again.

Each batch that comes home has the whole plan made anew, and of a million rows in twenty batches that was twenty folds
of a million. But a row in flight of which nothing else is said (never asked before, in one batch only: nearly all of a
first apply) stands as that batch says, and it alone: so when it changes, what it says now is all that is to be looked
up, and where each of its requests has its answer, not even that. What comes out is what `remaining.fold` gives.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import msgspec

from runner.job.desired import Desired
from runner.job.infile import Run
from runner.job.observed import Counts, Phase
from runner.job.outcomes import ENTRY_BYTES, good
from runner.job.packed import KEY_BYTES, positions_of
from runner.plan import remaining
from runner.plan.remaining import (
    BATCH_SHIFT,
    IN_FLIGHT,
    MOST_MARKS,
    OK,
    UNASKED,
    BatchRows,
    JobRows,
    RetryRows,
    Said,
    trust,
)


class Folded(NamedTuple):
    """What is said of each row, and all that it was made of."""

    jobs: Sequence[Desired]
    batches: Sequence[BatchRows]
    retries: Sequence[RetryRows]
    accepted: Mapping[str, Sequence[str]]
    said: Sequence[Said]


class Folds(msgspec.Struct):
    """The last fold, by which the next one is quicker. What comes out does not hang on it."""

    last: Folded | None = None
    # By SHA-256 of a request set that was sent since: the keys of all rows of a job, and the ordinals of those it is of
    sent: dict[str, tuple[Run, Sequence[int]]] = msgspec.field(default_factory=dict)
    # By address: the keys of all rows, the few that were looked up last, and where these stand
    found: dict[str, tuple[Run, Run, array[int]]] = msgspec.field(default_factory=dict)

    def places(self, job: Desired, wanted: Run) -> array[int]:
        """`positions_of` among the keys of a job, which goes through all of them."""
        keys, few, places = self.found.get(job.address, (b"", b"", array("I")))
        if keys is not job.keys or few != wanted:
            places = positions_of(job.keys, wanted)
            self.found[job.address] = job.keys, wanted, places
        return places

    def fold(
        self,
        jobs: Sequence[Desired],
        batches: Sequence[BatchRows],
        retries: Sequence[RetryRows],
        accepted: Mapping[str, Sequence[str]],
    ) -> list[JobRows]:
        """The same as `remaining.fold`."""
        history = tuple(batches), tuple(retries), dict(accepted)
        sent, self.sent = self.sent, {}
        said = _said_since(self.last, sent, jobs, *history) if self.last is not None else None
        if said is not None:
            found = [one.rows(job, batches) for one, job in zip(said, jobs, strict=True)]
            if _are_apart(jobs) or not any(rows.counts[row] for rows in found for row in UNASKED):
                self.last = Folded(tuple(jobs), *history, said)
                return found
        found, said = remaining.folded(jobs, *history)
        self.last = None if said is None else Folded(tuple(jobs), *history, said)
        return found


def _are_apart(jobs: Sequence[Desired]) -> bool:
    """Whether no two rows ask the same."""
    return len(jobs) == 1 and len(jobs[0].distinct) == len(jobs[0].keys)


def _said_since(
    last: Folded,
    sent: Mapping[str, tuple[Run, Sequence[int]]],
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
    accepted: Mapping[str, Sequence[str]],
) -> Sequence[Said] | None:
    """What is said of each row now; None where that has to be found out by looking all of them up."""
    if len(jobs) != len(last.jobs) or any(now is not then for now, then in zip(jobs, last.jobs, strict=True)):
        return None
    if len(batches) < len(last.batches) or retries != last.retries or accepted != last.accepted:
        return None
    first = len(last.batches)
    changed = [n for n, then in enumerate(last.batches) if not _says_the_same(then, batches[n])]
    trusted = trust(jobs, batches, accepted)
    if not all(_was_waited_for(last.batches[n], batches[n]) for n in changed):
        return None
    changed += range(first, len(batches))
    if not all(trusted[n] for n in changed):
        return None
    said = [Said(one.marks, list(one.states)) for one in last.said]
    if first < len(batches) and not (_are_apart(jobs) and _is_sent(said[0], first, sent, jobs[0], batches)):
        return None
    # A batch in flight leaves its mark at each of its requests, and so does whatever another one says of it. Where no
    # mark is of more than one, nobody else speaks of what is in these.
    if changed and any(state & IN_FLIGHT and not _is_alone(state) for one in last.said for state in one.states):
        return None
    rest = []
    for number in changed:
        state = _of_all(batches[number], number, has_retries=bool(retries))
        if state is None:
            rest.append(number)
            continue
        for one in said:
            one.states = [state if was == _in_flight(number) else was for was in one.states]
    return _looked_up(said, rest, jobs, batches, retries, accepted) if rest else said


def _is_sent(
    said: Said,
    first: int,
    sent: Mapping[str, tuple[Run, Sequence[int]]],
    job: Desired,
    batches: Sequence[BatchRows],
) -> bool:
    """Put the rows of what was sent since, from the batch number `first` on, in flight; False where they are not known.

    Nothing may have been said of them before: then only the new batch speaks of them.
    """
    said.marks = bytearray(said.marks)
    for number, entry in enumerate(batches[first:], first):
        keys, ordinals = sent.get(entry.batch.keys_sha256, (b"", ()))
        mark = len(said.states)
        if keys is not job.keys or len(ordinals) != _requests_in(entry) or mark == MOST_MARKS:
            return False
        at, end = ordinals[0], ordinals[-1] + 1
        is_one_run = end - at == len(ordinals)
        if any(said.marks[at:end] if is_one_run else map(said.marks.__getitem__, ordinals)):
            return False
        if is_one_run:
            said.marks[at:end] = bytes((mark,)) * len(ordinals)
        else:
            for ordinal in ordinals:
                said.marks[ordinal] = mark
        said.states.append(_in_flight(number))
    return True


def _requests_in(entry: BatchRows) -> int:
    return len(entry.index) // ENTRY_BYTES if entry.index else len(entry.keys) // KEY_BYTES


def _in_flight(number: int) -> int:
    """What is said of a row that only one batch speaks of, which is in flight."""
    return IN_FLIGHT | (number + 1) << BATCH_SHIFT


def _is_alone(state: int) -> bool:
    return state == _in_flight((state >> BATCH_SHIFT) - 1)


def _says_the_same(then: BatchRows, now: BatchRows) -> bool:
    """Whether no row may stand otherwise by a batch than it did. What was counted of one that goes on says nothing."""
    if then is now or then == now:
        return True
    goes_on = not (then.index or now.index or then.so_far or now.so_far or then.unsent or now.unsent)
    return goes_on and _lasting(then) == _lasting(now)  # the digest of its keys among it


def _lasting(entry: BatchRows) -> object:
    return entry.batch.but(seen_at=None, counts=Counts(), phase=Phase.UNKNOWN, raw_status="", why="")


def _was_waited_for(then: BatchRows, now: BatchRows) -> bool:
    """Whether a batch was in flight as a whole, and is still the same one."""
    was, batch = then.batch, now.batch  # whose keys nobody reads for it
    is_same = was.key == batch.key and was.origin == batch.origin and was.keys_sha256 == batch.keys_sha256
    return is_same and was.is_active and not (then.index or then.so_far or then.unsent)


def _of_all(entry: BatchRows, number: int, *, has_retries: bool) -> int | None:
    """What is said of every request of a batch, if it is the same of all of them."""
    if entry.so_far or entry.unsent:
        return None
    if entry.index:
        is_answered = len(good(entry.index)) * ENTRY_BYTES == len(entry.index) * KEY_BYTES
        return OK | (number + 1) << BATCH_SHIFT if is_answered and not has_retries else None
    return _in_flight(number) if entry.batch.is_active else 0


def _looked_up(
    said: Sequence[Said],
    numbers: Sequence[int],
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
    accepted: Mapping[str, Sequence[str]],
) -> Sequence[Said] | None:
    """With what these batches say of each of their requests."""
    states = set(map(_in_flight, numbers))
    places = [_places(one, states) for one in said]
    few = [job.at(at) for job, at in zip(jobs, places, strict=True)]
    speaking = [entry if n in numbers else BatchRows(entry.batch, b"") for n, entry in enumerate(batches)]
    _, found = remaining.folded(few, speaking, retries, accepted)
    if found is None:
        return None
    for one, at, more in zip(said, places, found, strict=True):
        first = len(one.states)
        if first + len(more.states) > MOST_MARKS:
            return None
        one.states += more.states
        marks = bytearray(one.marks)
        for ordinal, mark in zip(at, more.marks, strict=True):
            marks[ordinal] = first + mark
        one.marks = marks
    return said


def _places(said: Said, states: set[int]) -> array[int]:
    """The ordinals of rows in these states."""
    mask = bytes(state in states for state in said.states).ljust(MOST_MARKS, b"\0")
    return array("I", compress(range(len(said.marks)), said.marks.translate(mask)))
