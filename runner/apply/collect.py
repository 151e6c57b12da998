"""Bring the results of an ended batch here: every file it offers, verified, indexed, and only then recorded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from runner.apply.session import Session
from runner.apply.sizes import largest_results
from runner.errors import NotFound, OutcomeUnknown, RemoteError
from runner.job import lifecycle
from runner.job.observed import Failure, Observed, Phase, ResultFile
from runner.job.recorded import GONE, Batch, ResultObject, Tally
from runner.results import index

DOWNLOADS = 3
OUTPUT = "output"
ABSENT = -1  # the size of a file that is not there
FILES_SETTLE = timedelta(days=1)  # after its end was first seen, the files of a batch do not change any more


def collect(session: Session, batch: Batch, seen: Observed) -> Batch:
    """The batch as COLLECTED. Raises RemoteError while its files cannot be had; nothing is recorded then.

    A batch that ended and has not named all of its files yet is taken as it is once each request has a line, or once
    it has ended so long ago that no more are coming: what has no line then may be asked again.
    """
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    if seen.phase is Phase.FAILED and not seen.result_files:
        return record(session, batch, seen, (), index.rejected_index(keys), Tally(rejected=batch.rows))
    sizes: list[int] = []
    for _ in range(DOWNLOADS):
        before = sizes
        had, sizes = _download(session, batch, seen)
        is_all = len(had) == len(seen.result_files)
        # A file that is gone may have held paid answers: a person decides about rows that are in no other
        report = index.build_index([file for _, file in had], keys, ended=seen.phase if is_all else Phase.CANCELLED)
        # What is incomplete twice in the same way is so at the remote
        if (not report.half_last_line and _is_complete(report, seen)) or sizes == before:
            break
    else:
        raise OutcomeUnknown(f"the result files were cut {DOWNLOADS} times in different places")
    if report.missing and not (seen.results_are_final or seen.has_long_ended):
        raise OutcomeUnknown(f"{report.missing:,} of its rows are in no file yet, and the remote owes one")
    if is_all and seen.result_files and _is_something_else(report, seen) and not _are_settled(session, batch):
        finished = seen.counts.completed + seen.counts.failed
        raise OutcomeUnknown(f"{finished:,} rows have finished, and what came in place of the files holds none of them")
    if not is_all:
        what = ", ".join(file.kind for file in seen.result_files if file not in [one for one, _ in had])
        session.reporter.warn(
            f"{batch.owner}: the remote no longer has every file of `{batch.remote_id}`: {what} is gone"
        )
    results = tuple(ResultObject(file.name, file.stat().st_size) for _, file in had)
    _tell(session, batch, report)
    gives_up = not is_all or (bool(report.missing) and not seen.results_are_final)
    if gives_up and is_all:
        counts = f"{seen.counts.completed:,} completed and {seen.counts.failed:,} failed of {seen.counts.total:,}"
        session.reporter.warn(
            f"{batch.owner}: `{batch.remote_id}` has ended, and {report.missing:,} of its rows are in no file; "
            f"the remote counts {counts}"
        )
    return record(session, batch, seen, results, report.index, tally_of(report), gives_up=gives_up)


def _download(session: Session, batch: Batch, seen: Observed) -> tuple[list[tuple[ResultFile, Path]], list[int]]:
    """The files that are there, and the sizes of all. Raises RemoteError; NotFound for one that may still come."""
    provider, folder = session.remote_of(batch), session.objects.folder_of(batch.key)
    had: list[tuple[ResultFile, Path]] = []
    sizes: list[int] = []
    gone: NotFound | None = None
    for offered in seen.result_files:
        file = folder / f"{len(had)}.jsonl"
        try:
            sizes.append(provider.download(offered, file, largest_results(batch)))
        except NotFound as error:
            gone = error
            sizes.append(ABSENT)
        else:
            had.append((offered, file))
    if gone is None:
        return had, sizes
    if not had or not lifecycle.is_absent(batch, session.time_at(provider), provider.card.absence_seconds):
        raise gone
    return had, sizes


def refuse(session: Session, batch: Batch, failure: Failure) -> Batch:
    """Record that the remote never took a batch, and why: none of its requests was asked, and none will be."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    refused = batch.refused[-1] if batch.refused else batch.remote_id
    seen = Observed(refused, Phase.FAILED, "failed", failure=failure)
    return record(session, batch, seen, (), index.rejected_index(keys), Tally(rejected=batch.rows))


