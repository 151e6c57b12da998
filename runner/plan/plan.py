"""The whole plan: desired, recorded and observed in; sorted, printable, hashable changes out."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter

import msgspec
from msgspec.structs import replace

from runner.job.capabilities import Shown
from runner.job.desired import Desired, distinct_of
from runner.job.infile import Run
from runner.job.outcomes import answered
from runner.job.packed import common, keys_at, keys_of, union, without
from runner.job.project import EVERYTHING, Scope
from runner.job.recorded import TRIED, Batch, JobRecord
from runner.plan import adoption, batches, guard, needs, repay, resume, review, sample, stragglers
from runner.plan.answered import Answered, fold
from runner.plan.chains import Chains
from runner.plan.change import MOST_NAMED, Action, Change, Cut, JobPlan, Reason, RowCounts, cancelling
from runner.plan.decide import CannotSee, Observation, decide
from runner.plan.guard import Amount, Guards
from runner.plan.remaining import UNDER_WAY, BatchRows, JobRows, RetryRows, Row
from runner.plan.repay import LeftRows, Replaced
from runner.plan.since import Folds
from runner.plan.spent import spent_by
from runner.plan.stragglers import Limit

Keys = bytes


class Recorded(msgspec.Struct, frozen=True):
    """What we remember, in the form the planner reads. Batches in order of submission."""

    batches: Sequence[BatchRows] = ()
    jobs: Mapping[str, tuple[JobRecord, Run]] = {}
    retries: Sequence[RetryRows] = ()
    accepted_origins: Mapping[str, Sequence[str]] = {}
    left: Sequence[LeftRows] = ()
    shown: Mapping[str, Shown] = {}  # by origin
    meets: Mapping[str, bool] = {}  # by address of a job that is scored as it stands: whether it is as good as expected
    flawed: Mapping[str, Keys] = {}  # by address of a job whose answers have to be good: those that are none
    answered: Mapping[str, Answered] = {}  # by address, what was known of a job when its results were written
    folds: Folds | None = None  # of the same command

    def answers_of(self, entry: BatchRows) -> Keys:
        """The keys that a batch has answered, but for those that a person decided since to have answered anew."""
        return without(answered(entry.index), self._replaced_since(entry.batch.generation))

    def held_by(self, entry: BatchRows) -> Run:
        """The same of one that has ended; of one in flight all that it was asked."""
        if entry.batch.is_active:
            return without(entry.keys, self._replaced_since(entry.batch.generation))
        return self.answers_of(entry)

    def _replaced_since(self, generation: int) -> Keys:
        return union([one.keys for one in self.retries if one.replaces and one.generation > generation])


class Plan(msgspec.Struct, frozen=True):
    """Every change, by job and by batch; jobs sorted by address."""

    jobs: tuple[JobPlan, ...]
    batches: tuple[tuple[Batch, Change], ...]  # batches in flight and what to do about them
    leftovers: tuple[tuple[Batch, Change], ...] = ()  # in flight, and nobody wants them any more
    rows: tuple[JobRows, ...] = ()  # by job, the state of every row
    notes: tuple[str, ...] = ()  # what remotes show less of than their profiles say

    @property
    def submissions(self) -> tuple[Cut, ...]:
        return tuple(s for job in self._going if not job.waits for s in job.submissions)

    @property
    def later(self) -> tuple[Cut, ...]:
        """What is sent once other jobs are settled: a yes to this plan is one to these."""
        return tuple(s for job in self._going if job.waits for s in job.submissions)

    @property
    def ahead(self) -> int:
        """About how many requests are known only once others are answered: a yes to this plan is one to these, too."""
        going = (job for job in self.jobs if not job.is_held_back)
        return sum(c.rows for job in going for c in job.changes if c.reason is Reason.KNOWN_AFTER)

    @property
    def _going(self) -> Iterator[JobPlan]:
        return (job for job in self.jobs if job.submissions and not job.is_held_back)

    @property
    def to_submit(self) -> int:
        return sum(len(submission.ordinals) for submission in self.submissions)

    @property
    def is_empty(self) -> bool:
        """Nothing to send, to fetch or to wait for, and nothing is blocked."""
        return not self.ours and not any(job.is_blocked or job.waits for job in self.jobs) and not self.submissions

    @property
    def ours(self) -> tuple[tuple[Batch, Change], ...]:
        """The batches in flight that these specs are about; the others are of specs that were not read."""
        left = {batch.key for batch, _ in self.leftovers}
        wanted = {key for rows in self.rows for key in rows.batches}
        return tuple((batch, change) for batch, change in self.batches if batch.key in wanted or batch.key in left)

    @property
    def left_elsewhere(self) -> set[str]:
        """Batches in flight at an origin that their job asks no more: what goes wrong with them stops nothing of it."""
        return {batch.key for batch, change in self.leftovers if change.reason is Reason.LEFT_ELSEWHERE}

    @property
    def is_running(self) -> bool:
        return any(change.action is not Action.LOSE for _, change in self.batches)


def make(
    desired: Sequence[Desired],
    recorded: Recorded,
    observations: Mapping[str, Observation],
    guards: Guards = Guards(),
    scope: Scope = EVERYTHING,
) -> Plan:
    """Decide everything. Pure.

    desired: sorted by address. observations: by batch key, what the remote shows of every batch in flight.
    scope: what the command is about; batches of other jobs are left out of the leftovers.
    """
    # All jobs are folded at once, as equal requests of two jobs are one request. Then each job by itself; and at last
    # what is said of all together: a limit of money is of the command, and which job exceeds it hangs on the others.
    folded, order = _folded(desired, recorded)
    spent = {address: one.most_usd for address, one in spent_by(desired, recorded.batches).items()}
    taken = _replaced(desired, recorded)
    jobs = [
        _job(job, rows, recorded, guards, spent, partial(taken, job), order)
        for job, rows in zip(desired, folded, strict=True)
    ]
    jobs = _under_one_roof(desired, jobs, guards, sum(spent.values()))
    active = [entry.batch for entry in recorded.batches if entry.batch.is_active]
    wanted = {key for rows in folded for key in rows.batches}
    leftovers = tuple(
        (batch, Change(Action.LEAVE, _why_left(desired, batch), rows=batch.rows, batch=batch.key,
                       unblock=(cancelling(batch),)))
        for batch in active
        if batch.key not in wanted and scope.covers(batch.owner, batch.declared_in)
    )  # fmt: skip
    batches = decided(active, observations, stragglers.limits_of(desired))
    return Plan(tuple(jobs), batches, leftovers, tuple(folded), _notes(desired, recorded))


def _why_left(desired: Sequence[Desired], batch: Batch) -> Reason:
    """Why a batch in flight is no job's: its job may be there, and ask at another origin."""
    owner = next((job for job in desired if job.address == batch.owner), None)
    return Reason.LEFT_ELSEWHERE if owner is not None and owner.origin != batch.origin else Reason.NOBODY_WANTS


