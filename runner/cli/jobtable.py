"""Running jobs as lines: a table that fits its terminal, or one plain line a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from runner.apply.reporter import Progress
from runner.cli import voice
from runner.cli.pace import Pace
from runner.cli.saying import cut, width

SEEN_SECONDS = 10.0  # a remote that said something since needs no mention
FEWEST_LINES = 8  # of a table on a screen that is no higher than twice that; else it takes half of it
_SHORTEST_NAME = 16  # columns that an address keeps while there is anything else to leave out
# What is left out first where a terminal is narrow
_LEAST_WANTED = ("elapsed", "tokens", "dollars", "rate", "seen", "ends")


class Cells(NamedTuple):
    """What is told of one job."""

    job: str
    phase: str
    rows: str
    elapsed: str
    rate: str
    tokens: str
    dollars: str
    ends: str
    seen: str


def cells_of(job: Progress, pace: Pace, now: datetime) -> Cells:
    """elapsed: how long its batches have been under way, whenever this command began.

    Of a job that its remote has not shown for a while nobody knows how fast it goes on, nor when it ends.
    """
    seconds = max((now - job.since).total_seconds(), 0.0) if job.since else 0.0
    seen = _seen(job, seconds, now)
    return Cells(
        voice.plain(job.address),
        voice.plain(job.phase),
        f"{job.done:,}/{job.total:,}",
        voice.elapsed(seconds),
        "" if seen else _rate(pace.per_second, job),
        f"{voice.short(job.tokens)} tokens" if job.tokens else "",
        dollars(job.usd, job.most_usd),
        "" if seen else _end(pace, now),
        seen,
    )


def line_of(cells: Cells) -> str:
    """The same in one plain line."""
    return "  ".join(filter(None, cells))


def dollars(usd: float, most_usd: float | None) -> str:
    """`$0.12 of at most $1.32`; nothing where it costs nothing."""
    spent = voice.money(usd) if usd else ""
    if most_usd is None:
        return f"{spent} + ?" if spent else "cost ?"
    if not most_usd:
        return spent
    return f"{spent} of at most {voice.money(max(most_usd, 0.01))}" if spent else f"at most {_cents(most_usd)}"


def _cents(usd: float) -> str:
    return voice.money(max(usd, 0.01))


def _rate(per_second: float | None, job: Progress) -> str:
    """`12 rows/s`, `30 rows/min`, `5 calls/h`."""
    if not per_second:
        return ""
    noun = "calls" if job.is_of_calls else "rows"
    for seconds, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if (rate := per_second * seconds) >= 1 or unit == "h":
            return f"{rate:,.0f} {noun}/{unit}" if rate >= 10 else f"{rate:.1f} {noun}/{unit}"
    raise AssertionError("the last unit is taken")


def _end(pace: Pace, now: datetime) -> str:
    """`done in 4 min`, `done at 14:05 UTC`, `done 2026-12-02 14:00 UTC`: about, and the farther the rougher."""
    left = pace.left_seconds
    if left is None or left <= 0:
        return ""
    if left < 90:
        return f"done in {max(round(left / 10) * 10, 10)} s"
    if left < 3600:
        return f"done in {round(left / 60)} min"
    if left > 30 * 86_400:
        return "done in over 30 days"
    at = now + timedelta(seconds=left)
    return f"done {at:%H:%M} UTC" if left < 12 * 3600 else f"done {at:%Y-%m-%d %H}h UTC"


def _seen(job: Progress, seconds: float, now: datetime) -> str:
    """When its remote last spoke of it; nothing where that was just now."""
    if job.seen_at is None:
        return "not seen yet" if seconds >= SEEN_SECONDS else ""
    ago = (now - job.seen_at).total_seconds()
    return f"last seen {voice.elapsed(ago)} ago" if ago >= SEEN_SECONDS else ""


def total_of(jobs: Sequence[Progress]) -> Progress:
    """All of them as one; its phase says how many are in which."""
    return Progress(
        voice.count(len(jobs), "job"),
        phases(jobs),
        sum(job.done for job in jobs),
        sum(job.total for job in jobs),
        min((job.since for job in jobs if job.since), default=None),
        # One that was not seen has a line of its own
        min((job.seen_at for job in jobs if job.seen_at), default=None),
        sum(job.failed for job in jobs),
        None if all(job.tokens is None for job in jobs) else sum(job.tokens or 0 for job in jobs),
        sum(job.usd for job in jobs),
        None if any(job.most_usd is None for job in jobs) else sum(job.most_usd or 0.0 for job in jobs),
        all(job.is_of_calls for job in jobs),
    )


def phases(jobs: Sequence[Progress]) -> str:
    """`12 running, 3 validating`."""
    return ", ".join(
        f"{number:,} {voice.plain(phase)}" for phase, number in Counter(job.phase for job in jobs).most_common(4)
    )


def drawn(
    jobs: Sequence[Progress], pace_of: Callable[[Progress], Pace], now: datetime, *, columns: int, lines: int
) -> list[str]:
    """The table in so many columns and lines. Of jobs that do not fit it says how many there are."""
    shown = list(jobs)
    room = max(lines - (2 if len(jobs) > 1 else 0), 1)
    if len(jobs) > max(lines - 1, 1):
        # Those at work: of the others there is nothing to be seen but that they wait
        at_work = sorted(jobs, key=lambda job: (not 0 < job.done < job.total, job.phase != "running"))[:room]
        shown = [job for job in jobs if job in at_work]
    rows = [cells_of(job, pace_of(job), now) for job in shown]
    if len(jobs) > 1:
        rows.append(cells_of(total_of(jobs), _pace_of_all(jobs, pace_of), now)._replace(phase="", seen=""))
    told = _fitted(rows, columns)
    if len(shown) < len(jobs):
        left = [job for job in jobs if job not in shown]
        told.insert(-1, cut(f"… and {voice.count(len(left), 'job')} more: {phases(left)}", columns))
    return told


def _pace_of_all(jobs: Sequence[Progress], pace_of: Callable[[Progress], Pace]) -> Pace:
    """All together; done when the last of them is, which is known once each has a pace."""
    paces = [pace_of(job) for job in jobs if job.done < job.total]
    per_second = sum(pace.per_second or 0.0 for pace in paces)
    left = [pace.left_seconds for pace in paces]
    known = [one for one in left if one is not None]
    return Pace(per_second or None, max(known) if known and len(known) == len(left) else None)


def _fitted(rows: Sequence[Cells], columns: int) -> list[str]:
    names = [name for name in Cells._fields if name == "job" or any(getattr(row, name) for row in rows)]
    for unwanted in _LEAST_WANTED:
        if _needed(rows, names) <= columns:
            break
        names = [name for name in names if name != unwanted]
    widths = {name: max(width(getattr(row, name)) for row in rows) for name in names}
    others = sum(widths[name] + 2 for name in names if name != "job")
    widths["job"] = max(min(widths["job"], columns - others), 1)
    return [cut("  ".join(_padded(row, name, widths[name]) for name in names).rstrip(), columns) for row in rows]


def _needed(rows: Sequence[Cells], names: Sequence[str]) -> int:
    """Columns for these cells, with addresses as short as may be."""
    widths = [max(width(getattr(row, name)) for row in rows) for name in names]
    return sum(min(one, _SHORTEST_NAME) if name == "job" else one + 2 for name, one in zip(names, widths, strict=True))


def _padded(row: Cells, name: str, columns: int) -> str:
    text = cut(getattr(row, name), columns)
    pad = " " * (columns - width(text))
    return pad + text if name in ("rows", "rate") else text + pad