def lose(session: Session, batch: Batch) -> Batch:
    """Record that the remote no longer has a batch whose results were not here: its rows need a decision."""
    session.reporter.warn(
        f"{batch.owner}: the remote no longer has `{batch.remote_id}` ({batch.rows:,} row{'s' * (batch.rows != 1)})"
    )
    return stop(session, batch, GONE, gives_up=True)


def stop(session: Session, batch: Batch, why: str, *, gives_up: bool = False) -> Batch:
    """Record that nothing more will come of a batch: its rows need a decision. gives_up: unless it is found again."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    gone = Observed(batch.remote_id, Phase.CANCELLED, why)
    return record(session, batch, gone, (), index.lost_index(keys), Tally(lost=batch.rows), gives_up=gives_up)


def tally_of(report: index.IndexReport) -> Tally:
    """The counts of an index, as recorded."""
    return Tally(
        ok=report.ok,
        final=report.final,
        retry=report.retry,
        lost=report.lost,
        duplicates=report.duplicates,
        foreign=report.foreign,
        unreadable=report.unreadable,
    )


def _is_complete(report: index.IndexReport, seen: Observed) -> bool:
    """Whether the files hold as many answers and finished rows as the remote counted; a cut file does not.

    Rows that expired have error lines too: they must not stand in for answers that were cut off at the end of a line.
    """
    are_all = _own_lines(report) >= seen.counts.completed + seen.counts.failed
    return are_all and report.ok + report.duplicates >= seen.counts.completed


def _own_lines(report: index.IndexReport) -> int:
    return report.lines - report.unreadable - report.foreign


def _is_something_else(report: index.IndexReport, seen: Observed) -> bool:
    """Whether what came has nothing to do with what the remote counted: nothing, a gateway's page, another's file.

    Of the files with answers: rows whose answers are paid for are not asked again because a page came in their place.
    """
    if _is_complete(report, seen):
        return False
    outputs = [told for file, told in zip(seen.result_files, report.told, strict=True) if file.kind == OUTPUT]
    return not sum(report.told) or (bool(outputs) and not sum(outputs) and seen.counts.completed > 0)


def _are_settled(session: Session, batch: Batch) -> bool:
    """Whether the files of a batch are what they will ever be: its end was first seen that long ago."""
    now = session.time_at(session.remote_of(batch))
    return batch.end_seen_at is not None and now - batch.end_seen_at > FILES_SETTLE


def record(
    session: Session,
    batch: Batch,
    seen: Observed,
    results: tuple[ResultObject, ...],
    entries: bytes,
    tally: Tally,
    *,
    gives_up: bool = False,
) -> Batch:
    """The batch as COLLECTED, with its index written first."""
    sha256 = session.objects.write(f"{batch.key}/index", entries)
    collected = lifecycle.collected(batch, seen, sha256, tally, session.clock.now(), results, gives_up=gives_up)
    session.records.save(collected)
    return collected


def _tell(session: Session, batch: Batch, report: index.IndexReport) -> None:
    """Say what is odd about the files, each kind once, with the places where it is."""
    oddities = (
        (report.foreign, "lines for requests that are not in it", report.foreign_examples),
        (
            report.duplicates,
            "lines for requests it answers again; the first success is kept",
            report.duplicate_examples,
        ),
        (report.unreadable, "lines that cannot be read", report.unreadable_examples),
        (report.requests, "lines that are requests and no results", ()),
    )
    folder = session.objects.folder_of(batch.key)
    for count, what, examples in oddities:
        if count:
            where = f": {_some(examples)}" if examples else ""
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` has {count:,} {what}{where} (in `{folder}`)")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def failure_of(error: RemoteError) -> str:
    """Why a download did not succeed, in one line."""
    return "the remote no longer has the file" if isinstance(error, NotFound) else error.message
