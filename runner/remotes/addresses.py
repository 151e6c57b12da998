"""Where a provider is, whose account it is, and which key may go there: from its block and the environment.

Nothing is asked for it, and no key is read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from runner.errors import NotBound, Problem, RunnerError, SpecError, UsageError
from runner.hosts import is_loopback
from runner.job import project
from runner.job.observed import Origin
from runner.remotes.registry import VENDORS, place_of, vendor_of
from runner.remotes.transport.bindings import NO_KEY, Binding, Bindings, covers, target_of
from runner.remotes.transport.origins import fault_in, host_of, path_in, shown, without_call
from runner.remotes.vendor import Place


def origin_of(provider: project.ProviderBlock, environ: Mapping[str, str]) -> Origin:
    """Whose answers these will be. Raises SpecError or UsageError when no address is known.

    The embedded server's origin is its data directory's: only its caller knows it.
    """
    account = account_of(provider, environ) if place_of(provider).needs_account else provider.account
    return origin_at(provider, base_url_of(provider, environ), account or "")


def base_url_of(provider: project.ProviderBlock, environ: Mapping[str, str], base_url: str | None = None) -> str:
    """The checked address, without a slash at its end; for Fireworks without any path.

    The first of: `base_url` (given by the caller), `RUNNER_<NAME>_BASE_URL`, the specs, the vendor's own variable
    such as `OPENAI_BASE_URL`, the profile. Raises SpecError or UsageError.
    """
    return _address_of(provider, environ, base_url).url


class _Address(msgspec.Struct, frozen=True):
    url: str
    is_in_environment: bool = False  # a person said so on this machine


def _address_of(provider: project.ProviderBlock, environ: Mapping[str, str], base_url: str | None = None) -> _Address:
    vendor = place_of(provider)
    own = f"RUNNER_{_shout(provider.name)}_BASE_URL"
    checked = functools.partial(_checked, is_origin=not vendor.url_has_path, is_insecure=provider.insecure_http)
    if base_url:
        return _Address(checked(base_url, UsageError(f"provider `{provider.name}`: `{shown(base_url)}`")))
    if environ.get(own):
        return _Address(checked(environ[own], UsageError(f"`{own}`: `{shown(environ[own])}`")), True)
    if provider.base_url:
        return _Address(checked(provider.base_url, provider.problem(f"`{shown(provider.base_url)}`")))
    vendors = environ.get(vendor.base_url_env) if vendor.base_url_env else None
    if vendors:
        return _Address(checked(vendors, UsageError(f"`{vendor.base_url_env}`: `{shown(vendors)}`")), True)
    if vendor.base_url:
        return _Address(checked(vendor.base_url, provider.problem(f"`{vendor.base_url}`")))
    raise provider.problem("has no address", hint=f"give its `base_url`, or set `{own}`")


def account_of(provider: project.ProviderBlock, environ: Mapping[str, str]) -> str:
    """The account: the block's, else the environment's. Raises SpecError when there is none."""
    place = place_of(provider)
    account = account_in(provider, place, environ)
    if not account:
        raise provider.problem(
            "has no account",
            f"give its `account` under `providers:`, or set `{place.account_env}`; it is the account's id",
        )
    vendor_of(provider).check_account(provider, account)
    return account


def account_in(provider: project.ProviderBlock, place: Place, environ: Mapping[str, str]) -> str:
    account = provider.account or (environ.get(place.account_env, "").strip() if place.account_env else "")
    return account.removeprefix("accounts/")


def vendors_hosts() -> dict[str, tuple[str, ...]]:
    """The variables of vendors we know, and the hosts each of them goes to by itself."""
    return {name: hosts for vendor in VENDORS.values() for name, hosts in vendor.keys().items()}


def bindings_of(environ: Mapping[str, str], root: Path | None = None) -> Bindings:
    """Which key may go where on this machine. Raises UsageError or RunnerError where that is badly said.

    root: of the project, in whose checkout nothing is believed about it.
    """
    return Bindings(environ, vendors=vendors_hosts(), root=root)


def refusal_of(provider: project.ProviderBlock, environ: Mapping[str, str], bindings: Bindings) -> NotBound | None:
    """Why this provider is not asked on this machine, or None. Needs no key. Raises SpecError or UsageError."""
    place = place_of(provider)
    if place.is_ours:
        return None
    url, more = base_url_of(provider, environ), named_by_address(provider, environ)
    names = (key_variable_of(provider) if place.sends_key else "", *provider.headers_env.values())
    refusals = (bindings.refusal(name, url, more) for name in names)
    return next((refused for refused in refusals if refused is not None), None)


def named_by_address(provider: project.ProviderBlock, environ: Mapping[str, str]) -> tuple[Binding, ...]:
    """What an address in the environment allows: it is a person's, as is the variable that belongs to it."""
    address = _address_of(provider, environ)
    if not address.is_in_environment:
        return ()
    own = f"{_shout(provider.name)}_API_KEY"
    is_built_in = any(provider.name in vendor.names for vendor in VENDORS.values())
    variable = place_of(provider).key_env or own if is_built_in else own
    return tuple(Binding(one, target_of(address.url)) for one in (variable, NO_KEY))


def key_variable_of(provider: project.ProviderBlock) -> str:
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


def goes_without_key(provider: project.ProviderBlock, environ: Mapping[str, str], url: str) -> bool:
    """Whether it is a server of this machine for which nobody named a key, or set one: most of those want none."""
    variable = key_variable_of(provider)
    if provider.api_key_env or variable == place_of(provider).key_env:
        return False
    is_set = any(environ.get(one, "").strip() for one in (variable, f"{variable}_FILE"))
    return not is_set and is_loopback(urlsplit(url).hostname or "")


def origin_at(provider: project.ProviderBlock, base_url: str, account: str) -> Origin:
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
