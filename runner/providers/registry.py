"""From a provider block of the specs to a remote we can speak to. Offline commands stop at the card and the origin.

Nothing here needs a key or the network, and httpx is imported only once a provider is really opened.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner.clock import Clock
from runner.errors import Problem, RunnerError, SpecError, UsageError
from runner.job.capabilities import Capabilities
from runner.job.observed import Origin
from runner.providers.base import Provider
from runner.providers.openai.profiles import PROFILES, Profile, capabilities_of, profile_of
from runner.providers.origins import fault_in, host_of, shown
from runner.spec import project

if TYPE_CHECKING:
    from runner.providers.http import Transport

KINDS = ("openai", *(name for name in PROFILES if name != "openai"))


def card_of(provider: project.Provider) -> Capabilities:
    """What the remote can do, from data alone. Raises SpecError."""
    return capabilities_of(_profile(provider))


def origin_of(provider: project.Provider, environ: Mapping[str, str]) -> Origin:
    """Whose answers these will be. Raises SpecError or UsageError when no address is known.

    The embedded server's origin is its data directory's: only its caller knows it.
    """
    return _origin(provider, base_url_of(provider, environ))


def base_url_of(provider: project.Provider, environ: Mapping[str, str], base_url: str | None = None) -> str:
    """The checked address, without a slash at its end.

    The first of: `base_url` (given by the caller), `RUNNER_<NAME>_BASE_URL`, the specs, the vendor's own variable
    such as `OPENAI_BASE_URL`, the profile. Raises SpecError or UsageError.
    """
    profile = _profile(provider)
    own = f"RUNNER_{_shout(provider.name)}_BASE_URL"
    if base_url:
        return _checked(base_url, UsageError(f"provider `{provider.name}`: `{shown(base_url)}`"))
    if environ.get(own):
        return _checked(environ[own], UsageError(f"`{own}`: `{shown(environ[own])}`"))
    if provider.base_url:
        return _checked(provider.base_url, _problem(provider, f"`{shown(provider.base_url)}`"))
    vendors = environ.get(profile.base_url_env) if profile.base_url_env else None
    if vendors:
        return _checked(vendors, UsageError(f"`{profile.base_url_env}`: `{shown(vendors)}`"))
    if profile.base_url:
        return _checked(profile.base_url, _problem(provider, f"`{profile.base_url}`"))
    raise _problem(provider, "has no address", hint=f"give its `base_url`, or set `{own}`")


def open_provider(
    provider: project.Provider,
    *,
    environ: Mapping[str, str],
    base_url: str | None = None,
    token: str | None = None,
    origin: Origin | None = None,
    read_only: bool = False,
    trust_env: bool = False,
    clock: Clock,
    rng: random.Random,
    transport: Transport | None = None,
) -> Provider:
    """A provider ready for use; its key is read at the first call.

    base_url, token, origin: given for the embedded server, and to speak another remote's dialect to it. A token
    replaces the provider's own key, which then is not even looked up. Raises SpecError or UsageError.
    """
    from runner.providers.credentials import Credential
    from runner.providers.http import Http, Settings
    from runner.providers.openai.provider import OpenAIProvider, headers_from

    profile = _profile(provider)
    address = base_url_of(provider, environ, base_url)
    credential = Credential(provider.name, key_variable_of(provider), environ, token)
    http = Http(
        address,
        who=provider.name,
        headers=headers_from(profile.auth, credential, profile.headers_env if token is None else {}, environ),
        key_name=credential.name,
        clock=clock,
        rng=rng,
        transport=transport,
        settings=Settings(trust_env=trust_env, read_only=read_only, query=profile.query),
    )
    return OpenAIProvider(http=http, profile=profile, origin=origin or _origin(provider, address), clock=clock)


def key_variable_of(provider: project.Provider) -> str:
    """The environment variable of the key.

    A vendor's usual variable belongs to the vendor's host: specs that name another host and no variable get
    `<NAME>_API_KEY`, so that a key does not travel to a stranger by default.
    """
    if provider.api_key_env:
        return provider.api_key_env
    profile = _profile(provider)
    is_stranger = bool(
        provider.base_url and profile.base_url and host_of(provider.base_url) != host_of(profile.base_url)
    )
    if not profile.auth.env or is_stranger:
        return "" if provider.kind == "embedded" else f"{_shout(provider.name)}_API_KEY"
    return profile.auth.env


def _profile(provider: project.Provider) -> Profile:
    if provider.kind not in KINDS:
        known = ", ".join(f"`{kind}`" for kind in KINDS)
        raise _problem(provider, f"is of the unknown kind `{provider.kind}`", hint=f"known are {known}")
    return profile_of(provider)


def _origin(provider: project.Provider, base_url: str) -> Origin:
    return Origin(provider.name, host_of(base_url), provider.account or "")


def _checked(base_url: str, error: RunnerError) -> str:
    """The address, or `error` completed with what is wrong with it."""
    fault = fault_in(base_url)
    if fault is None:
        return base_url.rstrip("/")
    if isinstance(error, SpecError):
        only = error.problems[0]
        raise SpecError([Problem(only.mark, f"{only.message} {fault}", only.hint)])
    raise UsageError(f"{error.message} {fault}")


def _problem(provider: project.Provider, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem(provider.mark, f"provider `{provider.name}`: {message}", hint)])


def _shout(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())
