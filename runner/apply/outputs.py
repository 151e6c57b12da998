"""The outputs: one line for every wanted request, written when a job is settled and rewritten when they drift.

Whenever an apply ends, each job that has an outcome has its file, settled or not: rows that have none say where they
stand. In between, only settled jobs are written, so that a million rows are not rewritten at each poll.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import msgspec

from runner.apply import keep
from runner.apply.answers import is_folder, is_quiet, made_of, source_of, sources_of
from runner.apply.session import Session
from runner.apply.writing import as_it_is
from runner.job.desired import Desired
from runner.job.outcomes import Outcome
from runner.job.recorded import JobRecord
from runner.job.written import Written
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import TO_SEND, JobRows, Row
from runner.results import fingerprint
from runner.results.locate import locate
from runner.results.names import RESULTS

_SHOWN = (Row.OK, Row.ERROR, Row.REPLACE, Row.INVALID, Row.LOST, Row.UNKNOWN, Row.STALLED)


class Drift(StrEnum):
    """Why a results file, or a file of scores, has to be written or removed."""

    NEW = "first results"
    THERE = "the file that is there differs"
    ANSWERS = "outcomes, rows or columns changed"
    MOVED = "output path or format changed"
    MISSING = "output file missing"
    EDITED = "output file changed since it was written"
    UNSCORED = "answers that were not scored before"
    VERDICTS = "what its judges have said so far changed"
    CHECKS = "checks, expectations or references changed"
    UNCHECKED = "the specs check nothing of it any more"


class Rewrite(msgspec.Struct, frozen=True):
    """One file that is not what it should be, or of which nothing is recorded yet: results, or scores beside them."""

    job: Desired
    rows: JobRows
    drift: Drift
    where: str = ""  # the file that is there differs
    keeps: str = ""  # what is left as it is, in words
    record: JobRecord | None = None  # it is there as it should be, and only has to be recorded
    scores: str = ""  # the file of scores that it is about
    removes: bool = False  # it is not to be there any more

    @property
    def address(self) -> str:
        return self.job.address

    @property
    def output(self) -> str:
        return self.scores or self.job.output

    @property
    def why(self) -> str:
        """Why the file is written or removed, in words."""
        return f"{self.drift}: {self.where}" if self.where else str(self.drift)


def rewrites(session: Session, plan: Plan, recorded: Recorded, *, is_last: bool = False) -> list[Rewrite]:
    """The results files to write now, where the file is not what it should be: those of settled jobs.

    is_last: the apply ends here, so those of all jobs that have an outcome.
    """
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        known = session, job, rows, recorded
        waits = part.waits or job.address in session.behind
        is_due = is_quiet(rows) and not part.is_held_back and not waits
        if not is_due and (not is_last or not _has_outcome(*known) or _would_forget(*known, waits=waits)):
            continue
        record = recorded.jobs.get(job.address)
        drift = drift_of(session, job.output, record[0].written if record else None, made_of(*known))
        if drift is not None:
            found.append(_rewrite(session, job, rows, recorded, drift))
    return found


def _rewrite(session: Session, job: Desired, rows: JobRows, recorded: Recorded, drift: Drift) -> Rewrite:
    """What is to be done about a drift. Of a file that this state did not write, what it holds decides."""
    path = session.output_file(job.output)
    where = ""
    if drift in (Drift.THERE, Drift.MOVED) and _table_of(path, job.output).is_file():
        there = as_it_is(session, job, rows, recorded)
        if isinstance(there, JobRecord):
            return Rewrite(job, rows, drift, record=there)
        where = there if drift is Drift.THERE else ""
    record = recorded.jobs.get(job.address)
    return Rewrite(job, rows, drift, where, keep.foretold(session, job, record[0] if record else None))


def changed_since(session: Session, plan: Plan, recorded: Recorded) -> list[Rewrite]:
    """The results files that somebody changed, of jobs that are not settled: they are written once those are."""
    found = []
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        if is_quiet(rows) or part.is_held_back:
            continue
        record = recorded.jobs.get(job.address)
        if keeps := keep.foretold(session, job, record[0] if record else None):
            found.append(Rewrite(job, rows, Drift.ANSWERS, keeps=keeps))
    return found


def _has_outcome(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> bool:
    if any(rows.counts[row] for row in _SHOWN):
        return True
    return bool(recorded.retries) and _answers_shown(session, job, rows, recorded) > 0


def _would_forget(session: Session, job: Desired, rows: JobRows, recorded: Recorded, *, waits: bool) -> bool:
    """Whether the file there shows more answers than are known to what is wanted now, and the rest was not sent.

    An edited prompt, or a provider that moved, waits for a person or for the remote: until it is sent, the file stays.
    A file that somebody changed shows nothing for sure: it is kept beside, and written.
    """
    is_partial = waits or any(rows.counts[row] for row in (*TO_SEND, Row.ELSEWHERE))
    if not is_partial or not session.output_file(job.output).exists():
        return False
    record = recorded.jobs.get(job.address)
    if record is not None and record[0].output == job.output:
        if not keep.is_as_left(session, session.output_file(job.output), record[0].written):
            return False
        before = record[0].ok
    else:
        read_back = (entry.batch for entry in recorded.batches if entry.batch.found_in == job.output)
        before = sum(batch.rows for batch in read_back)
    if before <= sum(rows.counts[row] for row in (Row.OK, Row.REPLACE, Row.INVALID)):
        return False
    return before > _answers_shown(session, job, rows, recorded)


def _answers_shown(session: Session, job: Desired, rows: JobRows, recorded: Recorded) -> int:
    """How many rows show an answer: of what is asked again on purpose, the older one until there is a newer."""
    sources = [source_of(session, entry) for entry in sources_of(session, job, rows, recorded)]
    return sum(value >> 60 == Outcome.OK for value in locate(job.keys, sources).places)


def drift_of(session: Session, output: str, written: Written | None, made_of_now: str) -> Drift | None:
    """Why a file of ours is to be written; None where it is there as it was left, and would become the same again.

    written: what this state wrote last, there or under an earlier name. made_of_now: of what would be written.
    """
    path = session.output_file(output)
    if written is None:
        return Drift.THERE if os.path.lexists(path) else Drift.NEW
    if written.output != output:
        return Drift.MOVED
    if not _table_of(path, output).is_file():
        return Drift.MISSING
    if written.made_of != made_of_now:
        return Drift.ANSWERS
    if keep.is_as_left(session, path, written):
        return None
    has_less = is_folder(output) and _files_in(session, path) < fingerprint.files_in(written.fingerprint)
    return Drift.MISSING if has_less else Drift.EDITED


def _table_of(path: Path, output: str) -> Path:
    """The file that an output stands or falls with."""
    return path / RESULTS if is_folder(output) else path


def _files_in(session: Session, folder: Path) -> int:
    return fingerprint.files_in(fingerprint.of_folder(folder, session.digests.of))
