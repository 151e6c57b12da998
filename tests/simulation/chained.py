"""Histories of jobs that ask about the answers of others: what they ask is known while the history goes on."""

from __future__ import annotations

from runner.plan.remaining import Row
from tests.simulation.author import Author
from tests.simulation.history import History, lines_in
from tests.simulation.rows import JobSpec
from tests.simulation.scenario import Scenario

MOST_CHAINED = 2


class ChainAuthor(Author):
    """Some of the jobs follow another. What they ask nobody can edit but by the answers that there are."""

    def begin(self) -> None:
        super().begin()
        for _ in range(self._rng.choice((1, 1, MOST_CHAINED))):
            self._follow()

    def edit(self) -> None:
        if self._rng.random() < 0.1 and sum(bool(spec.after) for spec in self.specs) < MOST_CHAINED:
            self._follow()
            self._world.note("user", "follow:", self.words())
        else:
            super().edit()
            there = {spec.address for spec in self.specs}
            while gone := [spec for spec in self.specs if spec.after and spec.after not in there]:
                self.specs = [spec for spec in self.specs if spec not in gone]
                there = {spec.address for spec in self.specs}
            for spec in self.specs:
                spec.needs = tuple(name for name in spec.needs if name in there)

    def _follow(self) -> None:
        self._jobs += 1
        parent = self._rng.choice(self.specs)
        # any place in the alphabet: a job may come before the one it follows
        self.specs.append(JobSpec(f"{self._rng.choice('akz')}{self._jobs}", [], self._output(), after=parent.address))


_UNSENT = {Row.STALLED, Row.NEW, Row.AGAIN, Row.REPLACE}  # of a job that waits for a person, or for one that does


class ChainScenario(Scenario):
    """One applier: what others answered is theirs, and their chains are others."""

    is_of_one = True
    may_lose_search = False
    author_of = ChainAuthor

    def _check(self) -> None:
        super()._check()
        check_chains(self.history)


def check_chains(history: History) -> None:
    """In the end, every answer has been asked about, and nothing else is shown."""
    for applier in history.appliers:
        jobs = history.states.get(applier.name, ())
        specs = {spec.address: spec for spec, _ in jobs}
        held = {spec.address for spec, states in jobs if not _UNSENT.isdisjoint(map(Row, states))}
        while more := {spec.address for spec in specs.values() if spec.after in held} - held:
            held |= more
        for spec in specs.values():
            parent = specs.get(spec.after)
            if parent is None or parent.address in held:
                continue
            answers = [line for line in lines_in(applier.root / parent.output) if line.answer is not None]
            wanted = sorted(f"about {line.answer}" for line in answers)
            if sorted(text for _, text in spec.rows) != wanted:
                history.blame(f"chain: {spec.address} asks {spec.rows}, and {parent.address} has answered {wanted}")
