"""`runner show`: one job in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runner.job.recorded import Batch

MOST_ROWS = 20


@click.command("show")
@click.argument("address")
@click.argument("paths", nargs=-1)
@click.pass_context
def command(ctx: click.Context, address: str, paths: tuple[str, ...]) -> int:
    """Show the job ADDRESS: its batches in order, what each answered, and the rows that failed."""
    from runner.apply.reporter import Silent
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.errors import UsageError
    from runner.job.address import matches
    from runner.plan.plan import make

    with opened(ctx.obj, paths or ("specs",), Silent(), writes=False) as session:
        recorded = session.recorded()
        plan = make(session.desired, recorded, {}, paths=session.project.paths)
        meant = [job for job in plan.jobs if matches(job.address, address)]
        if not meant:
            known = ", ".join(f"`{job.address}`" for job in plan.jobs[:10])
            raise UsageError(f"there is no job `{address}`", hint=f"Jobs are {known}")
        for job, rows in zip(plan.jobs, plan.rows, strict=True):
            if job not in meant:
                continue
            counts = job.counts
            click.echo(f"{job.address}  {job.declared_at}")
            click.echo(
                f"  {counts.wanted:,} wanted: {counts.ok:,} ok, {counts.error:,} error, {counts.held:,} held, ",
                nl=False,
            )
            click.echo(f"{counts.in_flight:,} in flight, {counts.to_submit + counts.shared:,} not asked")
            for number, entry in enumerate(recorded.batches, 1):
                if number in rows.shown or entry.batch.owner == job.address:
                    click.echo(_line(entry.batch))
            output = session.project.root / session.desired[plan.jobs.index(job)].output
            if counts.error and output.is_file():
                for failure in _failures(output):
                    click.echo(f"  error  {voice.plain(failure)}")
    return 0


def _line(batch: Batch) -> str:
    from runner.cli import voice

    name = batch.remote_id or batch.key
    tally = batch.tally
    told = f"{tally.ok:,} ok, {batch.rows - tally.ok:,} not" if batch.index_sha256 else f"{batch.rows:,} requests"
    parents = f", again after {len(batch.parents)}" if batch.parents else ""
    where = f", read back from {batch.adopted_from}" if batch.adopted_from else ""
    stands = batch.phase if batch.index_sha256 else batch.stage
    return f"  {name}  {stands}  {told}  {voice.moment(batch.intent_at)}{parents}{where}"


def _failures(output: object) -> list[str]:
    """The first failed rows of a results file: id, code, message."""
    from pathlib import Path

    import msgspec

    assert isinstance(output, Path)
    found: list[str] = []
    if output.suffix != ".jsonl":
        return found
    with open(output, "rb") as lines:
        for line in lines:
            row = msgspec.json.decode(line)
            if row["error"] is not None:
                error = row["error"]
                found.append(f"{row['custom_id']}  {error.get('code')}: {str(error.get('message'))[:160]}")
                if len(found) == MOST_ROWS:
                    break
    return found
