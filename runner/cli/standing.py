"""What `runner status` shows, as data: text and JSON are drawn from the same view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from runner.cli import sums, voice
from runner.cli.batchview import BatchView, of_batch
from runner.cli.views import PlanView, to_send_usd
from runner.job.recorded import Batch, JobRecord, Retry, Stage
from runner.job.scored import Gate, Scores
from runner.plan.change import JobPlan, Reason
from runner.plan.decide import Observation
from runner.plan.plan import Plan
from runner.plan.spent import NOTHING, Spent, by_all
from runner.state.memory import Records

VERSION = 2


class JobStanding(msgspec.Struct, frozen=True):
    """Where the wanted requests of one job stand, and the file that was last written of them."""

    address: str
    declared_at: str
    wanted: int
    ok: int
    error: int
    not_sent: int
    in_flight: int
    unknown: int
    needs_decision: int
    to_submit: int
    shared: int
    output: str
    written_at: datetime | None
    paid_twice: int = 0  # requests that another batch holds too: of another clone, or of a create that was given up
    duplicates: int = 0  # requests that a second batch of the same create held when it was found and stopped
    possible_duplicates: int = 0  # requests that were sent again though an earlier try may have been accepted
    flawed_ok: Mapping[str, int] = msgspec.field(default_factory=dict)  # among `ok`, by `finish`: answers that are none
    spent: Spent = NOTHING
    bad: int = 0  # among `error`: rows that cannot be sent
    scores: Scores | None = None  # as they were made last
    ahead: int = 0  # requests, about, that are known once other jobs are quiet
    awaited: str = ""  # these jobs, in words


class StatusView(msgspec.Struct, frozen=True):
    version: int
    jobs: tuple[JobStanding, ...]
    batches: tuple[BatchView, ...]  # in flight, in order of submission
    spent: Spent = NOTHING  # by all jobs of the project
    to_send_usd: float | None = 0.0  # at most, for what is still to be sent; None: not known of all of it
    oldest: str = ""  # the name of the batch that has been in flight for the longest time


class AppliedView(msgspec.Struct, frozen=True):
    """What an apply left: where jobs stand, what is expected of them, and what is still to be done."""

    exit_code: int
    is_running: bool
    jobs: tuple[JobStanding, ...]
    gates: Mapping[str, Sequence[Gate]]  # by address
    plan: PlanView
    version: int = VERSION


def of_plan(
    plan: Plan,
    records: Mapping[str, JobRecord],
    asked: Sequence[Batch | Retry],
    observations: Mapping[str, Observation],
    spent: Mapping[str, Spent],
) -> StatusView:
    """records: by address. asked: all batches and retries on record. spent: by address.

    observations: by batch key; empty when no remote was asked.
    """
    active = [one for one in asked if isinstance(one, Batch) and one.is_active]
    batches = tuple(of_batch(batch, observations.get(batch.key)) for batch in active)
    oldest = min((one for one in batches if one.stage == Stage.SUBMITTED), key=lambda one: one.asked_at, default=None)
    return StatusView(
        VERSION,
        tuple(job_standing(job, records.get(job.address), asked, spent.get(job.address, NOTHING)) for job in plan.jobs),
        batches,
        by_all(spent),
        to_send_usd(plan),
        oldest.name if oldest else "",
    )


def spent_words(spent: Spent) -> str:
    """`spent $5.84`, `spent $5.84, at most $1.20 in flight`; `?` where it is not known, empty for nothing."""
    parts = [voice.money(spent.usd)] if spent.usd else []
    parts += [f"{voice.at_most(spent.at_most_usd)}{' more' * bool(parts)}"] if spent.at_most_usd else []
    parts += ["?"] if spent.unknown else []
    told = [f"spent {' and '.join(parts)}"] if parts else []
    flying = [voice.at_most(spent.in_flight_usd)] if spent.in_flight_usd else []
    flying += [f"{'at most ' * (not flying)}?"] if spent.in_flight_unknown else []
    told += [f"{' and '.join(flying)} in flight"] if flying else []
    return ", ".join(told)


def job_standing(
    job: JobPlan, record: JobRecord | None, asked: Sequence[Batch | Retry], spent: Spent = NOTHING
) -> JobStanding:
    """asked: all batches and retries on record."""
    counts = job.counts
    written_at = record.written_at if record else None
    unknown = next((change for change in job.changes if change.reason is Reason.KNOWN_AFTER), None)
    return JobStanding(
        address=job.address,
        declared_at=str(job.declared_at),
        wanted=counts.wanted,
        ok=counts.ok,
        error=counts.error,
        not_sent=counts.not_sent,
        in_flight=counts.in_flight,
        unknown=counts.unknown,
        needs_decision=counts.needs_decision,
        to_submit=counts.to_submit,
        shared=counts.shared,
        output=record.output if record and written_at else "",
        written_at=written_at,
        possible_duplicates=possible_duplicates(job.address, asked),
        paid_twice=paid_twice(job.address, asked),
        duplicates=duplicates(job.address, asked),
        flawed_ok=_flawed_ok(record, counts.ok),
        spent=spent,
        bad=counts.bad,
        scores=record.scores if record else None,
        ahead=unknown.rows if unknown else 0,
        awaited=unknown.detail if unknown else "",
    )


def _flawed_ok(record: JobRecord | None, ok: int) -> Mapping[str, int]:
    """As they were counted when the results were written: of other answers than those nothing is known."""
    return record.flaws if record and not record.flawed_object and record.ok == ok else {}


def asked_in(records: Records) -> list[Batch | Retry]:
    """All batches and retries on record."""
    return [*records.batches(), *records.retries()]


def possible_duplicates(address: str, asked: Sequence[Batch | Retry]) -> int:
    """How many requests of a job were sent again though an earlier try may have been accepted, or are going to be."""
    mine = (one for one in asked if (one.owner if isinstance(one, Batch) else one.address) == address)
    return sum(one.possible_duplicates for one in mine)


def paid_twice(address: str, asked: Sequence[Batch | Retry]) -> int:
    """How many requests of a job are in batches that another clone sent, or a create that was given up, too."""
    return sum(sum(one.overlaps.values()) for one in asked if isinstance(one, Batch) and one.owner == address)


def duplicates(address: str, asked: Sequence[Batch | Retry]) -> int:
    """How many requests of a job duplicates held that took effect, until they were found and stopped."""
    return sum(one.rows_of_duplicates for one in asked if isinstance(one, Batch) and one.owner == address)


def twice(number: int) -> str:
    """The same in words."""
    return f"{voice.count(number, 'request')} paid for twice: another batch holds them too"


def maybe_twice(number: int) -> str:
    """The same in words."""
    many = voice.count(number, "possible duplicate")
    return f"{many}: sent again though an earlier try may be paid for"


def counted_lines(job: JobStanding) -> list[str]:
    """What is, or may be, paid for twice: a line for each way."""
    told = [f"  ! {maybe_twice(job.possible_duplicates)}"] if job.possible_duplicates else []
    told += [f"  ! {twice(job.paid_twice)}"] if job.paid_twice else []
    many = f"{voice.count(job.duplicates, 'request')} may be paid for twice"
    told += [f"  ! {many}: a duplicate of their batch took effect; `runner show {job.address}` names it"] * bool(
        job.duplicates
    )
    return told


def text_of(view: StatusView, now: datetime, *, is_wide: bool = False) -> str:
    """One line a job, then one a batch, with what is wrong with it on a line below."""
    lines = []
    for job in view.jobs:
        lines.append(_job_line(job))
        lines += [f"  declared at {job.declared_at}"] if is_wide else []
        if job.awaited:
            lines.append(f"  ? about {voice.count(job.ahead, 'request')}, known after {voice.plain(job.awaited)}")
        lines += counted_lines(job)
        if job.scores:
            from runner.cli import scorelines  # brings what most jobs have no use for

            lines += scorelines.lines_of(job.scores)
    lines += ["", *summed] if (summed := _all_jobs(view)) else []
    if view.batches:
        lines.append("")
    for batch in view.batches:
        lines += _batch_lines(batch)
        lines += [_more_of(batch, now)] if is_wide else []
    return "\n".join([*lines, *_oldest(view, now)])


def short_of(view: StatusView, now: datetime) -> list[str]:
    """What matters most of it, for a screen that is too small for all."""
    flying = f"{voice.count(len(view.jobs), 'job')}, {voice.count(len(view.batches), 'batch', 'batches')} in flight"
    return [flying, *_all_jobs(view), *_oldest(view, now)]


def _all_jobs(view: StatusView) -> list[str]:
    words = _money(view)
    is_shown = words and (len(view.jobs) > 1 or view.to_send_usd != 0)
    return [f"All jobs of the project: {words}"] if is_shown else []


def _oldest(view: StatusView, now: datetime) -> list[str]:
    return [_oldest_line(batch, now) for batch in view.batches if batch.name == view.oldest][:1]


def _money(view: StatusView) -> str:
    """What was spent, what is in flight, and what is still to be sent."""
    to_send = voice.at_most(view.to_send_usd) if view.to_send_usd else "at most ?"
    more = f"{to_send} to be sent" if view.to_send_usd != 0 else ""
    return ", ".join(filter(None, (spent_words(view.spent), more)))


def _oldest_line(batch: BatchView, now: datetime) -> str:
    """`Oldest in flight: batch_1, for 3 h 10 min, 20 h 50 min of its window left`."""
    return f"Oldest in flight: {voice.plain(batch.name)}, {_age(batch, now)}"


def _age(batch: BatchView, now: datetime) -> str:
    told = f"for {voice.elapsed(max((now - batch.asked_at).total_seconds(), 0.0))}"
    if batch.window_ends_at is None:
        return told
    left = (batch.window_ends_at - now).total_seconds()
    return f"{told}, {voice.elapsed(left)} of its window left" if left > 0 else f"{told}, its window is over"


def _more_of(batch: BatchView, now: datetime) -> str:
    """What `-o wide` tells beyond."""
    parts = (
        voice.plain(batch.model),
        batch.origin,
        _age(batch, now),
        "cost ?" if batch.estimated_usd is None else voice.at_most(batch.estimated_usd),
    )
    return "  " + ", ".join(filter(None, parts))


def _job_line(job: JobStanding) -> str:
    shared = f" ({job.shared:,} asked by another job)" if job.shared else ""
    written = f"  {job.output}, {voice.moment(job.written_at)}" if job.written_at else ""
    spent = f"  {words}" if (words := spent_words(job.spent)) else ""
    return f"{job.address}  {', '.join(sums.parts_of(job))} of {job.wanted:,}{shared}{written}{spent}"


def _batch_lines(batch: BatchView) -> list[str]:
    done = f"{batch.answered + batch.failed:,}/{batch.asked:,}"
    line = f"{voice.plain(batch.name)}  {batch.owner}  {batch.state}  {done}  since {voice.moment(batch.asked_at)}"
    return [line, f"  ! {voice.one_line(batch.note)}"] if batch.note else [line]
