"""What `runner history` shows, as data: text and JSON are drawn from the same view."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec

from runner.cli import voice
from runner.job.address import matches
from runner.job.events import Event, What

VERSION = 1


class HistoryView(msgspec.Struct, frozen=True):
    version: int
    events: tuple[Event, ...]  # the oldest first
    has_more: bool = False  # older ones that were asked for, too, and are more than were to be shown


def before(now: datetime, seconds: float | None) -> datetime | None:
    """So long ago; None where nobody said how long, or where that is before all time."""
    try:
        return None if seconds is None else now - timedelta(seconds=seconds)
    except OverflowError:
        return None


def of_log(
    newest_first: Iterable[Event], *, job: str | None = None, since: datetime | None = None, most: int | None = None
) -> HistoryView:
    """The last events, `most` of them. No more of the log is read than that takes."""
    found: list[Event] = []
    for event in newest_first:
        if since is not None and event.at is not None and event.at < since:
            break
        if job is not None and not (event.job and matches(event.job, job)):
            continue
        if most is not None and len(found) == most:
            return HistoryView(VERSION, tuple(reversed(found)), has_more=True)
        found.append(event)
    return HistoryView(VERSION, tuple(reversed(found)))


def text_of(view: HistoryView) -> str:
    """A paragraph for each command, a line for each thing it did."""
    if not view.events:
        return "Nothing is recorded of what was asked for"
    out = []
    for (day, who, command, revision), events in groupby(view.events, _head):
        head = "  ".join(filter(None, (day, who, f"`{voice.plain(command)}`" if command else "", revision[:12])))
        out += [head, *map(line_of, events), ""]
    if view.has_more:
        out += ["Older ones are not shown; `-n` says how many are"]
    return "\n".join(out).rstrip("\n")


def _head(event: Event) -> tuple[str, str, str, str]:
    day = event.at.astimezone(UTC).strftime("%Y-%m-%d") if event.at else ""
    return day, voice.plain(event.who), event.command, voice.plain(event.revision)


def line_of(event: Event) -> str:
    """`  09:12:04 UTC  submitted  reviews  5,000 rows, at most $1.20: never asked`."""
    at = event.at.astimezone(UTC).strftime("%H:%M:%S UTC") if event.at else ""
    about = voice.plain(event.job or event.provider)
    what = _WORDS.get(event.event, event.event.value)
    told = ", ".join(filter(None, _parts(event)))
    why = voice.one_line(event.why)
    words = ": ".join(filter(None, (told, why)))
    return "  " + "  ".join(filter(None, (at, f"{what:<11}", about, words))).rstrip()


def _parts(event: Event) -> Iterable[str]:
    yield voice.count(event.rows, "row") if event.rows is not None else ""
    yield event.state
    if event.ok is not None:
        yield f"{event.ok:,} ok"
    if event.failed:
        yield f"{event.failed:,} not"
    if event.input_tokens or event.output_tokens:
        yield f"{event.input_tokens or 0:,} + {event.output_tokens or 0:,} tokens"
    yield _dollars(event)
    yield f"`{voice.plain(event.path)}`" if event.path else ""
    if event.event in (What.ADOPTED, What.IMPORTED, What.HELD) and event.remote_id:
        yield f"`{voice.plain(event.remote_id)}`"


def _dollars(event: Event) -> str:
    if event.event in (What.COLLECTED, What.READ_BACK):
        if event.unpriced:
            known = f"{voice.money(event.usd)} and " if event.usd else ""
            return f"{known}{voice.count(event.unpriced, 'answer')} at a cost that is not known"
        return voice.money(event.usd) if event.usd else ""
    return f"at most {voice.money(max(event.estimated_usd, 0.01))}" if event.estimated_usd else ""


_WORDS = {
    What.SUBMITTED: "submitted",
    What.ADOPTED: "adopted",
    What.DEFERRED: "deferred",
    What.HELD: "held",
    What.RELEASED: "released",
    What.DROPPED: "dropped",
    What.DUPLICATED: "duplicate",
    What.CANCELLED: "cancelled",
    What.ENDED: "ended",
    What.COLLECTED: "collected",
    What.READ_BACK: "read back",
    What.REOPENED: "reopened",
    What.WRITTEN: "wrote",
    What.RETRIED: "retry",
    What.MOVED: "moved",
    What.IMPORTED: "imported",
    What.FORGOTTEN: "forgotten",
    What.PRUNED: "pruned",
    What.ACCEPTED: "accepted",
    What.STATE: "state",
}
