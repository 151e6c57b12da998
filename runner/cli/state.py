"""`runner state`: look into what is recorded, and decide what only a person can."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from runner.cli import carried, resolve
from runner.cli.habits import Consent
from runner.cli.options import option
from runner.cli.remembered import remembered
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.cli.recordview import RecordsView
    from runner.state.records import Records


@click.group("state")
def command() -> None:
    """Look into the recorded state, move or forget records, carry or rebuild it as a whole, accept an origin, and
    decide about what is held.
    """


for _one in (resolve.command, carried.pull, carried.push, carried.rebuild):
    command.add_command(_one)


@command.command("list")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def list_records(ctx: click.Context, form: str) -> int:
    """List every recorded batch, a line each: its job's address, its key, how it stands, what it answered, when it was
    sent. A job of which no batch is recorded has its address alone.
    """
    from runner.cli import recordview

    with closing(remembered(ctx.obj)) as memory:
        view = _recorded(memory.records)
    if form == "json":
        say_json(view)
    elif told := recordview.listed(view):
        say(told)
    else:
        say("Nothing is recorded here", err=True)
    return 0


@command.command("show")
@click.argument("name")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def show_records(ctx: click.Context, name: str, form: str) -> int:
    """Print what is recorded of NAME: a job by its address, or a batch by its key or its remote id."""
    from msgspec.structs import replace

    from runner.cli import recordview
    from runner.errors import UsageError
    from runner.job.address import matches, unknown

    with closing(remembered(ctx.obj)) as memory:
        known = _recorded(memory.records)
    view = replace(
        known,
        jobs=tuple(job for job in known.jobs if matches(job.address, name)),
        batches=tuple(one for one in known.batches if matches(one.owner, name) or name in (one.key, one.remote_id)),
        retries=tuple(retry for retry in known.retries if matches(retry.address, name)),
    )
    if not (view.jobs or view.batches or view.retries):
        addresses = {*(job.address for job in known.jobs), *(batch.owner for batch in known.batches)}
        if not addresses:
            raise UsageError("nothing is recorded here")
        raise unknown(name, sorted(addresses), "`runner state list` has the batches")
    if form == "json":
        say_json(view)
    else:
        say(recordview.shown(view))
    return 0


def _recorded(records: Records) -> RecordsView:
    from runner.cli import recordview

    jobs = records.jobs()
    return recordview.RecordsView(
        recordview.VERSION,
        jobs=tuple(jobs[address] for address in sorted(jobs)),
        batches=tuple(records.batches()),
        retries=tuple(records.retries()),
    )


@command.command("mv")
@click.argument("source")
@click.argument("target")
@click.pass_context
def move_records(ctx: click.Context, source: str, target: str) -> int:
    """Have what is recorded of the job SOURCE be of TARGET: its batches, what it has spent, what it wrote.

    Answers need no move: they are found by what was asked. `moved:` of a spec does the same in every clone.
    """
    from runner.apply.moved import move
    from runner.clock import RealClock

    with (
        closing(remembered(ctx.obj, writes=True)) as memory,
        memory.lock(f"runner state mv {source} {target}", clock=RealClock()),
    ):
        done = move(memory.records, source, target)
    for old, new in done:
        say(f"{old} -> {new}")
    return 0


@command.command("rm")
@click.argument("name")
@click.option("-y", "--yes", cls=Consent, is_flag=True, help="Forget answers without asking.")
@click.pass_context
def forget_records(ctx: click.Context, name: str, yes: bool) -> int:
    """Forget what is recorded of NAME: of a job, what it wrote last; of a batch, by its key or its remote id, its
    answers too.

    Nothing is stopped or deleted at a remote, and no results file is touched: the next `runner apply` finds there what
    it still can, and asks for the rest anew. A batch in flight cannot be forgotten.
    """
    from runner.apply.forget import forget, meant
    from runner.cli import voice
    from runner.cli.question import YesOrNo, ask, is_asked
    from runner.clock import RealClock
    from runner.errors import NotConfirmed

    with (
        closing(remembered(ctx.obj, writes=True)) as memory,
        memory.lock(f"runner state rm {name}", clock=RealClock()),
    ):
        jobs, batches = meant(memory.records, name)
        answers = sum(batch.tally.ok for batch in batches)
        told = f"{voice.count(answers, 'answer')} of {voice.count(len(batches), 'batch')}"
        is_told = answers and not yes
        if is_told and (not is_asked(yes=yes) or ask(f"Forget {told}? It may be paid for again") is not YesOrNo.YES):
            raise NotConfirmed("nothing was forgotten", hint="`-y` agrees beforehand")
        forget(memory, jobs, batches)
    for record in jobs:
        say(f"{record.address}  what it wrote last is forgotten")
    for batch in batches:
        say(f"{batch.owner}  `{voice.plain(batch.remote_id or batch.key)}` is forgotten, with its answers")
    return 0


@command.command("give-up")
@click.argument("batch")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def give_up_batch(ctx: click.Context, batch: str, paths: tuple[str, ...]) -> int:
    """Go on without BATCH, given by its key or its remote id, which its remote does not show or whose results it does
    not hand out.

    What it has not brought needs a decision then: `runner retry` asks it again, counted as possible duplicates. Nothing
    is stopped at the remote. Each apply looks for the batch all the same, and takes what it shows.
    """
    from runner.apply.giveup import give_up
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock

    with (
        opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=True) as session,
        session.memory.lock(f"runner state give-up {batch}", clock=session.clock),
    ):
        done = give_up(session, batch)
    say(f"{done.owner}  `{voice.plain(done.remote_id)}` is given up, with {voice.count(done.tally.lost, 'request')}")
    say("\nNothing was sent. `runner plan` says what becomes of them", err=True)
    return 0


@command.command("accept-origin")
@click.argument("provider")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def accept_origin(ctx: click.Context, provider: str, paths: tuple[str, ...]) -> int:
    """Count the answers of PROVIDER's earlier origins as its own: the same service under another address."""
    from msgspec.structs import replace

    from runner.apply.reporter import Silent
    from runner.cli.opening import opened
    from runner.errors import UsageError

    with (
        opened(ctx.obj, paths or ("specs",), Silent(), writes=True) as session,
        session.memory.lock("runner state accept-origin", clock=session.clock),
    ):
        if provider not in session.project.providers:
            known = ", ".join(f"`{name}`" for name in sorted(session.project.providers))
            raise UsageError(f"there is no provider `{provider}`", hint=f"the specs use {known}")
        project = session.records.project()
        current = session.remotes.origin(provider)
        seen = {str(b.origin) for b in session.records.batches() if b.origin.provider == provider} - {str(current)}
        if project is None or not seen:
            raise UsageError(f"nothing recorded came from another origin of `{provider}`")
        accepted = {**project.accepted_origins, provider: sorted(seen)}
        session.records.save(replace(project, accepted_origins=accepted))
    for origin in sorted(seen):
        say(f"Answers of {origin} count as answers of {current}")
    return 0
