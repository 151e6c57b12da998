"""From a provider block of the specs to a remote we can speak to. Offline commands stop at the card and the origin.

Nothing here needs a key or the network, and httpx is imported only once a provider is really opened.
"""

from __future__ import annotations

import functools
import importlib
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict, Unpack

from msgspec.structs import replace

from runner.clock import Clock
from runner.errors import NotBound, Problem, RunnerError, SpecError, UsageError
from runner.job import project
from runner.job.capabilities import Capabilities, Content
from runner.job.observed import Origin
from runner.remotes import embedded, fireworks, fireworks_audio, openai
from runner.remotes.transport.bindings import NO_KEY, Binding, Bindings, covers, target_of
from runner.remotes.transport.origins import fault_in, host_of, path_in, shown, without_call
from runner.remotes.vendor import Declared, Lines, Place, Provider, Reader, Vendor, problem

if TYPE_CHECKING:
    from runner.remotes.audio import AudioProvider
    from runner.remotes.transport.credentials import Credential
    from runner.remotes.transport.gate import Gate
    from runner.remotes.transport.http import Http, Transport
    from runner.remotes.transport.waits import Waits

VENDORS: Mapping[str, Vendor] = {
    vendor.kind: vendor for vendor in (embedded.VENDOR, openai.VENDOR, fireworks.VENDOR, fireworks_audio.VENDOR)
}


GROUP = "runner.vendors"  # of entry points, by which an installed package adds kinds: `name = "package.module:VENDOR"`


@functools.cache
def installed() -> Mapping[str, Vendor]:
    """The vendors that come in packages of their own, by kind. Looked for only where a built-in kind is not meant.

    What one of them says about where its key may go is not believed: a person binds it, as any other (`runner keys`).
    Raises UsageError for one that cannot be loaded.
    """
    import importlib.metadata

    found: dict[str, Vendor] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            vendor: Vendor = point.load()
            found[vendor.kind] = vendor
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the vendor `{point.name}` cannot be loaded from `{point.value}`: {error}",
                hint="mend or remove the package that brings it",
            ) from error
    return found


class Machine(TypedDict):
    """What opening a provider takes of this machine; `_Net` says what each is."""

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


@functools.cache
def declared_by() -> Mapping[str, Declared]:
    """What each kind of provider declares that specs may say, by kind: `DECLARED` of the vendor's `declared`.

    Imported when it is asked for: pydantic takes a while, and specs that did not change are not checked again.
    """
    return {
        kind: importlib.import_module(f"{type(vendor).__module__}.declared").DECLARED
        for kind, vendor in {**installed(), **VENDORS}.items()
    }


@functools.cache
def built_in_providers() -> Mapping[str, project.Provider]:
    """The providers that a spec can name without declaring them."""
    return {block.name: block for declared in declared_by().values() for block in declared.built_in}


def vendor_of(provider: project.Provider) -> Vendor:
    """Who speaks to a provider. Raises SpecError for a kind that nobody does."""
    vendor = VENDORS.get(provider.kind) or installed().get(provider.kind)
    if vendor is None:
        known = ", ".join(f"`{kind}`" for kind in (*VENDORS, *installed()))
        raise problem(provider, f"is of the unknown kind `{provider.kind}`", f"known are {known}")
    return vendor


def place_of(provider: project.Provider) -> Place:
    """Where a provider is when nothing else is said. Raises SpecError."""
    return vendor_of(provider).place(provider)


def card_of(provider: project.Provider, content: Content = Content.TEXT) -> Capabilities:
    """What the remote can do with such requests, from data alone. Raises SpecError, also when it takes none of them."""
    vendor = vendor_of(provider)
    card, place = vendor.card(provider, content), vendor.place(provider)
    if place.is_ours:
        return card
    if _is_vendors_own(provider):  # no block makes a vendor cheaper than it is
        least = vendor.card(replace(provider, overrides={}), content).price_factor
        return replace(card, price_factor=max(card.price_factor, least))
    return card if "discount" in provider.overrides else replace(card, price_factor=1.0)


def lines_of(provider: project.Provider) -> Lines:
    """What a line of a provider is. Raises SpecError where it takes recordings only."""
    return vendor_of(provider).lines(provider)


def reader_of(provider: project.Provider) -> Reader:
    """What the lines of its result files are. Raises SpecError."""
    return vendor_of(provider).reader


def priced(provider: project.Provider, model: str, price: project.Price | None) -> project.Price | None:
    """A price that may be counted with: what the spec says, but no less than a built-in vendor is known to take.

    None: not known. That is so too where the spec says 0 and the vendor's price of the model is not known here.
    """
    if price is None or not _is_vendors_own(provider):
        return price
    if price.per_minute is not None:
        return price if price.per_minute else None
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}\Z", "", model)
    least_in, least_out = vendor_of(provider).floors().get(undated, (0.0, 0.0))
    floored = replace(price, input=max(price.input, least_in), output=max(price.output, least_out))
    return floored if floored.input else None