class _Order:
    """Where the jobs stand that others wait for."""

    def __init__(self, desired: Sequence[Desired], rows: Sequence[JobRows], recorded: Recorded) -> None:
        self.chains = Chains(desired, rows)
        self.standing = needs.Standing(desired, rows, recorded.meets, self.chains)

    def waits(self, job: Desired) -> bool:
        return self.standing.waits(job) or self.chains.waits(job)


def _folded(desired: Sequence[Desired], recorded: Recorded) -> tuple[list[JobRows], _Order]:
    """The state of every row, and where the jobs stand that others wait for."""
    history = recorded.batches, recorded.retries, recorded.accepted_origins, recorded.answered
    folded = fold(desired, *history, recorded.folds)
    order = _Order(desired, folded, recorded)
    waiting = [order.waits(job) for job in desired]
    if any(waiting) and any(rows.counts[Row.SHARED] for rows in folded):
        # Of requests that two jobs want the first one asks. One that waits must not be the one: the other would wait
        # for it as well, and where it is what the first waits for, both would for ever.
        places = sorted(range(len(desired)), key=waiting.__getitem__)
        in_order = fold([desired[place] for place in places], *history)
        folded = [rows for _, rows in sorted(zip(places, in_order, strict=True), key=itemgetter(0))]
        order = _Order(desired, folded, recorded)
    for job, rows in zip(desired, folded, strict=True):
        if job.is_strict and job.address in recorded.flawed:
            rows.reject(job.keys, recorded.flawed[job.address])
    return folded, order


