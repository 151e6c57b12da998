"""One server: its directory, worker and socket, from start to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from runner.clock import Clock, RealClock
from runner.errors import EngineError, UsageError
from runner.hosts import is_loopback
from runner.server.app import application
from runner.server.audio.faults import FaultyAudioJobStore
from runner.server.audio.work import AudioWorker
from runner.server.connections import BACKLOG, Bounded
from runner.server.dialect import Dialect
from runner.server.engines.asr_engines import asr_engines
from runner.server.engines.base import Engine, Refusing
from runner.server.engines.echo import Echo
from runner.server.engines.registry import Engines
from runner.server.faults.dialect import FaultyDialect
from runner.server.faults.engine import FaultyAsr, FaultyEngine
from runner.server.faults.outputs import FaultyOutputs
from runner.server.faults.pace import FaultyPace
from runner.server.faults.store import FaultyWorld
from runner.server.faults.switches import FaultSwitches
from runner.server.fireworks_batch.dialect import FireworksDialect
from runner.server.fireworks_batch.faults import FaultyFireworksDialect, bound
from runner.server.home import HeldHome, acquire
from runner.server.log import Log
from runner.server.openai.dialect import OpenAIDialect
from runner.server.site import Site
from runner.server.work import BatchWorker
from runner.server.world import World

log = logging.getLogger(__name__)

ENGINES = ("echo", "smollm2-135m", "pocketsphinx", "upstream")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_GRACE_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve. `port` 0 picks a free one; without `tokens` the directory's own is used."""

    root: Path
    models: Path
    host: str = "127.0.0.1"
    port: int = 0
    engine: str | None = None
    tokens: tuple[str, ...] = field(default=(), repr=False)
    faults: tuple[str, ...] = ()
    upstream: str | None = None
    upstream_key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    stands_in: bool = False  # for other remotes: `engine` answers for every model, windows and sizes are theirs


