"""From a provider block of the specs to a remote we can speak to. Offline commands stop at the card and the origin.

Nothing here needs a key or the network, and httpx is imported only once a provider is really opened.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from runner.clock import Clock
from runner.errors import NotBound, Problem, RunnerError, SpecError, UsageError
from runner.job import project
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.remotes.fireworks import lines as fireworks_lines
from runner.remotes.fireworks import prices as fireworks_prices
from runner.remotes.fireworks import profile as fireworks
from runner.remotes.fireworks_audio import profile as audio
from runner.remotes.openai import lines as openai_lines
from runner.remotes.openai import prices as openai_prices
from runner.remotes.openai.profiles import PROFILES, Profile, capabilities_of, profile_of
from runner.remotes.transport.bindings import NO_KEY, Binding, Bindings, covers, target_of
from runner.remotes.transport.origins import fault_in, host_of, path_in, shown, without_call
from runner.remotes.vendor import Declared, Lines, Provider

if TYPE_CHECKING:
    from runner.remotes.audio import AudioProvider
    from runner.remotes.transport.credentials import Credential
    from runner.remotes.transport.http import Http, Transport

EMBEDDED = "embedded"
FIREWORKS = "fireworks"
FIREWORKS_AUDIO = "fireworks-audio"
KINDS = ("openai", FIREWORKS, FIREWORKS_AUDIO, *(name for name in PROFILES if name != "openai"))
_ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_LOCAL_ACCOUNT = "local"  # of a server that was given with its token, when nobody named one


@functools.cache
def declared_by() -> Mapping[str, Declared]:
    """What each kind of provider declares that specs may say, by kind: the only list of vendors.

    Imported when it is asked for: pydantic takes a while, and specs that did not change are not checked again.
    """
    from runner.remotes.embedded import declared as embedded
    from runner.remotes.fireworks import declared as fireworks
    from runner.remotes.fireworks_audio import declared as fireworks_audio
    from runner.remotes.openai import declared as openai

    return {vendor.KIND: vendor.DECLARED for vendor in (embedded, openai, fireworks, fireworks_audio)}


@functools.cache
def built_in_providers() -> Mapping[str, project.Provider]:
    """The providers that a spec can name without declaring them."""
    return {block.name: block for declared in declared_by().values() for block in declared.built_in}


class _Vendor(NamedTuple):
    """Where a vendor is found when nothing else is said: an address, names of environment variables, its own hosts."""

    base_url: str
    base_url_env: str
    key_env: str
    hosts: tuple[str, ...]


def card_of(provider: project.Provider) -> Capabilities:
    """What the remote can do, from data alone. Raises SpecError."""
    if provider.kind == FIREWORKS:
        card = fireworks.capabilities_of(fireworks.profile_of(provider))
        return _discounted(provider, card, 1 - fireworks.Profile().discount)
    if provider.kind == FIREWORKS_AUDIO:
        return audio_card_of(provider)
    profile = _profile(provider)
    return _discounted(provider, capabilities_of(profile), 1 - PROFILES[profile.name].discount)


def lines_of(provider: project.Provider) -> Lines:
    """What a line of a provider is. Raises SpecError where it takes recordings only."""
    if provider.kind == FIREWORKS:
        return fireworks_lines.LINES
    _profile(provider)
    return openai_lines.LINES


def priced(provider: project.Provider, model: str, price: project.Price | None) -> project.Price | None:
    """A price that may be counted with: what the spec says, but no less than a built-in vendor is known to take.

    None: not known. That is so too where the spec says 0 and the vendor's price of the model is not known here.
    """
    if price is None or not _is_vendors_own(provider):
        return price
    if price.per_minute is not None:
        return price if price.per_minute else None
    floors = fireworks_prices.FLOORS if provider.kind == FIREWORKS else openai_prices.FLOORS
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}\Z", "", model)
    least_in, least_out = floors.get(undated, (0.0, 0.0))
    floored = replace(price, input=max(price.input, least_in), output=max(price.output, least_out))
    return floored if floored.input else None


def _is_vendors_own(provider: project.Provider) -> bool:
    """Whether it is at a host of a built-in vendor, and no look-alike or server of one's own."""
    hosts = _vendor(provider).hosts
    return bool(hosts) and (not provider.base_url or covers(hosts, host_of(provider.base_url)))