def _is_vendors_own(provider: project.Provider) -> bool:
    """Whether it is at a host of a built-in vendor, and no look-alike or server of one's own."""
    hosts = place_of(provider).hosts
    return bool(hosts) and (not provider.base_url or covers(hosts, host_of(provider.base_url)))


def origin_of(provider: project.Provider, environ: Mapping[str, str]) -> Origin:
    """Whose answers these will be. Raises SpecError or UsageError when no address is known.

    The embedded server's origin is its data directory's: only its caller knows it.
    """
    account = account_of(provider, environ) if place_of(provider).needs_account else provider.account
    return _origin(provider, base_url_of(provider, environ), account or "")


def base_url_of(provider: project.Provider, environ: Mapping[str, str], base_url: str | None = None) -> str:
    """The checked address, without a slash at its end; for Fireworks without any path.

    The first of: `base_url` (given by the caller), `RUNNER_<NAME>_BASE_URL`, the specs, the vendor's own variable
    such as `OPENAI_BASE_URL`, the profile. Raises SpecError or UsageError.
    """
    return _address_of(provider, environ, base_url).url


class _Address(NamedTuple):
    url: str
    is_in_environment: bool = False  # a person said so on this machine


def _address_of(provider: project.Provider, environ: Mapping[str, str], base_url: str | None = None) -> _Address:
    vendor = place_of(provider)
    own = f"RUNNER_{_shout(provider.name)}_BASE_URL"
    checked = functools.partial(_checked, is_origin=not vendor.url_has_path, is_insecure=provider.insecure_http)
    if base_url:
        return _Address(checked(base_url, UsageError(f"provider `{provider.name}`: `{shown(base_url)}`")))
    if environ.get(own):
        return _Address(checked(environ[own], UsageError(f"`{own}`: `{shown(environ[own])}`")), True)
    if provider.base_url:
        return _Address(checked(provider.base_url, problem(provider, f"`{shown(provider.base_url)}`")))
    vendors = environ.get(vendor.base_url_env) if vendor.base_url_env else None
    if vendors:
        return _Address(checked(vendors, UsageError(f"`{vendor.base_url_env}`: `{shown(vendors)}`")), True)
    if vendor.base_url:
        return _Address(checked(vendor.base_url, problem(provider, f"`{vendor.base_url}`")))
    raise problem(provider, "has no address", hint=f"give its `base_url`, or set `{own}`")


def account_of(provider: project.Provider, environ: Mapping[str, str]) -> str:
    """The account: the block's, else the environment's. Raises SpecError when there is none."""
    place = place_of(provider)
    account = _account_in(provider, place, environ)
    if not account:
        raise problem(
            provider,
            "has no account",
            f"give its `account` under `providers:`, or set `{place.account_env}`; it is the account's id",
        )
    vendor_of(provider).check_account(provider, account)
    return account


def _account_in(provider: project.Provider, place: Place, environ: Mapping[str, str]) -> str:
    account = provider.account or (environ.get(place.account_env, "").strip() if place.account_env else "")
    return account.removeprefix("accounts/")


class _Net:
    """Implements `remotes.vendor.Net` for one provider.

    base_url, token, origin: given for a server of our own, and to speak another remote's dialect to it. A token
    replaces the provider's own key, which then is not even looked up. waits: who hears of calls that take their time.
    """

    def __init__(
        self,
        provider: project.Provider,
        *,
        environ: Mapping[str, str],
        base_url: str | None = None,
        token: str | None = None,
        origin: Origin | None = None,
        bindings: Bindings | None = None,
        read_only: bool = False,
        waits: Waits | None = None,
        clock: Clock,
        rng: random.Random,
        transport: Transport | None = None,
    ) -> None:
        place = place_of(provider)
        self.url = base_url_of(provider, environ, base_url)
        self.account = _account_in(provider, place, environ)
        if place.needs_account:
            is_given = token is not None and not self.account
            self.account = _LOCAL_ACCOUNT if is_given else account_of(provider, environ)
        owner = self.account if place.needs_account else provider.account or ""
        self.origin = origin or _origin(provider, self.url, owner)
        self.clock = clock
        self._provider = provider
        self._environ = environ
        self._secrets = _Secrets(provider, environ, token, bindings)
        self._is_given = token is not None
        self._read_only = read_only
        self._waits = waits
        self._rng = rng
        self._transport = transport

    def http(
        self,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        optional: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Http:
        from runner.remotes.transport.credentials import Headers
        from runner.remotes.transport.http import Http, Settings
        from runner.remotes.transport.network import Network

        credential = self._secrets.of(key_variable_of(self._provider))
        more = {} if self._is_given else optional or {}
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
            rng=self._rng,
            transport=self._transport,
            settings=Settings(
                network=Network(self._environ), read_only=self._read_only, waits=self._waits, query=query or {}
            ),
        )

    def gate(self, http: Http, hosts: Sequence[str]) -> Gate:
        from runner.remotes.transport.gate import Gate

        return Gate(self.url, tuple(hosts), network=http.network)


