"""A judge held to a person: how far the two agree, and what the judge's mean is once that is put right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from runner.checks.clusters import Clusters
from runner.checks.score import Scored, Status
from runner.checks.tally import Counting, counted_by
from runner.job.scored import Agreement, Figure
from runner.stats.agreement import cohens_kappa
from runner.stats.influence import Sums, estimate_corrected, fixed
from runner.stats.intervals import of_number

_Kind = tuple[Status, float, str | None]  # of a row: its status, the judge's score, the person's verdict


class Agreed:
    """Adds up the rows of one check. `expected` of a row is the person's verdict, `got` the judge's."""

    def __init__(self, counting: Counting) -> None:
        self._worth = dict(counting.verdicts)
        self._counted = counted_by(counting)
        self._both: Counter[tuple[str, str]] = Counter()  # rows that both judged, by the person's and the judge's
        self._kinds: Counter[_Kind] = Counter()  # rows without a cluster
        self._by_cluster = Clusters()

    def add_all(self, rows: Sequence[Scored], clusters: Sequence[str | None] = ()) -> None:
        """Take rows in. clusters: of each; empty where there are none."""
        self._both.update([(one.expected, one.got) for one in rows if one.expected is not None and one.got is not None])
        counted = [one if one.status in self._counted else None for one in rows]
        if not clusters:
            self._kinds.update([(one.status, one.over, one.expected) for one in counted if one is not None])
            return
        for one, cluster in zip(counted, clusters, strict=True):
            if one is not None and cluster is None:
                self._kinds[one.status, one.over, one.expected] += 1
            elif one is not None:
                self._by_cluster.add(cluster, (), self._brought(one.over, one.expected))

    def _brought(self, over: float, expected: str | None) -> tuple[int, int, int, int]:
        """The judge's score, 1, and where a person judged too, the person's score minus the judge's, and 1."""
        if expected is None:
            return fixed(over), fixed(1), 0, 0
        return fixed(over), fixed(1), fixed(self._worth[expected]) - fixed(over), fixed(1)

    def agreement(self) -> Agreement | None:
        """None where no row has both."""
        if not self._both:
            return None
        words = list(self._worth)
        found = cohens_kappa([[self._both[person, judge] for person in words] for judge in words])
        n = self._both.total()
        low, high = found.kappa_interval if n > 1 else (None, None)
        return Agreement(
            raw=found.raw,
            kappa=Figure(found.kappa, low, high, n, n, found.kappa_se),
            confusion=tuple((*pair, rows) for pair, rows in sorted(self._both.items())),
            corrected=self._corrected(),
        )

    def _corrected(self) -> Figure:
        """The judge's mean put right. It and both ends lie within 0 and 1, as what is estimated does.

        A few labelled rows decide how sure it is: t has as many degrees of freedom as they have clusters, less one.
        """
        sums, labelled = Sums(4), 0
        for (_, over, expected), rows in self._kinds.items():
            sums.add(self._brought(over, expected), rows)
            labelled += rows if expected is not None else 0
        for parts in self._by_cluster:
            sums.add(parts[()])
            labelled += parts[()][3] > 0
        if not sums.totals[3]:
            return Figure()
        found = estimate_corrected(sums)
        n = int(sums.total(3))
        interval = of_number(found.value, found.se, labelled)
        value, low, high = (min(1.0, max(0.0, one)) for one in (found.value, interval.low, interval.high))
        return Figure(value, low, high, n, labelled, found.se)
