"""Bring the results of an ended batch here: every file it offers, verified, indexed, and only then recorded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from runner.apply import named, recount
from runner.apply.errors import StepError
from runner.apply.named import DOWNLOADS
from runner.apply.session import Session
from runner.apply.sizes import largest_results
from runner.errors import NotFound, OutcomeUnknown, Refused, RemoteError
from runner.job import lifecycle
from runner.job.cost import Used
from runner.job.observed import Failure, FailureKind, Observed, Phase, ResultFile
from runner.job.outcomes import NO_LINE, Outcome, left_behind, place, with_a_line
from runner.job.packed import KEY_BYTES, without
from runner.job.recorded import GONE, Batch, ResultObject, Tally
from runner.plan.stragglers import left_as
from runner.remotes.vendor import Reader
from runner.results import index
from runner.results.lines import RawLines
from runner.results.used import used_in

AGAIN = "again-"  # what the names of files begin with that were fetched once more
FILES_SETTLE = timedelta(minutes=15)  # so long files may hold less than was counted; then a person decides


def collect(session: Session, batch: Batch, seen: Observed, *, takes_what_is_left: bool = False) -> Batch:
    """The batch as COLLECTED. Raises RemoteError while its files cannot be had; nothing is recorded then.

    One that was only taken for ours is INTENT again where its files answer requests of somebody else.

    Rows are counted, not lines: a file that was cut, that a cache holds cut, or that was written anew while it was
    read has gaps, whatever comes twice in their place. While rows that the remote counted are in no file, it is fetched
    again in later passes. After that a person decides about those without a line: they were paid for.

    A batch that ended and has not named all of its files yet is taken as it is once each request has a line, or once
    it has ended so long ago that no more are coming: what has no line then may be asked again.
    takes_what_is_left: although a file is gone; NotFound is raised only where none is there.
    """
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    if batch.is_unproven and seen.is_refusal:
        return release(session, batch)
    if seen.is_refusal:
        return _refused(session, batch, seen, keys)
    now = session.time_at(session.remote_of(batch))  # of the look, whatever the files themselves are dated
    reader = session.remotes.reader(batch.origin.provider)
    fetched = _fetched(session, batch, seen, keys, now, takes_what_is_left=takes_what_is_left)
    if fetched is None:
        return release(session, batch)
    had, report, is_all, is_short = fetched
    if report.missing and not (seen.results_are_final or seen.has_long_ended):
        raise OutcomeUnknown(f"{report.missing:,} of its rows are in no file yet, and one more is to come")
    if not is_all:
        what = ", ".join(file.kind for file in seen.result_files if file not in [one for one, _ in had])
        session.reporter.warn(
            f"{batch.owner}: the remote no longer has every file of `{batch.remote_id}`: {what} is gone"
        )
    results = _kept(session, batch, had)
    _tell(session, batch, report)
    gives_up = not is_all or (bool(report.missing) and not seen.results_are_final)
    if gives_up and is_all:
        counts = f"{seen.counts.completed:,} completed and {seen.counts.failed:,} failed of {seen.counts.total:,}"
        session.reporter.warn(
            f"{batch.owner}: `{batch.remote_id}` has ended, and {report.missing:,} of its rows are in no file; "
            f"the remote counts {counts}"
        )
        batch = batch.but(owed=max(min(report.missing, seen.counts.completed - report.ok), 0))
    if report.unpaid:
        _stop(session, batch, _first_unpaid(reader, report, [file for _, file in had]), report.unpaid)
    batch = (batch if is_short else batch.but(short_since=None)).but(is_unproven=False)
    used = used_in(report, [file for _, file in had], reader, batch.content)
    if not (gives_up or is_short):  # else rows without a line may have been answered, and paid for
        report = _left_behind(batch, seen, report)
    batch = recount.brought_home(session, batch, report.index)
    return record(session, batch, seen, results, report.index, tally_of(report), used, gives_up=gives_up)


def _left_behind(batch: Batch, seen: Observed, report: index.IndexReport) -> index.IndexReport:
    """The report, with what its job says of the rows of a batch that was stopped since it took too long."""
    outcome = left_as(batch, seen.phase)
    left = report.retry + report.lost
    if outcome is None or not left:
        return report
    return replace(report, index=left_behind(report.index, outcome), retry=0, lost=0, final=report.final + left)


class _Fetched(NamedTuple):
    """Result files that are here, and what they hold. is_short: rows that the remote counted are in none of them."""

    had: list[tuple[ResultFile, Path]]
    report: index.IndexReport
    is_all: bool  # of the files that the remote names
    is_short: bool = False


def _fetched(
    session: Session, batch: Batch, seen: Observed, keys: bytes, now: datetime, *, takes_what_is_left: bool
) -> _Fetched | None:
    """The result files, downloaded until they hold what they should; None where they are not of this batch at all.

    Raises OutcomeUnknown where they are cut in another place each time.
    """
    reader = session.remotes.reader(batch.origin.provider)
    before, is_the_same = None, False
    for again in range(DOWNLOADS):
        had = _download(session, batch, seen, in_one_go=again > 0, takes_what_is_left=takes_what_is_left)
        is_all = len(had) == len(seen.result_files)
        report = _indexed(reader, had, keys, _ended(seen) if is_all else Phase.CANCELLED)
        if batch.is_unproven and report.foreign and not sum(report.told):
            named.learn(session, batch.remote_id, named.keys_in([file for _, file in had], reader))
            return None
        # Where a file is still owed, that is waited for; where one is gone, a person decides about the rest anyway
        may_lack = is_all and seen.results_are_final
        lacks = _lacks(reader, report, seen, batch.rows, [file for _, file in had]) if may_lack else 0
        if _is_whole(report) and not lacks:
            return _Fetched(had, report, is_all)
        came = report.index, _sizes(had)  # cut at the same bytes twice, it is cut at the remote: see `mend`
        is_the_same, before = came == before, came
    if not is_the_same:
        raise OutcomeUnknown(f"the result files were cut {DOWNLOADS} times in different places")
    if _may_be_all(session, batch, seen, report, lacks, now):
        return _Fetched(had, report, is_all)
    return _Fetched(had, _indexed(reader, had, keys, Phase.CANCELLED), is_all, is_short=True)


def release(session: Session, batch: Batch) -> Batch:
    """What was taken for this batch answers other requests: INTENT again, to be looked for among the others."""
    released = lifecycle.released(batch)
    session.records.save(released)
    session.reporter.step(f"{batch.owner}: {released.why}; looking for its batch again")
    return released


def mend(session: Session, batch: Batch) -> bool:
    """Fetch once more what was short when a person was asked to decide; whether more came.

    Taken are files that are whole by now, or that have come short twice in the same way and yet say more than before.
    Raises RemoteError where nobody can tell what they hold; NotFound where one of them is gone.
    """
    # Why twice: a download may be cut on its way, and nothing in the file says so when it breaks at the end of a line.
    # A break on its way is at other bytes each time; one that is at the same bytes is in the remote's own file, and
    # more will not come now. What then has lines for all that had one before, and for more, can only be a gain.
    seen = session.remote_of(batch).look(batch.remote_id)
    if not seen.phase.has_ended:
        raise OutcomeUnknown(f"it had ended, and is shown as {seen.phase}")
    if not seen.result_files:
        return False
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    reader = session.remotes.reader(batch.origin.provider)
    # Beside those that are there: what is on record speaks of them
    prefix = "" if any(one.name.startswith(AGAIN) for one in batch.results) else AGAIN
    before = None
    for _ in range(DOWNLOADS):
        had = _download(session, batch, seen, in_one_go=True, prefix=prefix)
        report = _indexed(reader, had, keys, _ended(seen))
        if _is_whole(report) and not _lacks(reader, report, seen, batch.rows, [file for _, file in had]):
            _record_anew(session, batch.but(short_since=None), seen, had, report)
            session.reporter.step(f"{batch.owner}: the files of `{batch.remote_id}` are whole now: {report.ok:,} ok")
            return True
        came = report.index, _sizes(had)
        if came == before:  # so it is at the remote
            return _took_more(session, batch, seen, had, report)
        before = came
    _discard(had)
    raise OutcomeUnknown(f"its files were cut {DOWNLOADS} times in different places")


def _took_more(
    session: Session, batch: Batch, seen: Observed, had: list[tuple[ResultFile, Path]], report: index.IndexReport
) -> bool:
    """Whether files that stay short say more than those on record, which are replaced then."""
    known = with_a_line(session.objects.read(f"{batch.key}/index", batch.index_sha256))
    told = with_a_line(report.index)
    if len(told) <= len(known) or without(known, told):
        _discard(had)
        return False
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    reader = session.remotes.reader(batch.origin.provider)
    _record_anew(session, batch, seen, had, _indexed(reader, had, keys, Phase.CANCELLED))
    rows = f"{len(told) // KEY_BYTES:,} of {batch.rows:,}"
    session.reporter.step(f"{batch.owner}: the files of `{batch.remote_id}` hold {rows} rows now")
    return True


def _discard(had: list[tuple[ResultFile, Path]]) -> None:
    for _, file in had:
        file.unlink()


def _record_anew(
    session: Session,
    batch: Batch,
    seen: Observed,
    had: list[tuple[ResultFile, Path]],
    report: index.IndexReport,
) -> None:
    """Record other outcomes of a batch that was brought home before.

    In between it is in flight again: what its record says of an index is true of none that is written now, and a
    command that dies between the two leaves a batch that is fetched once more.
    """
    there = lifecycle.found_again(batch, seen, session.time_at(session.remote_of(batch)))
    session.records.save(there)
    reader = session.remotes.reader(batch.origin.provider)
    used = used_in(report, [file for _, file in had], reader, batch.content)
    record(session, there, seen, _kept(session, batch, had), report.index, tally_of(report), used)


def _sizes(had: list[tuple[ResultFile, Path]]) -> tuple[int, ...]:
    return tuple(file.stat().st_size for _, file in had)


def _kept(session: Session, batch: Batch, had: list[tuple[ResultFile, Path]]) -> tuple[ResultObject, ...]:
    return tuple(session.objects.keep(batch.key, file.name) for _, file in had)


def _indexed(reader: Reader, had: list[tuple[ResultFile, Path]], keys: bytes, ended: Phase) -> index.IndexReport:
    return index.build_index([file for _, file in had], keys, ended=ended, reader=reader)


def _ended(seen: Observed) -> Phase:
    """What a row without a line is judged by. Of a batch that failed, but not for its input, it may be asked again."""
    is_at_fault = seen.failure is not None and seen.failure.kind is FailureKind.BAD_INPUT
    return Phase.EXPIRED if seen.phase is Phase.FAILED and not is_at_fault else seen.phase


def _is_whole(report: index.IndexReport) -> bool:
    """Whether nothing says that a file was cut: each row has its line, or no file ends inside one."""
    return not report.missing or not report.half_last_line


def _lacks(reader: Reader, report: index.IndexReport, seen: Observed, rows: int, files: list[Path]) -> int:
    """How many rows that have finished are in no file.

    Rows that expired have error lines too: those must not stand in for answers that are not there. Without counts, a
    batch that completed has finished all of its rows.
    """
    if not report.missing:
        return 0  # each row says what became of it, whatever was counted
    counts = seen.counts
    if not counts.total and not counts.completed and not counts.failed:
        return report.missing if seen.phase is Phase.COMPLETED else 0
    lines = rows - report.missing
    finished = min(counts.completed + counts.failed, rows)
    if finished > report.ok + report.final and seen.phase is not Phase.COMPLETED:
        lines -= _never_run(reader, report, files)
    return max(finished - lines, min(counts.completed, rows) - report.ok, 0)


def _never_run(reader: Reader, report: index.IndexReport, files: list[Path]) -> int:
    """How many rows have an error line that says that nothing was asked: no status, as of what expired."""
    found = 0
    with RawLines() as raw:
        for outcome, file, offset in _places(report):
            if outcome in (Outcome.RETRY, Outcome.LOST) and offset != NO_LINE:
                fault = reader.parse(raw.at(files[file], offset)).fault
                found += fault is not None and fault.status is None
    return found


def _places(report: index.IndexReport) -> Iterator[tuple[int, int, int]]:
    """(outcome, file, offset) of each row, in the order of keys."""
    return (place(value) for (value,) in struct.iter_unpack(f">{KEY_BYTES}xQ", report.index))


def _may_be_all(
    session: Session, batch: Batch, seen: Observed, report: index.IndexReport, lacks: int, now: datetime
) -> bool:
    """Whether files that do not get whole may be all there is, so that the rest is asked again.

    Raises OutcomeUnknown until they had their time. Where finished rows are missing then, the rest needs a decision.
    """
    finished = f"{min(seen.counts.completed + seen.counts.failed, batch.rows):,} rows have finished"
    came = f"its files hold {batch.rows - report.missing:,} of {batch.rows:,}"
    if batch.short_since is None or now - batch.short_since < FILES_SETTLE:
        session.records.save(batch.but(short_since=batch.short_since or now))
        raise OutcomeUnknown(f"{finished}, and {came}" if lacks and seen.counts.total else f"{came} rows")
    if not report.half_last_line and not seen.counts.total and _is_ours(report):
        return True  # nothing was counted, and for so long it has been the same
    minutes = f"{(now - batch.short_since).total_seconds() / 60:.0f} minutes"
    session.reporter.warn(
        f"{batch.owner}: `{batch.remote_id}`: {finished}, and {came} for {minutes}; the others were paid for, and are "
        f"asked again by `runner retry {batch.owner}` only"
    )
    return False


def _is_ours(report: index.IndexReport) -> bool:
    """Whether what came is about this batch at all, and no gateway's page or another's file."""
    return bool(sum(report.told)) or not report.lines


def _refused(session: Session, batch: Batch, seen: Observed, keys: bytes) -> Batch:
    """Nothing of it was asked. Only the fault of the input is final; the remote's own trouble uses up an attempt."""
    failure = seen.failure or Failure(FailureKind.OTHER, "", "the remote gave no reason")
    _tell_refusal(session, batch, failure)
    match failure.kind:
        case FailureKind.BAD_INPUT:
            outcome, tally = Outcome.REJECTED, Tally(rejected=batch.rows)
        case FailureKind.OUT_OF_MONEY:
            outcome, tally = Outcome.UNPAID, Tally(unpaid=batch.rows)
            _stop(session, batch, failure.message, batch.rows)
        case _:
            outcome, tally = Outcome.RETRY, Tally(retry=batch.rows)
    seen = replace(seen, failure=failure)
    return record(session, batch, seen, (), index.refused_index(keys, outcome), tally)


