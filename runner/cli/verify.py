"""`runner verify`: hold specs, data, results and scores to `runner.lock`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import addresses, is_path
from runner.cli.saying import say
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.apply.verify import Verified
    from runner.cli.main import Settings
    from runner.state.memory import Memory


@click.command("verify")
@click.argument("address", required=False, shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("--deep", is_flag=True, help="Take nothing from `.runner/`: compile the specs anew.")
@click.pass_context
def command(ctx: click.Context, address: str | None, paths: tuple[str, ...], deep: bool) -> int:
    """Tell whether specs, data, results and scores are those of `runner.lock`; of the job ADDRESS alone if it is there.

    Results are the bytes that were locked, with a line for each wanted row that answers what the specs ask of it;
    counts add up; scores are made again of the answers and are the same to the last digit. It needs neither network nor
    key nor `.runner/`, and writes nothing.

    Exit codes: 0 as locked, 1 the first difference, with its place.
    """
    from runner.apply import lockfile, verify
    from runner.apply.narrow import jobs_meant
    from runner.apply.reporter import Silent
    from runner.cli import voice
    from runner.cli.opening import opened

    if address is not None and is_path(address):
        paths, address = (address, *paths), None
    with (
        tempfile.TemporaryDirectory(prefix="runner-verify-") as folder,
        opened(
            _forgetful(ctx.obj, Path(folder)) if deep else ctx.obj,
            paths or ("specs",),
            Silent(),
            writes=False,
            from_outputs=True,
        ) as session,
    ):
        lock = lockfile.read(session.project)
        if lock is None:
            raise UsageError(f"there is no `{session.project.lock_name}`", hint="`runner lock` writes it")
        if address is None:
            verify.check_jobs(session, lock)
        meant = [job.address for job in session.desired] if address is None else jobs_meant(session, address)
        jobs = 0
        for job in verify.verified(session, lock, meant):
            say(_told(job))
            jobs += 1
    say(f"{lock.name}  {voice.count(jobs, 'job')} as locked")
    return 0


def _forgetful(settings: Settings, folder: Path) -> Settings:
    """The same, with a memory in which nothing was compiled before."""
    from dataclasses import replace

    def forgetful(root: Path, *, writes: bool, environment: str = "") -> Memory:
        return settings.memory(folder, writes=writes, environment=environment)

    return replace(settings, memory=forgetful)


def _told(job: Verified) -> str:
    from runner.cli import voice

    rows = voice.count(job.rows, "row")
    if not job.has_results:
        return f"{job.address}  {rows}, no results yet"
    if not job.scored:
        return f"{job.address}  {rows}"
    how = "scored again" if job.is_read else "added up again: its results do not hold the answers"
    return f"{job.address}  {rows}, {voice.count(job.scored, 'check')} {how}"
