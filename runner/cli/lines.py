"""One line of a plan, as data: what a change is called, what it amounts to, and why it is made."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runner.cli import voice
from runner.cli.nouns import RECORDINGS, ROWS, Nouns
from runner.cli.suggest import as_typed
from runner.job.recorded import Batch
from runner.plan.change import Action, Change, Reason


class LineView(msgspec.Struct, frozen=True):
    """One line of a plan: words for people, and the numbers they were made of."""

    sign: str
    verb: str
    what: str
    why: str
    unblock: tuple[str, ...] = ()
    rows: int = 0
    batches: int = 0
    size_bytes: int = 0
    tokens: int = 0  # of input, estimated
    minutes: float | None = None  # of sound; None: not known, or there is none
    usd: float | None = None  # at most; None: not known, or nothing is paid for
    least_usd: float | None = None  # of what is known after other jobs
    done: int | None = None  # of what is waited for; None: not known
    ids: tuple[str, ...] = ()  # of the rows it is about, the first few


_VERBS = {
    "+": "create",
    "±": "delta",
    "-/+": "replace",
    "»": "resume",
    "?": "after",
    ".": "wait",
    "↓": "fetch",
    "x": "cancel",
    "!": "blocked",
    "=": "leave",
}


_VERBS_OF = {Action.CONFIRM: "confirm", Action.MAY: "later"}


def of_change(
    change: Change,
    nouns: Nouns = ROWS,
    *,
    wanted: int = 0,
    batch: Batch | None = None,
    ids: Sequence[str] = (),
) -> LineView:
    """wanted: requests of the job in all. batch: the one that it is about. ids: of the first rows it is about."""
    return LineView(
        change.glyph,
        _VERBS_OF.get(change.action) or _VERBS[change.glyph],
        _what(change, nouns, wanted, batch),
        _why(change, batch),
        tuple(map(as_typed, change.unblock)),
        rows=change.rows,
        batches=change.batches,
        size_bytes=change.size_bytes,
        tokens=change.tokens,
        minutes=None if change.seconds is None else round(change.seconds / 60, 2),
        usd=change.usd,
        least_usd=change.least_usd,
        done=change.done,
        ids=tuple(ids),
    )


def _what(change: Change, nouns: Nouns, wanted: int, batch: Batch | None) -> str:
    match change.action:
        case Action.SUBMIT:
            return amount(change, nouns, wanted)
        case Action.MAY:
            return f"at most {nouns.requests(change.rows)} once more, {voice.money(change.usd)}"
        case Action.LEAVE if batch is not None:
            return f"{nouns.requests(change.rows)} of `{batch.owner}`"
        case Action.BLOCK if not change.rows:
            return ""
        case Action.AFTER if change.reason is Reason.KNOWN_AFTER:
            return _range(change, nouns) if change.rows else ""
        case _:
            return nouns.requests(change.rows)


def _range(change: Change, nouns: Nouns) -> str:
    """`about 9,979 requests, $0.90 to $2.20`: without the text of any answer, and with the longest ones."""
    least, most = voice.money(change.least_usd), voice.money(change.usd)
    known = change.usd is not None and change.least_usd is not None and least != most
    return f"about {nouns.requests(change.rows)}, {f'{least} to {most}' if known else most}"


def amount(change: Change, nouns: Nouns, wanted: int) -> str:
    """What is sent and what it costs; what is not known is said not to be."""
    what = nouns.requests(change.rows)
    if change.rows < wanted:
        what = f"{change.rows:,} of {nouns.requests(wanted)}"
    is_discounted = bool(change.usd) and change.discount > 0
    is_sound = nouns is RECORDINGS
    content = voice.minutes(change.seconds) if is_sound else f"about {voice.count(change.tokens, 'token')} in"
    if change.untold:
        content += f" and those of {voice.count(change.untold, 'file')}"
    parts = (
        f"{what} {nouns.sent(change.batches)}",
        voice.size(change.size_bytes),
        content,
        voice.money(change.usd) + (f" ({change.discount:.0%} batch)".replace("%", " %") if is_discounted else ""),
    )
    return ", ".join(parts)


def _why(change: Change, batch: Batch | None) -> str:
    why = voice.plain(change.why)
    if (
        batch is None
        or not batch.has_journal
        or change.action is not Action.WAIT
        or change.reason is Reason.OPEN_INTENT
    ):
        return why
    stage = batch.own_status or change.reason.value
    words = stage if change.done is None else f"{stage}, {change.done:,} of {change.rows:,} done"
    return f"{words}; {voice.plain(change.detail)}" if change.detail else words
