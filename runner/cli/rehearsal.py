"""`runner apply --rehearse`: what a real run would send, as a table, after it was sent to stand-ins."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from runner.apply.errors import jobs_in
from runner.apply.outputs import Rewrite
from runner.apply.rehearse import Rehearsed, rehearse
from runner.apply.result import Result
from runner.apply.session import Session
from runner.apply.standins import StandIns
from runner.cli import errors, plantext, sums, views, voice
from runner.cli.comparing import compared
from runner.cli.failures import failures_in, top_reason
from runner.cli.main import Settings
from runner.cli.opening import rehearsing
from runner.cli.options import for_project
from runner.cli.saying import columns_of, say
from runner.cli.watcher import Watcher
from runner.job.capabilities import Transport
from runner.job.outcomes import Unsettled
from runner.job.selection import Selection
from runner.plan.guard import Guards, is_own

INTERRUPTED, FAILED, BLOCKED = 130, 4, 5
_HEADER = ("JOB", "PROVIDER", "MODEL", "WINDOW", "REQUESTS", "BATCHES", "BYTES", "INPUT", "COST")
_NUMBERS = range(4, len(_HEADER))  # columns set to the right


class RehearsedJob(msgspec.Struct, frozen=True):
    """One job of a rehearsal."""

    address: str
    provider: str
    model: str
    window_hours: int
    requests: int
    batches: int
    smallest_bytes: int
    largest_bytes: int
    tokens: int
    seconds: float | None  # of sound
    usd: float | None
    wanted: int
    ok: int
    error: int
    bad: int  # among `error`: rows that cannot be sent
    not_sent: int
    in_flight: int
    unknown: int
    needs_decision: int
    not_rehearsed: int
    output: str  # where the rehearsed results are, relative to the root; empty where none were due
    why: str  # the reason that most errors have; empty without one
    has_all_failed: bool  # nothing that was sent here was answered
    is_online: bool = False  # it is asked a call a request, and its batches are on our side only

    @property
    def input(self) -> str:
        """What the cost goes by, roughly."""
        return f"{self.tokens:,} tokens" if self.seconds is None else f"{self.seconds / 60:,.1f} minutes"

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.address,
            self.provider,
            self.model,
            "online" if self.is_online else f"{self.window_hours}h",
            f"{self.requests:,}",
            f"{self.batches:,}",
            _bytes(self.smallest_bytes, self.largest_bytes),
            self.input,
            _cost(self.usd),
        )


class _Progress:
    """A Reporter without the steps: they would name batches that no remote has."""

    def __init__(self, terminal: Watcher) -> None:
        self.warn = terminal.warn
        self.progress = terminal.progress
        self.silent = terminal.silent
        self.moving = terminal.moving
        self.happened = terminal.happened
        self.retried = terminal.retried

    def step(self, text: str) -> None:
        pass


def run(
    settings: Settings,
    paths: Sequence[str],
    guards: Guards,
    terminal: Watcher,
    stop: threading.Event,
    *,
    lock_seconds: float,
    parallelism: int | None,
    selection: Selection,
) -> int:
    """Rehearse the specs at `paths` and show what came of it; the exit code.

    guards: what the user allowed; the project's budget is added.
    """
    command = f"runner apply {shlex.join(paths)}"
    opening = rehearsing(
        settings,
        paths,
        _Progress(terminal),
        stop=stop,
        command=f"{command} --rehearse",
        lock_seconds=lock_seconds,
        selection=selection,
    )
    with opening as (session, remotes, real):
        session.parallelism = parallelism
        # Nothing is paid here, so nothing is held back for want of a memory: a note says what a real run wants
        wants_flag = not guards.first_run
        addresses = [job.address for job in session.desired]
        guards = replace(for_project(guards, session.project, addresses, is_asked=False), first_run=True)
        lost = [name for name in {job.provider for job in session.desired} if remotes.lacks_account(name)]
        try:
            result, rehearsed, files, not_asked = rehearse(session, guards, sorted(lost), real)
        finally:
            terminal.close()
        if stop.is_set() and result.is_running:
            say("\nStopped; nothing was sent", err=True)
            return INTERRUPTED
        _show(session, result, rehearsed, files)
        for note in [*plantext.told_not_asked(not_asked), *_notes(remotes, rehearsed)]:
            say(note, err=True)
        if wants_flag and (strange := _never_sent_to(session, rehearsed)):
            say(f"A real run needs `--first-run` once: {strange} cannot say what was sent before", err=True)
        if not result.errors or any(one.batches for one in rehearsed):  # else nobody knows what would be sent
            say(_last_line([_view(session, one) for one in rehearsed], command))
    return _code(result)


def _view(session: Session, one: Rehearsed) -> RehearsedJob:
    path = session.outputs_root / one.job.output
    sizes = [batch.size_bytes for batch in one.batches]
    counts = {name: int(getattr(one.written or one.plan.counts, name)) for name in _COUNTS}
    failed = counts["error"] - counts["bad"]
    return RehearsedJob(
        one.job.address,
        one.job.provider,
        one.job.model,
        one.job.window_hours,
        one.requests,
        len(sizes),
        min(sizes, default=0),
        max(sizes, default=0),
        one.tokens,
        one.seconds,
        one.usd,
        **counts,
        not_rehearsed=one.not_rehearsed,
        output=_relative(path, session.project.root) if one.written else "",
        why=top_reason(failures_in(path)) if one.written and failed else "",
        is_online=one.job.card.transport is Transport.ONLINE,
        has_all_failed=0 < one.requests <= failed and not any(batch.tally.ok for batch in one.batches),
    )


_COUNTS = ("wanted", "ok", "error", "bad", *(state.word for state in Unsettled))


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _show(session: Session, result: Result, rehearsed: Sequence[Rehearsed], files: Sequence[Rewrite]) -> None:
    colour = voice.has_colour()
    awry = jobs_in(result.errors)
    jobs = [_view(session, one) for one in rehearsed if not one.is_in_sync or one.job.address in awry]
    if jobs:
        click.echo(text_of(jobs, colour=colour))  # a table
        say()
    if files:
        say(plantext.text_of_files(files, colour=colour, columns=columns_of(sys.stdout)))
    if in_sync := len(rehearsed) - len({*(job.address for job in jobs), *(file.address for file in files)}):
        say(f"{plantext.unchanged(in_sync)}\n")
    if any(job.is_blocked for job in result.plan.jobs):
        # Batches of the real remotes are not looked at: what the plan says of them means nothing
        told, _ = compared(session, result.plan)
        view = views.of_plan(replace(result.plan, batches=(), leftovers=()), [], compared=told)
        view = replace(view, unchanged=0)
        say(plantext.text_of_plan(view, colour=colour, columns=columns_of(sys.stdout)) + "\n")
    for words in errors.told(result.errors):
        say(words, err=True)


def text_of(jobs: Sequence[RehearsedJob], *, colour: bool) -> str:
    """Two tables: what a real run would send, and what came back here."""
    rows = [_HEADER, *(job.cells for job in jobs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    out = []
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(cells).rstrip()
        out.append(voice.bold(line, colour=colour) if number == 0 else line)
    out.append("")
    names = max(len(job.address) for job in jobs)
    results = [_results(job) for job in jobs]
    width = max(map(len, results))
    for job, came in zip(jobs, results, strict=True):
        out.append(f"{job.address:<{names}}  {came:<{width}}  {job.output or 'no results file yet'}")
        if job.why:
            out.append(f"  ! {job.why}")
        if job.not_rehearsed:
            out.append(
                f"{'':<{names}}  {voice.count(job.not_rehearsed, 'request')} in flight at the remote, not rehearsed"
            )
    return "\n".join(out)


def _results(job: RehearsedJob) -> str:
    return f"{' + '.join(sums.parts_of(job))} = {job.wanted:,}"


def _bytes(smallest: int, largest: int) -> str:
    one = voice.size(largest)
    return one if voice.size(smallest) == one else f"{voice.size(smallest)} to {one}"


def _cost(usd: float | None) -> str:
    return "?" if usd is None else voice.money(usd)


def _notes(remotes: StandIns, rehearsed: Sequence[Rehearsed]) -> list[str]:
    """What is different when it is real."""
    sending = {one.job.provider for one in rehearsed if one.batches}
    return [
        f"A real run needs {' and '.join(needs)} for provider `{name}`"
        for name in sorted(sending)
        if (needs := remotes.needs(name))
    ]


def _inputs(jobs: Sequence[RehearsedJob]) -> str:
    minutes = sum(job.seconds or 0.0 for job in jobs) / 60
    texts = any(job.seconds is None for job in jobs)
    parts = [f"{voice.count(sum(job.tokens for job in jobs), 'token')} in"] if texts else []
    parts += [f"{minutes:,.1f} minutes of sound"] if minutes else []
    return " and ".join(parts)


def _never_sent_to(session: Session, rehearsed: Sequence[Rehearsed]) -> str:
    """Remotes that cannot be searched and of which nothing is on record, in words."""
    sandbox = session.sandbox
    known = {b.origin.provider for b in session.records.batches() if sandbox is None or not sandbox.made(b)}
    jobs = (one.job for one in rehearsed if one.batches)
    names = {
        job.provider
        for job in jobs
        if not (job.card.search.can_list or job.card.is_free or job.provider in known or is_own(job))
    }
    return ", ".join(f"`{name}`" for name in sorted(names))


def _last_line(jobs: Sequence[RehearsedJob], command: str) -> str:
    batches = sum(job.batches for job in jobs)
    if not batches:
        return f"Rehearsed: `{command}` would send nothing"
    costs = [job.usd for job in jobs if job.batches]
    known = [cost for cost in costs if cost is not None]
    total = voice.money(sum(known)) if len(known) == len(costs) else "cost ?"
    if all(job.has_all_failed for job in jobs if job.batches):
        then = f"Every one of them failed: put that right before you run `{command}`"
    else:
        then = f"To send them, run `{command}`"
    is_online = all(job.is_online for job in jobs if job.batches)
    sent = "online" if is_online else f"in {voice.count(batches, 'batch', 'batches')}"
    requests = voice.count(sum(job.requests for job in jobs), "request")
    return (
        f"Rehearsed: {requests} {sent}, about {_inputs(jobs)}, {total}; "
        f"nothing was paid, and every answer is synthetic. {then}"
    )


def _code(result: Result) -> int:
    codes = (
        (errors.has_failed(result.errors), 1),
        (bool(result.errors) or any(job.is_blocked for job in result.plan.jobs), BLOCKED),
        (any(job.counts.error for job in result.plan.jobs), FAILED),
    )
    return next((code for holds, code in codes if holds), 0)