class Service:
    """A server that holds its directory and listens; `run` serves until `stop`."""

    def __init__(self, options: Options, clock: Clock | None = None) -> None:
        _check(options)
        faults = FaultSwitches(options.faults)
        self._stopping = threading.Event()
        clock = clock or RealClock(self._stopping)
        os.umask(0o077)  # SQLite makes its files itself, and asks for no mode
        self._held, self._socket = _taken(options)
        home = self._held.home
        self.id = self._held.id
        self.token = options.tokens[0] if options.tokens else self._held.token
        self.url = f"http://{_shown(options.host)}:{self._socket.getsockname()[1]}"
        self.world = _world(home.database, faults, clock)
        self.log = Log()
        engines = _engines(options, lambda engine: FaultyEngine(engine, faults, clock))
        asr = asr_engines(options.engine, lambda engine: FaultyAsr(engine, faults, clock), is_alone=options.stands_in)
        dialects = _dialects(options, self.world, faults)
        # a lambda, since the site is made of the workers and the workers of this
        outputs = FaultyOutputs(home, lambda: self.site.new_id("file-", 24), faults)
        self.worker = BatchWorker(home, self.world, dialects, engines, FaultyPace(faults), outputs, clock, self.log)
        self.audio_worker = AudioWorker(home, FaultyAudioJobStore(self.world, faults), asr, clock, self.log)
        self.site = Site(
            home=home,
            id=self.id,
            world=self.world,
            engines=engines,
            asr_engines=asr,
            log=self.log,
            clock=clock,
            wake=self.worker.wake,
            wake_audio=self.audio_worker.wake,
            tokens=options.tokens or (self._held.token,),
            stands_in=options.stands_in,
            hosts=LOOPBACK_NAMES | {options.host} if is_loopback(options.host) else None,
        )
        self._server = _Server(_configuration(application(self.site, faults)))

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, SIGTERM or SIGINT; everything is put away when it returns."""
        try:
            self.worker.start()
            self.audio_worker.start()
            # only now is there somebody to answer; and `server.json` is what a starting child is waited for by
            self._held.announce(self.url, self.token)
            self._server.on_ready = on_ready
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._stopping.set()
            # workers before the store they write to, and the directory last: whoever gets it next finds nobody in it
            self.worker.stop()
            self.audio_worker.stop()
            self.world.close()
            self._socket.close()
            self._held.release()

    def stop(self) -> None:
        """Ask `run` to end; from any thread or signal handler."""
        with contextlib.suppress(OSError):  # it is tried again at the end
            self._held.withdraw()  # first: whoever looks for a server now is not sent to one that ends
        self._stopping.set()
        self._server.should_exit = True

    # A command that starts a server holds the other end of a pipe. However it dies, `kill -9` included, the system
    # closes that end: the server never outlives it by more than the step at hand.
    def stop_when_stdin_closes(self) -> None:
        """End with the parent that holds the other side of our stdin."""
        descriptor = sys.stdin.fileno()

        def watch() -> None:
            with contextlib.suppress(OSError):
                while os.read(descriptor, 4096):
                    pass
            self.stop()

        threading.Thread(target=watch, name="parent", daemon=True).start()


class _Server(uvicorn.Server):
    """uvicorn, without its way with signals, and with a word when it is ready."""

    on_ready: Callable[[], None] = staticmethod(lambda: None)

    @contextlib.contextmanager
    # uvicorn's own raises the signals again once it has stopped, which would kill us before we have put anything away.
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, handler in before.items():
            # a child of an interactive command ignores Ctrl-C: its parent decides when it ends
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._end)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: object) -> None:
        # the second signal does not wait for connections
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()


def _configuration(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Bounded,
        backlog=BACKLOG,
        # nothing of uvicorn that depends on what else is installed: the same server everywhere
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than clients keep theirs: no request meets a closing connection
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _check(options: Options) -> None:
    if options.engine is not None and options.engine not in ENGINES:
        raise UsageError(f"no engine is called `{options.engine}`", hint=f"there are {', '.join(ENGINES)}")
    # the directory's own token lies in a file of this machine, and whoever asks from another one cannot read it
    if not is_loopback(options.host) and not options.tokens:
        raise UsageError(
            f"`--host {options.host}` can be reached from other machines", hint="give a `--token` of your own"
        )
    if any(len(token) < 1 or not token.isprintable() for token in options.tokens):
        raise UsageError("a token must be printable and not empty")
    if options.stands_in and options.engine is None:
        raise UsageError("`--stand-in` needs the engine that answers for every model", hint="add `--engine echo`")
    if options.engine == "upstream" and not options.upstream:
        raise UsageError(
            "`--engine upstream` needs an address", hint="give its address: `--upstream http://127.0.0.1:8000/v1`"
        )


# The directory is taken before anything in it is opened, and the port before there is a worker: a second server, or a
# port that is somebody else's, fails while there is nothing to undo but the lock.
def _taken(options: Options) -> tuple[HeldHome, socket.socket]:
    held = acquire(options.root)
    try:
        return held, _listen(options.host, options.port)
    except BaseException:
        held.release()
        raise


def _engines(options: Options, around: Callable[[Engine], Engine]) -> Engines:
    """What can run here; nothing is imported or loaded before it is asked for."""

    def smollm2() -> Engine:
        from runner.server.engines.smollm2 import SmolLM2

        return SmolLM2(options.models)

    def upstream() -> Engine:
        from runner.server.engines.upstream import Target, Upstream

        if options.upstream is None:
            raise EngineError("no upstream is set", hint="give its address: `--upstream http://127.0.0.1:8000/v1`")
        return Upstream(Target(options.upstream, options.upstream_key, options.concurrency))

    by_model: Mapping[str, Callable[[], Engine]] = {"echo": Echo, "smollm2-135m": smollm2, "upstream": upstream}
    if options.stands_in:
        by_model = {name: made for name, made in by_model.items() if name == options.engine}
    return Engines(by_model, Refusing, options.engine, around)


def _world(path: Path, faults: FaultSwitches, clock: Clock) -> World:
    return FaultyWorld(path, faults, clock, {FireworksDialect.name: lambda job: bound(faults, job)})


def _dialects(options: Options, world: World, faults: FaultSwitches) -> dict[str, Dialect]:
    made: tuple[Dialect, ...] = (OpenAIDialect(), FaultyFireworksDialect(faults))
    if options.stands_in:
        most = sys.maxsize
        made = OpenAIDialect(max_lines=most, max_bytes=most), FaultyFireworksDialect(faults, max_input_bytes=most)
    return {dialect.name: FaultyDialect(dialect, world, faults) for dialect in made}


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # named as TCP, or asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # a server that is started again gets its port back at once, though old connections still linger
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot listen on `{host}:{port}`: {error.strerror or error}", hint="`--port 0` picks a free port"
        ) from error
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
