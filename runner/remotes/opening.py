"""From a provider block of the specs to a client that can be asked. httpx is imported once one is really opened."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NotRequired, TypedDict, Unpack

from runner.clock import Clock
from runner.job import project
from runner.job.capabilities import Content
from runner.job.capabilities import Transport as Side
from runner.job.observed import Origin
from runner.remotes.addresses import (
    account_in,
    account_of,
    base_url_of,
    bindings_of,
    goes_without_key,
    key_variable_of,
    named_by_address,
    origin_at,
)
from runner.remotes.registry import card_of, place_of, vendor_of
from runner.remotes.transport.bindings import Bindings
from runner.remotes.vendor import Provider

if TYPE_CHECKING:
    from runner.remotes.transport.credentials import Credential
    from runner.remotes.transport.exchange import Transport
    from runner.remotes.transport.gate import UrlGate
    from runner.remotes.transport.http import Http
    from runner.remotes.transport.waits import Waits


class Machine(TypedDict):
    """What opening a provider takes of this machine.

    base_url, token, origin: given for a server of our own, and to speak another remote's dialect to it. A token
    replaces the provider's own key, which then is not even looked up. waits: who hears of calls that take their time.
    """

    environ: Mapping[str, str]
    clock: Clock
    rng: random.Random
    base_url: NotRequired[str | None]
    token: NotRequired[str | None]
    origin: NotRequired[Origin | None]
    bindings: NotRequired[Bindings | None]
    read_only: NotRequired[bool]
    waits: NotRequired[Waits | None]
    transport: NotRequired[Transport | None]


_LOCAL_ACCOUNT = "local"  # of a server that was given with its token, when nobody named one


class _Net:
    """Implements `remotes.vendor.Net` for one provider."""

    def __init__(self, provider: project.ProviderBlock, **how: Unpack[Machine]) -> None:
        place, environ, token = place_of(provider), how["environ"], how.get("token")
        self.url = base_url_of(provider, environ, how.get("base_url"))
        self.account = account_in(provider, place, environ)
        if place.needs_account:
            is_given = token is not None and not self.account
            self.account = _LOCAL_ACCOUNT if is_given else account_of(provider, environ)
        owner = self.account if place.needs_account else provider.account or ""
        self.origin = how.get("origin") or origin_at(provider, self.url, owner)
        self.clock = how["clock"]
        self._provider = provider
        self._how = how
        self._secrets = _Secrets(provider, environ, token, how.get("bindings"))

    def http(
        self,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        optional: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Http:
        from runner.remotes.transport.credentials import Headers
        from runner.remotes.transport.exchange import HttpSettings
        from runner.remotes.transport.http import Http
        from runner.remotes.transport.network import Network

        credential = self._secrets.of(key_variable_of(self._provider))
        if self._how.get("token") is None and goes_without_key(self._provider, self._how["environ"], self.url):
            header = ""
        more = {} if self._how.get("token") is not None else optional or {}
        return Http(
            self.url,
            who=self._provider.name,
            headers=Headers(
                credential,
                header=header,
                scheme=scheme,
                plain=self._provider.headers,
                secret=self._secrets.in_headers(),
                optional={name: self._secrets.of(variable) for name, variable in more.items()},
            ),
            key_name=credential.name,
            clock=self.clock,
            rng=self._how["rng"],
            transport=self._how.get("transport"),
            settings=HttpSettings(
                network=Network(self._how["environ"]),
                read_only=self._how.get("read_only", False),
                waits=self._how.get("waits"),
                query=query or {},
            ),
        )

    def gate(self, http: Http, hosts: Sequence[str]) -> UrlGate:
        from runner.remotes.transport.gate import UrlGate

        return UrlGate(self.url, tuple(hosts), network=http.network)


def open_provider(
    provider: project.ProviderBlock,
    content: Content = Content.TEXT,
    side: Side = Side.BATCH,
    **how: Unpack[Machine],
) -> Provider:
    """One side of a provider, ready for such requests; its key is read at the first call.

    Raises SpecError or UsageError.
    """
    vendor = vendor_of(provider)
    if side is Side.ONLINE:
        card_of(provider, content, side)
        return vendor.open_online(provider, _Net(provider, **how), content)
    vendor.card(provider, content)  # one that takes no such requests says so
    if content is Content.TEXT:
        vendor.lines(provider)
    return vendor.open(provider, _Net(provider, **how), content)


class _Secrets:
    """What a provider's headers are made of, each tied to where it may go."""

    def __init__(
        self,
        provider: project.ProviderBlock,
        environ: Mapping[str, str],
        token: str | None,
        bindings: Bindings | None,
    ) -> None:
        self._provider = provider
        self._environ = environ
        self._token = token
        self._bindings = bindings or bindings_of({} if token else environ)
        self._more = named_by_address(provider, environ) if token is None else ()

    def in_headers(self) -> dict[str, Credential]:
        """What `headers_env` of the block names; none where the caller gave a token of its own."""
        if self._token is not None:
            return {}
        return {header: self.of(variable) for header, variable in self._provider.headers_env.items()}

    def of(self, variable: str) -> Credential:
        """The value of a variable, read when it is first sent."""
        from runner.remotes.transport.credentials import Credential

        refusal = functools.partial(self._bindings.refusal, more=self._more)
        return Credential(self._provider.name, variable, self._environ, self._token, refusal=refusal)
