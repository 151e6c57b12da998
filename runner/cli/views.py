"""What a plan and a result look like, as data: text and JSON are drawn from the same view."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from runner.apply.outputs import Rewrite
from runner.cli import voice
from runner.cli.lines import LineView, of_change
from runner.cli.nouns import RECORDINGS, ROWS, Nouns, nouns_of
from runner.job.capabilities import Content
from runner.job.recorded import Batch
from runner.plan.change import Action, Change, JobPlan
from runner.plan.plan import Plan

VERSION = 2


class JobView(msgspec.Struct, frozen=True):
    address: str
    declared_at: str
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


class PlanView(msgspec.Struct, frozen=True):
    version: int
    jobs: tuple[JobView, ...]
    leftovers: tuple[LineView, ...]
    summary: str
    to_submit: int
    is_empty: bool
    notes: tuple[str, ...] = ()
    requests: int = 0  # to be sent
    batches: int = 0  # that they are sent in
    usd: float | None = 0.0  # at most; None: not known of all of them
    not_asked: dict[str, str] = {}  # by provider, why it was not asked what it holds; an apply asks before it pays


Ids = Callable[[str, Sequence[int]], Sequence[str]]  # of the rows of a job, by address and ordinals


def of_plan(
    plan: Plan,
    rewrites: Sequence[Rewrite],
    ids: Ids = lambda address, ordinals: (),
    not_asked: Mapping[str, str] | None = None,
) -> PlanView:
    """The view of a plan; jobs in sync have no lines."""
    of_job = _by_job(rewrites)
    jobs = tuple(
        _job(job, rows.batches, plan, of_job.get(job.address, ()), ids)
        for job, rows in zip(plan.jobs, plan.rows, strict=True)
    )
    is_empty = plan.is_empty and not rewrites
    return PlanView(
        VERSION,
        jobs,
        tuple(_of_batch(batch, change) for batch, change in plan.leftovers),
        _summary(plan, rewrites),
        plan.to_submit,
        is_empty,
        plan.notes,
        plan.to_submit,
        len(plan.submissions),
        _dollars(plan)[1] if _dollars(plan)[0] == 0 else None,
        dict(not_asked or {}),
    )


def _dollars(plan: Plan) -> tuple[int, float]:
    """How many requests are to be sent at a cost that is not known, and what the others come to."""
    changes = [change for job in plan.jobs if not job.is_held_back for change in job.changes]
    paying = [change for change in changes if change.costs]
    return sum(one.rows for one in paying if one.usd is None), sum(one.usd or 0.0 for one in paying)


def at_most(plan: Plan) -> str:
    """`at most $5.84`, for all that is to be sent; empty where nothing is, or where it costs nothing."""
    unknown, usd = _dollars(plan)
    if unknown:
        known = f"at most {voice.money(max(usd, 0.01))}, and {voice.count(unknown, 'request')} " if usd else ""
        return f"{known}at a cost that is not known"
    return f"at most {voice.money(max(usd, 0.01))}" if usd else ""


def _job(job: JobPlan, batches: set[str], plan: Plan, files: Sequence[Rewrite], ids: Ids) -> JobView:
    nouns = nouns_of(job.content)
    changes = [change for change in job.changes if change.action not in (Action.KEEP, Action.WAIT)]
    lines = [of_change(change, nouns, job=job, ids=_ids(job, change, ids)) for change in changes]
    lines += [_of_batch(batch, change) for batch, change in plan.batches if batch.key in batches]
    if shared := job.counts.shared:
        lines.append(LineView("=", "share", nouns.requests(shared), f"asked by {_names(job.shared_with)}", rows=shared))
    equal = job.counts.wanted - job.counts.distinct
    if equal and lines:
        lines.append(_equal(equal, job))
    lines += map(_of_file, files)
    counts = job.counts
    return JobView(
        job.address,
        str(job.declared_at),
        tuple(lines),
        counts.wanted,
        counts.ok,
        counts.error,
        counts.not_sent,
        counts.in_flight,
        counts.unknown,
        counts.needs_decision,
        counts.to_submit,
        "recordings" if job.content is Content.RECORDING else "requests",
    )


def _ids(job: JobPlan, change: Change, ids: Ids) -> Sequence[str]:
    """The first rows of a change by their ids; of a job that is sent as a whole nobody asks which."""
    return ids(job.address, change.first) if change.first and change.rows < job.counts.wanted else ()


def _by_job(files: Sequence[Rewrite]) -> dict[str, list[Rewrite]]:
    found: dict[str, list[Rewrite]] = {}
    for file in files:
        found.setdefault(file.address, []).append(file)
    return found


def _of_file(file: Rewrite) -> LineView:
    sign, verb = ("-", "remove") if file.removes else ("~", "rewrite")
    return LineView(sign, verb, f"`{file.output}`", "; ".join(filter(None, (file.why, file.keeps))))


def _of_batch(batch: Batch, change: Change) -> LineView:
    return of_change(change, nouns_of(batch.content), batch=batch)


def _equal(number: int, job: JobPlan) -> LineView:
    if job.content is Content.RECORDING:
        what, why = voice.count(number, "recording"), "the same content as an earlier one, sent once"
    else:
        what, why = voice.count(number, "row"), "the same request as an earlier row, asked once"
    return LineView("=", "equal", what, why, rows=number)


def _names(addresses: Sequence[str]) -> str:
    return ", ".join(f"`{address}`" for address in addresses[:3]) + (", …" if len(addresses) > 3 else "")


def _summary(plan: Plan, rewrites: Sequence[Rewrite]) -> str:
    """`Plan: 300 requests to send in 2 batches, 1 calls batch to wait for`, or nothing to do."""
    parts = [*_to_send(plan, ROWS), *_to_send(plan, RECORDINGS)]
    if plan.ahead:
        parts.append(f"about {ROWS.requests(plan.ahead)} after others")
    if parts and (usd := at_most(plan)):
        parts.append(usd)
    for nouns in (ROWS, RECORDINGS):
        parts += _under_way(plan, nouns)
    for removes, what in ((False, "to write"), (True, "to remove")):
        if number := sum(one.removes is removes for one in rewrites):
            parts.append(f"{voice.count(number, 'file')} {what}")
    if blocked := sum(job.is_blocked for job in plan.jobs):
        parts.append(f"{voice.count(blocked, 'job')} blocked")
    return "Plan: " + ", ".join(parts) if parts else "Nothing to do"


def _to_send(plan: Plan, nouns: Nouns) -> list[str]:
    going = [job for job in plan.jobs if not job.is_held_back and nouns_of(job.content) is nouns]
    parts = []
    for waits, when in ((False, "to send"), (True, "later")):
        submissions = [submission for job in going if job.waits is waits for submission in job.submissions]
        if submissions:
            number = sum(len(submission.ordinals) for submission in submissions)
            parts.append(f"{nouns.requests(number)} {when} in {nouns.sent_in(len(submissions))}")
    return parts


def _under_way(plan: Plan, nouns: Nouns) -> list[str]:
    actions = [change.action for batch, change in plan.ours if nouns_of(batch.content) is nouns]
    parts = []
    for action, verb in ((Action.WAIT, "wait for"), (Action.DEFER, "wait for"), (Action.FETCH, "fetch")):
        if number := actions.count(action):
            parts.append(f"{nouns.sent_in(number)} to {verb}")
    if gone := actions.count(Action.LOSE):
        parts.append(f"{nouns.sent_in(gone)} gone from the remote")
    return parts


def text_of_plan(view: PlanView, *, colour: bool, columns: int | None = None) -> str:
    """The plan as a terminal of so many columns shows it; None: lines may be as long as they are."""
    out: list[str] = []
    for job in view.jobs:
        if job.lines:
            out.append(f"{voice.bold(job.address, colour=colour)}  {job.declared_at}")
            out += _rows(job.lines, colour=colour, columns=columns)
            out.append("")
    if view.leftovers:
        out.append("Not in the specs any more")
        out += _rows(view.leftovers, colour=colour, columns=columns)
        out.append("")
    if view.notes and not view.is_empty:
        out += [*view.notes, ""]
    in_sync = sum(not job.lines for job in view.jobs)
    if in_sync and not view.is_empty:
        out += [f"{voice.count(in_sync, 'job')} in sync", ""]
    if view.not_asked:
        out += [*told_not_asked(view.not_asked), ""]
    out.append(view.summary)
    return "\n".join(out)


def text_of_files(files: Sequence[Rewrite], *, colour: bool, columns: int | None = None) -> str:
    """The files that would be written or removed, as a plan shows them."""
    out: list[str] = []
    for address, mine in _by_job(files).items():
        out.append(f"{voice.bold(address, colour=colour)}  {mine[0].job.declared_at}")
        out += [*_rows([*map(_of_file, mine)], colour=colour, columns=columns), ""]
    return "\n".join(out)


def told_not_asked(not_asked: Mapping[str, str]) -> list[str]:
    """What a reader has to know of a plan for which a remote was not asked."""
    return [
        f"`{name}` was not asked what it holds of this project: {why}; `runner apply` asks before it sends anything"
        for name, why in sorted(not_asked.items())
    ]


_BELOW = " " * 13
_MOST_OF_AN_ID = 40


def _told_ids(line: LineView) -> str:
    """`r1, r7, r9 and 4 more`."""
    shown = [voice.one_line(one) for one in line.ids]
    cut = [one if len(one) <= _MOST_OF_AN_ID else f"{one[: _MOST_OF_AN_ID - 1]}…" for one in shown]
    more = line.rows - len(cut)
    return ", ".join(cut) + (f" and {more:,} more" if more > 0 else "")


def _rows(lines: Sequence[LineView], *, colour: bool, columns: int | None) -> list[str]:
    """One line a change; its reason on a line of its own where the terminal is too narrow for both."""
    width = max(len(line.what) for line in lines)
    rows = []
    for line in lines:
        start = f"{voice.glyph(line.sign, colour=colour)} {line.verb:<8} "
        is_narrow = columns is not None and len(_BELOW) + width + 2 + len(line.why) > columns
        if is_narrow and line.what:
            rows += [f"{start}{line.what}", f"{_BELOW}{line.why}"]
        else:
            rows.append(f"{start}{line.what:<{0 if is_narrow else width}}  {line.why}".rstrip())
        rows += [f"{_BELOW}{_told_ids(line)}"] if line.ids else []
        rows += [f"{_BELOW}{'or ' if n else ''}`{way}`" for n, way in enumerate(line.unblock)]
    return rows
