"""Many tests at once: which are still significant when the false ones among them are to be few."""

from __future__ import annotations

from collections.abc import Sequence


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """Each p adjusted, in the order given: below 0.05, at most 5 % of those found are expected to be false.

    Source: Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57:289-300.
    """
    adjusted, least = [1.0] * len(ps), 1.0
    for rank, place in reversed(list(enumerate(sorted(range(len(ps)), key=ps.__getitem__), start=1))):
        least = min(least, ps[place] * len(ps) / rank)
        adjusted[place] = least
    return adjusted
