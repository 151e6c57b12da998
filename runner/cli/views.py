"""What a plan and a result look like, as data: text, JSON and Markdown are drawn from the same view."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from runner.apply.outputs import Rewrite
from runner.cli import voice
from runner.cli.lines import LineView, of_change
from runner.cli.nouns import ALL, ROWS, Nouns, nouns_of
from runner.job.address import name_of
from runner.job.capabilities import Content
from runner.job.desired import Desired
from runner.job.project import Project
from runner.job.recorded import Batch, JobRecord
from runner.job.scored import Verdict
from runner.job.stored import Kept
from runner.job.stored import told as told_kinds
from runner.plan.change import Action, Change, JobPlan
from runner.plan.compared import Changed, Compared, RequestDiff
from runner.plan.plan import Plan

VERSION = 3


class State(StrEnum):
    """What is to be said of a job, in the order in which a plan says it."""

    BLOCKED = "blocked"  # something of it waits for a person
    PAYING = "paying"  # sends something that costs, or may
    FREE = "free"  # all that is to be done costs nothing
    UNCHANGED = "unchanged"


class JobView(msgspec.Struct, frozen=True):
    address: str
    declared_at: str
    state: State
    lines: tuple[LineView, ...]
    wanted: int
    ok: int
    error: int
    not_sent: int
    in_flight: int
    unknown: int
    needs_decision: int
    to_submit: int
    kind: str = "requests"  # or `recordings`
    # Of what is to be sent, or would be if nothing held it back
    requests: int = 0
    batches: int = 0
    size_bytes: int = 0
    tokens: int = 0
    usd: float | None = 0.0  # at most; None: not known of all of it
    changed: tuple[Changed, ...] = ()
    since: str = ""  # what `changed` is told against; empty where nothing is known
    diffs: tuple[RequestDiff, ...] = ()


class GroupView(msgspec.Struct, frozen=True):
    """Jobs of which the same is to be said, for the same cause."""

    state: State
    jobs: tuple[str, ...]  # addresses, the dearest first
    lines: tuple[LineView, ...]  # of all of them together
    changed: tuple[Changed, ...] = ()
    since: str = ""
    usd: float | None = 0.0


class PlanView(msgspec.Struct, frozen=True):
    version: int
    jobs: tuple[JobView, ...]  # all of them, by address
    groups: tuple[GroupView, ...]  # those with something to say: blocked, then the dearest
    unchanged: int
    leftovers: tuple[LineView, ...]
    summary: str
    is_empty: bool
    parts: tuple[str, ...] = ()  # what `summary` is made of, without the cost
    cost: str = ""  # at most, in words; empty where nothing costs
    notes: tuple[str, ...] = ()
    # Of what is to be sent at once, as nothing holds it back
    requests: int = 0
    batches: int = 0
    size_bytes: int = 0
    tokens: int = 0
    usd: float | None = 0.0  # at most, with what follows later; None: not known of all of it
    not_asked: dict[str, str] = {}  # by provider, why it was not asked what it holds; an apply asks before it pays
    digest: str = ""  # of what is paid for: `runner apply --plan-digest` sends exactly that
    environment: str = ""  # the one it is of
    environments: tuple[str, ...] = ()  # that the specs have
    project: str = ""
    gates: dict[str, int] = {}  # expectations by how they stand: met, unmet, undecided, not_yet
    warnings: tuple[str, ...] = ()
    goes_on: bool = False  # an apply has something to do before a person decides anything
    deletes: dict[str, dict[str, int]] = {}  # by provider, how many objects of a kind `retention` deletes there then


def of_environment(view: PlanView, project: Project) -> PlanView:
    """The same, saying whose it is and where it is to happen."""
    return replace(view, project=project.name, environment=project.environment, environments=project.environments)


Ids = Callable[[str, Sequence[int]], Sequence[str]]  # of the rows of a job, by address and ordinals


NONE_SELECTED = "Nothing to do: no job is selected"


def of_plan(
    plan: Plan,
    rewrites: Sequence[Rewrite],
    ids: Ids = lambda address, ordinals: (),
    not_asked: Mapping[str, str] | None = None,
    compared: Mapping[str, Compared] | None = None,
    digest: str = "",
) -> PlanView:
    """The view of a plan; jobs in sync have no lines. compared: by address, of jobs that were asked otherwise."""
    of_job = _by_job(rewrites)
    told = [
        _told(job, rows.batches, plan, of_job.get(job.address, ()), ids, (compared or {}).get(job.address, Compared()))
        for job, rows in zip(plan.jobs, plan.rows, strict=True)
    ]
    going = [change for job in plan.jobs if not (job.is_held_back or job.waits) for change in job.changes]
    sent = [change for change in going if change.action is Action.SUBMIT]
    unknown, usd = _dollars(plan)
    parts, cost = _parts(plan, rewrites), at_most(plan)
    return PlanView(
        VERSION,
        jobs=tuple(one.view for one in told),
        groups=_groups(told),
        unchanged=sum(one.view.state is State.UNCHANGED for one in told),
        leftovers=tuple(_of_batch(batch, change) for batch, change in plan.leftovers),
        summary="Plan: " + ", ".join(filter(None, (*parts[:1], cost, *parts[1:]))) if parts else "Nothing to do",
        parts=tuple(parts),
        cost=cost,
        is_empty=plan.is_empty and not rewrites,
        notes=plan.notes,
        requests=plan.to_submit,
        batches=len(plan.submissions),
        size_bytes=sum(change.size_bytes for change in sent),
        tokens=sum(change.tokens for change in sent),
        usd=None if unknown else usd,
        not_asked=dict(not_asked or {}),
        digest=digest,
        goes_on=bool(plan.submissions or plan.ours or rewrites or plan.later),
    )


def with_deletions(view: PlanView, due: Mapping[str, Mapping[Kept, int]]) -> PlanView:
    """The same, with what `retention` deletes at providers once the rest is done."""
    if not due:
        return view
    total: Counter[Kept] = Counter()
    for counts in due.values():
        total.update(counts)
    part = f"{told_kinds(total)} to delete"
    summary = f"Plan: {part}" if view.is_empty else f"{view.summary}, {part}"
    deletes = {name: {kind.value: number for kind, number in counts.items()} for name, counts in sorted(due.items())}
    return replace(view, summary=summary, parts=(*view.parts, part), is_empty=False, goes_on=True, deletes=deletes)


def told_deletions(view: PlanView) -> list[str]:
    """What is deleted where, in words, a line a provider."""
    return [
        f"`{name}`: {told_kinds({Kept(kind): number for kind, number in counts.items()})} to be deleted after that, as "
        "`retention` asks"
        for name, counts in view.deletes.items()
    ]


def gates_of(desired: Sequence[Desired], view: PlanView, records: Mapping[str, JobRecord]) -> dict[str, int]:
    """How many expectations are met, unmet, undecided; not yet: what they are held to is not there, or will change."""
    found: Counter[str] = Counter()
    for job, told in zip(desired, view.jobs, strict=True):
        record = records.get(job.address)
        gates = record.scores.gates if record is not None and record.scores is not None and not told.requests else ()
        found.update(gate.verdict.value for gate in gates)
        found[Verdict.NOT_YET.value] += max(0, len(job.evals.expect) - len(gates))
    return {name: number for name, number in found.items() if number}


# --- one job ------------------------------------------------------------------------------------------------------


_OF_ONE_JOB = " of the job at "


class _Line(msgspec.Struct, frozen=True):
    """One line, and what makes it one of several jobs together."""

    view: LineView
    change: Change | None = None
    nouns: Nouns = ROWS
    wanted: int = 0  # requests of the job in all
    counted: Callable[[int], str] | None = None  # what so many are called, where no change is behind it

    @property
    def is_alike(self) -> tuple[str, ...]:
        """Equal for lines that can be told as one."""
        why = self.view.why
        if self.change is not None and self.change.replaces:
            why = f"{self.change.reason} {self.change.detail}"  # how many, they have together
        elif self.change is not None and _OF_ONE_JOB in self.change.detail:
            why += f" {id(self)}"  # what is left of its own budget is said of no other
        return self.view.sign, self.view.verb, why, self.nouns.request


class _Told(msgspec.Struct, frozen=True):
    view: JobView
    lines: list[_Line]


def _told(job: JobPlan, batches: set[str], plan: Plan, files: Sequence[Rewrite], ids: Ids, compared: Compared) -> _Told:
    nouns, counts = nouns_of(job.content, job.transport), job.counts
    changes = [change for change in job.changes if change.action not in (Action.KEEP, Action.WAIT)]
    lines = [
        _Line(of_change(change, nouns, wanted=counts.wanted, ids=_ids(job, change, ids)), change, nouns, counts.wanted)
        for change in changes
    ]
    mine = [(batch, change) for batch, change in plan.batches if batch.key in batches]
    lines += [
        _Line(_of_batch(batch, change), change, nouns_of(batch.content, batch.transport)) for batch, change in mine
    ]
    if counts.shared:
        lines.append(_shared(counts.shared, job, nouns))
    if (equal := counts.wanted - counts.distinct) and lines:
        lines.append(_equal(equal, job))
    lines += map(_of_file, files)
    paying = [change for change in job.changes if change.costs]
    sending = [change for change in paying if change.action is not Action.MAY]
    costs = [change.usd for change in paying]
    is_blocked = job.is_blocked or any(change.action is Action.LOSE for _, change in mine)
    view = JobView(
        job.address,
        str(job.declared_at),
        _state(is_blocked=is_blocked, costs=costs, has_lines=bool(lines)),
        tuple(line.view for line in lines),
        counts.wanted,
        counts.ok,
        counts.error,
        counts.not_sent,
        counts.in_flight,
        counts.unknown,
        counts.needs_decision,
        counts.to_submit,
        "recordings" if job.content is Content.RECORDING else "requests",
        requests=sum(change.rows for change in sending),
        batches=sum(change.batches for change in sending),
        size_bytes=sum(change.size_bytes for change in sending),
        tokens=sum(change.tokens for change in sending),
        usd=_sum(costs),
        changed=compared.changed,
        since=compared.since,
        diffs=compared.diffs,
    )
    return _Told(view, lines)


def _state(*, is_blocked: bool, costs: Sequence[float | None], has_lines: bool) -> State:
    if is_blocked:
        return State.BLOCKED
    if any(cost != 0.0 for cost in costs):
        return State.PAYING
    return State.FREE if has_lines else State.UNCHANGED


def _ids(job: JobPlan, change: Change, ids: Ids) -> Sequence[str]:
    """The first rows of a change by their ids; of a job that is sent as a whole nobody asks which."""
    return ids(job.address, change.first) if change.first and change.rows < job.counts.distinct else ()


def _by_job(files: Sequence[Rewrite]) -> dict[str, list[Rewrite]]:
    found: dict[str, list[Rewrite]] = {}
    for file in files:
        found.setdefault(file.address, []).append(file)
    return found


def _of_file(file: Rewrite) -> _Line:
    sign, verb = ("-", "remove") if file.removes else ("~", "rewrite")
    line = LineView(sign, verb, f"`{file.output}`", "; ".join(filter(None, (file.why, file.keeps))))
    return _Line(line, counted=lambda number: "")


def files_of(files: Sequence[Rewrite]) -> Iterable[tuple[str, str, list[LineView]]]:
    """By job (its address, and where it is declared) what would be done to its files."""
    return (
        (address, str(mine[0].job.declared_at), [_of_file(file).view for file in mine])
        for address, mine in _by_job(files).items()
    )


def _of_batch(batch: Batch, change: Change) -> LineView:
    return of_change(change, nouns_of(batch.content, batch.transport), batch=batch)


def _shared(number: int, job: JobPlan, nouns: Nouns) -> _Line:
    line = LineView("=", "share", nouns.requests(number), f"asked by {_names(job.shared_with)}", rows=number)
    return _Line(line, counted=nouns.requests)


def _equal(number: int, job: JobPlan) -> _Line:
    noun, why = "row", "the same request as an earlier row, asked once"
    if job.content is Content.RECORDING:
        noun, why = "recording", "the same content as an earlier one, sent once"
    line = LineView("=", "equal", voice.count(number, noun), why, rows=number)
    return _Line(line, counted=lambda rows: voice.count(rows, noun))


def _names(addresses: Sequence[str]) -> str:
    return ", ".join(f"`{address}`" for address in addresses[:3]) + (", …" if len(addresses) > 3 else "")


def _sum(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else sum(filter(None, known), 0.0)


# --- jobs of which the same is to be said -------------------------------------------------------------------------


def _groups(told: Sequence[_Told]) -> tuple[GroupView, ...]:
    """Jobs of one cause together, or cells of one matrix; blocked ones first, then the dearest, then by address."""
    found: dict[object, list[_Told]] = {}
    for one in told:
        view = one.view
        if view.state is not State.UNCHANGED:
            cause = (view.changed, view.since) if view.changed else name_of(view.address)
            found.setdefault((view.state, cause, tuple(line.is_alike for line in one.lines)), []).append(one)
    return tuple(sorted(map(_group, found.values()), key=_rank))


def _group(told: list[_Told]) -> GroupView:
    told.sort(key=lambda one: (-_dear(one.view.usd), one.view.address))
    first = told[0].view
    return GroupView(
        first.state,
        tuple(one.view.address for one in told),
        tuple(map(_together, zip(*(one.lines for one in told), strict=True))),
        first.changed,
        first.since,
        _sum(one.view.usd for one in told),
    )


def _rank(group: GroupView) -> tuple[int, float, str]:
    return list(State).index(group.state), -_dear(group.usd), min(group.jobs)


def _dear(usd: float | None) -> float:
    """To sort by: what is not known may be anything."""
    return math.inf if usd is None else usd


def _together(lines: Sequence[_Line]) -> LineView:
    """The same line of several jobs as one."""
    first = lines[0]
    if len(lines) == 1:
        return first.view
    ids = {line.view.ids for line in lines}
    same_ids = ids.pop() if len(ids) == 1 else ()
    rows = sum(line.view.rows for line in lines)
    if first.change is None:
        assert first.counted is not None, "it has no change"
        return replace(first.view, what=first.counted(rows) or voice.count(len(lines), "file"), rows=rows)
    changes = [line.change for line in lines if line.change is not None]
    every = replace(
        first.change,
        rows=rows,
        batches=sum(change.batches for change in changes),
        size_bytes=sum(change.size_bytes for change in changes),
        tokens=sum(change.tokens for change in changes),
        usd=_sum(change.usd for change in changes),
        least_usd=_sum(change.least_usd for change in changes),
        seconds=_sum(change.seconds for change in changes),
        replaces=sum(change.replaces for change in changes),
        unblock=tuple(dict.fromkeys(way for change in changes for way in change.unblock)),
    )
    wanted = sum(line.wanted for line in lines)
    together = of_change(every, first.nouns, wanted=wanted, ids=same_ids)
    done = [line.view.done for line in lines]
    return replace(together, why=together.why if every.replaces else first.view.why, done=_sum_of(done))


def _sum_of(numbers: Sequence[int | None]) -> int | None:
    return None if None in numbers else sum(filter(None, numbers))


# --- all of them in a line ----------------------------------------------------------------------------------------


def _dollars(plan: Plan) -> tuple[int, float]:
    """How many requests are to be sent at a cost that is not known, and what the others come to."""
    changes = [change for job in plan.jobs if not job.is_held_back for change in job.changes]
    paying = [change for change in changes if change.costs]
    unknown = [one.rows for one in paying if one.usd is None and one.action is not Action.MAY]  # the same requests
    return sum(unknown), sum(one.usd or 0.0 for one in paying)


def to_send_usd(plan: Plan) -> float | None:
    """At most, for all that is to be sent and is not held back; None where it is not known of all of it."""
    unknown, usd = _dollars(plan)
    return None if unknown else usd


def at_most(plan: Plan) -> str:
    """`at most $5.84`, for all that is to be sent; empty where nothing is, or where it costs nothing."""
    unknown, usd = _dollars(plan)
    if unknown:
        known = f"at most {voice.money(max(usd, 0.01))}, and {voice.count(unknown, 'request')} " if usd else ""
        return f"{known}at a cost that is not known"
    return f"at most {voice.money(max(usd, 0.01))}" if usd else ""


def _parts(plan: Plan, rewrites: Sequence[Rewrite]) -> list[str]:
    """`300 requests to send in 2 batches`, `1 calls batch to wait for`; what is to be paid for is the first of them."""
    sends = [part for nouns in ALL for part in _to_send(plan, nouns)]
    if plan.ahead:
        sends.append(f"about {ROWS.requests(plan.ahead)} after others")
    parts = [", ".join(sends)] if sends else []
    for nouns in ALL:
        parts += _under_way(plan, nouns)
    for removes, what in ((False, "to write"), (True, "to remove")):
        if number := sum(one.removes is removes for one in rewrites):
            parts.append(f"{voice.count(number, 'file')} {what}")
    if blocked := sum(job.is_blocked for job in plan.jobs):
        parts.append(f"{voice.count(blocked, 'job')} blocked")
    return parts


def _to_send(plan: Plan, nouns: Nouns) -> list[str]:
    going = [job for job in plan.jobs if not job.is_held_back and nouns_of(job.content, job.transport) is nouns]
    parts = []
    for waits, when in ((False, "to send"), (True, "later")):
        submissions = [submission for job in going if job.waits is waits for submission in job.submissions]
        if submissions:
            number = sum(len(submission.ordinals) for submission in submissions)
            parts.append(f"{nouns.requests(number)} {when} {nouns.sent(len(submissions))}")
    return parts


def _under_way(plan: Plan, nouns: Nouns) -> list[str]:
    actions = [change.action for batch, change in plan.ours if nouns_of(batch.content, batch.transport) is nouns]
    parts = []
    verbs = {Action.WAIT: "wait for", Action.DEFER: "wait for", Action.FETCH: "fetch", Action.STOP: "cancel"}
    for action, verb in verbs.items():
        if number := actions.count(action):
            parts.append(f"{nouns.sent_in(number)} to {verb}")
    if gone := actions.count(Action.LOSE):
        parts.append(f"{nouns.sent_in(gone)} gone from the remote")
    return parts
