"""When each request that was sent is looked at again: soon at first, then more and more seldom."""

from __future__ import annotations

import heapq

import msgspec

GROWTH = 1.5  # of the time between two looks at one request


class Schedule(msgspec.Struct):
    """When each request in flight is looked at again. Kept between passes; forgetting it costs a look each."""

    due: list[tuple[float, int]] = msgspec.field(default_factory=list)  # a heap of (monotonic seconds, number)
    pauses: dict[int, float] = msgspec.field(default_factory=dict)
    gone: dict[int, int] = msgspec.field(default_factory=dict)  # looks that answered 404
    not_before: float = 0.0  # nothing is sent until then
    low_seconds: float = 10.0  # between looks at one request: at first, and at most
    high_seconds: float = 60.0

    def add(self, number: int, at: float) -> None:
        heapq.heappush(self.due, (at, number))

    def again(self, number: int, now: float) -> None:
        pause = self.pauses.get(number, self.low_seconds / GROWTH) * GROWTH
        self.pauses[number] = min(max(pause, self.low_seconds), self.high_seconds)
        self.add(number, now + self.pauses[number])

    def take(self, now: float) -> int | None:
        """A request that is due, if one is."""
        return heapq.heappop(self.due)[1] if self.due and self.due[0][0] <= now else None

    def drop(self, number: int) -> None:
        self.pauses.pop(number, None)
        self.gone.pop(number, None)
