"""What one command may pay for: a person is asked, and the limits count over all its passes.

Two things cost money: the submissions of a plan, and what an earlier command began and did not come to send (recordings
of a wave, a batch that the remote put off). Both need a yes, so that nothing is paid for where nobody is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from runner.errors import BlockedError, NotConfirmed
from runner.job.recorded import Batch
from runner.plan.guard import usd_of
from runner.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left to send of a batch that an earlier command began."""

    batch: Batch
    rows: int

    @property
    def usd(self) -> float | None:
        """Estimated; None where it is not known."""
        usd = self.batch.estimated_usd
        return None if usd is None else usd * self.rows / max(self.batch.rows, 1)

    @property
    def words(self) -> str:
        what, left = ("recording", "begun wave") if self.batch.is_wave else ("request", "batch that was put off")
        return f"the {self.rows:,} {what}{'s' if self.rows != 1 else ''} left of a {left}"


Confirm = Callable[[Plan | Rest], bool]


@dataclass(slots=True)
class Purse:
    """What one command has asked about so far."""

    declined: bool = False
    _known: dict[str, BlockedError | None] = field(default_factory=dict)  # by batch: why its rest is not sent

    def begun(self, batch: Batch) -> None:
        """Note a batch of this command's own: its rest was agreed to with it."""
        self._known[batch.key] = None

    def refusal(self, rest: Rest, max_usd: float | None, confirm: Confirm) -> BlockedError | None:
        """Why a rest may not be sent; asked once a command."""
        key = rest.batch.key
        if key not in self._known:
            self._known[key] = _too_dear(rest, max_usd) or self._not_confirmed(rest, confirm)
        return self._known[key]

    def _not_confirmed(self, rest: Rest, confirm: Confirm) -> BlockedError | None:
        if confirm(rest):
            return None
        self.declined = True
        return NotConfirmed(
            f"{rest.batch.owner}: nobody said yes to sending {rest.words}",
            hint=f"`runner apply -y` sends them, `runner cancel {rest.batch.owner}` does not",
        )


def _too_dear(rest: Rest, max_usd: float | None) -> BlockedError | None:
    usd = rest.usd
    if max_usd is None or (usd is not None and usd <= max_usd):
        return None
    cost = "has a cost that is not known" if usd is None else f"is estimated at {usd_of(usd)}"
    return BlockedError(
        f"{rest.batch.owner}: sending {rest.words} {cost}, `--max-usd` is {usd_of(max_usd)}",
        hint=f"allow more, or stop it with `runner cancel {rest.batch.owner}`",
    )
