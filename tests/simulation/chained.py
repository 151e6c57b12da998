"""Histories of jobs that ask about the answers of others: what they ask is known while the history goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runner.plan.remaining import Row as State
from tests.simulation.author import Author
from tests.simulation.compiler import about
from tests.simulation.history import History, lines_in
from tests.simulation.rows import JobSpec, Row
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
            while gone := [spec for spec in self.specs if not there.issuperset(spec.after)]:
                self.specs = [spec for spec in self.specs if spec not in gone]
                there = {spec.address for spec in self.specs}
            for spec in self.specs:
                spec.needs = tuple(name for name in spec.needs if name in there)

    def _follow(self) -> None:
        parent = self._rng.choice(self.specs)
        after = (parent.address,) if self._rng.random() < 0.6 else (parent.address, self._rival_of(parent).address)
        self._jobs += 1
        # any place in the alphabet: a job may come before the one it follows
        self.specs.append(JobSpec(f"{self._rng.choice('akz')}{self._jobs}", [], self._output(), after=after))

    def _rival_of(self, parent: JobSpec) -> JobSpec:
        """Another job about the same items: one that is there, or one that asks some of them otherwise."""
        others = [spec for spec in self.specs if spec is not parent]
        if not parent.rows or (others and self._rng.random() < 0.3):
            return self._rng.choice(others) if others else parent
        rows = [(name, text if self._rng.random() < 0.3 else f"{text}~") for name, text in parent.rows]
        self._jobs += 1
        rival = JobSpec(f"{self._rng.choice('akz')}{self._jobs}", rows, self._output())
        self.specs.append(rival)
        return rival


_UNSENT = {
    State.STALLED,
    State.NEW,
    State.AGAIN,
    State.REPLACE,
}  # it waits for a person


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
        held = {spec.address for spec, states in jobs if not _UNSENT.isdisjoint(map(State, states))}
        while more := {spec.address for spec in specs.values() if not held.isdisjoint(spec.after)} - held:
            held |= more
        for spec in specs.values():
            if not spec.after or not specs.keys() >= {*spec.after} or not held.isdisjoint(spec.after):
                continue
            sides = [_answers_in(applier.root / specs[parent].output) for parent in spec.after]
            wanted = sorted(text for _, text in _asked_about(sides))
            if sorted(text for _, text in spec.rows) != wanted:
                parents = " and ".join(spec.after)
                history.blame(f"chain: {spec.address} asks {spec.rows}, and of {parents} it is to be {wanted}")


def _answers_in(output: Path) -> dict[str, str]:
    return {line.custom_id: line.answer for line in lines_in(output) if line.answer is not None}


def _asked_about(sides: Sequence[Mapping[str, str]]) -> Iterator[Row]:
    """What is to be asked: about every answer, or about two of one item that are not the same, in both orders."""
    if len(sides) == 1:
        yield from (about(custom_id, answer) for custom_id, answer in sides[0].items())
        return
    first, second = sides
    for custom_id, one in first.items():
        other = second.get(custom_id, one)
        if other != one:
            yield about(f"{custom_id}-ab", one, other)
            yield about(f"{custom_id}-ba", other, one)
