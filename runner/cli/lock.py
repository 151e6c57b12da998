"""`runner lock`: write what results were made of and came to into `runner.lock`."""

from __future__ import annotations

import click

from runner.cli.saying import say


@click.command("lock")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...]) -> int:
    """Write `runner.lock` for the jobs of the specs at PATHS (default: specs): what was asked, of whom, and what came.

    Each environment has a lock of its own, `runner.NAME.lock`.

    It is made of specs, data, results and scores alone, holds no time of writing, and is left as it is where nothing
    changed. Commit it with the results: `runner verify` holds them to it, in any clone, without keys, network or state.

    Exit codes: 0 done, 1 results or scores are not of these specs: run `runner apply` first.
    """
    from runner.apply import lockfile
    from runner.apply.reporter import Silent
    from runner.cli import voice
    from runner.cli.opening import opened

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False, from_outputs=True) as session:
        jobs = lockfile.entries(session, [job.address for job in session.desired])
        is_new = lockfile.write(session.project, jobs)
    rows = sum(entry["requests"]["wanted"] for entry in jobs.values())
    name, done = session.project.lock_name, "" if is_new else ": nothing changed"
    say(f"{name}  {voice.count(len(jobs), 'job')}, {voice.count(rows, 'row')}{done}")
    return 0
