"""The rows of a job that may stand otherwise than when its results were written: a fold of the few that matter.

An answer holds, whatever comes after it, until a batch answers the same request again or a person has it asked again.
So of requests that had one then, and still are wanted, nothing is looked up as long as no later batch or retry speaks
of them: ten edits in a million rows cost the fold of ten rows. What comes out is what `remaining.fold` gives.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runner.job.desired import Desired, distinct_of
from runner.job.infile import Run
from runner.job.outcomes import ENTRY_BYTES, good
from runner.job.packed import KEY_BYTES, common, keys_at, keys_of, restricted, union, without
from runner.plan import remaining
from runner.plan.remaining import BatchRows, JobRows, RetryRows, Row, trust
from runner.plan.since import Folds

_SHARE = 16  # where more of the rows are in question, all are looked up


class Answered(msgspec.Struct, frozen=True):
    """What was known of the requests of one job when its results were written."""

    keys: Run  # that it wanted, sorted
    open: bytes  # those of them without an answer, sorted
    batches: Mapping[str, int]  # that had answers here, in order, and how many of these requests at least show theirs
    retries: Sequence[str]


def noted(
    job: Desired,
    rows: JobRows,
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
    accepted: Mapping[str, Sequence[str]],
) -> Answered | None:
    """What is to be known later of a job as it stands now; None where too little of it is answered. jobs: all."""
    keys, number = distinct_of(job), job.rows
    if any(one.retries_invalid for one in jobs) or (number - rows.counts[Row.OK]) * _SHARE > number:
        return None
    unanswered = rows.ordinals(*(row for row in Row if row != Row.OK))
    # a request that several rows share is counted once
    twice = number - len(keys) // KEY_BYTES
    known = {
        mark: max(rows.answers[n + 1] - twice, 0) if rows.answers[n + 1] else -1
        for n, mark in _marks(jobs, batches, accepted).items()
    }
    return Answered(keys, keys_of(keys_at(job.keys, unanswered)), known, list(map(_told, retries)))


def fold(
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows] = (),
    accepted: Mapping[str, Sequence[str]] | None = None,
    answered: Mapping[str, Answered] | None = None,
    folds: Folds | None = None,
) -> list[JobRows]:
    """The same as `remaining.fold`.

    answered: by address, what was known of jobs before. folds: the last fold of the same command, if there was one.
    """
    history = batches, retries, accepted or {}
    looked_up = _to_look_up(jobs, *history, answered or {})
    if looked_up is None:
        return remaining.fold(jobs, *history) if folds is None else folds.fold(jobs, *history)
    asked = union([one.keys for one in looked_up])
    find = Folds().places if folds is None else folds.places
    places = [find(job, one.keys) for job, one in zip(jobs, looked_up, strict=True)]
    few = [job.at(ordinals) for job, ordinals in zip(jobs, places, strict=True)]
    found = remaining.fold(few, *_about(asked, batches, retries), accepted)
    return [_put(*of_job) for of_job in zip(jobs, looked_up, places, found, strict=True)]


def in_question(
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
    accepted: Mapping[str, Sequence[str]],
    answered: Mapping[str, Answered],
) -> dict[str, Run] | None:
    """By job, its sorted keys that may stand otherwise than when results were written; None where all of all may.

    All others have the answer on record that they had then.
    """
    looked_up = _to_look_up(jobs, batches, retries, accepted, answered)
    if looked_up is None:
        return None
    return {job.address: one.keys for job, one in zip(jobs, looked_up, strict=True)}


class _LookedUp(NamedTuple):
    """What of one job is looked up, and what holds of the rest of it."""

    keys: Run
    answers: Mapping[int, int]  # by 1 + number of a batch, so many of the others at least show its answer


def _put(job: Desired, one: _LookedUp, ordinals: array[int], rows: JobRows) -> JobRows:
    """The state of every row, where that of those looked up, at `ordinals`, is `rows`."""
    states = bytearray((Row.OK,)) * job.rows
    for ordinal, state in zip(ordinals, rows.states, strict=True):
        states[ordinal] = state
    counts = list(rows.counts)
    counts[Row.OK] += job.rows - len(ordinals)
    rows.answers.update(one.answers)
    return replace(rows, states=states, counts=counts, shown=rows.shown | one.answers.keys(), looked_up=ordinals)


def _to_look_up(
    jobs: Sequence[Desired],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
    accepted: Mapping[str, Sequence[str]],
    answered: Mapping[str, Answered],
) -> list[_LookedUp] | None:
    """What of each job is to be looked up; None where looking up all of them costs no more."""
    if not any(job.address in answered for job in jobs) or any(job.retries_invalid for job in jobs):
        return None
    marks = _marks(jobs, batches, accepted)
    found = []
    for job in jobs:
        one = _of_job(job, answered.get(job.address), marks, batches, retries)
        found.append(one or _LookedUp(distinct_of(job), {}))
    if sum(len(one.keys) // KEY_BYTES for one in found) * _SHARE > sum(job.rows for job in jobs):
        return None
    return found


def _of_job(
    job: Desired,
    before: Answered | None,
    marks: Mapping[int, str],
    batches: Sequence[BatchRows],
    retries: Sequence[RetryRows],
) -> _LookedUp | None:
    if before is None:
        return None
    numbers = {mark: number for number, mark in marks.items()}
    met = [numbers[mark] for mark in before.batches if mark in numbers]
    told = list(map(_told, retries))
    if len(met) < len(before.batches) or met != sorted(met) or told[: len(before.retries)] != list(before.retries):
        return None  # what answered is not what it was
    now = distinct_of(job)
    news = [_keys_in(batches[number]) for number in sorted(marks.keys() - set(met))]
    news += [entry.so_far and _keys_in(entry) for entry in batches if not entry.index]
    news += [retry.keys for retry in retries[len(before.retries) :]]
    asked = union([without(now, before.keys), restricted(now, before.open), *(restricted(now, one) for one in news)])
    gone = without(before.keys, now)
    while True:
        if len(asked) * _SHARE > len(now):
            return None
        # Whoever loses fewer of its answers than it has is shown on. Where that is not certain, all of its are looked
        # up, and tell.
        away = union([gone, asked])
        answers, unsure = {}, []
        for number, many in zip(met, before.batches.values(), strict=True):
            if many < 0:
                continue
            lost = len(away) // KEY_BYTES
            if many <= lost:
                lost = common(good(restricted(batches[number].index, away, ENTRY_BYTES)), away)
            if many > lost:
                answers[number + 1] = many - lost
            else:
                unsure.append(restricted(now, _keys_in(batches[number])))
        more = union([asked, *unsure])
        if more == asked:
            return _LookedUp(asked, answers)
        asked = more


def _marks(
    jobs: Sequence[Desired], batches: Sequence[BatchRows], accepted: Mapping[str, Sequence[str]]
) -> dict[int, str]:
    """By number, what tells a batch with answers that count from any other, and from what it may become."""
    return {
        number: f"{entry.batch.key} {entry.batch.index_sha256} {entry.batch.generation}"
        for number, (entry, is_trusted) in enumerate(zip(batches, trust(jobs, batches, accepted), strict=True))
        if entry.index and is_trusted
    }


def _told(retry: RetryRows) -> str:
    return f"{retry.generation} {retry.replaces} {hashlib.sha256(retry.keys).hexdigest()}"


def _keys_in(entry: BatchRows) -> Run:
    """The keys that an index speaks of."""
    return (
        entry.keys
        if entry.index
        else b"".join([entry.so_far[at : at + KEY_BYTES] for at in range(0, len(entry.so_far), ENTRY_BYTES)])
    )


def _about(
    keys: Run, batches: Sequence[BatchRows], retries: Sequence[RetryRows]
) -> tuple[list[BatchRows], list[RetryRows]]:
    """What batches and retries say of these keys."""

    def some(packed: Run, width: int = KEY_BYTES) -> bytes:
        return restricted(packed, keys, width) if packed else b""

    told = [
        BatchRows(
            entry.batch,
            b"" if entry.index else some(entry.keys),
            some(entry.index, ENTRY_BYTES),
            some(entry.so_far, ENTRY_BYTES),
            some(entry.unsent),
        )
        for entry in batches
    ]
    return told, [replace(retry, keys=some(retry.keys)) for retry in retries]
