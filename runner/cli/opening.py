"""What every command that looks at a project does first: read the specs, compile, open the memory."""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from runner.apply import chains
from runner.apply.desire import Compiler, compile_all, desire
from runner.apply.keep import judged
from runner.apply.narrow import choose
from runner.apply.remotes import Remotes
from runner.apply.reporter import Reporter, Silent
from runner.apply.sandbox import sandbox_of
from runner.apply.session import Session
from runner.apply.standins import StandIns
from runner.apply.tables import Steps, no_steps, picks_of, with_picks
from runner.cli.main import Settings
from runner.clock import Clock, RealClock
from runner.compile.spool import Spool
from runner.data.contents import FileMemo
from runner.data.digests import Digests
from runner.errors import NotBound, SpecError
from runner.job.project import Project
from runner.job.selection import ALL_JOBS, Selection, chosen
from runner.remotes.transport.bindings import Binding
from runner.spec.memo import load
from runner.state.memory import Memory, environments_of


@contextlib.contextmanager
def opened(
    settings: Settings,
    paths: Sequence[str],
    reporter: Reporter,
    *,
    writes: bool,
    stop: threading.Event | None = None,
    poll_seconds: float | None = None,
    consent: Callable[[str, NotBound], bool] | None = None,
    steps: Steps = no_steps,
    from_outputs: bool = False,
    selection: Selection = ALL_JOBS,
    only_asks: bool = False,
    sends: bool = False,
) -> Iterator[Session]:
    """A session over the specs at `paths`. Without `writes` it reads only: what it would write is thrown away at its
    end, remotes are asked for nothing but reading, and no server is started.

    steps: what is worked out for the results of each job. from_outputs: jobs that ask about the answers of others are
    compiled over what outputs hold, whatever is recorded. selection: the jobs that it is about. only_asks: remotes are
    asked for nothing but reading, and no server is started, also where it writes. consent: asks a person whether a key
    may go to a host, and is told where that is written. A yes is kept. sends: what is compiled is mostly sent at once,
    so that its lines are kept until then.
    """
    steps = with_picks(steps)
    with contextlib.ExitStack() as held:
        project, memory = _project_and_memory(held, settings, paths, writes=writes)
        if not writes:
            memory = held.enter_context(contextlib.closing(memory.fork()))
        project = _selected(project, selection)
        stop = stop or threading.Event()
        clock = RealClock(stop)
        remotes = _remotes(project, clock, reporter, writes=writes and not only_asks)
        held.enter_context(contextlib.closing(remotes))
        memory.records.listener = reporter.happened
        memory.snapshot()  # what cannot be read is said before anything is compiled
        memo = FileMemo(memory.caches / "digests")
        digests = Digests(memo)
        spool = held.enter_context(contextlib.closing(Spool(memory.scratch))) if sends else None
        shards = memory.caches / "compiled"
        compiled = compile_all(project, remotes, shards, keeps=writes, digests=digests, steps=steps, spool=spool)
        if consent is not None:
            _ask(project, remotes, consent)
        session = Session(
            project=project,
            desired=desire(project, compiled, remotes),
            compiled=compiled,
            memory=memory,
            remotes=remotes,
            clock=clock,
            reporter=reporter,
            stop=stop,
            poll_seconds=poll_seconds,
            digests=digests,
            spool=spool,
            steps=steps,
            compiler=held.enter_context(_compiler(memory.caches, remotes, digests, steps, keeps=writes)),
            reads_outputs=from_outputs,
            of_others=partial(_sent_by_others, settings, project.environment),
        )
        chains.follow(session)
        choose(session, selection, writes=writes)
        try:
            yield _ready(session)
        finally:
            if writes:
                with contextlib.suppress(OSError):  # then files are read again
                    memo.save()


@contextlib.contextmanager
def looking(session: Session) -> Iterator[Session]:
    """A session over the same specs that only looks, as that of a plan: it says nothing, and leaves nothing behind."""
    with contextlib.ExitStack() as held:
        reporter = Silent()
        remotes = _remotes(session.project, session.clock, reporter, writes=False)
        yield Session(
            project=session.project,
            desired=session.desired,
            compiled=session.compiled,
            memory=held.enter_context(contextlib.closing(session.memory.fork())),
            remotes=held.enter_context(contextlib.closing(remotes)),
            clock=session.clock,
            reporter=reporter,
            stop=session.stop,
            digests=session.digests,
            steps=session.steps,
            compiler=session.compiler,
            of_others=session.of_others,
        )


@contextlib.contextmanager
def _compiler(caches: Path, remotes: Remotes, digests: Digests, steps: Steps, *, keeps: bool) -> Iterator[Compiler]:
    """For jobs that ask about the answers of others: these are kept, or lie in a folder that goes with the command."""
    known = caches / "answers"
    if keeps:
        yield Compiler(known, known, remotes, keeps, digests, steps)
        return
    with tempfile.TemporaryDirectory(prefix="runner-answers-") as folder:
        yield Compiler(Path(folder), known, remotes, True, digests, steps)


