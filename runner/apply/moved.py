"""A job that goes by another address: what is recorded of the old one is of the new one.

Answers need no move: they belong to the project, and are found by what was asked. What a job has spent and may still
spend, its batches, what it wrote, and the decisions about it go by its address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from runner.apply.session import Session
from runner.errors import UsageError, printable
from runner.job.address import is_one, matches, renamed, unknown
from runner.job.events import Event, What
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry
from runner.state.memory import Records


def as_declared(session: Session) -> list[tuple[str, str]]:
    """Have all that is recorded of jobs which the specs say were moved be of those that they are now; the old and new
    addresses of those that something was recorded of. Under the project's lock, or in a memory that is thrown away.

    What is recorded of the new one already stays, and the rest joins it: what both have spent was spent for one job.
    """
    done: list[tuple[str, str]] = []
    for source, target in session.project.moved:
        if new := _new_addresses(session.records, source, target):
            _save(session.records, new)
            done += new.items()
    return done


def move(records: Records, source: str, target: str) -> list[tuple[str, str]]:
    """Have what is recorded of one address, of a job with all its cells or of one cell, be of another; the old and new
    addresses. Raises UsageError where nothing is recorded of the one, something is of the other, or that is none.
    """
    if not is_one(target):
        raise UsageError(
            f"`{printable(target[:200])}` is no address of a job", hint="it is a name, or `JOB:KEY=VALUE,...` of a cell"
        )
    if (":" in source) != (":" in target):
        raise UsageError(
            f"`{source}` and `{target}` are a job and a cell", hint="move the one or the other to its like"
        )
    known = _addresses(records)
    new = _new_addresses(records, source, target)
    if not new:
        raise unknown(source, sorted(known))
    if same := next((old for old, now in new.items() if old == now), None):
        raise UsageError(f"`{same}` is its address already")
    if taken := next((one for one in new.values() if one in known), None):
        raise UsageError(
            f"something is recorded of `{taken}` already",
            hint=f"`moved: {{{source}: {target}}}` in the specs has both be of `{target}`",
        )
    _save(records, new)
    return list(new.items())


def _new_addresses(records: Records, source: str, target: str) -> dict[str, str]:
    """By address of something on record that `source` means, the one that it is to go by."""
    return {old: renamed(old, source, target) for old in sorted(_addresses(records)) if matches(old, source)}


def _save(records: Records, new: Mapping[str, str]) -> None:
    moved: list[Batch | JobRecord | ProjectRecord | Retry] = [
        batch.but(owner=new[batch.owner]) for batch in records.batches() if batch.owner in new
    ]
    moved += [replace(one, address=new[one.address]) for one in records.retries() if one.address in new]
    jobs = records.jobs()
    gone = {address: record for address, record in jobs.items() if address in new}
    # of what was written last there is one record: that of the new address, where there is one
    moved += {new[old]: replace(one, address=new[old]) for old, one in gone.items() if new[old] not in jobs}.values()
    if (project := records.project()) is not None:
        moved += _of_project(project, new)
    told = [Event(event=What.MOVED, job=address, why=f"from {old}") for old, address in new.items()]
    records.save(*moved, events=told, gone=gone.values())


def _of_project(project: ProjectRecord, new: Mapping[str, str]) -> Iterator[ProjectRecord]:
    """The project's record, where batches that nobody wanted were found of these jobs."""
    left = {name: replace(one, address=new.get(one.address, one.address)) for name, one in project.left_by.items()}
    if left != project.left_by:
        yield replace(project, left_by=left)


def _addresses(records: Records) -> set[str]:
    """Of all that is recorded of jobs."""
    owners = {batch.owner for batch in records.batches()}
    kinds: tuple[JobRecord | Retry, ...] = (*records.jobs().values(), *records.retries())
    return owners | {one.address for one in kinds}
