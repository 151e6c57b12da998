"""What `retention` of the specs asks for: after an apply, what providers have kept for long enough is deleted there.

Whether anything is due is known from the records alone: an apply that finds nothing asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from runner.apply.errors import StepError, jobs_in
from runner.apply.result import Result
from runner.apply.session import Session
from runner.errors import OF_OUR_MEMORY, RunnerError
from runner.job.project import Retention
from runner.job.recorded import Batch, Stage
from runner.job.stored import Kept, Stored, told

ANYTHING = Retention()


def keep(session: Session, result: Result) -> None:
    """Delete what is due, of jobs whose files are written; what goes wrong is among the errors of the result."""
    if session.sandbox is not None or not _is_asked(session):
        return
    held = jobs_in(result.unwritten)  # then its answers are in our memory alone
    due = [batch for batch in session.records.batches() if batch.owner not in held and _is_due(session, batch)]
    if not due:
        return
    from runner.apply import prune  # an apply that deletes nothing starts without it

    for name in sorted({batch.origin.provider for batch in due}):
        age = partial(_age, session, name, held)
        owner = next(batch.owner for batch in due if batch.origin.provider == name)
        session.tried.update(batch.key for batch in due if batch.origin.provider == name)
        try:
            survey = prune.survey_of(session, name, age, is_thorough=False)
            gone, errors = prune.delete(session, survey, lambda stored: None)
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            gone, errors = [], [StepError(error, owner)]
        if gone:
            session.reporter.step(f"{name}: deleted {told(Counter(one.kind for one in gone))}, as `retention` asks")
        result.errors += [StepError(one.error, owner) for one in errors]


def _age(session: Session, provider: str, held: set[str], stored: Stored, owner: str) -> timedelta | None:
    return None if owner in held else _retention_of(session, owner, provider).of(stored.kind)


def _is_asked(session: Session) -> bool:
    project = session.project
    blocks = (project, *project.providers.values(), *project.jobs)
    return any(one.retention != ANYTHING for one in blocks)


def foretold(session: Session) -> dict[str, Counter[Kept]]:
    """By provider, how many objects of each kind are due, as far as records say: nobody is asked."""
    found: dict[str, Counter[Kept]] = {}
    for batch in session.records.batches() if _is_asked(session) else ():
        with suppress(RunnerError):  # nobody said whose account it is
            due = [kind for kind, least in _asked_of(session, batch) if _is_over(batch, least, session.clock.now())]
            if due:
                found.setdefault(batch.origin.provider, Counter()).update(due)
    return found


def is_ahead(session: Session) -> bool:
    """Whether something will be due by and by, though nothing else changes."""
    return _is_asked(session) and any(True for batch in session.records.batches() for _ in _asked_of(session, batch))


def _is_due(session: Session, batch: Batch) -> bool:
    """Whether something of a batch was kept for long enough, as far as its record says."""
    if batch.key in session.tried:
        return False
    return any(_is_over(batch, least, session.clock.now()) for _, least in _asked_of(session, batch))


def _asked_of(session: Session, batch: Batch) -> Iterator[tuple[Kept, timedelta]]:
    """What a remote keeps of a batch, as far as its record says, and how long it may. Raises RunnerError."""
    is_there = batch.stage is Stage.COLLECTED and bool(batch.remote_id) and batch.ended_at is not None
    if not is_there or batch.has_journal or not session.project.scope.covers(batch.owner, batch.declared_in):
        return
    name = batch.origin.provider
    if name not in session.project.providers or session.remotes.origin(name) != batch.origin:
        return
    asked = _retention_of(session, batch.owner, name)
    for kind in session.card_of(batch).deletes:
        least = asked.of(kind)
        if least is not None and kind not in batch.deleted and _had(batch, kind):
            yield kind, least


def _had(batch: Batch, kind: Kept) -> bool:
    return bool(batch.upload_ref) if kind is Kept.UPLOAD else True


def _is_over(batch: Batch, least: timedelta, now: datetime) -> bool:
    return batch.ended_at is not None and now - batch.ended_at >= least


def _retention_of(session: Session, owner: str, provider: str) -> Retention:
    """Of what a job asked for; of one that is gone from the specs as its provider and the project say."""
    job = next((job for job in session.project.jobs if job.address == owner), None)
    if job is not None:
        return job.retention
    return session.project.providers[provider].retention.or_else(session.project.retention)
