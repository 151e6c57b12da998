"""`runner fetch`: the raw result files, exactly as the remote sent them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runner.cli.options import addresses, selecting, watched, words_for
from runner.cli.saying import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.apply.fetch import Miss
    from runner.job.selection import Selection

# By how little came, see `runner.apply.fetch.Lack`; the first of these that occurs is the exit code.
_CODES = {"unseen": 1, "undecided": 5, "not raw": 4, "running": 3, "nothing": 0}


@click.command("fetch")
@click.argument("address", required=False, shell_complete=addresses)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "--lineage", is_flag=True, help="Fetch the whole lineage as the remote tells it: batches that others continue, too."
)
@click.option("--to", "to", metavar="DIR", help="Put them here, below the project root.  [default: ADDRESS-files]")
@selecting
@watched
@click.pass_context
def command(
    ctx: click.Context,
    address: str | None,
    paths: tuple[str, ...],
    lineage: bool,
    to: str | None,
    selection: Selection,
) -> int:
    """Bring the raw result files of the job ADDRESS, or of those selected, into a folder, with a manifest of where
    each came from.

    Files that are collected already are copied without asking the remote. Nothing is submitted, and no state changes.

    Exit codes: 0 all here, 1 a remote cannot be asked, 3 some batches still run, 4 some raw files are not
    to be had, 5 some need a decision.
    """
    from runner.apply.fetch import fetch
    from runner.apply.narrow import meant
    from runner.apply.rawfolder import RawFile, folder_at, safe
    from runner.cli import voice
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.clock import RealClock

    def tell(file: RawFile) -> None:
        kind = "" if file.kind == "output" else f"  {file.kind}s"
        say(f"{wanted}/{file.path}  {voice.count(file.rows, 'line')}, {voice.size(file.size_bytes)}{kind}")

    address, paths = words_for(ctx, address, paths, selection)
    name = address or "selected"
    wanted = (to or f"{safe(name)}-files").rstrip("/")
    with opened(ctx.obj, paths, aside(RealClock()), writes=False) as session:
        jobs = meant(session, address, selection, writes=False)
        folder = folder_at(ctx.obj.root, wanted, name, is_lineage=lineage, now=session.clock.now())
        with voice.patience(f"Fetching the files of `{name}`"):
            misses = fetch(session, jobs, folder, tell, lineage=lineage)
    files = folder.files
    if not files and not misses:
        say(f"No batch holds anything of `{name}` as the specs ask it now: there is nothing to fetch")
        return 0
    size = voice.size(sum(file.size_bytes for file in files))
    lines = voice.count(sum(file.rows for file in files), "line")
    say(f"{voice.count(len(files), 'file')}, {lines}, {size} in `{wanted}`")
    for miss in misses:
        say(f"{voice.plain(miss.batch)}: {voice.plain(miss.why)}", err=True)
    return _code_of(misses)


def _code_of(misses: Sequence[Miss]) -> int:
    lacks = {miss.lack.value for miss in misses}
    return next((code for lack, code in _CODES.items() if lack in lacks), 0)