def _tell_refusal(session: Session, batch: Batch, failure: Failure) -> None:
    """The first error and how many there are, once a job: its batches mostly fail alike."""
    if batch.owner in session.told_refusals:
        return
    session.told_refusals.add(batch.owner)
    code = f"`{failure.code}`: " if failure.code else ""
    more = f" ({failure.lines:,} errors in all)" if failure.lines > 1 else ""
    session.reporter.warn(
        f"{batch.owner}: the remote refused `{batch.remote_id}` ({batch.rows:,} requests): "
        f"{code}{failure.message}{more}"
    )


def _stop(session: Session, batch: Batch, why: str, rows: int) -> None:
    """The account cannot pay: nothing more of this job is sent by this apply, and no attempt is used up."""
    error = Refused(
        f"{batch.owner}: the account cannot pay, so {rows:,} requests of `{batch.remote_id}` were not answered: {why}",
        hint="check the plan and billing details of the account, and run `runner apply` again",
    )
    session.out_of_money[batch.owner] = StepError(error, batch.owner)


def _first_unpaid(reader: Reader, report: index.IndexReport, files: list[Path]) -> str:
    """What the remote says of the first row that it was not paid for."""
    _, file, offset = next(one for one in _places(report) if one[0] == Outcome.UNPAID)
    with RawLines() as raw:
        fault = reader.parse(raw.at(files[file], offset)).fault
    return fault.message[:256] if fault else ""


