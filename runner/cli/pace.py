"""How fast jobs go on, and when they may be done: from the counts that their remotes gave this command alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from runner.apply.reporter import Progress

WINDOW_SECONDS = 600.0  # a batch goes on by fits and starts; what it did long ago says little
LEAST_SECONDS = 3.0  # between two counts, before anything is made of them


class Pace(msgspec.Struct, frozen=True):
    """Rows a second, and the seconds that the rest takes at that; None where nobody can say."""

    per_second: float | None = None
    left_seconds: float | None = None


class Paces:
    """The counts of each job over the last while."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._now: dict[str, Pace] = {}

    def note(self, jobs: Sequence[Progress], now: float) -> None:
        """Take in what is shown now; now: monotonic seconds."""
        for address in self._seen.keys() - {job.address for job in jobs}:
            del self._seen[address], self._now[address]
        for job in jobs:
            seen = self._seen.setdefault(job.address, deque())
            if seen and job.done < seen[-1][1]:
                seen.clear()  # rows are asked again
            if not seen or job.done != seen[-1][1] or now - seen[-1][0] >= 1.0:
                seen.append((now, job.done))
            while len(seen) > 2 and now - seen[1][0] >= WINDOW_SECONDS:
                seen.popleft()
            self._now[job.address] = _pace(seen, job.total - job.done)

    def of(self, job: Progress) -> Pace:
        return self._now.get(job.address, Pace())


def _pace(seen: Sequence[tuple[float, int]], left: int) -> Pace:
    (since, before), (until, done) = seen[0], seen[-1]
    if until - since < LEAST_SECONDS or done <= before:
        return Pace()
    per_second = (done - before) / (until - since)
    return Pace(per_second, max(left, 0) / per_second)