def standing(desired: Sequence[Desired], recorded: Recorded) -> tuple[list[JobRows], Chains]:
    """The state of every row, and which jobs are quiet."""
    folded, order = _folded(desired, recorded)
    return folded, order.chains


def _replaced(desired: Sequence[Desired], recorded: Recorded) -> Callable[[Desired, JobRows], Replaced]:
    """What the new rows of a job take the place of; worked out only for a job that has any."""
    free = repay.free_providers(desired)
    wanted = cache(lambda: union([distinct_of(job) for job in desired]))

    def of(job: Desired, rows: JobRows) -> Replaced:
        if not rows.counts[Row.NEW]:
            return Replaced()
        return repay.replaced(job, recorded.jobs.get(job.address), recorded.batches, recorded.left, free, wanted)

    return of


def _notes(desired: Sequence[Desired], recorded: Recorded) -> tuple[str, ...]:
    """How remotes are searched that show less than they are believed to."""
    remotes = {job.provider: (job.card.search, recorded.shown.get(str(job.origin), Shown())) for job in desired}
    notes = (adoption.note_of(name, search, shown) for name, (search, shown) in sorted(remotes.items()))
    return tuple(filter(None, notes))


def decided(
    active: Iterable[Batch], observations: Mapping[str, Observation], limits: Mapping[str, Limit]
) -> tuple[tuple[Batch, Change], ...]:
    """What is to be done about each batch in flight. limits: by job, how long it waits for one of its own."""
    unseen = CannotSee("not looked at yet")
    return tuple(
        (batch, decide(batch, observations.get(batch.key, unseen), limits.get(batch.owner))) for batch in active
    )


def sent(plan: Plan, batches: Sequence[tuple[Cut, Batch]]) -> Plan:
    """The plan as it stands once these submissions are on their way: their rows are in flight."""
    jobs = list(plan.jobs)
    at = {job.address: number for number, job in enumerate(jobs)}
    for submission, batch in batches:
        number = at[submission.address]
        rows = plan.rows[number]
        rows.send(submission.ordinals, batch.key)
        left = tuple(one for one in jobs[number].submissions if one is not submission)
        changes = (_quiet(rows),) if not left else jobs[number].changes
        jobs[number] = replace(jobs[number], counts=_counts(rows), submissions=left, changes=changes)
    waits = tuple(
        (batch, Change(Action.WAIT, Reason.RUNNING, rows=batch.rows, batch=batch.key)) for _, batch in batches
    )
    return replace(plan, jobs=tuple(jobs), batches=plan.batches + waits)


