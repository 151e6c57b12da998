"""A remote that is made up: its create carries the rows, it takes no label, and its lines have a shape of their own.

It is a package like any that brings a vendor: found by its entry point, known to no module of runner.
"""

from __future__ import annotations

from collections.abc import Mapping

from pigeonhole.lines import LINES, READER

from runner.job.capabilities import Capabilities, Content, Delivery, Limits, Search, Windows
from runner.job.project import ENDPOINTS, ProviderBlock
from runner.remotes.profile import BatchPace, overridden
from runner.remotes.vendor import Lines, Net, Place, Provider, Vendor
from runner.remotes.written import Seconds


class Profile(BatchPace, frozen=True, kw_only=True):
    """How one pigeonhole differs from another."""

    settle_s: Seconds = 600.0
    discount: float = 0.0  # it promises none


class Pigeonhole(Vendor):
    kind = "pigeonhole"
    names = ("pigeonhole",)
    reader = READER

    def place(self, block: ProviderBlock) -> Place:
        return Place()

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        return {}

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        card = Capabilities(
            search=Search.BY_RESULTS,
            delivery=Delivery.INLINE,
            endpoints=(ENDPOINTS[0],),
            windows=Windows(default=24, allowed=(24,)),
            limits=Limits(lines=1000, size_bytes=10_000_000),
        )
        return overridden(Profile(), block).on_card(card)

    def lines(self, block: ProviderBlock) -> Lines:
        return LINES

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        from pigeonhole.client import PigeonholeClient

        return PigeonholeClient(net.http(), self.card(block, Content.TEXT), net.origin)

    def acted_out(self, block: ProviderBlock, content: Content) -> tuple[ProviderBlock, str]:
        raise block.problem("has no stand-in, so it cannot be rehearsed")


VENDOR = Pigeonhole()
