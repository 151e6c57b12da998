"""Every remote of a project acted out by one embedded server of our own: their cards and origins, our answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from runner.apply.remotes import MOST_REVIVALS, Remotes
from runner.clock import Clock
from runner.job.capabilities import Content, Transport
from runner.job.project import Project, ProviderBlock
from runner.remotes import addresses, registry
from runner.remotes.transport.waits import Listener
from runner.remotes.vendor import Provider
from runner.server import embedded

ENGINE = "echo"
UNKNOWN_ACCOUNT = "unknown-account"


class StandIns(Remotes):
    """Remotes that need no key, no account and no network.

    folder: of the server's data. Whoever opened them has to close them: the server ends then.
    """

    def __init__(
        self,
        project: Project,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        folder: Path,
        listener: Listener | None = None,
    ) -> None:
        free = {name: value for name, value in environ.items() if name != "RUNNER_READONLY"}
        super().__init__(project, environ=free, clock=clock, rng=rng, may_start=False, listener=listener)
        self._folder = folder

    def refusal(self, name: str) -> None:
        """Nothing is: no key leaves this machine."""

    def make_ready(self, name: str, model: str, say: object) -> None:
        """Nothing: one engine answers for every model."""

    def open(self, name: str, content: Content = Content.TEXT, transport: Transport = Transport.BATCH) -> Provider:
        side = name, content, transport
        if side not in self._open:
            spec, server = self._spec(name), self._serving()
            acted, path = registry.vendor_of(spec).acted_out(spec, content)
            how = server.url + path, server.token, self.origin(name)
            self._open[side] = self._opened(acted, content, transport, *how)
        return self._open[side]

    def lost_sight(self, name: str) -> bool:
        """Whether the server died: then the next `open` starts it again over the same data."""
        process = self._server.process if self._server else None
        if process is None or process.poll() is None or self._revivals == MOST_REVIVALS:
            return False
        self._revivals += 1
        self.close()
        return True

    def needs(self, name: str) -> list[str]:
        """What a real apply needs for a provider and does not find here, in words."""
        spec = super()._spec(name)
        found = []
        variable = addresses.key_variable_of(spec)
        needs_key = variable and not any(self._environ.get(v) for v in (variable, f"{variable}_FILE"))
        if needs_key and not addresses.goes_without_key(spec, self._environ, spec.base_url or ""):
            found.append(f"a key in `{variable}`")
        if (refused := super().refusal(name)) is not None:
            found.append(f"a yes to its host (`{refused.command}`)" if refused.command else "a key of its own")
        if self.lacks_account(name):
            found.append("an account")
        return found

    def lacks_account(self, name: str) -> bool:
        """Whether nobody said whose account it is."""
        return self._spec(name).account == UNKNOWN_ACCOUNT

    def _spec(self, name: str) -> ProviderBlock:
        """The provider block, with a made-up account where a real apply would stop for one."""
        spec = super()._spec(name)
        place = registry.place_of(spec)
        is_known = spec.account or self._environ.get(place.account_env, "").strip()
        return spec if is_known or not place.needs_account else replace(spec, account=UNKNOWN_ACCOUNT)

    def _serving(self) -> embedded.Running:
        if self._server is None:
            self._server = embedded.start(self._folder, environ=self._environ, stands_in_with=ENGINE)
        return self._server
