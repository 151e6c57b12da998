"""A job that goes by another address: what is recorded of the old one is of the new one.

Answers need no move: they belong to the project, and are found by what was asked. What a job has spent and may still
spend, its batches, what it wrote, and the decisions about it go by its address.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from runner.apply.session import Session
from runner.errors import UsageError
from runner.job.address import matches, name_of, unknown
from runner.job.events import Event, What
from runner.job.recorded import Batch, JobRecord, ProjectRecord, Retry
from runner.state.memory import Records


def as_declared(session: Session) -> list[tuple[str, str]]:
    """Move what the specs say was moved, where something is recorded of the old address and nothing of the new one; the
    old and new addresses of those that were. Under the project's lock, or in a memory that is thrown away.
    """
    done = []
    for source, target in session.project.moved:
        if _is_known(session.records, source) and not _is_known(session.records, target):
            done += move(session.records, source, target)
    return done


def move(records: Records, source: str, target: str) -> list[tuple[str, str]]:
    """Have what is recorded of one address, of a job with all its cells or of one cell, be of another; the old and new
    addresses. Raises UsageError where nothing is recorded of the one, or something is of the other.
    """
    if (":" in source) != (":" in target):
        raise UsageError(
            f"`{source}` and `{target}` are a job and a cell", hint="move the one or the other to its like"
        )
    new = {old: _renamed(old, source, target) for old in sorted(_addresses(records)) if matches(old, source)}
    if not new:
        raise unknown(source, _addresses(records))
    if taken := next((one for one in new.values() if one in _addresses(records)), None):
        raise UsageError(
            f"something is recorded of `{taken}` already",
            hint=f"`runner state rm {taken}` forgets what it wrote last; its batches stay its own",
        )
    moved: list[Batch | JobRecord | ProjectRecord | Retry] = [
        batch.but(owner=new[batch.owner]) for batch in records.batches() if batch.owner in new
    ]
    moved += [replace(one, address=new[one.address]) for one in records.retries() if one.address in new]
    gone = [record for address, record in records.jobs().items() if address in new]
    moved += [replace(record, address=new[record.address]) for record in gone]
    if (project := records.project()) is not None:
        moved += _of_project(project, new)
    told = [Event(event=What.MOVED, job=address, why=f"from {old}") for old, address in new.items()]
    records.save(*moved, events=told, gone=gone)
    return list(new.items())


def _of_project(project: ProjectRecord, new: dict[str, str]) -> Iterator[ProjectRecord]:
    """The project's record, where batches that nobody wanted were found of these jobs."""
    left = {name: replace(one, address=new.get(one.address, one.address)) for name, one in project.left_by.items()}
    if left != project.left_by:
        yield replace(project, left_by=left)


def _renamed(old: str, source: str, target: str) -> str:
    """The new address of a cell that was matched by the old name of its job, or by its own address."""
    if ":" in source or ":" in target:
        return target
    return target + old[len(name_of(old)) :]


def _is_known(records: Records, address: str) -> bool:
    return any(matches(one, address) for one in _addresses(records))


def _addresses(records: Records) -> set[str]:
    """Of all that is recorded of jobs."""
    owners = {batch.owner for batch in records.batches()}
    kinds: tuple[JobRecord | Retry, ...] = (*records.jobs().values(), *records.retries())
    return owners | {one.address for one in kinds}