def _job(
    job: Desired,
    rows: JobRows,
    recorded: Recorded,
    guards: Guards,
    spent: Mapping[str, float],
    replaced: Callable[[JobRows], Replaced],
    order: _Order,
) -> JobPlan:
    # Five kinds are sent: rows never asked, what a remote goes on with by itself, rows asked again, those of them that
    # have an answer which is none, and what a batch that took too long has left.
    new = sample.of_new(job, rows, guards.sample)
    again = rows.ordinals(Row.AGAIN, Row.REPLACE, Row.INVALID)
    parents = tuple(sorted(rows.parents))
    continued, anew = resume.continuations(job, again, [e for e in recorded.batches if e.batch.key in rows.parents])
    before = replaced(rows)
    reason = _why_new(job, rows, recorded, before.answered)
    first = _cut(job, new, (), reason)
    resumed = [_continue(job, one) for one in continued]
    invalid = array("I", [ordinal for ordinal in anew if rows.states[ordinal] == Row.INVALID])
    if invalid:
        anew = array("I", [ordinal for ordinal in anew if rows.states[ordinal] != Row.INVALID])
    repeated = _cut(job, anew, parents, _why_again(rows))
    revised = _cut(job, invalid, parents, Reason.INVALID)
    changes: list[Change] = []
    if first:
        changes.append(_submit(job, reason, first, replaces=before.answered))
    if resumed:
        names = ", ".join(f"`{one.parent.remote_id}`" for one in continued)
        changes.append(_submit(job, Reason.CONTINUED, resumed, detail=names))
    if repeated:
        changes.append(_submit(job, _why_again(rows), repeated))
    if revised:
        changes.append(_submit(job, Reason.INVALID, revised))
    by_batch = list(changes)
    late = rows.ordinals(Row.LATE)
    online = _cut(job.asked_online, late, parents, Reason.STRAGGLED, is_online=True)
    if online:
        changes.append(_submit(job.asked_online, Reason.STRAGGLED, online))
    sends, cuts = list(changes), (*first, *resumed, *repeated, *revised, *online)
    if later := rows.counts[Row.NEW] - len(new):
        changes.append(Change(Action.LEAVE, Reason.SAMPLED, rows=later))
    if unknown := order.chains.unknown(job):
        changes.append(unknown)
    number = sum(change.rows for change in changes)
    if at_worst := stragglers.at_worst(job, [*by_batch, *filter(None, [unknown])]):
        changes.append(at_worst)
    blocks = [*_blocks(job, rows), *_money(job, changes, guards, spent)]
    if sends or unknown:
        blocks += filter(None, [_barred(job, number)])
    if sends:
        is_first = _knows_nothing(job, rows, recorded)
        shown = recorded.shown.get(str(job.origin), Shown())
        number = sum(change.rows for change in sends)
        held_back = (
            _paid_again(job, rows, new, before, guards),
            guard.first_run(job, len(new) + len(again) + len(late), shown, guards, is_first=is_first),
            guard.not_locked(job, number, guards),
            _not_reviewed(job, rows, cuts, recorded, guards),
            order.standing.first_unmet(job, number),
        )
        blocks += filter(None, held_back)
    blocks += _protected(job, min(len(new), before.answered) + rows.counts[Row.REPLACE] + rows.counts[Row.INVALID])
    # What keeps them at home stands beside them as a block and takes nothing out of the plan, so that a person sees
    # what a yes would send, and what for. `Plan.submissions` leaves out the jobs that are held back.
    return JobPlan(
        job.address,
        job.declared_at,
        _counts(rows),
        (*changes, *blocks) or (_quiet(rows),),
        cuts,
        tuple(sorted(rows.shared_with)),
        job.card.content,
        job.card.transport,
    )


def _not_reviewed(
    job: Desired, rows: JobRows, cuts: Sequence[Cut], recorded: Recorded, guards: Guards
) -> Change | None:
    if guards.reviewed is None:
        return None
    return review.not_reviewed(job, rows, cuts, recorded.retries, guards.reviewed)


def _barred(job: Desired, rows: int) -> Change | None:
    """The block of a provider that may not be asked from here."""
    if not job.barred:
        return None
    return Change(Action.BLOCK, Reason.NOT_ALLOWED, rows=rows, detail=job.barred, unblock=job.unbar)


def _protected(job: Desired, repaid: int) -> list[Change]:
    """The block of a job whose rows are not to be paid for again. repaid: how many would be."""
    if not job.protect or not repaid:
        return []
    detail = f"remove `protect: true` from the job at {job.declared_at} to allow it"
    return [Change(Action.BLOCK, Reason.PROTECTED, rows=repaid, detail=detail)]


def _knows_nothing(job: Desired, rows: JobRows, recorded: Recorded) -> bool:
    """Whether no batch on record was ever sent to this provider, and nothing read back is of what is wanted now."""
    if any(rows.counts[row] for row in (Row.OK, Row.ERROR, Row.INVALID, Row.LOST, Row.UNKNOWN)):
        return False
    mine = (entry.batch for entry in recorded.batches if entry.batch.origin.provider == job.provider)
    return all(batch.is_read_back for batch in mine)


def _quiet(rows: JobRows) -> Change:
    if rows.counts[Row.SHARED]:
        return Change(Action.KEEP, Reason.SHARED, rows=rows.counts[Row.SHARED])
    if under_way := sum(rows.counts[row] for row in UNDER_WAY):
        return Change(Action.WAIT, Reason.RUNNING, rows=under_way, batches=len(rows.batches))
    return Change(Action.KEEP, Reason.IN_SYNC, rows=len(rows.states))