def open_provider(provider: project.Provider, **how: Unpack[Machine]) -> Provider:
    """A provider ready for use; its key is read at the first call. Raises SpecError or UsageError."""
    vendor = vendor_of(provider)
    vendor.lines(provider)  # of rows: else it says what it takes
    return vendor.open(provider, _Net(provider, **how))


def open_audio_provider(provider: project.Provider, **how: Unpack[Machine]) -> AudioProvider:
    """`open_provider` for recordings."""
    vendor = vendor_of(provider)
    vendor.card(provider, Content.RECORDING)
    return vendor.open_audio(provider, _Net(provider, **how))


def vendors_hosts() -> dict[str, tuple[str, ...]]:
    """The variables of vendors we know, and the hosts each of them goes to by itself."""
    return {name: hosts for vendor in VENDORS.values() for name, hosts in vendor.keys().items()}


def bindings_of(environ: Mapping[str, str], root: Path | None = None) -> Bindings:
    """Which key may go where on this machine. Raises UsageError or RunnerError where that is badly said.

    root: of the project, in whose checkout nothing is believed about it.
    """
    return Bindings(environ, vendors=vendors_hosts(), root=root)


def refusal_of(provider: project.Provider, environ: Mapping[str, str], bindings: Bindings) -> NotBound | None:
    """Why this provider is not asked on this machine, or None. Needs no key. Raises SpecError or UsageError."""
    place = place_of(provider)
    if place.is_ours:
        return None
    url, more = base_url_of(provider, environ), _named_by_address(provider, environ)
    names = (key_variable_of(provider) if place.sends_key else "", *provider.headers_env.values())
    refusals = (bindings.refusal(name, url, more) for name in names)
    return next((refused for refused in refusals if refused is not None), None)


def _named_by_address(provider: project.Provider, environ: Mapping[str, str]) -> tuple[Binding, ...]:
    """What an address in the environment allows: it is a person's, as is the variable that belongs to it."""
    address = _address_of(provider, environ)
    if not address.is_in_environment:
        return ()
    own = f"{_shout(provider.name)}_API_KEY"
    is_built_in = any(provider.name in vendor.names for vendor in VENDORS.values())
    variable = place_of(provider).key_env or own if is_built_in else own
    return tuple(Binding(one, target_of(address.url)) for one in (variable, NO_KEY))


class _Secrets:
    """What a provider's headers are made of, each tied to where it may go."""

    def __init__(
        self,
        provider: project.Provider,
        environ: Mapping[str, str],
        token: str | None,
        bindings: Bindings | None,
    ) -> None:
        self._provider = provider
        self._environ = environ
        self._token = token
        self._bindings = bindings or bindings_of({} if token else environ)
        self._more = _named_by_address(provider, environ) if token is None else ()

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


def key_variable_of(provider: project.Provider) -> str:
    """The environment variable of the key.

    Specs that name no variable get the vendor's for the vendor's own host, and `<NAME>_API_KEY` for any other. Whether
    its value may go there, `Bindings` says when it is to be sent.
    """
    if provider.api_key_env:
        return provider.api_key_env
    vendor = place_of(provider)
    is_stranger = bool(provider.base_url and vendor.hosts and not covers(vendor.hosts, host_of(provider.base_url)))
    if not vendor.key_env or is_stranger:
        return "" if vendor.is_ours else f"{_shout(provider.name)}_API_KEY"
    return vendor.key_env


def _origin(provider: project.Provider, base_url: str, account: str) -> Origin:
    return Origin(provider.name, host_of(base_url), account)


def _checked(base_url: str, error: RunnerError, *, is_origin: bool, is_insecure: bool = False) -> str:
    """The address, or `error` completed with what is wrong with it. With `is_origin` it may have no path."""
    fault = fault_in(base_url, is_insecure=is_insecure) or (path_in(base_url) if is_origin else None)
    if fault is None and not is_origin and (better := without_call(base_url)) is not None:
        fault = f"ends with a call of the API; the API itself is at `{better}`"
    if fault is None:
        return base_url.rstrip("/")
    if isinstance(error, SpecError):
        only = error.problems[0]
        raise SpecError([Problem(only.mark, f"{only.message} {fault}", only.hint)])
    raise UsageError(f"{error.message} {fault}")


def _shout(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
