"""`python -m tests.stats.coverage`: how often nominal 95 % intervals hold the truth, by simulation.

Prints the table that `docs/statistics.md` shows. Random numbers are seeded: the same figures each time.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runner.stats import intervals, paired
from runner.stats.f1 import freedom, macro_f1
from runner.stats.influence import Estimate, Sums, estimate_of_ratio, fixed, se_of_rows
from runner.stats.intervals import Interval


class Case(NamedTuple):
    name: str
    truth: float
    draw: Callable[[random.Random], tuple[Interval, Interval]]  # the interval of ours, and m ± t·se
    least: float  # coverage that ours must reach; of m ± t·se nothing is asked


def _beta(chance: random.Random, mean: float, sharpness: float) -> float:
    return chance.betavariate(mean * sharpness, (1 - mean) * sharpness)


def clustered_rate(clusters: int, rows: int, rate: float, sharpness: float, least: float) -> Case:
    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        sums = Sums(2)
        for _ in range(clusters):
            p = _beta(chance, rate, sharpness)
            sums.add([fixed(sum(chance.random() < p for _ in range(rows))), fixed(rows)])
        found = estimate_of_ratio(sums)
        return intervals.within_unit(*found, at_most=clusters * rows), intervals.of_number(*found)

    return Case(f"rate {rate:.2f}, {clusters} clusters of {rows}", rate, draw, least)


def rate_of(n: int, rate: float) -> Case:
    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        sums, right = Sums(2), 0
        for _ in range(n):
            score = chance.random() < rate
            right += score
            sums.add([fixed(int(score)), fixed(1)])
        return intervals.of_rate(right, n), intervals.of_number(*estimate_of_ratio(sums))

    return Case(f"rate {rate:.2f}, n = {n}", rate, draw, 0.93)


def word_errors(recordings: int, rate: float) -> Case:
    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        sums, words = Sums(2), 0
        for _ in range(recordings):
            length = chance.randint(5, 60)
            p = _beta(chance, rate, 4)
            sums.add([fixed(sum(chance.random() < p for _ in range(length))), fixed(length)])
            words += length
        found = estimate_of_ratio(sums)
        return intervals.of_ratio(*found, words), intervals.of_number(*found)

    return Case(f"WER {rate:.2f}, {recordings} recordings", rate, draw, 0.88)


def graded(n: int) -> Case:
    scores, weights = (1.0, 0.5, 0.0), (0.94, 0.04, 0.02)
    truth = sum(score * weight for score, weight in zip(scores, weights, strict=True))

    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        sums = Sums(2)
        for score in chance.choices(scores, weights, k=n):
            sums.add([fixed(score), fixed(1)])
        found = estimate_of_ratio(sums)
        return intervals.within_unit(*found), intervals.of_number(*found)

    return Case(f"graded scores near 1, n = {n}", truth, draw, 0.90)


_CLASSES = {"a": 0.6, "b": 0.3, "c": 0.1}


def f1_of_three(n: int, right: float) -> Case:
    def counts(chance: random.Random, rows: int) -> dict[tuple[str, str | None], int]:
        table: dict[tuple[str, str | None], int] = {}
        for expected in chance.choices(list(_CLASSES), list(_CLASSES.values()), k=rows):
            other = chance.choice([one for one in _CLASSES if one != expected])
            cell = (expected, expected if chance.random() < right else other)
            table[cell] = table.get(cell, 0) + 1
        return table

    truth = float(macro_f1(counts(random.Random(1), 400_000)).value)

    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        table = counts(chance, n)
        found = macro_f1(table)
        estimate = Estimate(float(found.value), se_of_rows(found.influence, table), n)
        known = freedom(table, (), found.influence, lambda cell: cell[0])
        return intervals.within_unit(*estimate, at_most=n, freedom=known), intervals.of_number(*estimate)

    return Case(f"macro F1 of three classes, n = {n}", truth, draw, 0.92)


def paired_rates(n: int, first: float, second: float) -> Case:
    def draw(chance: random.Random) -> tuple[Interval, Interval]:
        cells, sums = [0, 0, 0, 0], Sums(3)
        for _ in range(n):
            a, b = chance.random() < first, chance.random() < second
            cells[2 * (not a) + (not b)] += 1
            sums.add([fixed(int(a)), fixed(int(b)), fixed(1)])
        pairs = paired.Pairs(*cells)
        spread = (pairs.only_first + pairs.only_second) / n - pairs.difference**2
        estimate = Estimate(pairs.difference, math.sqrt(max(0.0, spread) / (n - 1)), n)
        return paired.of_pairs(pairs), paired.of_difference(estimate)

    return Case(f"paired rates {first:.2f} and {second:.2f}, n = {n}", first - second, draw, 0.94)


CASES = [
    clustered_rate(10, 10, 0.7, 2, 0.92),
    clustered_rate(30, 5, 0.95, 4, 0.90),
    clustered_rate(100, 5, 0.8, 4, 0.92),
    rate_of(50, 0.98),
    word_errors(20, 0.1),
    word_errors(50, 0.1),
    graded(50),
    f1_of_three(40, 0.9),
    paired_rates(50, 0.98, 0.96),
    paired_rates(200, 0.8, 0.7),
]


def coverage(case: Case, draws: int) -> tuple[float, float]:
    """The share of intervals that hold the truth: ours, and m ± t·se."""
    chance = random.Random(7)
    ours = plain = 0
    for _ in range(draws):
        mine, simple = case.draw(chance)
        ours += mine.low <= case.truth <= mine.high
        plain += simple.low <= case.truth <= simple.high
    return ours / draws, plain / draws


def table(draws: int) -> Iterator[str]:
    yield "| 95 % interval of | m ± t·se | ours |"
    yield "|---|---|---|"
    for case in CASES:
        ours, plain = coverage(case, draws)
        yield f"| {case.name} | {100 * plain:.0f} % | {100 * ours:.0f} % |"


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 4000):
        print(line, flush=True)
