"""Fireworks' batches of recordings: one call each, with no list and no name of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner.job.capabilities import Capabilities, Content
from runner.job.project import Provider as ProviderBlock
from runner.remotes.fireworks_audio import profile as facts
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Lines, Net, Place, Provider, problem

if TYPE_CHECKING:
    from runner.remotes.audio import AudioProvider


class FireworksAudio:
    """Implements `remotes.vendor.Vendor`."""

    kind = "fireworks-audio"
    names = ("fireworks-audio",)
    reader = COMMON  # we write its lines ourselves: `remotes.audio.line_of`

    def place(self, block: ProviderBlock) -> Place:
        return Place(
            facts.BASE_URL,
            facts.BASE_URL_ENV,
            facts.KEY_ENV,
            facts.HOSTS,
            url_has_path=False,
            account_env=facts.ACCOUNT_ENV,
        )

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        return {facts.KEY_ENV: facts.HOSTS}

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        """The same whatever is asked: that it takes no rows is said where a client is opened."""
        return facts.capabilities_of(facts.profile_of(block))

    def lines(self, block: ProviderBlock) -> Lines:
        raise self._only_recordings(block)

    def floors(self) -> Mapping[str, tuple[float, float]]:
        return {}

    def check_account(self, block: ProviderBlock, account: str) -> None:
        """It needs none: the answer to a request says whose it is."""

    def open(self, block: ProviderBlock, net: Net) -> Provider:
        raise self._only_recordings(block)

    def open_audio(self, block: ProviderBlock, net: Net) -> AudioProvider:
        return opened(block, net, facts.profile_of(block), is_free=False)

    def acted_out(self, block: ProviderBlock) -> tuple[ProviderBlock, str]:
        return block, ""

    def _only_recordings(self, block: ProviderBlock) -> Exception:
        return problem(block, "takes recordings only", "use a provider that takes rows")


def opened(block: ProviderBlock, net: Net, profile: facts.Profile, *, is_free: bool) -> AudioProvider:
    """A client of this API."""
    from runner.remotes.fireworks_audio.provider import FireworksAudioProvider

    return FireworksAudioProvider(
        http=net.http(scheme="Bearer" if profile.auth_scheme == "bearer" else ""),
        who=block.name,
        profile=profile,
        card=facts.capabilities_of(profile, is_free=is_free),
        origin=net.origin,
        account=net.account,
    )


VENDOR = FireworksAudio()