def _download(
    session: Session,
    batch: Batch,
    seen: Observed,
    *,
    in_one_go: bool,
    prefix: str = "",
    takes_what_is_left: bool = False,
) -> list[tuple[ResultFile, Path]]:
    """The files that are there. Raises RemoteError; NotFound for one that may still come."""
    provider = session.remote_of(batch)
    had: list[tuple[ResultFile, Path]] = []
    gone: NotFound | None = None
    for offered in seen.result_files:
        file = session.objects.place(f"{batch.key}/{prefix}{len(had)}.jsonl")
        try:
            provider.download(offered, file, largest_results(batch), in_one_go=in_one_go)
        except NotFound as error:
            gone = error
        else:
            had.append((offered, file))
    if gone is not None and not (had and takes_what_is_left):
        raise gone
    return had


def refuse(session: Session, batch: Batch, failure: Failure) -> Batch:
    """Record that the remote never took a batch, and why: none of its requests was asked, and none will be."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    refused = batch.refused[-1] if batch.refused else batch.remote_id
    seen = Observed(refused, Phase.FAILED, "failed", failure=failure)
    return record(session, batch, seen, (), index.refused_index(keys, Outcome.REJECTED), Tally(rejected=batch.rows))


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
        unpaid=report.unpaid,
        duplicates=report.duplicates,
        foreign=report.foreign,
        unreadable=report.unreadable,
    )


def record(
    session: Session,
    batch: Batch,
    seen: Observed,
    results: tuple[ResultObject, ...],
    entries: bytes,
    tally: Tally,
    used: Used = lifecycle.NO_ANSWERS,
    *,
    gives_up: bool = False,
) -> Batch:
    """The batch as COLLECTED, with its index written first."""
    sha256 = session.objects.write(f"{batch.key}/index", entries)
    now = session.clock.now()
    collected = lifecycle.collected(batch, seen, sha256, tally, now, results, used=used, gives_up=gives_up)
    session.records.save(collected)
    session.home[collected.key] = collected
    session.tell(collected)
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
        (report.requests, "lines that are requests, not results", ()),
    )
    folder = session.objects.path(batch.key)
    for count, what, examples in oddities:
        if count:
            where = f": {_some(examples)}" if examples else ""
            session.reporter.warn(f"{batch.owner}: `{batch.remote_id}` has {count:,} {what}{where} (in `{folder}`)")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def failure_of(error: RemoteError) -> str:
    """Why a download did not succeed, in one line."""
    return "the remote no longer has the file" if isinstance(error, NotFound) else error.message
