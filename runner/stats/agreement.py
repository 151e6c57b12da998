"""How far two judges of the same rows agree, beyond chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from runner.stats.intervals import Interval
from runner.stats.quantiles import Z


class Agreement(NamedTuple):
    raw: float
    kappa: float
    kappa_se: float

    @property
    def kappa_interval(self) -> Interval:
        return Interval(max(-1.0, self.kappa - Z * self.kappa_se), min(1.0, self.kappa + Z * self.kappa_se))


def cohens_kappa(table: Sequence[Sequence[int]]) -> Agreement:
    """Of a square table of counts, one judge's classes down, the other's across; at least one row counted.

    Standard error: Fleiss, Cohen and Everitt 1969, Psychological Bulletin 72:323-327. Where both judges use one class
    only, chance agrees too: kappa is 1 if they agree, with no standard error.
    """
    n = sum(map(sum, table))
    classes = range(len(table))
    share = [[count / n for count in row] for row in table]
    down = [sum(row) for row in share]
    across = [sum(row[k] for row in share) for k in classes]
    raw = sum(share[k][k] for k in classes)
    chance = sum(down[k] * across[k] for k in classes)
    if chance >= 1:
        return Agreement(raw, 1.0, 0.0)
    kappa = (raw - chance) / (1 - chance)
    on = sum(share[k][k] * (1 - (down[k] + across[k]) * (1 - kappa)) ** 2 for k in classes)
    off = sum(share[i][j] * (across[i] + down[j]) ** 2 for i in classes for j in classes if i != j)
    variance = on + (1 - kappa) ** 2 * off - (kappa - chance * (1 - kappa)) ** 2
    return Agreement(raw, kappa, math.sqrt(max(0.0, variance) / n) / (1 - chance))
