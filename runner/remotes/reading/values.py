"""Counts, times and durations as remotes write them. Absence, null, `""` and nonsense all come out as None."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_MOST = 10**15  # of whatever is counted: no remote has more, and more does not fit where counts are kept
_MILLISECONDS = 100_000_000_000  # a Unix time above this many seconds is the year 5138: it counts milliseconds
_DIGITS = 20  # of a duration; seconds may have a fraction of nine
_UNITS = {"s": 1, "h": 3600, "d": 86400}
_LONGEST_HOURS = 100_000  # eleven years


def count_of(value: Any) -> int | None:
    """A count, also when written as text or as an integral float; None for one that nobody can have."""
    match value:
        case bool():
            return None
        case int() | float() if value == value // 1 and value <= _MOST:
            return max(int(value), 0)
        case str() if value.isdecimal() and len(value) <= len(str(_MOST)):
            return count_of(int(value))
        case _:
            return None


def time_of(value: Any) -> datetime | None:
    """Unix seconds (or milliseconds), the same as text, or ISO 8601: aware UTC, cut to microseconds."""
    match value:
        case bool() | None:
            return None
        case int() | float():
            return _from_unix(value)
        case str() if value.strip().replace(".", "", 1).isdecimal():
            return _from_unix(float(value))
        case str():
            return _from_iso(value.strip())
        case _:
            return None


def _from_unix(seconds: float) -> datetime | None:
    try:
        seconds = seconds / 1000 if seconds > _MILLISECONDS else seconds
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _from_iso(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter at both ends of the calendar
        return None


def hours_of(duration: Any) -> int | None:
    """`24h`, `14d` or `86400s` in whole hours."""
    text = duration.strip().lower() if isinstance(duration, str) else ""
    number, seconds = text[:-1], _UNITS.get(text[-1:])
    if seconds is None or len(number) > _DIGITS or not number.replace(".", "", 1).isdecimal():
        return None
    hours = round(float(number) * seconds / 3600)
    return hours if 0 < hours <= _LONGEST_HOURS else None
