"""What an apply came to: a line for each job, what went wrong, the exit code, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.apply.errors import jobs_in
from runner.cli import errors, plantext, standing, sums, views, voice
from runner.cli.comparing import compared
from runner.cli.failures import failures_in, top_reason
from runner.cli.question import YesOrNo
from runner.cli.rows import ids_in
from runner.cli.saying import columns_of, say, say_json
from runner.cli.suggest import as_typed
from runner.errors import NotConfirmed
from runner.job.capabilities import Content
from runner.job.recorded import Stage
from runner.job.scored import Verdict
from runner.plan.change import Action, Reason
from runner.plan.decide import ENDED_REASONS, UNSENT_REASONS

if TYPE_CHECKING:
    from runner.apply.errors import StepError
    from runner.apply.result import Result
    from runner.apply.session import Session
    from runner.job.desired import Desired
    from runner.job.recorded import Batch, Retry
    from runner.plan.change import JobPlan

RUNNING, FAILED, BLOCKED, INTERRUPTED = 3, 4, 5, 130
GRAVEST_FIRST = (INTERRUPTED, 1, BLOCKED, FAILED, RUNNING)  # as docs/exit-codes.md has it


def report(
    session: Session, result: Result, answer: YesOrNo, paths: Sequence[str], form: str, *, interrupted: bool
) -> int:
    """Say what it came to, on stdout, and what went wrong and what to do next, on stderr; the exit code.

    answer: to the question whether to pay. paths: of the specs, as they were given. form: `text` or `json`.
    """
    asked = standing.asked_in(session.records)
    ours, others = errors.by_whose(result.errors, {job.address for job in session.desired}, result.plan)
    awry = [one for one in ours if answer is not YesOrNo.NO or not isinstance(one.error, NotConfirmed)]
    told, _ = compared(session, result.plan)
    view = views.of_plan(result.plan, [], ids_in(session.compiled), compared=told)
    view = views.of_environment(view, session.project)
    code = _code_of(result, awry, answer, interrupted=interrupted)
    if form == "text":
        lines = [
            line
            for job, part in zip(session.desired, result.plan.jobs, strict=True)
            for line in _lines_of(session, result, job, part, asked)
        ]
        for line in lines:
            say(line)
        if _is_blocked(result) or view.leftovers:
            say(plantext.text_of_plan(view, colour=voice.has_colour(), columns=columns_of(sys.stdout)))
        elif not lines and not result.is_running and not ours:
            say("Nothing to do" if session.desired or not session.project.left_out else views.NONE_SELECTED)
    else:
        records = session.records.jobs()
        jobs = [standing.job_standing(part, records.get(part.address), asked) for part in result.plan.jobs]
        applied = standing.AppliedView(code, result.is_running, tuple(jobs), result.scoring.gates, view)
        say_json(applied)
    if not session.desired and not session.project.left_out:
        say("The specs declare no job", err=True)
    for words in errors.told(others):
        say(f"{words}\n(no job of these specs waits for it; the command goes on without it)", err=True)
    for words in errors.told(awry):
        say(words, err=True)
    if step := _next_step(result, code, answer, paths):
        say(f"\n{step}", err=True)
    return code


def _lines_of(
    session: Session, result: Result, job: Desired, part: JobPlan, asked: Sequence[Batch | Retry]
) -> list[str]:
    """What one job came to; nothing where there is no news of it."""
    lines: list[str] = []
    if (accounting := result.written.get(job.address)) is not None:
        lines.append(sums.line_of(job.address, job.output, accounting))
        if accounting.error > accounting.bad and (why := top_reason(failures_in(session.output_file(job.output)))):
            lines.append(f"  ! {why}")
        lines += [f"  {words}" for words in accounting.told]
    elif part.counts.ok < part.counts.wanted or part.waits:
        there = session.output_file(job.output).exists()
        told = f"{job.output} as it was" if there else "no results file yet"
        lines.append(sums.line_of(job.address, told, part.counts))
    elif result.scoring.is_news(job.address) or job.address in result.awaited:  # another command may have collected it
        stands = standing.job_standing(part, session.records.jobs().get(job.address), asked)
        told = f"{job.output} not written" if job.address in jobs_in(result.unwritten) else job.output
        lines.append(sums.line_of(job.address, told, stands))
    else:
        return []
    if result.scoring.tells_of(job.address):
        from runner.cli import scorelines  # brings what most jobs have no use for

        lines += scorelines.of_job(job.address, result.scoring)
    lines += [f"  ? {change.why}" for change in part.changes if change.action is Action.AFTER]
    kept = sum(change.rows for change in part.changes if change.reason is Reason.SAMPLED)
    lines += [f"  = {voice.count(kept, 'request')} {Reason.SAMPLED.value}"] if kept else []
    if number := standing.possible_duplicates(job.address, asked):
        lines.append(f"  ! {standing.maybe_twice(number)}")
    return lines


def _is_blocked(result: Result) -> bool:
    return any(job.is_blocked for job in result.plan.jobs)


def _is_sampled(result: Result) -> bool:
    """Whether the user wanted some of the requests to be kept for later."""
    return any(change.reason is Reason.SAMPLED for job in result.plan.jobs for change in job.changes)


def _code_of(result: Result, awry: Sequence[StepError], answer: YesOrNo, *, interrupted: bool) -> int:
    """The exit code: of all that holds, the gravest. awry: what went wrong with jobs of these specs."""
    is_failed = any(job.counts.error for job in result.plan.jobs)
    is_unmet = result.scoring.holds(Verdict.UNMET, Verdict.UNDECIDED)
    is_put_off = bool(result.plan.later) and not result.is_running and answer is not YesOrNo.NO
    is_put_off &= not _is_sampled(result)
    holds = {
        INTERRUPTED: interrupted and result.is_running,
        1: errors.has_failed(awry),
        BLOCKED: _is_blocked(result) or bool(awry) or answer is YesOrNo.NOBODY,
        FAILED: is_failed or is_unmet or is_put_off,
        RUNNING: result.is_running,
    }
    return next((code for code in GRAVEST_FIRST if holds[code]), 0)


# --- what a user does after this ----------------------------------------------------------------------------------


def _next_step(result: Result, code: int, answer: YesOrNo, paths: Sequence[str]) -> str:
    """A sentence; empty where the errors say it."""
    if answer is YesOrNo.NO:
        return "Nothing more was sent" if result.submitted else "Nothing was sent"
    if answer is YesOrNo.NOBODY:
        what = "What costs money was not sent" if result.submitted else "Nothing was sent"
        command = as_typed("runner apply -y", paths)
        return f"{what}: nobody is here to say yes to what it costs. `{command}` says yes beforehand"
    if code == INTERRUPTED:
        return "Stopped; what was sent goes on. Run the same command again to collect it"
    if code == RUNNING:
        return f"{_running(result)}. Run the same command again to go on"
    if code == FAILED:
        return _failed(result)
    return _done(result) if code == 0 and result.written else ""


def _running(result: Result) -> str:
    if result.is_out_of_time:
        return f"The time of `--wait` is over{_left(result)}"
    reasons = {change.reason for _, change in result.plan.batches}
    if reasons <= UNSENT_REASONS:
        return "Nothing is in flight now, and not everything is sent: the remote said to try later"
    if reasons <= ENDED_REASONS:
        return "What was sent has ended; its results are not all there yet"
    return "Still running"


def _left(result: Result) -> str:
    """`, with 40 requests in flight and 2 not sent`, and what becomes of a create that has no answer yet."""
    counts = [job.counts for job in result.plan.jobs]
    kinds = ((sum(one.in_flight for one in counts), "in flight"), (sum(one.not_sent for one in counts), "not sent"))
    left = [(number, where) for number, where in kinds if number]
    words = [f"{voice.count(number, 'request')} {where}" for number, where in left[:1]]
    words += [f"{number:,} {where}" for number, where in left[1:]]
    unanswered = sum(batch.stage is Stage.INTENT for batch, _ in result.plan.batches)
    them = "it" if unanswered == 1 else "them"
    creates = (
        f"; {voice.count(unanswered, 'create')} had no answer: the next pass looks for {them} before it sends anything"
    )
    return (f", with {' and '.join(words)}" if words else "") + (creates if unanswered else "")


def _failed(result: Result) -> str:
    failed = [job for job in result.plan.jobs if job.counts.error]
    if not failed:
        look = "`runner report --open` shows which rows"
        return f"Not everything is as expected: {look}; edit a check or a prompt, and run the same command again"
    asked = [job for job in failed if job.counts.error > job.counts.bad]
    address = (asked or failed)[0].address
    if asked:
        what, then = "requests failed for good", f"`runner retry {address}` asks them again"
    else:
        what, then = "rows cannot be sent", "put them right and run the same command again"
    return f"Some {what}: `runner show {address}` lists them, {then}"


def _done(result: Result) -> str:
    if _is_sampled(result):
        return "Done with the sample. Run the same command without `--sample` to send the rest"
    flawed = next((address for address, one in result.written.items() if any(one.flawed_ok.values())), None)
    if flawed is not None:
        return f"Done, but some answers are flawed: `runner show {flawed}` says why, and what helps"
    is_of_recordings = all(job.content is Content.RECORDING for job in result.plan.jobs)
    change = "add a recording" if is_of_recordings else "edit a row"
    return f"Done. Run it again and nothing is sent; {change} and only that is sent"
