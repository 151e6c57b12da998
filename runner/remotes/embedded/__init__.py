"""The embedded server: it takes rows as OpenAI does and recordings as Fireworks does, on a port of this machine.

The one kind that is made of two others, so it may know them.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.job.capabilities import Capabilities, Content
from runner.job.project import ProviderBlock
from runner.remotes import fireworks_audio, online, openai
from runner.remotes.fireworks_audio import profile as audio
from runner.remotes.openai.profiles import Profile, capabilities_of
from runner.remotes.reading.lines import COMMON
from runner.remotes.vendor import Lines, Net, Place, Provider, Vendor

# A loopback server of our own: no account, no bill, and it sees a create before it answers
_ROWS = Profile(
    name="embedded",
    min_poll_s=0.2,
    max_poll_s=2.0,
    settle_s=1.0,
    defer_s=2.0,
    absence_s=2.0,
    discount=0.0,
    is_free=True,
)
_RECORDINGS = audio.Profile(min_poll_s=0.2, max_poll_s=2.0, defer_s=2.0, discount=0.0)


class Embedded(Vendor):
    kind = "embedded"
    names = ("embedded",)
    reader = COMMON

    def place(self, block: ProviderBlock) -> Place:
        return Place(is_ours=True)

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        if content is Content.RECORDING:
            return audio.capabilities_of(_RECORDINGS, is_free=True)
        return capabilities_of(_ROWS)

    def lines(self, block: ProviderBlock) -> Lines:
        return openai.VENDOR.lines(block)

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        if content is Content.RECORDING:
            # it runs every model in one place, and takes a recording without a place for a call that it answers at once
            return fireworks_audio.opened(block, net, _RECORDINGS, is_free=True, endpoint_id="audio-prod")
        return openai.opened(_ROWS, net)

    def online(self, block: ProviderBlock, content: Content) -> Capabilities | None:
        if content is Content.RECORDING:
            return openai.card_of_recordings(block, _ROWS)
        return online.capabilities_of(_ROWS.limits.of_batch(), is_free=True)

    def open_online(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        if content is Content.RECORDING:
            return openai.opened_for_recordings(block, _ROWS, net, prefix="")  # its batches have them at the root
        return openai.opened_online(block, _ROWS, net, is_free=True)

    def acted_out(self, block: ProviderBlock, content: Content) -> tuple[ProviderBlock, str]:
        return (block, "") if content is Content.RECORDING else openai.VENDOR.acted_out(block, content)


VENDOR = Embedded()
