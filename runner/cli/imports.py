"""`runner import`: take in a batch that no search finds."""

from __future__ import annotations

import click

from runner.cli.options import addresses
from runner.cli.saying import say


@click.command("import")
@click.argument("address", shell_complete=addresses)
@click.argument("remote_id")
@click.argument("paths", nargs=-1, type=click.Path())
@click.pass_context
def command(ctx: click.Context, address: str, remote_id: str, paths: tuple[str, ...]) -> int:
    """Take in the batch REMOTE_ID, which holds requests of the job ADDRESS: the next `runner apply` collects it.

    For one that was sent by other means with the lines of `runner render ADDRESS`, or under another project's name.
    Batches of this project are found without it.
    """
    from runner.apply.imported import take_in
    from runner.apply.narrow import jobs_meant
    from runner.apply.readback import remember
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock
    from runner.errors import UsageError
    from runner.job.packed import KEY_BYTES, common

    with (
        opened(ctx.obj, paths or ("specs",), aside(RealClock()), writes=True) as session,
        session.memory.lock(f"runner import {address} {remote_id}", clock=session.clock),
    ):
        found = jobs_meant(session, address)
        if len(found) > 1:
            cells = ", ".join(f"`{one}`" for one in found[:5])
            raise UsageError(f"`{address}` has {len(found)} cells", hint=f"name one of them: {cells}")
        job = next(job for job in session.desired if job.address == found[0])
        remember(session)
        batch = take_in(session, job, remote_id)
        keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
        wanted = common(session.keys_of(job), keys)
    others = f", {batch.rows - wanted:,} of which it does not want" if batch.rows > wanted else ""
    told = voice.count(len(keys) // KEY_BYTES, "request")
    say(f"{batch.owner}  `{voice.plain(remote_id)}` {batch.phase}, {told}{others}")
    say("\n`runner apply` collects it", err=True)
    return 0
