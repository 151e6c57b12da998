"""Macro F1 of a table of counts, with the influence of each of its cells."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple, TypeVar

Cell = tuple[str, str | None]  # (the class expected, the class got); None: nothing could be read


class MacroF1(NamedTuple):
    value: Fraction
    by_class: dict[str, Fraction]
    influence: dict[Cell, Fraction]  # on `value`, of each row of a cell


def macro_f1(counts: Mapping[Cell, int]) -> MacroF1:
    """The mean of the F1 of the classes that are expected anywhere; at least one row counted.

    F1 of a class is 2tp / (2tp + fp + fn). An unreadable answer misses its own class and hits none; one that names a
    class which is never expected does the same.
    """
    over: defaultdict[str, int] = defaultdict(int)  # 2tp
    under: defaultdict[str, int] = defaultdict(int)  # 2tp + fp + fn
    for (expected, got), count in counts.items():
        over[expected] += 2 * count if got == expected else 0
        under[expected] += count
        if got is not None:
            under[got] += count
    classes = sorted({expected for (expected, _), count in counts.items() if count})
    by_class = {one: Fraction(over[one], under[one]) for one in classes}
    influence = {cell: _influence(cell, by_class, under) / len(classes) for cell in counts}
    return MacroF1(sum(by_class.values(), Fraction(0)) / len(classes), by_class, influence)


K = TypeVar("K")  # what rows are counted by


def freedom(
    alone: Mapping[K, int],
    clusters: Iterable[Mapping[K, int]],
    influence: Mapping[K, Fraction],
    class_of: Callable[[K], str],
) -> int:
    """Degrees of freedom of the standard error of a macro F1, at least 1.

    alone: rows that are a cluster each. class_of: the class expected. By Welch and Satterthwaite: the variance is a sum
    over the classes, and what a class of four rows brings is known from four rows, however many there are of others.
    Source: Satterthwaite 1946, Biometrics Bulletin 2:110-114.
    """
    squares: defaultdict[str, Fraction] = defaultdict(Fraction)
    units: Counter[str] = Counter()  # rows or clusters that have rows of the class
    for kind, rows in alone.items():
        squares[class_of(kind)] += influence[kind] ** 2 * rows
        units[class_of(kind)] += rows
    for counts in clusters:
        sums: defaultdict[str, Fraction] = defaultdict(Fraction)
        for kind, rows in counts.items():
            sums[class_of(kind)] += influence[kind] * rows
        for name, one in sums.items():
            squares[name] += one * one
            units[name] += 1
    total = math.fsum(map(float, squares.values()))
    below = math.fsum(float(one) ** 2 / max(1, units[name] - 1) for name, one in squares.items())
    return max(1, int(total**2 / below)) if below > 0 else max(1, sum(units.values()) - 1)


def _influence(cell: Cell, by_class: Mapping[str, Fraction], under: Mapping[str, int]) -> Fraction:
    """Of one row on the sum of all F1: (E - F1·W) / ΣW for each class it touches."""
    expected, got = cell
    if expected == got:
        return (2 - 2 * by_class[expected]) / under[expected]
    touched = [one for one in (expected, got) if one is not None and one in by_class]
    return -sum((by_class[one] / under[one] for one in touched), Fraction(0))
