"""How many calls and tokens a minute a caller may have of a model: real limits, so that what the headers say is so."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import NamedTuple

from runner.clock import Clock

# So much that nobody meets it who does not ask for less (`requests_per_minute`, `tokens_per_minute` of the fault lab).
REQUESTS_PER_MINUTE = 1_000_000
TOKENS_PER_MINUTE = 1_000_000_000
_MOST_CALLERS = 10_000


class Allowance(NamedTuple):
    """What is left of one limit after a call. `reset_seconds`: until all of it is there again."""

    limit: int
    remaining: int
    reset_seconds: float


class Admission(NamedTuple):
    """Whether a call may go on; where it may not, `wait_seconds` until it might, and which limit it met."""

    requests: Allowance
    tokens: Allowance
    wait_seconds: float = 0.0
    over: str = ""  # `requests` or `tokens`


@dataclass(slots=True)
class _Bucket:
    """Full at first; what is taken comes back evenly over a minute."""

    left: float
    at: float

    def refill(self, limit: int, now: float) -> None:
        self.left = min(self.left + (now - self.at) * limit / 60, float(limit))
        self.at = now

    def wait(self, wanted: float, limit: int) -> float:
        # more than there can ever be: a full bucket must do
        return max(min(wanted, limit) - self.left, 0.0) * 60 / limit

    def shown(self, limit: int) -> Allowance:
        return Allowance(limit, max(int(self.left), 0), max(limit - self.left, 0.0) * 60 / limit)


class Rates:
    """One pair of buckets for each caller and model. From any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], tuple[_Bucket, _Bucket]] = {}

    def limits(self) -> tuple[int, int]:
        """Requests and tokens a minute."""
        return REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE

    def take(self, owner: str, model: str, tokens: int) -> Admission:
        """Count one call of `tokens`, if there is room for both; a call that is refused takes nothing."""
        limits, now = self.limits(), self._clock.monotonic()
        with self._lock:
            requests, of_tokens = buckets = self._of(owner, model, limits, now)
            for bucket, limit in zip(buckets, limits, strict=True):
                bucket.refill(limit, now)
            waits = {"requests": requests.wait(1, limits[0]), "tokens": of_tokens.wait(tokens, limits[1])}
            over = max(waits, key=lambda name: waits[name])
            if not waits[over]:
                over = ""
                requests.left -= 1
                of_tokens.left -= tokens
            shown = requests.shown(limits[0]), of_tokens.shown(limits[1])
        return Admission(*shown, max(waits.values()), over)

    def _of(self, owner: str, model: str, limits: tuple[int, int], now: float) -> tuple[_Bucket, _Bucket]:
        key = owner, model
        if key not in self._buckets:
            # names come from outside: without a bound a client could fill our memory with them
            if len(self._buckets) >= _MOST_CALLERS:
                self._buckets.clear()
            self._buckets[key] = _Bucket(limits[0], now), _Bucket(limits[1], now)
        return self._buckets[key]


def duration(seconds: float) -> str:
    """As OpenAI's headers write it: `120ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{int(rest)}s" if minutes else f"{rest:.3f}".rstrip("0").rstrip(".") + "s"


def waiting(seconds: float) -> dict[str, str]:
    """The headers that say when to come back: whole seconds, no fewer than needed, and milliseconds beside them."""
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000))}
