"""`apply`, composed of the product's own parts, that kills itself with SIGKILL at its Nth effect boundary.

    python killer.py ROOT N [verbs|calls]

Boundaries lie before and after every durable write and everything that changes something at the remote: the verbs
of its provider, or, for one whose verbs are several calls, each call. Prints the name of each boundary it passes;
exits like `apply` when there are fewer than N.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from runner.apply.desire import compile_all, desire
from runner.apply.reconcile import apply
from runner.apply.remotes import Remotes
from runner.apply.reporter import Silent
from runner.apply.session import Session
from runner.clock import RealClock
from runner.plan.guard import Guards
from runner.providers import registry
from runner.providers.base import Provider
from runner.spec.load import load
from runner.state.base import Document
from runner.state.disk import DiskStore
from runner.state.home import home_of
from runner.state.objects import Objects
from runner.state.records import Records


class Boundaries:
    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def cross(self, name: str) -> None:
        print(name, flush=True)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KillingStore(DiskStore):
    def __init__(self, folder: Path, boundaries: Boundaries) -> None:
        super().__init__(folder)
        self._boundaries = boundaries

    def write(self, changes: Mapping[str, Document | None]) -> None:
        name = ",".join(key.partition("/")[0] for key in changes)
        self._boundaries.cross(f"before write {name}")
        super().write(changes)
        self._boundaries.cross(f"after write {name}")


class KillingObjects(Objects):
    def __init__(self, folder: Path, boundaries: Boundaries) -> None:
        super().__init__(folder)
        self._boundaries = boundaries

    def write(self, name: str, data: bytes) -> str:
        self._boundaries.cross(f"before object {name.rpartition('/')[2][:8]}")
        sha256 = super().write(name, data)
        self._boundaries.cross(f"after object {name.rpartition('/')[2][:8]}")
        return sha256


class KillingProvider:
    """The real provider; dies around the calls that change something or bring something."""

    def __init__(self, provider: Provider, boundaries: Boundaries) -> None:
        self._provider = provider
        self._boundaries = boundaries

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._provider, name)
        if name not in ("upload", "submit", "download", "cancel"):
            return attribute

        def crossing(*arguments: Any) -> Any:
            self._boundaries.cross(f"before {name}")
            answer = attribute(*arguments)
            self._boundaries.cross(f"after {name}")
            return answer

        return crossing


class KillingTransport(httpx.BaseTransport):
    """The network; dies around the calls that change something or bring a file."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._network = httpx.HTTPTransport()
        self._boundaries = boundaries

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        name = f"{request.method} {last.rpartition(':')[2]}"
        if request.method == "GET" and "/storage/" not in request.url.path:
            return self._network.handle_request(request)
        self._boundaries.cross(f"before {name}")
        response = self._network.handle_request(request)
        self._boundaries.cross(f"after {name}")
        return response


class KillingRemotes(Remotes):
    """The project's remotes, with boundaries around the verbs of providers."""

    boundaries: Boundaries

    def open(self, name: str) -> Provider:
        killing: Any = KillingProvider(super().open(name), self.boundaries)
        return killing


class CallKillingRemotes(Remotes):
    """The project's remotes, with boundaries around single calls."""

    boundaries: Boundaries

    def open(self, name: str) -> Provider:
        if name not in self._open:
            self._open[name] = registry.open_provider(
                self._spec(name),
                environ=self._environ,
                clock=self._clock,
                rng=self._rng,
                transport=KillingTransport(self.boundaries),
            )
        return self._open[name]


REMOTES = {"verbs": KillingRemotes, "calls": CallKillingRemotes}


def main(root: Path, fatal: int, around: str = "verbs") -> None:
    boundaries = Boundaries(fatal)
    project = load(["specs"], root)
    stop = threading.Event()
    clock = RealClock(stop)
    remotes = REMOTES[around](project, environ=os.environ, clock=clock, rng=random.Random(7), may_start=True)
    remotes.boundaries = boundaries
    home = home_of(root)
    home.prepare()
    compiled = compile_all(project, remotes, home.memo / "compiled", keeps=True)
    session = Session(
        project=project,
        desired=desire(project, compiled, remotes),
        compiled=compiled,
        home=home,
        records=Records(KillingStore(home.state, boundaries)),
        objects=KillingObjects(home.objects, boundaries),
        remotes=remotes,
        clock=clock,
        reporter=Silent(),
        stop=stop,
    )
    apply(session, Guards(), confirm=lambda plan: True, wait_seconds=None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
