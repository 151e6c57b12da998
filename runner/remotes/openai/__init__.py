"""OpenAI-style batch APIs: one client, and a profile for each look-alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from runner.job.capabilities import Capabilities, Content
from runner.job.project import ProviderBlock
from runner.remotes import online
from runner.remotes.openai.lines import LINES, READER
from runner.remotes.openai.prices import FLOORS
from runner.remotes.openai.profiles import (
    PROFILES,
    Profile,
    capabilities_of,
    has_openais_models,
    profile_of,
    without_tokens,
)
from runner.remotes.vendor import Lines, Net, Place, Provider, Vendor, takes_rows_only

if TYPE_CHECKING:
    from runner.remotes.transport.http import Http

RECORDING_PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")
MOST_BYTES_AT_OPENAI = (
    26_000_000  # of a recording: 25 MiB with the form around it (source: "Speech to text", 2026-11-30)
)
MOST_BYTES = 2_000_000_000  # at a server of one's own, of which nobody knows better
_NO_LIMIT = 1 << 62
_RECORDINGS_AT_ONCE = 4  # each is some minutes of work for whoever answers it


class OpenAI(Vendor):
    kind = "openai"
    names = tuple(PROFILES)
    reader = READER

    def place(self, block: ProviderBlock) -> Place:
        profile = profile_of(block)
        return Place(
            profile.base_url,
            profile.base_url_env,
            profile.auth.env,
            profile.hosts,
            sends_key=bool(profile.auth.header),
        )

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        return {
            name: profile.hosts
            for profile in PROFILES.values()
            for name in (profile.auth.env, *profile.headers_env.values())
            if name
        }

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        takes_rows_only(block, content)
        card = capabilities_of(profile_of(block))
        # how other models count pictures, only those know who run them
        is_known = has_openais_models(block) or "limits" in block.overrides
        return card if is_known else replace(card, limits=without_tokens(card.limits))

    def lines(self, block: ProviderBlock) -> Lines:
        return LINES

    def floors(self) -> Mapping[str, tuple[float, float]]:
        return FLOORS

    def online(self, block: ProviderBlock, content: Content) -> Capabilities | None:
        if content is Content.RECORDING:
            return card_of_recordings(block, profile_of(block))
        profile = profile_of(block)
        return online.capabilities_of(profile.limits.of_batch(), tiers=profile.tiers)

    def open_online(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        if content is Content.RECORDING:
            return opened_for_recordings(block, profile_of(block), net)
        return opened_online(block, profile_of(block), net)

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        return opened(profile_of(block), net)

    def acted_out(self, block: ProviderBlock, content: Content) -> tuple[ProviderBlock, str]:
        """As plain OpenAI: limits, windows and prices of a look-alike come from its card, not from its wire."""
        return replace(block, kind=self.kind, profile=None, base_url=None, overrides={}), "/v1"


def _http_of(profile: Profile, net: Net) -> Http:
    """Connections as its profile authenticates them."""
    auth = profile.auth
    return net.http(header=auth.header, scheme=auth.scheme, optional=profile.headers_env, query=profile.query)


def opened_online(block: ProviderBlock, profile: Profile, net: Net, *, is_free: bool = False) -> Provider:
    """A client of its online side."""
    from runner.remotes.transport.asking import OnlineCaller
    from runner.remotes.transport.calls import Calls

    http = _http_of(profile, net)
    card = online.capabilities_of(profile.limits.of_batch(), tiers=profile.tiers, is_free=is_free)
    caller = OnlineCaller(block, http=http, card=card, origin=net.origin, path_of=lambda path: path.removeprefix("/v1"))
    return Calls(caller, net.clock)


def card_of_recordings(block: ProviderBlock, profile: Profile) -> Capabilities:
    """A line of `limits` is a recording. Servers of one's own take what they take."""
    card = online.capabilities_of(profile.limits.of_batch(), RECORDING_PATHS, is_free=profile.is_free)
    most = MOST_BYTES_AT_OPENAI if block.kind == OpenAI.kind and has_openais_models(block) else MOST_BYTES
    return replace(card, content=Content.RECORDING, limits=replace(card.limits, size_bytes=_NO_LIMIT, line_bytes=most))


def opened_for_recordings(block: ProviderBlock, profile: Profile, net: Net, prefix: str = "/v1") -> Provider:
    """A client of the calls that take a recording each. prefix: of their paths, where the base URL holds it."""
    from runner.remotes.openai.speech import SpeechCaller
    from runner.remotes.transport.calls import Calls

    http = _http_of(profile, net)
    caller = SpeechCaller(
        block,
        http=http,
        card=card_of_recordings(block, profile),
        origin=net.origin,
        parallelism=_RECORDINGS_AT_ONCE,
        prefix=prefix,
    )
    return Calls(caller, net.clock)


def opened(profile: Profile, net: Net) -> Provider:
    """A client of this API."""
    from runner.remotes.openai.provider import OpenAIProvider

    http = _http_of(profile, net)
    gate = net.gate(http, profile.storage_hosts)
    return OpenAIProvider(http=http, profile=profile, gate=gate, origin=net.origin, clock=net.clock)


VENDOR = OpenAI()
