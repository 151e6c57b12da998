"""The providers a project uses, opened when they are first needed; the embedded server started when there is work."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runner.clock import Clock
from runner.errors import NotBound, NotSent, RunnerError
from runner.job.capabilities import Capabilities, Content, Transport
from runner.job.observed import Origin
from runner.job.project import Project, ProviderBlock
from runner.remotes import addresses, opening, registry
from runner.remotes.transport.waits import Listener, Waits
from runner.remotes.vendor import Lines, Provider, Reader
from runner.server import embedded

NOT_YET_MADE = "embedded:new"
MOST_REVIVALS = 5  # of an embedded server that dies under one command


class Remotes:
    """Cards and origins without any call; providers on demand.

    may_start: whether the embedded server may be started. `plan` and `status` only talk to one that lives.
    listener: is told of remotes that keep us waiting.
    """

    def __init__(
        self,
        project: Project,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        may_start: bool,
        read_only: bool = False,
        listener: Listener | None = None,
    ) -> None:
        self._project = project
        self._environ = environ
        self._clock = clock
        self._rng = rng
        self._may_start = may_start
        self.bindings = addresses.bindings_of(environ, project.root)
        self._read_only = read_only or environ.get("RUNNER_READONLY", "") not in ("", "0")
        self._waits = Waits(clock, listener)
        self._open: dict[tuple[str, Content, Transport], Provider] = {}
        self._server: embedded.Running | None = None
        self._revivals = 0

    @property
    def _data_dir(self) -> Path:
        return embedded.data_dir(self._environ)

    @property
    def was_asked(self) -> bool:
        """Whether any of them was spoken to, or started."""
        return bool(self._open) or self._server is not None

    def settings(self) -> Iterator[Path]:
        """The files of this machine that say whose answers a provider's are, and what may be sent to it."""
        if (keys := self.bindings.file) is not None:
            yield keys
        yield embedded.id_file(self._data_dir)

    def card(self, name: str, content: Content = Content.TEXT, transport: Transport | None = None) -> Capabilities:
        return registry.card_of(self._spec(name), content, transport)

    def lines(self, name: str) -> Lines:
        """What a line of this provider is."""
        return registry.lines_of(self._spec(name))

    def reader(self, name: str) -> Reader:
        """What the lines of its result files are."""
        return registry.reader_of(self._spec(name))

    def origin(self, name: str) -> Origin:
        """Whose answers this provider's are. An embedded server that never ran gets its identity when applied."""
        spec = self._spec(name)
        if not registry.place_of(spec).is_ours:
            return addresses.origin_of(spec, self._environ)
        identity = embedded.ensure_id(self._data_dir) if self._may_start else embedded.origin_id(self._data_dir)
        return Origin(name, f"embedded:{identity}" if identity else NOT_YET_MADE)

    def refusal(self, name: str) -> NotBound | None:
        """Why nobody here may speak to this provider, or None: the specs name its host, and a person allows it."""
        return addresses.refusal_of(self._spec(name), self._environ, self.bindings)

    def make_ready(self, name: str, model: str, say: Callable[[str], None]) -> None:
        """What has to be here before a model can be asked: the weights of one that runs on this machine."""
        if registry.place_of(self._spec(name)).is_ours:
            embedded.make_ready(model, self._environ, say)

    def open(self, name: str, content: Content = Content.TEXT, transport: Transport = Transport.BATCH) -> Provider:
        """One side of a provider, ready to be asked.

        Raises NotSent where an embedded server does not live and may not start.
        """
        side = name, content, transport
        if side not in self._open:
            spec = self._spec(name)
            if registry.place_of(spec).is_ours:
                server, (_, path) = self._embedded(), registry.vendor_of(spec).acted_out(spec, content)
                how = server.url + path, server.token, self.origin(name)
                self._open[side] = self._opened(spec, content, transport, *how)
            else:
                self._open[side] = self._opened(spec, content, transport, None, None, None)
        return self._open[side]

    def lost_sight(self, name: str) -> bool:
        """Told that a provider does not answer; whether it was an embedded server that is gone.

        That one is forgotten, so that the next `open` finds or starts another. No other remote is ever.
        """
        is_ours = any(name == opened for opened, *_ in self._open) and registry.place_of(self._spec(name)).is_ours
        if not is_ours or self._revivals == MOST_REVIVALS or embedded.live(self._data_dir) is not None:
            return False
        self._revivals += 1
        self._close_all()
        if self._server is not None:
            self._server.stop()
            self._server = None
        return True

    def _opened(
        self,
        spec: ProviderBlock,
        content: Content,
        transport: Transport,
        url: str | None,
        token: str | None,
        origin: Origin | None,
    ) -> Provider:
        return opening.open_provider(
            spec,
            content,
            transport,
            environ=self._environ,
            base_url=url,
            token=token,
            origin=origin,
            bindings=self.bindings,
            read_only=self._read_only,
            waits=self._waits,
            clock=self._clock,
            rng=self._rng,
        )

    def _embedded(self) -> embedded.Running:
        if self._server is None:
            self._server = embedded.live(self._data_dir)
        if self._server is None:
            if not self._may_start:
                raise NotSent("the embedded server is not running; `runner apply` starts it")
            self._server = embedded.start(self._data_dir, environ=self._environ)
        return self._server

    def _spec(self, name: str) -> ProviderBlock:
        spec = self._project.providers.get(name)
        if spec is None:
            raise RunnerError(
                f"provider `{name}` is not declared any more, but earlier batches were sent to it",
                hint="declare it again under `providers:` until its batches are settled",
            )
        return spec

    def _close_all(self) -> None:
        for provider in self._open.values():
            provider.close()
        self._open.clear()

    def close(self) -> None:
        self._close_all()
        if self._server is not None:
            self._server.stop()
            self._server = None