def _discounted(provider: project.Provider, card: Capabilities, least: float) -> Capabilities:
    """The card with a discount that may be counted with. least: the built-in vendor's price over its list price.

    A provider of one's own has none unless its block says so, and no block makes a vendor cheaper than it is.
    """
    if _is_vendors_own(provider):
        return replace(card, price_factor=max(card.price_factor, least))
    is_said = "discount" in provider.overrides or provider.kind == EMBEDDED
    return card if is_said else replace(card, price_factor=1.0)


def audio_card_of(provider: project.Provider) -> Capabilities:
    """What the remote can do with recordings. Raises SpecError when it takes none."""
    card = audio.capabilities_of(_audio_profile(provider), is_free=provider.kind == EMBEDDED)
    return card if card.is_free else _discounted(provider, card, 1 - audio.Profile().discount)


def origin_of(provider: project.Provider, environ: Mapping[str, str]) -> Origin:
    """Whose answers these will be. Raises SpecError or UsageError when no address is known.

    The embedded server's origin is its data directory's: only its caller knows it.
    """
    account = account_of(provider, environ) if provider.kind == FIREWORKS else provider.account
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
    vendor = _vendor(provider)
    own = f"RUNNER_{_shout(provider.name)}_BASE_URL"
    checked = functools.partial(
        _checked, is_origin=provider.kind in (FIREWORKS, FIREWORKS_AUDIO), is_insecure=provider.insecure_http
    )
    if base_url:
        return _Address(checked(base_url, UsageError(f"provider `{provider.name}`: `{shown(base_url)}`")))
    if environ.get(own):
        return _Address(checked(environ[own], UsageError(f"`{own}`: `{shown(environ[own])}`")), True)
    if provider.base_url:
        return _Address(checked(provider.base_url, _problem(provider, f"`{shown(provider.base_url)}`")))
    vendors = environ.get(vendor.base_url_env) if vendor.base_url_env else None
    if vendors:
        return _Address(checked(vendors, UsageError(f"`{vendor.base_url_env}`: `{shown(vendors)}`")), True)
    if vendor.base_url:
        return _Address(checked(vendor.base_url, _problem(provider, f"`{vendor.base_url}`")))
    raise _problem(provider, "has no address", hint=f"give its `base_url`, or set `{own}`")


def account_of(provider: project.Provider, environ: Mapping[str, str]) -> str:
    """The Fireworks account: the block's, else the environment's. Raises SpecError when there is none."""
    account = provider.account or environ.get(fireworks.ACCOUNT_ENV, "").strip()
    account = account.removeprefix("accounts/")
    if not account:
        raise _problem(
            provider,
            "has no account",
            hint=f"give its `account` under `providers:`, or set `{fireworks.ACCOUNT_ENV}`; it is the account's id",
        )
    if not _ACCOUNT.match(account):
        raise _problem(provider, f"`{shown(account)}` is not the id of an account", hint="it is a slug, such as `acme`")
    return account


