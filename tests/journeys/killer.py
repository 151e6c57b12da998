"""A command composed of the product's own parts, that kills itself with SIGKILL at its Nth effect boundary.

    python -m tests.journeys.killer ROOT N [--around verbs|calls] [--once] [--parallelism P] [COMMAND]

COMMAND is `apply`, `retry`, `cancel`, `prune` or `resolve STEP`, about every job. Prints the name of each boundary it
comes to (`killing` says where they lie) and exits with 0 when there are fewer than N; none is fatal when N is 0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

from runner.apply import chains
from runner.apply.cancel import cancel
from runner.apply.desire import Compiler, compile_all, desire
from runner.apply.prune import delete, survey
from runner.apply.reconcile import apply
from runner.apply.reporter import Silent
from runner.apply.resolve import Decision, resolve
from runner.apply.retry import retry
from runner.apply.session import Session
from runner.clock import RealClock
from runner.data.digests import Digests, Forgetful
from runner.job.calls import CallStep
from runner.plan.guard import Guards
from runner.spec.load import load
from runner.state.home import home_of
from runner.state.local import LocalMemory
from tests.journeys.killing import (
    Boundaries,
    CallKillingRemotes,
    KillingJournal,
    KillingRemotes,
    KillingStore,
    watch_files,
)

REMOTES: dict[str, type[KillingRemotes] | type[CallKillingRemotes]] = {
    "verbs": KillingRemotes,
    "calls": CallKillingRemotes,
}


@contextlib.contextmanager
def composed(root: Path, boundaries: Boundaries, around: str) -> Iterator[Session]:
    """What `runner` opens for a command that writes, with boundaries in it."""
    project = load(["specs"], root)
    stop = threading.Event()
    clock = RealClock(stop)
    remotes = REMOTES[around](project, environ=os.environ, clock=clock, rng=random.Random(7), may_start=True)
    remotes.boundaries = boundaries
    home = home_of(root)
    home.prepare()
    memory = LocalMemory(
        home,
        open_store=partial(KillingStore, boundaries=boundaries),
        journal=partial(KillingJournal, boundaries),
    )
    memory.snapshot()
    compiled = compile_all(project, remotes, home.memo / "compiled", keeps=True)
    watch_files(root, boundaries)
    try:
        session = Session(
            project=project,
            desired=desire(project, compiled, remotes),
            compiled=compiled,
            memory=memory,
            remotes=remotes,
            clock=clock,
            reporter=Silent(),
            stop=stop,
            compiler=Compiler(home.memo / "answers", home.memo / "answers", remotes, True, Digests(Forgetful())),
        )
        chains.follow(session)
        yield session
    finally:
        remotes.close()
        memory.close()


def decide(session: Session, command: str, step: str) -> None:
    """A command that only decides, about every job, under the project's lock."""
    with session.memory.lock(command, clock=session.clock):
        if command == "prune":
            surveys, errors = survey(session, lambda stored, owner: timedelta())
            assert not errors
            for one in surveys:
                delete(session, one, lambda stored: None)
        if command == "cancel":
            for batch in session.records.batches():
                if batch.is_active:
                    cancel(session, batch)
        for job in session.desired:
            if command == "retry":
                retry(session, [job.address], (), replaces=False)
            elif command == "resolve":
                resolve(session, job.address, (), Decision(CallStep[step.upper()]))


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("root", type=Path)
    words.add_argument("fatal", type=int)
    words.add_argument("--around", choices=REMOTES, default="verbs")
    words.add_argument("--once", action="store_true")
    words.add_argument("--parallelism", type=int)
    words.add_argument("command", nargs="?", default="apply")
    words.add_argument("step", nargs="?", default="")
    given = words.parse_intermixed_args()
    with composed(given.root, Boundaries(given.fatal), given.around) as session:
        session.parallelism = given.parallelism
        if given.command != "apply":
            decide(session, given.command, given.step)
            return
        guards = Guards(first_run=True)
        apply(session, guards, confirm=lambda plan: True, wait_seconds=0.0 if given.once else None)


if __name__ == "__main__":
    main()
