"""Macro F1 of a table of counts, with the influence of each of its cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

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


def _influence(cell: Cell, by_class: Mapping[str, Fraction], under: Mapping[str, int]) -> Fraction:
    """Of one row on the sum of all F1: (E - F1·W) / ΣW for each class it touches."""
    expected, got = cell
    if expected == got:
        return (2 - 2 * by_class[expected]) / under[expected]
    touched = [one for one in (expected, got) if one is not None and one in by_class]
    return -sum((by_class[one] / under[one] for one in touched), Fraction(0))
