"""Delete what our remotes keep of us and nobody needs: uploads, results and records of batches.

Each deletion is an effect like any other: named in the record before it is sent, taken out of it once the remote said
that the object is gone. A command that is killed between the two finds it named, asks what is there, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runner import rawfile
from runner.apply import met
from runner.apply.errors import StepError
from runner.apply.planning import planned
from runner.apply.session import Session
from runner.errors import OF_OUR_MEMORY, AuthFailed, RemoteError, RunnerError
from runner.gittree import is_tracked
from runner.job.events import Event, pruned
from runner.job.observed import Observed, Origin
from runner.job.outcomes import answered
from runner.job.packed import common, union, without
from runner.job.project import Scope
from runner.job.recorded import Batch, Deletion, Stage
from runner.job.stored import Inventory, Kept, Stored
from runner.plan.guard import Guards
from runner.plan.prune import Age, Sides, Verdict, judge
from runner.plan.remaining import BatchRows
from runner.remotes.naming import PROJECT_CHARS
from runner.remotes.vendor import Provider

AT_ONCE = 50  # deletions that are named in one record


class Survey(msgspec.Struct):
    """What one remote keeps of this project, object by object."""

    provider: Provider
    verdicts: list[Verdict] = msgspec.field(default_factory=list)

    @property
    def needless(self) -> list[Verdict]:
        return [one for one in self.verdicts if one.why is None]


def survey(session: Session, age: Age) -> tuple[list[Survey], list[StepError]]:
    """Every remote of the project that deletes anything, and what kept some from being asked.

    age: how old an object of a job has to be. Call it under the project's lock.
    """
    surveys, errors = [], []
    for name in _providers(session):
        try:
            surveys.append(survey_of(session, name, age))
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            errors.append(StepError(error, name))
    return surveys, errors


def _providers(session: Session) -> list[str]:
    """Those that something of ours may lie at: of jobs of rows, and of what was sent where the specs still say so."""
    names = {job.provider for job in session.desired if job.card.deletes}
    for batch in session.records.batches():
        name = batch.origin.provider
        if name in session.project.providers and not batch.has_journal and session.remotes.card(name).deletes:
            names.add(name)
    return sorted(name for name in names if session.remotes.refusal(name) is None)


def survey_of(session: Session, name: str, age: Age, *, is_thorough: bool = True) -> Survey:
    """One remote. is_thorough: what is not on record is looked into as well; else it stays. Raises RunnerError."""
    provider = session.remotes.open(name)
    inventory = provider.stored(session.project.namespace)
    inventory = replace(inventory, objects=tuple(one for one in inventory.objects if one.kind in provider.card.deletes))
    _note_gone(session, provider.origin, inventory)
    mine = [entry for entry in session.recorded().batches if entry.batch.origin == provider.origin]
    plan = planned(session, session.recorded(), {}, Guards())
    elsewhere = _elsewhere(session, provider, inventory, mine) if is_thorough else {}
    shown = {one for stored in inventory.objects for one in (*stored.batches, stored.key)}
    sides = Sides(
        batches=mine,
        safe=_safe(session, mine if elsewhere else [one for one in mine if not shown.isdisjoint(_names(one.batch))]),
        elsewhere=elsewhere,
        asked_again=frozenset().union(*(rows.parents for rows in plan.rows)),
        can_resume=provider.card.can_resume,
        is_surely_named=len(session.project.namespace) < PROJECT_CHARS,
    )
    scoped = partial(_in_scope, session.project.scope, {one.batch.owner: one.batch.declared_in for one in mine}, age)
    return Survey(provider, judge(_sized(inventory, mine), sides, session.time_at(provider), scoped))


def _in_scope(scope: Scope, declared: Mapping[str, str], age: Age, stored: Stored, owner: str) -> timedelta | None:
    """What is of specs that were not read, or of jobs that were not selected, is left alone."""
    return age(stored, owner) if scope.covers(owner, declared.get(owner, "")) else None


def _names(batch: Batch) -> tuple[str, ...]:
    return (batch.key, batch.remote_id, *batch.duplicates, *batch.refused)


def _safe(session: Session, entries: Iterable[BatchRows]) -> bytes:
    """The keys whose answers are here: in raw files that are as they were when they were collected."""
    whole = (entry for entry in entries if entry.batch.stage is Stage.COLLECTED and _is_whole(session, entry.batch))
    return union([answered(entry.index) for entry in whole])


def _is_whole(session: Session, batch: Batch) -> bool:
    """Whether every raw file of a batch is here, byte for byte."""
    found = (
        rawfile.is_whole(session.objects.path(f"{batch.key}/{one.name}"), one.size_bytes, one.sha256)
        for one in batch.results
    )
    return all(found) and (bool(batch.results) or not batch.tally.ok)


def _elsewhere(
    session: Session, provider: Provider, inventory: Inventory, mine: Sequence[BatchRows]
) -> dict[str, bytes | None]:
    """What batches answered that are not on record: another clone sent them, or a memory that is gone."""
    known = {one for entry in mine for one in (entry.batch.remote_id, *entry.batch.duplicates, *entry.batch.refused)}
    listed = {seen.remote_id: seen for seen in inventory.batches}
    ids = dict.fromkeys(one for stored in inventory.objects for one in stored.batches)
    return {one: _answers(session, provider, one, listed.get(one)) for one in ids if one not in known}


def _answers(session: Session, provider: Provider, remote_id: str, listed: Observed | None) -> bytes | None:
    if listed is not None and not listed.phase.has_ended:
        return None
    try:
        seen = provider.look(remote_id)
        answers = met.answers_of(session, provider, seen)
        return met.keys_of(session, provider, seen) if answers is None and seen.phase.has_ended else answers
    except RemoteError:
        return None  # then it stays


def _sized(inventory: Inventory, mine: Sequence[BatchRows]) -> Inventory:
    """With sizes that we know and the remote does not tell."""
    uploads = {entry.batch.upload_ref: entry.batch.size_bytes for entry in mine if entry.batch.upload_ref}
    results = {entry.batch.remote_id: sum(one.size_bytes for one in entry.batch.results) for entry in mine}

    def sized(stored: Stored) -> Stored:
        if stored.size_bytes is not None:
            return stored
        if stored.kind is Kept.UPLOAD:
            return replace(stored, size_bytes=uploads.get(stored.ref))
        if stored.kind is Kept.RESULTS and len(stored.batches) == 1:
            return replace(stored, size_bytes=results.get(stored.batches[0]))
        return stored

    return replace(inventory, objects=tuple(map(sized, inventory.objects)))


# -- delete


def delete(session: Session, survey: Survey, tell: Callable[[Stored], None]) -> tuple[list[Stored], list[StepError]]:
    """Delete what nothing needs; what is gone now, and what went wrong. Call it under the project's lock.

    A key that may not delete, and a remote that cannot be reached, end it: the next one would be refused as well.
    """
    gone: list[Stored] = []
    waiting = [one.stored for one in survey.needless]
    for start in range(0, len(waiting), AT_ONCE):
        for stored, error in _deleted(session, survey.provider, waiting[start : start + AT_ONCE]):
            if error is not None:
                return gone, [StepError(error, survey.provider.origin.provider)]
            gone.append(stored)
            tell(stored)
        if session.stop.is_set():
            break
    return gone, []


def _deleted(
    session: Session, provider: Provider, some: Sequence[Stored]
) -> Iterator[tuple[Stored, RunnerError | None]]:
    """Each that is gone; at the first that cannot be deleted, why not, and no more."""
    _name(session, provider.origin, some)
    refused: set[str] = set()
    for stored in some:
        if session.stop.is_set():
            return
        if not refused.isdisjoint(stored.batches):
            continue  # what comes first of a batch is still there
        try:
            is_gone = provider.delete(stored)
        except OF_OUR_MEMORY:
            raise
        except AuthFailed as error:
            _forget(session, provider.origin, some)  # nothing was deleted, and nothing will be
            words = f"this key may not delete at `{provider.origin.provider}`: {error.message}"
            yield stored, AuthFailed(words, status=error.status, hint="delete with a key that may write")
            return
        except RunnerError as error:
            yield stored, error
            return
        if is_gone:
            _note_deleted(session, provider.origin, [stored])
            yield stored, None
        else:
            refused.update(stored.batches)
            _forget(session, provider.origin, [stored])
            session.reporter.warn(f"`{stored.name or stored.ref}` is in use at the remote, and stays")


def _name(session: Session, origin: Origin, some: Sequence[Stored]) -> None:
    """The intent: what is about to be deleted."""
    project = session.records.project()
    assert project is not None
    known = project.deleting.get(str(origin), ())
    named = {(one.kind, one.ref) for one in known}
    new = [
        Deletion(one.kind, one.ref, one.name, one.batches, one.key) for one in some if (one.kind, one.ref) not in named
    ]
    if new:
        session.records.save(replace(project, deleting={**project.deleting, str(origin): (*known, *new)}))


def _forget(
    session: Session,
    origin: Origin,
    some: Iterable[Stored],
    batches: Iterable[Batch] = (),
    events: Sequence[Event] = (),
) -> None:
    """Take what was named out of the record."""
    project = session.records.project()
    assert project is not None
    done = {(one.kind, one.ref) for one in some}
    left = tuple(one for one in project.deleting.get(str(origin), ()) if (one.kind, one.ref) not in done)
    others = {name: named for name, named in project.deleting.items() if name != str(origin)}
    deleting = {**others, str(origin): left} if left else others
    session.records.save(*batches, replace(project, deleting=deleting), events=events)


def _note_deleted(session: Session, origin: Origin, some: Sequence[Stored]) -> None:
    """The receipt: what is gone, and of which batches."""
    changed: dict[str, Batch] = {}
    events = []
    mine = [batch for batch in session.records.batches() if batch.origin == origin]
    for stored in some:
        owners = [batch for batch in mine if _is_of(stored, batch)]
        events.append(pruned(stored, origin.provider, owners[0] if owners else None))
        for batch in owners:
            now = changed.get(batch.key, batch)
            if stored.kind not in now.deleted:
                changed[batch.key] = now.but(deleted=(*now.deleted, stored.kind), can_be_continued=False)
    _forget(session, origin, some, changed.values(), events)


def _is_of(stored: Stored, batch: Batch) -> bool:
    if batch.remote_id and batch.remote_id in stored.batches:
        return True
    return stored.kind is Kept.UPLOAD and (stored.ref == batch.upload_ref or stored.key == batch.key)


def _note_gone(session: Session, origin: Origin, inventory: Inventory) -> None:
    """What an earlier command told to go, and what is not there any more: it had its effect."""
    project = session.records.project()
    named = project.deleting.get(str(origin), ()) if project else ()
    there = {(one.kind, one.ref) for one in inventory.objects}
    gone = [one for one in named if (one.kind, one.ref) not in there]
    if gone:
        stored = [Stored(one.kind, one.ref, one.name, batches=one.batches, key=one.key) for one in gone]
        _note_deleted(session, origin, stored)


# -- what a deletion leaves the answers in


def only_here(session: Session, surveys: Sequence[Survey]) -> list[str]:
    """Where answers would lie in `.runner/` alone, or on this disk alone, once these objects are gone; in words."""
    ids = {one for survey in surveys for verdict in survey.needless for one in verdict.stored.batches}
    entries = [one for one in session.recorded().batches if one.batch.remote_id in ids]
    kinds = {verdict.stored.kind for survey in surveys for verdict in survey.needless}
    if not entries or Kept.RESULTS not in kinds:
        return []
    keys, told = union([answered(one.index) for one in entries]), []
    for job in session.desired:
        mine = session.keys_of(job)
        if not common(keys, mine):
            continue
        keys = without(keys, mine)
        path = session.project.root / job.output
        if not path.exists():
            told.append(f"{job.address}: `{job.output}` is not there: its answers are then in `.runner/` alone")
        elif not _is_in_git(path):
            told.append(f"{job.address}: `{job.output}` is not in git: no other clone can have its answers then")
    if keys:
        told.append(f"{len(keys) // 16:,} answers that no job asks for any more are then in `.runner/` alone")
    return told


def _is_in_git(path: Path) -> bool:
    return is_tracked(path)
