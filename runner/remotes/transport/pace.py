"""How fast the online side of one remote may be asked, by all connections together.

Per-minute limits of the specs are kept by even spacing: in no minute more is sent than they say. What the remote itself
says wins: Retry-After stops everybody until then, and its rate-limit headers do before it has to refuse.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from runner.clock import Clock

FIRST_PAUSE = 0.5  # seconds, after a refusal that names none; doubled each time in a row
LONGEST_PAUSE = 30.0
LONGEST_RESET = 60.0  # of a rate-limit header: its limits are per minute, whatever it says of days
MINUTE = 60.0
# `1s`, `6m0s`, `120ms`, `1h2m3.5s`, or bare seconds. Source: OpenAI "Rate limits", headers; recalled, not read again.
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?\Z")
_REMAINING, _RESET = "x-ratelimit-remaining-", "x-ratelimit-reset-"


class Pace:
    """Safe to share between threads. rpm, tpm: requests and tokens a minute; None where no limit is known."""

    def __init__(self, clock: Clock, rpm: int | None = None, tpm: int | None = None) -> None:
        self._clock = clock
        self._per_request = MINUTE / rpm if rpm else 0.0
        self._per_token = MINUTE / tpm if tpm else 0.0
        self._lock = threading.Lock()
        self._next = 0.0  # monotonic: no request before
        self._next_tokens = 0.0  # the same, as the tokens of earlier ones have it
        self._not_before = 0.0  # the same, as the remote has it
        self.failures = 0  # pauses in a row that the remote did not ask for by a time

    @property
    def counts_tokens(self) -> bool:
        return self._per_token > 0

    def wait_seconds(self) -> float:
        """Until the next request may be sent; 0 where it may be now."""
        with self._lock:
            return max(self._next, self._next_tokens, self._not_before) - self._clock.monotonic()

    def sending(self, tokens: int) -> None:
        """A request goes out, of so many tokens with its answer, as estimated."""
        with self._lock:
            now = self._clock.monotonic()
            self._next = max(self._next, now) + self._per_request
            self._next_tokens = max(self._next_tokens, now) + tokens * self._per_token

    def answered(self, headers: Mapping[str, str], estimated: int, used: int) -> None:
        """An answer came, with what the remote says of its limits; it was of `used` tokens."""
        with self._lock:
            self.failures = 0
            if used:
                self._next_tokens += (used - estimated) * self._per_token
            pause = max(_pause_in(headers, "requests"), _pause_in(headers, "tokens"))
            if pause:
                self._not_before = max(self._not_before, self._clock.monotonic() + min(pause, LONGEST_RESET))

    def pause(self, seconds: float | None = None) -> None:
        """The remote takes nothing for now: nobody asks it for so long, or for twice as long as the last time."""
        with self._lock:
            now = self._clock.monotonic()
            if seconds is None:
                if now < self._not_before:  # of the requests that were under way, the first has said so
                    return
                seconds = min(FIRST_PAUSE * 2.0**self.failures, LONGEST_PAUSE)
                self.failures += 1
            self._not_before = max(self._not_before, now + seconds)


def _pause_in(headers: Mapping[str, str], what: str) -> float:
    """Seconds until there is something left again of a limit that is used up."""
    if headers.get(_REMAINING + what, "").strip() != "0":
        return 0.0
    return seconds_of(headers.get(_RESET + what, ""))


def seconds_of(text: str) -> float:
    """A duration of a rate-limit header; 0 for what is none."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        found = _DURATION.match(text.strip())
    if not found or not any(found.groups()):
        return 0.0
    hours, minutes, seconds, millis = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
