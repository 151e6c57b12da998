"""The list of vendors, and what is known of a provider block from data alone: no key is needed, and no network."""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from runner.errors import SpecError, UsageError
from runner.job import project
from runner.job.capabilities import Capabilities, Content, Transport
from runner.remotes import embedded, fireworks, fireworks_audio, openai
from runner.remotes.transport.bindings import covers
from runner.remotes.transport.origins import host_of
from runner.remotes.vendor import Declared, Lines, Place, Reader, Vendor

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
    if not _is_any_installed():
        return {}
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


def _is_any_installed() -> bool:
    """Whether a package that can be imported may bring a vendor. To ask importlib costs a tenth of a first apply."""
    for folder in (one or "." for one in sys.path):
        if os.path.isfile(folder):  # noqa: PTH113  # packages in an archive
            return True
        try:
            packages = [one for one in os.listdir(folder) if one.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
        except OSError:
            continue
        for package in packages:
            try:
                with open(f"{folder}/{package}/entry_points.txt", "rb", buffering=0) as file:
                    told = file.read()
            except OSError:  # most have none
                continue
            if GROUP.encode() in told:
                return True
    return False


class _Declared(Mapping[str, Declared]):
    """`DECLARED` of each vendor's `declared`, imported when it is asked for."""

    def __getitem__(self, kind: str) -> Declared:
        vendor = _vendors()[kind]
        found: Declared = importlib.import_module(f"{type(vendor).__module__}.declared").DECLARED
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_vendors())

    def __len__(self) -> int:
        return len(_vendors())


@functools.cache
def _vendors() -> Mapping[str, Vendor]:
    return {**installed(), **VENDORS}


def declared_by() -> Mapping[str, Declared]:
    """What each kind of provider declares that specs may say, by kind.

    One that no spec names is not imported: pydantic takes a while.
    """
    return _Declared()


def kinds() -> tuple[str, ...]:
    """Of providers."""
    return tuple(_vendors())


def profiles() -> tuple[str, ...]:
    """The look-alikes that a provider's block may name."""
    return tuple(name for kind, vendor in _vendors().items() for name in vendor.names if name != kind)


def built_in_names() -> tuple[str, ...]:
    """The providers that a spec can name without declaring them."""
    return tuple(built_in_providers())


@functools.cache
def built_in_providers() -> Mapping[str, project.ProviderBlock]:
    """What they are: a look-alike is its kind, with the profile of its name."""
    return {
        name: project.ProviderBlock(name, kind, profile=None if name == kind else name)
        for kind, vendor in _vendors().items()
        for name in vendor.names
    }


def vendor_of(provider: project.ProviderBlock) -> Vendor:
    """Who speaks to a provider. Raises SpecError for a kind that nobody does."""
    vendor = VENDORS.get(provider.kind) or installed().get(provider.kind)
    if vendor is None:
        known = ", ".join(f"`{kind}`" for kind in (*VENDORS, *installed()))
        raise provider.problem(f"is of the unknown kind `{provider.kind}`", f"known are {known}")
    return vendor


def place_of(provider: project.ProviderBlock) -> Place:
    """Where a provider is when nothing else is said. Raises SpecError."""
    return vendor_of(provider).place(provider)


def has_online(provider: project.ProviderBlock, content: Content = Content.TEXT) -> bool:
    """Whether such requests can be asked one by one and answered at once. Raises SpecError."""
    return vendor_of(provider).online(provider, content) is not None


def card_of(
    provider: project.ProviderBlock, content: Content = Content.TEXT, transport: Transport | None = None
) -> Capabilities:
    """What the remote can do with such requests, from data alone. Raises SpecError, also when it takes none of them.

    transport: the side that is asked; the usual one of the provider where nothing is said.
    """
    vendor = vendor_of(provider)
    if (transport or usual_transport(provider, content)) is Transport.ONLINE:
        online = vendor.online(provider, content)
        if online is None:
            raise provider.problem("has no online side", "leave out `transport: online`")
        return online if _is_vendors_own(provider) else replace(online, tiers={})
    card, place = vendor.card(provider, content), vendor.place(provider)
    if place.is_ours:
        return card
    if _is_vendors_own(provider):  # no block makes a vendor cheaper than it is
        least = vendor.card(replace(provider, overrides={}), content).price_factor
        return replace(card, price_factor=max(card.price_factor, least))
    return card if "discount" in provider.overrides else replace(card, price_factor=1.0)


def usual_transport(provider: project.ProviderBlock, content: Content = Content.TEXT) -> Transport:
    """The side of a provider that is asked where a job does not say."""
    if content is Content.TEXT:
        return provider.transport
    return (
        Transport.ONLINE if has_online(provider, content) and not _has_batches(provider, content) else Transport.BATCH
    )


def _has_batches(provider: project.ProviderBlock, content: Content) -> bool:
    try:
        vendor_of(provider).card(provider, content)
    except SpecError:
        return False
    return True


def lines_of(provider: project.ProviderBlock) -> Lines:
    """What a line of a provider is. Raises SpecError where it takes recordings only."""
    return vendor_of(provider).lines(provider)


def reader_of(provider: project.ProviderBlock) -> Reader:
    """What the lines of its result files are. Raises SpecError."""
    return vendor_of(provider).reader


def priced(provider: project.ProviderBlock, model: str, price: project.Price | None) -> project.Price | None:
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


def _is_vendors_own(provider: project.ProviderBlock) -> bool:
    """Whether it is at a host of a built-in vendor, and no look-alike or server of one's own."""
    hosts = place_of(provider).hosts
    return bool(hosts) and (not provider.base_url or covers(hosts, host_of(provider.base_url)))
