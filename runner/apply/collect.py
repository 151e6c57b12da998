"""Bring the results of an ended batch here: every file it offers, verified, indexed, and only then recorded."""

from __future__ import annotations

from datetime import timedelta

from runner.apply.session import Session
from runner.errors import NotFound, OutcomeUnknown, RemoteError
from runner.job.observed import Observed, Phase
from runner.job.recorded import Batch, ResultObject, Stage, Tally
from runner.results import index

DOWNLOADS = 3
FILES_SETTLE = timedelta(days=1)  # after its end, the files of a batch are what they will ever be


def collect(session: Session, batch: Batch, seen: Observed) -> Batch:
    """The batch as COLLECTED. Raises RemoteError while its files cannot be had; nothing is recorded then."""
    provider = session.remote_of(batch)
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    if seen.phase is Phase.FAILED and not seen.result_files:
        return record(session, batch, seen, (), index.rejected_index(keys), Tally(rejected=batch.rows))
    folder = session.objects.folder_of(batch.key)
    sizes: list[int] = []
    for _ in range(DOWNLOADS):
        before = sizes
        files = [folder / f"{number}.jsonl" for number in range(len(seen.result_files))]
        sizes = [provider.download(offered, file) for offered, file in zip(seen.result_files, files, strict=True)]
        report = index.build_index(files, keys, ended=seen.phase)
        # What is incomplete twice in the same way is so at the remote
        if (not report.half_last_line and _is_complete(report, seen)) or sizes == before:
            break
    else:
        raise OutcomeUnknown(f"the result files were cut {DOWNLOADS} times in different places")
    if _is_something_else(report, seen) and not _ended_long_ago(session, seen):
        finished = seen.counts.completed + seen.counts.failed
        raise OutcomeUnknown(f"{finished:,} rows have finished, and what came in place of the files holds none of them")
    results = tuple(ResultObject(file.name, file.stat().st_size) for file in files)
    _tell(session, batch, report)
    return record(session, batch, seen, results, report.index, tally_of(report))


def lose(session: Session, batch: Batch) -> Batch:
    """Record that the remote no longer has a batch whose results were not here: its rows need a decision."""
    session.reporter.warn(f"{batch.owner}: the remote no longer has `{batch.remote_id}` ({batch.rows:,} rows)")
    return stop(session, batch, "gone")


def stop(session: Session, batch: Batch, why: str) -> Batch:
    """Record that nothing more will come of a batch: its rows need a decision."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    gone = Observed(batch.remote_id, Phase.CANCELLED, why)
    return record(session, batch, gone, (), index.lost_index(keys), Tally(lost=batch.rows))


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
    """Whether what came has nothing to do with what the remote counted: nothing, a gateway's page, another's file."""
    return not _is_complete(report, seen) and _own_lines(report) <= 0


def _ended_long_ago(session: Session, seen: Observed) -> bool:
    return seen.ended_at is not None and session.clock.now() - seen.ended_at > FILES_SETTLE


def record(
    session: Session,
    batch: Batch,
    seen: Observed,
    results: tuple[ResultObject, ...],
    entries: bytes,
    tally: Tally,
) -> Batch:
    """The batch as COLLECTED, with its index written first."""
    sha256 = session.objects.write(f"{batch.key}/index", entries)
    collected = batch.but(
        stage=Stage.COLLECTED,
        phase=seen.phase,
        raw_status=seen.raw_status,
        counts=seen.counts,
        failure=seen.failure,
        ended_at=seen.ended_at or session.clock.now(),
        seen_at=session.clock.now(),
        results=results,
        index_sha256=sha256,
        tally=tally,
        input_tokens=seen.input_tokens,
        output_tokens=seen.output_tokens,
        trouble="",
    )
    session.records.save(collected)
    return collected


def _tell(session: Session, batch: Batch, report: index.IndexReport) -> None:
    name = f"{batch.owner}: `{batch.remote_id}`"
    if report.foreign:
        session.reporter.warn(
            f"{name} answered {report.foreign:,} requests that are not in it: {_some(report.foreign_examples)}"
        )
    if report.duplicates:
        session.reporter.warn(f"{name} answered {report.duplicates:,} requests twice; the first success is kept")
    if report.unreadable:
        session.reporter.warn(
            f"{name} has {report.unreadable:,} lines that cannot be read: {_some(report.unreadable_examples)}"
        )


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5])


def failure_of(error: RemoteError) -> str:
    """Why a download did not succeed, in one line."""
    return "the remote no longer has the file" if isinstance(error, NotFound) else error.message