def _remotes(project: Project, clock: Clock, reporter: Reporter, *, writes: bool) -> Remotes:
    """Without `writes` no server is started, and remotes are asked for nothing but reading."""
    return Remotes(
        project,
        environ=os.environ,
        clock=clock,
        rng=random.SystemRandom(),
        may_start=writes,
        read_only=not writes,
        listener=reporter,
    )


def _ready(session: Session) -> Session:
    """The session, once what is odd about its specs is said and strict jobs know which of their answers are none."""
    for note in session.notes:
        session.reporter.warn(note)
    session.desired = judged(session)
    return session


def _project_and_memory(
    held: contextlib.ExitStack, settings: Settings, paths: Sequence[str], *, writes: bool
) -> tuple[Project, Memory]:
    """Each environment has a memory of its own; which one it is, the specs say."""
    memory = held.enter_context(contextlib.closing(settings.memory(settings.root, writes=writes)))
    project = _read(paths, settings, memory.caches, keeps=writes)
    if project.environment:
        of_its_own = settings.memory(settings.root, writes=writes, environment=project.environment)
        memory = held.enter_context(contextlib.closing(of_its_own))
    return project, memory


def _sent_by_others(settings: Settings, environment: str) -> set[str]:
    """The remote ids of batches that another environment of this machine has on record: whatever a remote shows of
    them, they are not in doubt.
    """
    found: set[str] = set()
    for other in ("", *environments_of(settings.root)):
        if other != environment:
            with contextlib.closing(settings.memory(settings.root, writes=False, environment=other)) as memory:
                for batch in memory.records.batches():
                    found.update((batch.remote_id, *batch.duplicates))
    return found - {""}


def _read(paths: Sequence[str], settings: Settings, caches: Path, *, keeps: bool) -> Project:
    """Raises SpecError with all that `validate` would find, where the specs cannot be read."""
    try:
        return load(paths, settings.root, caches / "specs", settings.chosen, keeps=keeps)
    except SpecError:
        from runner.apply.specs import checked  # parsing specs costs more to import than a run without work takes

        checked(paths, settings.root, settings.chosen)
        raise


def _selected(project: Project, selection: Selection) -> Project:
    """The project with the jobs that are selected, where nothing but specs says which: only those are compiled then."""
    if not selection or selection.asks_for_states:
        return project
    return project.keeping(frozenset(chosen(selection, project.jobs)))


def _ask(project: Project, remotes: Remotes, consent: Callable[[str, NotBound], bool]) -> None:
    """Once for each key and host that the jobs need and nobody decided about yet."""
    for name in sorted({job.model.provider for job in project.jobs}):
        mark = project.providers[name].mark
        where = f"provider `{name}`{f' at {mark}' if mark.file else ''}"
        while (refused := remotes.refusal(name)) is not None and refused.binding is not None:
            if not consent(where, refused):
                break
            remotes.bindings.keep(Binding(*refused.binding))


@contextlib.contextmanager
def rehearsing(
    settings: Settings,
    paths: Sequence[str],
    reporter: Reporter,
    *,
    stop: threading.Event,
    command: str,
    lock_seconds: float,
    selection: Selection,
) -> Iterator[tuple[Session, StandIns, Remotes]]:
    """A session over the specs at `paths` that speaks to stand-ins, and writes below `.runner/rehearsal/` only.

    And the stand-ins, and the remotes themselves, which can only be read.
    """
    with contextlib.ExitStack() as held:
        project, real = _project_and_memory(held, settings, paths, writes=False)
        project = _selected(project, selection)
        clock = RealClock(stop)
        sandbox = held.enter_context(sandbox_of(real, command=command, clock=clock, wait_seconds=lock_seconds))
        stand_ins = StandIns(
            project,
            environ=os.environ,
            clock=clock,
            rng=random.SystemRandom(),
            folder=sandbox.server,
            listener=reporter,
        )
        remotes = held.enter_context(contextlib.closing(stand_ins))
        real_remotes = held.enter_context(contextlib.closing(_remotes(project, clock, reporter, writes=False)))
        digests = Digests(FileMemo(real.caches / "digests"))
        compiled = compile_all(project, remotes, real.caches / "compiled", keeps=False, digests=digests)
        session = Session(
            project=project,
            desired=desire(project, compiled, remotes),
            compiled=compiled,
            memory=sandbox.memory,
            remotes=remotes,
            clock=clock,
            reporter=reporter,
            stop=stop,
            sandbox=sandbox,
            digests=digests,
            compiler=held.enter_context(_compiler(real.caches, remotes, digests, picks_of, keeps=False)),
        )
        chains.follow(session)
        choose(session, selection, writes=False)
        yield _ready(session), remotes, real_remotes
