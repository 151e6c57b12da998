"""What every command that looks at a project does first: read the specs, compile, open the memory."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator, Sequence

from runner.apply.desire import compile_all, desire
from runner.apply.remotes import Remotes
from runner.apply.reporter import Reporter
from runner.apply.session import Session
from runner.cli.main import Settings
from runner.clock import RealClock
from runner.spec.memo import load
from runner.state.base import OverlayStore
from runner.state.disk import DiskStore, view
from runner.state.home import home_of
from runner.state.objects import Objects
from runner.state.records import Records


@contextlib.contextmanager
def opened(
    settings: Settings,
    paths: Sequence[str],
    reporter: Reporter,
    *,
    writes: bool,
    stop: threading.Event | None = None,
    poll_seconds: float | None = None,
) -> Iterator[Session]:
    """A session over the specs at `paths`. Without `writes` nothing on disk changes and no server is started."""
    home = home_of(settings.root)
    if writes:
        home.prepare()
    project = load(paths, settings.root, home.memo / "specs", keeps=writes)
    stop = stop or threading.Event()
    clock = RealClock(stop)
    remotes = Remotes(project, environ=os.environ, clock=clock, rng=random.SystemRandom(), may_start=writes)
    store = DiskStore(home.state) if writes else OverlayStore(view(home.state))
    try:
        compiled = compile_all(project, remotes, home.memo / "compiled", keeps=writes)
        yield Session(
            project=project,
            desired=desire(project, compiled, remotes),
            compiled=compiled,
            home=home,
            records=Records(store),
            objects=Objects(home.objects),
            remotes=remotes,
            clock=clock,
            reporter=reporter,
            stop=stop,
            poll_seconds=poll_seconds,
        )
    finally:
        remotes.close()
        store.close()
