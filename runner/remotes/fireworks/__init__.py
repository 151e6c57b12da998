"""Fireworks: datasets and batch inference jobs, whose ids we choose."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runner.job.capabilities import Capabilities, Content
from runner.job.project import ProviderBlock
from runner.remotes import online
from runner.remotes.fireworks import profile as facts
from runner.remotes.fireworks.lines import LINES, READER
from runner.remotes.fireworks.prices import FLOORS
from runner.remotes.transport.origins import shown
from runner.remotes.vendor import Lines, Net, Place, Provider, Vendor, takes_rows_only

_ACCOUNT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")


class Fireworks(Vendor):
    kind = "fireworks"
    names = ("fireworks",)
    reader = READER

    def place(self, block: ProviderBlock) -> Place:
        return Place(
            facts.BASE_URL,
            facts.BASE_URL_ENV,
            facts.KEY_ENV,
            facts.HOSTS,
            url_has_path=False,
            account_env=facts.ACCOUNT_ENV,
            needs_account=True,
        )

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        return {facts.KEY_ENV: facts.HOSTS}

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        takes_rows_only(block, content)
        return facts.capabilities_of(facts.profile_of(block))

    def lines(self, block: ProviderBlock) -> Lines:
        return LINES

    def floors(self) -> Mapping[str, tuple[float, float]]:
        return FLOORS

    def check_account(self, block: ProviderBlock, account: str) -> None:
        if not _ACCOUNT.match(account):
            raise block.problem(f"`{shown(account)}` is not the id of an account", "it is a slug, such as `acme`")

    def online(self, block: ProviderBlock, content: Content) -> Capabilities | None:
        if content is Content.RECORDING:
            return None
        return online.capabilities_of(facts.profile_of(block).limits.of_batch())

    def open_online(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        """Below another path than its batches. Source: Fireworks "OpenAI compatibility", recalled."""
        from runner.remotes.transport.asking import OnlineCaller
        from runner.remotes.transport.calls import Calls

        caller = OnlineCaller(
            block,
            http=net.http(),
            card=online.capabilities_of(facts.profile_of(block).limits.of_batch()),
            origin=net.origin,
            path_of=lambda path: f"/inference{path}",
            writes_model=True,  # which its batches say once for all of their rows
        )
        return Calls(caller, net.clock)

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        from runner.remotes.fireworks.provider import FireworksProvider

        profile, http = facts.profile_of(block), net.http()
        return FireworksProvider(
            http=http,
            account=net.account,
            profile=profile,
            gate=net.gate(http, (*facts.STORAGE_HOSTS, *profile.storage_hosts)),
            origin=net.origin,
            clock=net.clock,
        )


VENDOR = Fireworks()