def open_provider(
    provider: project.Provider,
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    token: str | None = None,
    origin: Origin | None = None,
    bindings: Bindings | None = None,
    read_only: bool = False,
    clock: Clock,
    rng: random.Random,
    transport: Transport | None = None,
) -> Provider:
    """A provider ready for use; its key is read at the first call.

    base_url, token, origin: given for the embedded server, and to speak another remote's dialect to it. A token
    replaces the provider's own key, which then is not even looked up. Raises SpecError or UsageError.
    """
    from runner.remotes.openai.provider import OpenAIProvider
    from runner.remotes.transport.credentials import Headers
    from runner.remotes.transport.gate import Gate
    from runner.remotes.transport.http import Http, Settings
    from runner.remotes.transport.network import Network

    address, secrets = base_url_of(provider, environ, base_url), _Secrets(provider, environ, token, bindings)
    credential = secrets.of(key_variable_of(provider))
    if provider.kind == FIREWORKS:
        http = Http(
            address,
            who=provider.name,
            headers=Headers(credential, plain=provider.headers, secret=secrets.in_headers()),
            key_name=credential.name,
            clock=clock,
            rng=rng,
            transport=transport,
            settings=Settings(network=Network(environ), read_only=read_only),
        )
        return _fireworks(provider, http, address, environ, origin=origin, is_given=token is not None, clock=clock)
    profile = _profile(provider)
    http = Http(
        address,
        who=provider.name,
        headers=Headers(
            credential,
            header=profile.auth.header,
            scheme=profile.auth.scheme,
            plain=provider.headers,
            secret=secrets.in_headers(),
            optional={header: secrets.of(name) for header, name in profile.headers_env.items()} if not token else {},
        ),
        key_name=credential.name,
        clock=clock,
        rng=rng,
        transport=transport,
        settings=Settings(network=Network(environ), read_only=read_only, query=profile.query),
    )
    return OpenAIProvider(
        http=http,
        profile=profile,
        gate=Gate(address, profile.storage_hosts, network=http.network),
        origin=origin or _origin(provider, address, provider.account or ""),
        clock=clock,
    )


def _fireworks(
    provider: project.Provider,
    http: Http,
    address: str,
    environ: Mapping[str, str],
    *,
    origin: Origin | None,
    is_given: bool,
    clock: Clock,
) -> Provider:
    from runner.remotes.fireworks.provider import FireworksProvider
    from runner.remotes.transport.gate import Gate

    profile = fireworks.profile_of(provider)
    has_account = provider.account or environ.get(fireworks.ACCOUNT_ENV)
    account = account_of(provider, environ) if has_account or not is_given else _LOCAL_ACCOUNT
    return FireworksProvider(
        http=http,
        account=account,
        profile=profile,
        gate=Gate(address, (*fireworks.STORAGE_HOSTS, *profile.storage_hosts), network=http.network),
        origin=origin or _origin(provider, address, account),
        clock=clock,
    )


def open_audio_provider(
    provider: project.Provider,
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    token: str | None = None,
    origin: Origin | None = None,
    bindings: Bindings | None = None,
    read_only: bool = False,
    clock: Clock,
    rng: random.Random,
    transport: Transport | None = None,
) -> AudioProvider:
    """`open_provider` for recordings; a `base_url` of the embedded server may be that of any of its APIs."""
    from runner.remotes.fireworks_audio.provider import FireworksAudioProvider
    from runner.remotes.transport.credentials import Headers
    from runner.remotes.transport.http import Http, Settings
    from runner.remotes.transport.network import Network

    profile = _audio_profile(provider)
    address = base_url_of(provider, environ, base_url)
    if provider.kind == EMBEDDED:
        address = address.removesuffix("/v1")
    secrets = _Secrets(provider, environ, token, bindings)
    credential = secrets.of(key_variable_of(provider))
    http = Http(
        address,
        who=provider.name,
        headers=Headers(
            credential,
            scheme="Bearer" if profile.auth_scheme == "bearer" else "",
            plain=provider.headers,
            secret=secrets.in_headers(),
        ),
        key_name=credential.name,
        clock=clock,
        rng=rng,
        transport=transport,
        settings=Settings(network=Network(environ), read_only=read_only),
    )
    return FireworksAudioProvider(
        http=http,
        who=provider.name,
        profile=profile,
        card=audio_card_of(provider),
        origin=origin or _origin(provider, address, provider.account or ""),
        account=(provider.account or environ.get(audio.ACCOUNT_ENV, "")).strip().removeprefix("accounts/"),
    )


