"""`runner explain`: what the identity of a job's requests is made of."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from runner.cli.options import addresses, option
from runner.cli.saying import say, say_json

if TYPE_CHECKING:
    from runner.cli.explainview import ExplainView


@click.command("explain")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--row", "custom_id", metavar="ID", help="Explain this row, by the id that results show.")
@option("--against", metavar="REV", help="Compare with a git revision, not with what is on record.")
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(
    ctx: click.Context, address: str, paths: tuple[str, ...], custom_id: str | None, against: str | None, form: str
) -> int:
    """Say, digest by digest, what the requests of the job ADDRESS are made of, and which of it is not what was asked.

    A request is asked again only when its digest is another one: provider, endpoint, model, params, the rendered
    prompt. Names, paths, windows, prices and row ids are not in it. No remote is asked.
    """
    from runner.cli import voice
    from runner.cli.explainview import text_of

    with ExitStack() as held:
        view = _view(ctx, held, address, paths or ("specs",), custom_id, against)
    if form == "json":
        say_json(view)
    else:
        say(text_of(view, colour=voice.has_colour()))
        for words in view.warnings:
            say(f"warning: {words}", err=True)
    return 0


def _view(
    ctx: click.Context,
    held: ExitStack,
    address: str,
    paths: tuple[str, ...],
    custom_id: str | None,
    against: str | None,
) -> ExplainView:
    import tempfile
    from pathlib import Path

    from runner.apply import chains, readback
    from runner.apply.asked import Committed, Records
    from runner.apply.compare import Comparing
    from runner.apply.explained import explain
    from runner.apply.narrow import jobs_meant
    from runner.apply.older import Older
    from runner.apply.reporter import Silent
    from runner.cli.explainview import VERSION, ExplainView
    from runner.cli.opening import opened
    from runner.errors import UsageError
    from runner.plan.plan import make

    session = held.enter_context(opened(ctx.obj, paths, Silent(), writes=False))
    readback.remember(session)
    chains.follow(session)
    recorded = session.recorded()
    plan = make(session.desired, recorded, {}, scope=session.project.scope)
    meant = jobs_meant(session, address)
    if custom_id is not None and len(meant) > 1:
        raise UsageError(
            f"`{address}` means {len(meant)} jobs", hint=f"name one of {', '.join(f'`{one}`' for one in meant[:5])}"
        )
    source: Committed | Records = Records(session)
    warnings: tuple[str, ...] = ()
    if against is not None:
        folder = held.enter_context(tempfile.TemporaryDirectory(prefix="runner-against-"))
        source = Committed(session, against, Path(folder), ctx.obj.chosen)
        warnings = (source.note,) if source.note else ()
    comparing = Comparing(session, source, Older(session, recorded, asks_remotes=False))
    jobs = [
        explain(comparing, job, rows, custom_id)
        for job, rows in zip(plan.jobs, plan.rows, strict=True)
        if job.address in meant
    ]
    return ExplainView(VERSION, tuple(jobs), warnings)
