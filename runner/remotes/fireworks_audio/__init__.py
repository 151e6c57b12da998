"""Fireworks' batches of recordings: one call each, with no list and no name of ours."""

from __future__ import annotations

from collections.abc import Mapping

from runner.job.capabilities import Capabilities, Content
from runner.job.project import ProviderBlock
from runner.remotes.fireworks_audio import profile as facts
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Lines, Net, Place, Provider, Vendor


class FireworksAudio(Vendor):
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
        raise block.problem("takes recordings only", "use a provider that takes rows")

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        return opened(block, net, facts.profile_of(block), is_free=False)


def opened(block: ProviderBlock, net: Net, profile: facts.Profile, *, is_free: bool, endpoint_id: str = "") -> Provider:
    """A client of this API. endpoint_id: for recordings whose spec names none, and is not to."""
    from runner.remotes.fireworks_audio.provider import FireworksAudioCaller
    from runner.remotes.transport.calls import Calls

    caller = FireworksAudioCaller(
        http=net.http(scheme="Bearer" if profile.auth_scheme == "bearer" else ""),
        who=block.name,
        profile=profile,
        card=facts.capabilities_of(profile, is_free=is_free),
        origin=net.origin,
        account=net.account,
        endpoint_id=endpoint_id,
    )
    return Calls(caller, net.clock)


VENDOR = FireworksAudio()
