"""What the identity of a job's requests is made of, digest by digest, and what of it is not what was asked."""

from __future__ import annotations

import hashlib
from itertools import islice

import msgspec

from runner.apply.asked import Before
from runner.apply.compare import Comparing
from runner.errors import UsageError
from runner.job.wireid import custom_id_of
from runner.plan.change import JobPlan
from runner.plan.compared import Changed, RequestDiff
from runner.plan.parts import Part
from runner.plan.remaining import JobRows, Row

_SHOWN = 12  # hex digits of a digest of a text
_WORDS = {
    Row.NEW: "not sent",
    Row.OK: "answered",
    Row.ERROR: "settled with an error",
    Row.AGAIN: "to be sent again",
    Row.LATE: "to be asked online",
    Row.IN_FLIGHT: "in flight",
    Row.LOST: "needs a decision",
    Row.STALLED: "needs a decision",
    Row.ELSEWHERE: "asked at another origin",
    Row.SHARED: "asked by another job",
    Row.EQUAL: "equal to an earlier row",
    Row.REPLACE: "answered, and to be asked again",
    Row.OPEN: "in a create whose outcome is not known yet",
    Row.QUEUED: "waits to be sent",
    Row.UNKNOWN: "unknown",
}


class PartOf(msgspec.Struct, frozen=True):
    """One thing that requests are made of."""

    what: str
    value: str  # of a text, or of what a dataset holds, the start of its SHA-256
    at: str  # `file:line`
    is_digest: bool = False
    before: str | None = None  # the other value, where it differs; None: it does not, there was none, or nobody knows
    differs: bool | None = None  # None: nobody knows what it was


class RowOf(msgspec.Struct, frozen=True):
    """One row of a job."""

    id: str
    at: str  # `file:line`; empty for a recording
    digest: str  # SHA-256 (hex) of its request: the first half of it is the key in its custom_id
    custom_id: str  # on the wire
    state: str  # what became of this request
    request: RequestDiff = RequestDiff("")


class Explained(msgspec.Struct, frozen=True):
    address: str
    declared_at: str
    since: str  # what it is compared with; empty where nothing is known of what it was
    parts: tuple[PartOf, ...]
    changed: tuple[Changed, ...]  # those that differ, with their lines
    wanted: int
    states: dict[str, int]  # rows by what became of their requests
    first_new: RowOf | None = None
    row: RowOf | None = None  # the one that was asked about


def explain(comparing: Comparing, job: JobPlan, rows: JobRows, custom_id: str | None) -> Explained:
    """One job. custom_id: the user's own, of a row that is to be explained too. Raises UsageError, DataError."""
    address, before = job.address, comparing.source.before(job.address)
    new = rows.ordinals(Row.NEW)
    row = None
    if custom_id is not None:
        row = _row(comparing, before, job, rows, _ordinal(comparing, address, custom_id))
    return Explained(
        address,
        str(job.declared_at),
        before.since if before else "",
        _parts(comparing, address, before),
        comparing.changed(address, rows, before) if before else (),
        job.counts.wanted,
        _states(rows),
        _row(comparing, before, job, rows, new[0]) if len(new) else None,
        row,
    )


def _states(rows: JobRows) -> dict[str, int]:
    found: dict[str, int] = {}
    for state, words in _WORDS.items():
        if number := rows.counts[state]:
            found[words] = found.get(words, 0) + number
    return found | ({"cannot be sent": rows.bad} if rows.bad else {})


def _parts(comparing: Comparing, address: str, before: Before | None) -> tuple[PartOf, ...]:
    now, then = comparing.parts(address), comparing.parts_then(before) if before else {}
    found = [_part(part, then.get(what), is_known=before is not None) for what, part in now.items()]
    gone = (part for what, part in then.items() if what not in now and not part.is_hidden)
    return (*found, *(PartOf(part.what, "not set", "", before=_value(part), differs=True) for part in gone))


def _part(now: Part, then: Part | None, *, is_known: bool) -> PartOf:
    is_digest = now.is_text or now.is_hidden
    if not is_known or (then is None and now.is_hidden):
        return PartOf(now.what, _value(now), str(now.mark), is_digest)
    differs = then is None or then.value != now.value
    return PartOf(now.what, _value(now), str(now.mark), is_digest, _value(then) if differs and then else None, differs)


def _value(part: Part) -> str:
    if part.is_hidden:
        return part.value[:_SHOWN]
    return hashlib.sha256(part.value.encode("utf-8", "replace")).hexdigest()[:_SHOWN] if part.is_text else part.value


def _ordinal(comparing: Comparing, address: str, custom_id: str) -> int:
    rows = enumerate(comparing.session.compiled[address].rows())
    found = next((ordinal for ordinal, row in rows if row.custom_id == custom_id), None)
    if found is None:
        raise UsageError(
            f"job `{address}` has no row `{custom_id}`", hint="rows go by the `id` of their dataset, or as `row-1`"
        )
    return found


def _row(comparing: Comparing, before: Before | None, job: JobPlan, rows: JobRows, ordinal: int) -> RowOf:
    compiled = comparing.session.compiled[job.address]
    row = next(islice(compiled.rows(), ordinal, None))
    (request,) = comparing.side_by_side(job.address, before, (ordinal,))
    return RowOf(
        row.custom_id,
        str(comparing.place_of_row(job.address, ordinal) or ""),
        row.digest.hex(),
        custom_id_of(row.custom_id, row.digest[:16]),
        _WORDS[Row(rows.states[ordinal])],
        request,
    )