def vendors_hosts() -> dict[str, tuple[str, ...]]:
    """The variables of vendors we know, and the hosts each of them goes to by itself."""
    found: dict[str, tuple[str, ...]] = {fireworks.KEY_ENV: fireworks.HOSTS}
    for profile in PROFILES.values():
        names = (profile.auth.env, *profile.headers_env.values())
        found.update({name: profile.hosts for name in names if name})
    return found


def bindings_of(environ: Mapping[str, str], root: Path | None = None) -> Bindings:
    """Which key may go where on this machine. Raises UsageError or RunnerError where that is badly said.

    root: of the project, in whose checkout nothing is believed about it.
    """
    return Bindings(environ, vendors=vendors_hosts(), root=root)


def refusal_of(provider: project.Provider, environ: Mapping[str, str], bindings: Bindings) -> NotBound | None:
    """Why this provider is not asked on this machine, or None. Needs no key. Raises SpecError or UsageError."""
    if provider.kind == EMBEDDED:
        return None
    url, more = base_url_of(provider, environ), _named_by_address(provider, environ)
    has_key = provider.kind in (FIREWORKS, FIREWORKS_AUDIO) or _profile(provider).auth.header
    names = (key_variable_of(provider) if has_key else "", *provider.headers_env.values())
    refusals = (bindings.refusal(name, url, more) for name in names)
    return next((refused for refused in refusals if refused is not None), None)


def _named_by_address(provider: project.Provider, environ: Mapping[str, str]) -> tuple[Binding, ...]:
    """What an address in the environment allows: it is a person's, as is the variable that belongs to it."""
    address = _address_of(provider, environ)
    if not address.is_in_environment:
        return ()
    own = f"{_shout(provider.name)}_API_KEY"
    variable = _vendor(provider).key_env or own if provider.name in KINDS else own
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
    vendor = _vendor(provider)
    is_stranger = bool(provider.base_url and vendor.hosts and not covers(vendor.hosts, host_of(provider.base_url)))
    if not vendor.key_env or is_stranger:
        return "" if provider.kind == "embedded" else f"{_shout(provider.name)}_API_KEY"
    return vendor.key_env


def _vendor(provider: project.Provider) -> _Vendor:
    if provider.kind == FIREWORKS:
        return _Vendor(fireworks.BASE_URL, fireworks.BASE_URL_ENV, fireworks.KEY_ENV, fireworks.HOSTS)
    if provider.kind == FIREWORKS_AUDIO:
        return _Vendor(audio.BASE_URL, audio.BASE_URL_ENV, audio.KEY_ENV, audio.HOSTS)
    profile = _profile(provider)
    return _Vendor(profile.base_url, profile.base_url_env, profile.auth.env, profile.hosts)


def _profile(provider: project.Provider) -> Profile:
    if provider.kind not in KINDS:
        known = ", ".join(f"`{kind}`" for kind in KINDS)
        raise _problem(provider, f"is of the unknown kind `{provider.kind}`", hint=f"known are {known}")
    if provider.kind == FIREWORKS_AUDIO:
        raise _problem(provider, "takes recordings only", hint=f"use a provider of kind `{FIREWORKS}` or `openai`")
    return profile_of(provider)


def _audio_profile(provider: project.Provider) -> audio.Profile:
    """What is overridden for the embedded server is about its other API."""
    if provider.kind == EMBEDDED:
        return audio.Profile(min_poll_s=0.2, max_poll_s=2.0, defer_s=2.0, discount=0.0)
    if provider.kind != FIREWORKS_AUDIO:
        raise _problem(
            provider,
            f"takes no recordings: it is of kind `{provider.kind}`",
            hint=f"use one of kind `{FIREWORKS_AUDIO}`",
        )
    return audio.profile_of(provider)


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


def _problem(provider: project.Provider, message: str, hint: str = "") -> SpecError:
    return SpecError(
        [
            Problem(
                provider.mark, f"provider `{provider.name}`{'' if message.startswith('has ') else ':'} {message}", hint
            )
        ]
    )


def _shout(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