def _counts(rows: JobRows) -> RowCounts:
    count = rows.counts
    return RowCounts(
        wanted=len(rows.states) + rows.bad,
        distinct=len(rows.states) + rows.bad - count[Row.EQUAL],
        ok=count[Row.OK],
        error=count[Row.ERROR] + rows.bad,
        in_flight=count[Row.IN_FLIGHT],
        unknown=count[Row.OPEN] + count[Row.UNKNOWN],
        needs_decision=count[Row.LOST] + count[Row.STALLED] + count[Row.ELSEWHERE],
        to_submit=sum(count[row] for row in (Row.NEW, Row.AGAIN, Row.REPLACE, Row.INVALID, Row.LATE)),
        shared=count[Row.SHARED],
        bad=rows.bad,
    )


def _blocks(job: Desired, rows: JobRows) -> list[Change]:
    """Rows that wait for a person, with the way out."""
    blocks = []
    if job.in_the_way:
        blocks.append(Change(Action.BLOCK, Reason.IN_THE_WAY, detail=job.in_the_way))
    retry = f"runner retry {job.address}"
    if unknown := rows.counts[Row.UNKNOWN]:
        ways = (f"runner state resolve {job.address}", retry)
        blocks.append(_block(Reason.OUTCOME_UNKNOWN, unknown, rows, Row.UNKNOWN, ways))
    if lost := rows.counts[Row.LOST]:
        blocks.append(_block(Reason.NEEDS_RETRY, lost, rows, Row.LOST, (retry,)))
    if stalled := rows.counts[Row.STALLED]:
        blocks.append(_block(Reason.NOTHING_FINISHED, stalled, rows, Row.STALLED, (retry,)))
    if elsewhere := rows.counts[Row.ELSEWHERE]:
        blocks.append(
            Change(
                Action.BLOCK,
                Reason.OTHER_ORIGIN,
                rows=elsewhere,
                detail=f"{', '.join(sorted(rows.origins))}; the specs now say {job.origin}",
                unblock=(
                    f"runner state accept-origin {job.provider}",
                    f"runner retry {job.address} --replace",
                ),
            )
        )
    return blocks


def _block(reason: Reason, number: int, rows: JobRows, row: Row, ways: tuple[str, ...]) -> Change:
    return Change(Action.BLOCK, reason, rows=number, unblock=ways, first=tuple(rows.ordinals(row)[:MOST_NAMED]))


def _continue(job: Desired, one: resume.Continuation) -> Cut:
    """Nothing is uploaded for it, so no limit of the input counts."""
    size = sum(job.sizes[ordinal] + 1 for ordinal in one.ordinals)
    return Cut(
        job.address,
        one.ordinals,
        size,
        (one.parent.key,),
        continues=one.parent.key,
        reason=Reason.CONTINUED.value,
    )


def _cut(
    job: Desired, ordinals: Sequence[int], parents: tuple[str, ...], reason: Reason, *, is_online: bool = False
) -> list[Cut]:
    return [
        Cut(job.address, part, size, parents, reason=reason.value, is_online=is_online)
        for part, size in batches.cut(ordinals, job.sizes, job.card.limits, job.address, job.max_output_tokens or 0)
    ]


def _why_new(job: Desired, rows: JobRows, recorded: Recorded, replaced: int) -> Reason:
    """Why there are rows that were never asked. replaced: answers that are no longer wanted, whoever remembers them."""
    before = recorded.jobs.get(job.address)
    if before is None or not rows.counts[Row.NEW]:
        known = len(rows.states) - sum(rows.counts[row] for row in (Row.NEW, Row.EQUAL, Row.SHARED))
        if known:
            mine = [entry.batch for entry in recorded.batches if entry.batch.owner == job.address]
            is_tried = all(batch.reason == TRIED for batch in mine)
            return Reason.REST if mine and is_tried and not before else Reason.ROWS_ADDED
        return Reason.ALL_CHANGED if replaced else Reason.NEVER_ASKED
    record, keys_before = before
    if not common(keys_before, distinct_of(job)):
        if record.ok or not rows.counts[Row.OK]:
            return Reason.ALL_CHANGED if record.ok else Reason.NEVER_ASKED
        return Reason.REST  # some of it was tried since
    if not record.ok and not rows.counts[Row.OK]:
        return Reason.NEVER_ASKED
    new = keys_of(keys_at(job.keys, rows.ordinals(Row.NEW)))
    return Reason.ROWS_ADDED if without(new, keys_before) else Reason.REST


