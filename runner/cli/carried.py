"""`runner state pull`, `push` and `rebuild`: what is remembered, as a whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.options import option
from runner.cli.saying import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.apply.rebuild import Rebuilt
    from runner.cli.main import Settings
    from runner.clock import Clock
    from runner.job.recorded import Batch
    from runner.state.memory import Memory
    from runner.state.succession import Heir

_FORCE = "Though it is older, began apart, or does not know all that is recorded here."


@click.command("pull")
@click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write it there."
)
@click.pass_context
def pull(ctx: click.Context, file: Path | None) -> int:
    """Write all that is recorded as one file, to stdout: records, the log, raw results.

    `runner state push FILE` has it take the place of what another machine remembers. Answers and
    system prompts are in it, keys are not.
    """
    import sys

    from runner import files
    from runner.apply.handover import begun
    from runner.cli import voice
    from runner.cli.remembered import environment_meant
    from runner.clock import RealClock
    from runner.errors import UsageError
    from runner.state import archive
    from runner.state.memory import open_local

    if file is None and sys.stdout.isatty():
        raise UsageError("a state file is not for a terminal", hint="`runner state pull -o FILE` writes one")
    memory, _ = open_local(ctx.obj.root, environment=environment_meant(ctx.obj))
    with closing(memory), memory.lock("runner state pull", clock=RealClock()):
        project = memory.snapshot().project
        if project is None:
            raise UsageError("nothing is recorded here")
        if file is None:
            carried = archive.write(memory, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            with files.whole(file, mode=0o600) as out:
                carried = archive.write(memory, out)
    told = f"{voice.count(carried.files, 'file')}, {voice.size(carried.size_bytes)}"
    say(f"serial {carried.serial:,}, begun {begun(project)}, {told}", err=True)
    return 0


@click.command("push")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--force", is_flag=True, help=_FORCE)
@click.pass_context
def push(ctx: click.Context, file: Path, force: bool) -> int:
    """Have what `runner state pull` wrote to FILE (`-`: stdin) take the place of what is recorded here.

    It has to be what is recorded here, gone on; where nothing is recorded, any will do. What was recorded is kept
    aside, below `.runner/replaced/`.

    Exit codes: 0 done, 1 error, 5 refused, 6 locked.
    """
    import sys

    from runner.apply import handover
    from runner.cli.remembered import environment_meant
    from runner.clock import RealClock
    from runner.errors import BlockedError, StateError
    from runner.state import archive
    from runner.state.memory import open_local

    clock = RealClock()
    memory, begin = open_local(ctx.obj.root, environment=environment_meant(ctx.obj))
    with closing(memory), memory.lock(f"runner state push {file}", clock=clock):
        here = memory.snapshot()
        heir = begin()
        try:
            try:
                if str(file) == "-":
                    archive.read(sys.stdin.buffer, heir)
                else:
                    with file.open("rb") as source:
                        archive.read(source, heir)
            except OSError as error:
                raise StateError(f"`{file}` cannot be read: {error.strerror or error}") from error
            there = heir.snapshot()
            if handover.is_the_same(here, there):
                say("Nothing to do: it is recorded here already")
                return 0
            try:
                handover.refuse(here, there)
            except BlockedError as error:
                if not force:
                    raise
                say(f"warning: {error.message}", err=True)
                _tell_forgotten(handover.forgotten(here, there))
            memory.close()
            _take_over(ctx.obj, heir, clock, keeps=here.project is not None)
        finally:
            heir.discard()
    say(f"Serial {there.serial:,} is what is recorded here now")
    return 0


@click.command("rebuild")
@click.argument("paths", nargs=-1, type=click.Path())
@option("--force", is_flag=True, help="Though something that only the recorded state knows would be forgotten.")
@click.pass_context
def rebuild(ctx: click.Context, paths: tuple[str, ...], force: bool) -> int:
    """Make the recorded state anew from what remotes and results files show, as a first apply in a fresh clone does.

    Remotes are only read, nothing is sent or paid for, and no results file is written. What was recorded is kept aside,
    below `.runner/replaced/`. It is refused where something in flight, in doubt or answered would be forgotten.

    Exit codes: 0 done, 1 error, 5 refused, 6 locked.
    """
    from dataclasses import replace
    from functools import partial

    from runner.apply import handover
    from runner.apply.rebuild import rebuild as rebuilt_in
    from runner.cli.opening import opened
    from runner.cli.progress import aside
    from runner.cli.remembered import environment_meant
    from runner.clock import RealClock
    from runner.errors import StateError
    from runner.job.events import Event, What
    from runner.job.packed import union
    from runner.state.memory import open_local

    clock = RealClock()
    environment = environment_meant(ctx.obj)
    memory, begin = open_local(ctx.obj.root, environment=environment)
    with closing(memory), memory.lock("runner state rebuild", clock=clock):
        try:
            here = memory.snapshot()
        except StateError as error:
            say(f"warning: what was recorded cannot be read: {error.message}", err=True)
            here = None
        heir = begin()
        try:
            settings = replace(ctx.obj, memory=partial(_opened, ctx.obj, heir, environment))
            with opened(settings, paths or ("specs",), aside(clock), writes=True, only_asks=True) as session:
                done = rebuilt_in(session)
                if here is not None and not force:
                    wanted = {str(job.origin): b"" for job in session.desired}
                    for job in session.desired:
                        wanted[str(job.origin)] = union([wanted[str(job.origin)], session.keys_of(job)[:]])
                    there = session.records.snapshot()
                    lost = handover.answers_lost((here, memory.objects), (there, heir.objects), wanted)
                    _refuse_to_forget(handover.forgotten(here, there), lost)
                session.records.tell(Event(event=What.STATE, why="rebuilt from what remotes and results files show"))
            memory.close()
            _take_over(ctx.obj, heir, clock, keeps=here is None or here.project is not None)
        finally:
            heir.discard()
    _tell(done)
    return 0


def _opened(settings: Settings, heir: Heir, mine: str, root: Path, *, writes: bool, environment: str = "") -> Memory:
    """The new memory where that of the environment is to be written; others as they are."""
    return heir if writes and environment == mine else settings.memory(root, writes=writes, environment=environment)


def _take_over(settings: Settings, heir: Heir, clock: Clock, *, keeps: bool) -> None:
    import os

    kept = heir.take_over(clock.now(), keeps=keeps)
    if keeps:
        say(f"What was recorded before is kept in `{os.path.relpath(kept, settings.root)}`", err=True)


def _tell_forgotten(batches: Sequence[Batch]) -> None:
    from runner.cli import voice

    for batch in batches:
        name = voice.plain(batch.remote_id or batch.key)
        say(f"warning: {batch.owner}: `{name}` is in flight or in doubt, and is not known any more", err=True)


def _refuse_to_forget(batches: Sequence[Batch], answers: int) -> None:
    """Raise BlockedError where something is known here alone."""
    from runner.cli import voice
    from runner.errors import BlockedError, printable

    hint = "look at it with `runner status`; `--force` forgets it, and keeps what was recorded aside"
    if batches:
        name = printable(batches[0].remote_id or batches[0].key)
        more = f", and {len(batches) - 1} more," if len(batches) > 1 else ""
        raise BlockedError(
            f"{batches[0].owner}: `{name}`{more} may be in flight, and only the recorded state knows of it", hint=hint
        )
    if answers:
        raise BlockedError(f"{voice.count(answers, 'answer')} would have to be paid for again", hint=hint)


def _tell(done: Rebuilt) -> None:
    from collections import Counter

    from runner.cli import voice

    read_back: Counter[str] = Counter()
    found: dict[str, list[Batch]] = {}
    for batch in done.batches:
        if batch.is_read_back:
            read_back[batch.found_in] += batch.tally.ok
        else:
            found.setdefault(batch.origin.provider, []).append(batch)
    for path, answers in sorted(read_back.items()):
        say(f"`{path}`  {voice.count(answers, 'answer')} read back")
    for name, batches in sorted(found.items()):
        answers, running = sum(one.tally.ok for one in batches), sum(one.is_active for one in batches)
        flight = f", {running} of them in flight" if running else ""
        say(f"`{name}`  {voice.count(len(batches), 'batch')} found{flight}, {voice.count(answers, 'answer')}")
    if not read_back and not found:
        say("Nothing of this project was found")
    for name, why in sorted(done.not_asked.items()):
        say(f"`{name}` was not asked: {why}", err=True)
    say("\nNothing was sent. `runner plan` shows what is left to do", err=True)
