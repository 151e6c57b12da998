"""What a plan and a result look like, as data: text and JSON are drawn from the same view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.apply.outputs import Rewrite
from runner.cli import voice
from runner.plan.change import Action, Change, JobPlan
from runner.plan.plan import Plan
from runner.results.merge import Accounting

VERSION = 1


@dataclass(frozen=True, slots=True)
class LineView:
    """One line of a plan."""

    sign: str
    verb: str
    what: str
    why: str
    unblock: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobView:
    address: str
    declared_at: str
    lines: tuple[LineView, ...]
    wanted: int
    ok: int
    error: int
    held: int
    in_flight: int
    to_submit: int


@dataclass(frozen=True, slots=True)
class PlanView:
    version: int
    jobs: tuple[JobView, ...]
    leftovers: tuple[LineView, ...]
    summary: str
    to_submit: int
    is_empty: bool


def of_plan(plan: Plan, rewrites: Sequence[Rewrite]) -> PlanView:
    """The view of a plan; jobs in sync have no lines."""
    local = {rewrite.address: rewrite for rewrite in rewrites}
    jobs = tuple(
        _job(job, rows.batches, plan, local.get(job.address)) for job, rows in zip(plan.jobs, plan.rows, strict=True)
    )
    is_empty = plan.is_empty and not rewrites
    return PlanView(
        VERSION,
        jobs,
        tuple(_line(change, owner=batch.owner) for batch, change in plan.leftovers),
        _summary(plan, rewrites),
        plan.to_submit,
        is_empty,
    )


def _job(job: JobPlan, batches: set[str], plan: Plan, rewrite: Rewrite | None) -> JobView:
    lines = [_line(change, job=job) for change in job.changes if change.action not in (Action.KEEP, Action.WAIT)]
    lines += [_line(change) for batch, change in plan.batches if batch.key in batches]
    if job.counts.shared:
        lines.append(
            LineView("=", "share", voice.count(job.counts.shared, "request"), f"asked by {_names(job.shared_with)}")
        )
    equal = job.counts.wanted - job.counts.distinct
    if equal and lines:
        lines.append(
            LineView("=", "equal", voice.count(equal, "row"), "the same request as an earlier row, asked once")
        )
    if rewrite is not None:
        lines.append(LineView("~", "rewrite", f"`{rewrite.output}`", str(rewrite.drift)))
    counts = job.counts
    return JobView(
        job.address,
        str(job.declared_at),
        tuple(lines),
        counts.wanted,
        counts.ok,
        counts.error,
        counts.held,
        counts.in_flight,
        counts.to_submit,
    )


_VERBS = {
    "+": "create",
    "±": "delta",
    "-/+": "replace",
    "»": "resume",
    ".": "wait",
    "↓": "fetch",
    "!": "blocked",
    "=": "leave",
}


def _line(change: Change, *, job: JobPlan | None = None, owner: str = "") -> LineView:
    why = change.reason.value + (f": {voice.plain(change.detail)}" if change.detail else "")
    requests = voice.count(change.rows, "request")
    match change.action:
        case Action.SUBMIT:
            what = requests
            if job is not None and change.rows != job.counts.wanted:
                what = f"{change.rows:,} of {voice.count(job.counts.wanted, 'request')}"
            what += f" in {voice.count(change.batches, 'batch', 'batches')}, {voice.size(change.size_bytes)}"
            what += f", about {change.tokens:,} tokens in, {voice.money(change.usd)}"
        case Action.LEAVE:
            what = f"{requests} of `{owner}`"
        case Action.BLOCK if not change.rows:
            what = ""
        case _:
            what = requests
    return LineView(change.glyph, _VERBS[change.glyph], what, why, change.unblock)


def _names(addresses: Sequence[str]) -> str:
    return ", ".join(f"`{address}`" for address in addresses[:3]) + (", …" if len(addresses) > 3 else "")


def _summary(plan: Plan, rewrites: Sequence[Rewrite]) -> str:
    """`Plan: 300 requests to send in 2 batches, 1 batch to wait for`, or nothing to do."""
    parts = []
    if plan.submissions:
        batches = len(plan.submissions)
        parts.append(f"{voice.count(plan.to_submit, 'request')} to send in {voice.count(batches, 'batch', 'batches')}")
    for action, verb in ((Action.WAIT, "wait for"), (Action.DEFER, "wait for"), (Action.FETCH, "fetch")):
        number = sum(change.action is action for _, change in plan.batches)
        if number:
            parts.append(f"{voice.count(number, 'batch', 'batches')} to {verb}")
    if gone := sum(change.action is Action.LOSE for _, change in plan.batches):
        parts.append(f"{voice.count(gone, 'batch', 'batches')} gone from the remote")
    if rewrites:
        parts.append(f"{voice.count(len(rewrites), 'file')} to write")
    if blocked := sum(job.is_blocked for job in plan.jobs):
        parts.append(f"{voice.count(blocked, 'job')} blocked")
    return "Plan: " + ", ".join(parts) if parts else "Nothing to do"


def text_of_plan(view: PlanView, *, colour: bool) -> str:
    """The plan as a terminal shows it."""
    out: list[str] = []
    for job in view.jobs:
        if job.lines:
            out.append(f"{voice.bold(job.address, colour=colour)}  {job.declared_at}")
            out += _rows(job.lines, colour=colour)
            out.append("")
    if view.leftovers:
        out.append("Not in the specs any more")
        out += _rows(view.leftovers, colour=colour)
        out.append("")
    in_sync = sum(not job.lines for job in view.jobs)
    if in_sync and not view.is_empty:
        out += [f"{voice.count(in_sync, 'job')} in sync", ""]
    out.append(view.summary)
    return "\n".join(out)


def _rows(lines: Sequence[LineView], *, colour: bool) -> list[str]:
    width = max(len(line.what) for line in lines)
    rows = []
    for line in lines:
        rows.append(f"{voice.glyph(line.sign, colour=colour)} {line.verb:<8} {line.what:<{width}}  {line.why}".rstrip())
        rows += [f"             {'or ' if n else ''}`{way}`" for n, way in enumerate(line.unblock)]
    return rows


def standing(job: JobPlan) -> dict[str, int]:
    """The accounting of a job whose results were not written: ok + error + held + missing = wanted."""
    counts = job.counts
    missing = counts.wanted - counts.ok - counts.error - counts.held
    return {"ok": counts.ok, "error": counts.error, "held": counts.held, "missing": missing, "wanted": counts.wanted}


def accounting_line(address: str, output: str, counts: Accounting | Mapping[str, int]) -> str:
    """`capitals  46 ok, 0 error, 0 held, 0 missing of 46  results/capitals.jsonl`."""
    get = counts.__getitem__ if isinstance(counts, Mapping) else lambda name: int(getattr(counts, name))
    numbers = ", ".join(f"{get(name):,} {name}" for name in ("ok", "error", "held", "missing"))
    return f"{address}  {numbers} of {get('wanted'):,}  {output}"
