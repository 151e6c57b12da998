"""A job that seems to stand still: said, with the likely causes, and never asked again by itself."""

from __future__ import annotations

from datetime import datetime, timedelta

from runner.job.observed import Observed

CREATING_LIMIT = timedelta(minutes=30)
PENDING_SHARE = 4  # PENDING past this part of the window is a stall
_DEFAULT_WINDOW = 24


def stall_of(seen: Observed, now: datetime) -> str:
    """What to tell about a job that stands still; empty while all is well.

    The control plane does not say since when a state lasts, so its age is that of the job.
    Source: contract section 5.3, read 2026-11-21.
    """
    if seen.created_at is None or seen.phase.has_ended:
        return ""
    age = now - seen.created_at
    word, _, more = seen.raw_status.partition(" ")
    pending_limit = timedelta(hours=seen.window_hours or _DEFAULT_WINDOW) / PENDING_SHARE
    if word == "CREATING" and age > CREATING_LIMIT:
        return (
            f"still CREATING {_shown(age)} after its creation; likely causes: no capacity for this model now, "
            "or a quota of the account is used up"
        )
    if word == "PENDING" and age > pending_limit:
        return (
            f"still PENDING {_shown(age)} after its creation; likely causes: the model cannot be used in batches "
            "(such jobs wait until they expire, without an error), or a quota of the account is used up"
        )
    if word == "PAUSED":
        return "PAUSED by the remote; likely cause: the account is suspended, see its billing page"
    return f"{word.lower()}, but waiting on capacity; it goes on by itself" if more else ""


def _shown(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
