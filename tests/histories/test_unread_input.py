"""A remote that keeps our labels and does not show what a batch was made from: another clone pays nothing again."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from tests.histories.checker import check
from tests.histories.clone import Clone
from tests.histories.history import Play
from tests.histories.manners import Manners

APPLY = ("apply", "specs/", "-y", "--poll", "0.05")


class TwoClones(Play):
    def __init__(self, folder: Path) -> None:
        super().__init__(0, folder)
        self.rng = random.Random(2)
        self.made = Manners(echoes_input=False)

    def both(self, url: str) -> tuple[Clone, Clone]:
        """The first clone, and one whose dataset has a row more."""
        self._begin(url)
        first, *_ = self.history.clones
        rows = first.wanted.rows["rows"]
        wanted = replace(first.wanted, rows={**first.wanted.rows, "rows": (*rows, ("r99", "one more"))})
        second = Clone("second", self.history.folder / "second", url, first.overrides, first.calls, first.wanted)
        second.pull(wanted)
        self.history.clones = [first, second]
        return first, second


def test_what_ended_is_known_by_its_results(tmp_path: Path) -> None:
    play = TwoClones(tmp_path / "play")
    with play._remote() as url:
        first, second = play.both(url)
        assert first.run(*APPLY).code == 0
        assert second.run(*APPLY).code == 0
        check(play.history)
    made = list(play.history.ledger.batches.values())
    assert [len(batch.keys) for batch in made[-1:]] == [1]
    assert play.history.faults == [] and play.history.twice == 0


def test_while_it_runs_nothing_that_may_be_in_it_is_sent(tmp_path: Path) -> None:
    play = TwoClones(tmp_path / "play")
    with play._remote() as url:
        first, second = play.both(url)
        play._behave(replace(play.made, row_seconds=30.0))
        assert first.run(*APPLY, "--no-wait").code == 3
        made = len(play.history.ledger.batches)
        done = second.run(*APPLY, "--no-wait")
        assert done.code == 5 and "does not show what it holds" in done.said
        assert "again when it has ended, or stop it at the remote" in done.said
        assert len(play.history.ledger.batches) == made
