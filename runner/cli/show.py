"""`runner show`: one job in detail."""

from __future__ import annotations

import click

from runner.cli.options import addresses, option
from runner.cli.saying import say, say_json


@click.command("show")
@click.argument("address", shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def command(ctx: click.Context, address: str, paths: tuple[str, ...], form: str) -> int:
    """Show the job ADDRESS as recorded: its batches, what each came after and answered, and why rows failed."""
    from runner.apply.lineage import of_job, tree
    from runner.apply.narrow import jobs_meant
    from runner.apply.reporter import Silent
    from runner.cli import chain, standing
    from runner.cli.failures import Failures, failures_in, of_bad
    from runner.cli.opening import opened
    from runner.compile.faults import first_left_out
    from runner.plan.plan import make
    from runner.plan.spent import NOTHING, spent_by

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False) as session:
        recorded = session.recorded()
        plan = make(session.desired, recorded, {}, scope=session.project.scope)
        meant, records = jobs_meant(session, address), session.records.jobs()
        asked = standing.asked_in(session.records)
        spent = spent_by(session.desired, recorded.batches)
        jobs = []
        for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
            if job.address in meant:
                at = standing.job_standing(part, records.get(job.address), asked, spent.get(job.address, NOTHING))
                has_failed = at.output and (at.error > at.bad or any(at.flawed_ok.values()))
                failed = failures_in(session.project.root / at.output) if has_failed else Failures()
                links = chain.of_links(tree(of_job(job, rows, recorded)))
                bad = of_bad(at.bad, first_left_out(session.compiled[job.address].notes))
                reasons = sorted((*failed.reasons, *bad), key=lambda reason: -reason.rows)
                jobs.append(chain.ChainJob(at, links, failed.rows, tuple(reasons)))
    view = chain.ShowView(chain.VERSION, tuple(jobs))
    if form == "json":
        say_json(view)
    else:
        say(chain.text_of(view))
    return 0