def _why_again(rows: JobRows) -> Reason:
    return Reason.ASKED_AGAIN if rows.parents else Reason.RETRIED


def _submit(
    job: Desired,
    reason: Reason,
    submissions: Sequence[Cut],
    detail: str = "",
    replaces: int = 0,
) -> Change:
    rows = sum(len(submission.ordinals) for submission in submissions)
    estimate = guard.estimate(job, *(submission.ordinals for submission in submissions))
    return Change(
        Action.SUBMIT,
        reason,
        rows=rows,
        batches=len(submissions),
        size_bytes=sum(submission.size_bytes for submission in submissions),
        tokens=estimate.tokens,
        untold=estimate.untold,
        most_tokens=estimate.most_tokens,
        usd=estimate.usd,
        seconds=estimate.seconds,
        detail=detail,
        replaces=replaces,
        first=tuple(sorted(n for one in submissions for n in one.ordinals[:MOST_NAMED]))[:MOST_NAMED],
        discount=0.0 if job.card.is_free else 1 - job.card.price_factor,
    )


def _money(
    job: Desired,
    changes: Sequence[Change],
    guards: Guards,
    spent: Mapping[str, float],
) -> list[Change]:
    paying = [change for change in changes if change.costs]
    if not paying:
        return []
    cost = _sum(change.usd for change in paying)
    where = f"`budget:` of the job at {job.declared_at}"
    found = guard.over_budget(spent.get(job.address, 0.0), cost, job.budget_usd, where)
    return [found] if found else []


def _paid_again(job: Desired, rows: JobRows, new: Sequence[int], before: Replaced, guards: Guards) -> Change | None:
    """What is to be said of requests that were paid for, or will be, and are to be paid for once more."""
    anew = min(len(new), before.paid + before.in_flight)
    in_flight = max(0, anew - before.paid)
    invalid = rows.ordinals(Row.INVALID)
    replaced = rows.ordinals(Row.REPLACE)
    if guard.is_more_than_agreed(len(invalid), rows.counts[Row.OK], guard.estimate(job, invalid).usd):
        replaced = [*replaced, *invalid]
    costs = [guard.estimate(job, new).usd] if anew else []
    usd = _sum(None if cost is None else cost * anew / len(new) for cost in costs)
    usd = _sum((usd, guard.estimate(job, replaced).usd)) if replaced else usd
    return guard.repaying(job, anew - in_flight + len(replaced), in_flight, usd, guards)


def _under_one_roof(desired: Sequence[Desired], jobs: Sequence[JobPlan], guards: Guards, spent: float) -> list[JobPlan]:
    """Block every paying job when they are too dear together."""
    going = [job for job in jobs if not job.is_held_back]
    paying = [change for job in going for change in job.changes if change.costs]
    if not paying:
        return list(jobs)
    counted = Amount()
    for change in paying:
        counted = counted.plus(Amount(change.rows, change.most_tokens, change.usd))
    sent = guards.sent
    of_money = [
        guard.over_budget(spent, counted.usd, guards.project_budget_usd, "`budget:` of the project"),
        guard.over_budget(sent.usd or 0.0, None if sent.usd is None else counted.usd, guards.max_usd, "`--max-usd`"),
    ]
    of_all = [
        guard.over_count(sent.requests, counted.requests, guards.max_requests, "`--max-requests`", "requests"),
        guard.over_count(
            sent.tokens or 0,
            None if sent.tokens is None else counted.tokens,
            guards.max_tokens,
            "`--max-tokens`",
            "tokens",
        ),
    ]
    return [replace(job, changes=(*job.changes, *_that_hold(job, of_money, of_all))) for job in jobs]


def _that_hold(job: JobPlan, of_money: Iterable[Change | None], of_all: Iterable[Change | None]) -> list[Change]:
    """The blocks that hold for a job: none where it sends nothing, none about money where it costs nothing."""
    costs = [change.usd for change in job.changes if change.costs]
    found = [*(of_money if any(cost != 0.0 for cost in costs) else ()), *(of_all if costs else ())]
    return [block for block in found if block]


def _sum(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
