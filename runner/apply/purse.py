"""What one command may pay for: a person is asked, and the limits count over all its passes.

Two things cost money: the submissions of a plan, and what an earlier command began and did not come to send (recordings
of a calls batch, a batch that the remote put off). Both need a yes, so that nothing is paid for where nobody is.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runner.errors import BlockedError, NotConfirmed
from runner.job.capabilities import Content
from runner.job.recorded import Batch, Stage
from runner.plan.change import cancelling
from runner.plan.guard import Amount, Guards, over_budget, over_count
from runner.plan.plan import Plan


class Rest(msgspec.Struct, frozen=True):
    """What is left to send of a batch that an earlier command began."""

    batch: Batch
    rows: int

    @property
    def usd(self) -> float | None:
        """Estimated; None where it is not known."""
        usd = self.batch.estimated_usd
        return None if usd is None else usd * self.rows / max(self.batch.rows, 1)

    @property
    def amount(self) -> Amount:
        tokens = 0 if self.batch.content is Content.RECORDING else None  # a recording has none
        return Amount(self.rows, tokens, self.usd)

    @property
    def words(self) -> str:
        left = "deferred batch" if self.batch.stage is Stage.DEFERRED else "calls batch that was begun"
        return f"the {self.rows:,} {self.batch.content.noun}{'s' if self.rows != 1 else ''} left of a {left}"


Confirm = Callable[[Plan | Rest], bool]


class Purse(msgspec.Struct):
    """What one command has asked about so far."""

    declined: bool = False
    sent: Amount = Amount()
    _known: dict[str, BlockedError | None] = msgspec.field(default_factory=dict)  # by batch: why its rest is not sent

    def begun(self, batch: Batch, amount: Amount) -> None:
        """Note a batch of this command's own: its rest was agreed to with it."""
        self._known[batch.key] = None
        self.sent = self.sent.plus(amount)

    def refusal(self, rest: Rest, guards: Guards, confirm: Confirm) -> BlockedError | None:
        """Why a rest may not be sent; asked once a command."""
        key = rest.batch.key
        if key not in self._known:
            self._known[key] = self._too_much(rest, guards) or self._not_confirmed(rest, confirm)
            if self._known[key] is None:
                self.sent = self.sent.plus(rest.amount)
        return self._known[key]

    def _too_much(self, rest: Rest, guards: Guards) -> BlockedError | None:
        """The first limit of this command that a rest would exceed."""
        sent, amount = self.sent, rest.amount
        usd = None if sent.usd is None else amount.usd
        found = (
            over_budget(sent.usd or 0.0, usd, None if amount.usd == 0.0 else guards.max_usd, "`--max-usd`"),
            over_count(sent.requests, amount.requests, guards.max_requests, "`--max-requests`", "requests"),
        )
        for block in found:
            if block is not None:
                return BlockedError(
                    f"{rest.batch.owner}: {rest.words} are not sent: {block.detail}",
                    hint=f"allow more, or stop it with `{cancelling(rest.batch)}`",
                )
        return None

    def _not_confirmed(self, rest: Rest, confirm: Confirm) -> BlockedError | None:
        if confirm(rest):
            return None
        self.declined = True
        return NotConfirmed(
            f"{rest.batch.owner}: nobody said yes to sending {rest.words}",
            hint=f"`runner apply -y` sends them, `{cancelling(rest.batch)}` does not",
        )
