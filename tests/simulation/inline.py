"""Histories of remotes whose create carries its rows, and of those where only the results say whose a batch is."""

from __future__ import annotations

from runner.apply.result import Result
from tests.simulation.history import Applier
from tests.simulation.remote import Habits
from tests.simulation.scenario import Scenario


class InlineScenario(Scenario):
    """There are no uploads: nothing that could be taken away from a create on its way, or told by."""

    named_share = 0.3
    may_lose_search = False

    def _suit(self, habits: Habits) -> None:
        habits.is_inline = True
        habits.keeps_input = self.world.more.random() < 0.5


class ResultsScenario(InlineScenario):
    """Batches show neither a label nor an input, and strangers use the same account."""

    named_share = 0.0
    is_of_one = True
    may_lose_state = False

    def _suit(self, habits: Habits) -> None:
        super()._suit(habits)
        habits.by_results, habits.label = True, "none"
        habits.keeps_input = False
        habits.strangers = self.world.more.choice((0.0, 0.0, 0.3, 0.8))

    def _settle(self, applier: Applier) -> Result | None:
        """To the end, and once more when all there is at the remote has ended: only then it says whose it is."""
        result = super()._settle(applier)
        ends = [max(batch.over_at, batch.named_at) for batch in self.remote.batches]
        if result is None or max(ends, default=0.0) < self.world.seconds:
            return result
        self.world.seconds = max(ends) + 1.0
        return super()._settle(applier)
