"""What is paid for by a plan, as a set that a person reviews and an apply holds itself to.

Reviewed is which requests go to which provider, model and window, and nothing else: not when, not in how many batches,
not by which job, and no work that is free. So two machines that plan the same have the same digest, and what goes on
meanwhile (a batch that ends, answers that come in) leaves less to be sent, never something else.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Sequence

import msgspec

from runner.job.desired import Desired, distinct_of
from runner.job.packed import KEY_BYTES, keys_at, keys_of, union, without
from runner.plan import guard
from runner.plan.change import Action, Change, Cut, Reason
from runner.plan.places import Place, Reviewed, place_of
from runner.plan.remaining import BatchRows, JobRows, RetryRows, Row

_TAG = "runner-plan/1"
_HEX = 32  # of the SHA-256: as many bits as a key has
MOST_BATCHES = 256  # sent since, that are looked through for what was reviewed


class Part(msgspec.Struct, frozen=True):
    """What one job sends to one place. keys: sorted, distinct."""

    address: str
    place: Place
    keys: bytes
    usd: float | None = 0.0  # at most; None: not known

    @property
    def rows(self) -> int:
        return len(self.keys) // KEY_BYTES


class Review(msgspec.Struct, frozen=True):
    """All that a plan pays for, now and once the jobs are settled that others need. Parts by address."""

    project: str
    parts: tuple[Part, ...] = ()

    @property
    def reviewed(self) -> Reviewed:
        found: dict[Place, list[bytes]] = {}
        for part in self.parts:
            found.setdefault(part.place, []).append(part.keys)
        return {place: union(sets) for place, sets in found.items()}

    @property
    def digest(self) -> str:
        return digest_of(self.project, self.reviewed)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def usd(self) -> float | None:
        costs = [part.usd for part in self.parts]
        return None if None in costs else sum(usd or 0.0 for usd in costs)


def digest_of(project: str, reviewed: Reviewed) -> str:
    """`300-5e0c…`: how many requests, and 128 bits over which go where."""
    told = hashlib.sha256(f"{_TAG}\n{json.dumps(project)}\n".encode())
    for place, keys in sorted(reviewed.items()):
        if keys:
            told.update(f"{json.dumps(place)} {hashlib.sha256(keys).hexdigest()}\n".encode())
    return f"{_count(reviewed)}-{told.hexdigest()[:_HEX]}"


def rows_in(digest: str) -> int | None:
    """How many requests were reviewed under a digest; None where it is none."""
    number, dash, rest = digest.partition("-")
    is_one = dash and len(rest) == _HEX and set(rest) <= set("0123456789abcdef")
    return int(number) if is_one and number.isascii() and number.isdigit() and len(number) < _HEX else None


def _count(reviewed: Reviewed) -> int:
    return sum(map(len, reviewed.values())) // KEY_BYTES


def parts_of(job: Desired, rows: JobRows, cuts: Sequence[Cut], retries: Sequence[RetryRows]) -> Iterator[Part]:
    if online := array("I", [ordinal for cut in cuts if cut.is_online for ordinal in cut.ordinals]):
        usd = guard.estimate(job.asked_online, online).usd
        yield Part(job.address, place_of(job), _keys_at(job, online), usd)
    ordinals = array("I", [ordinal for cut in cuts if not cut.is_online for ordinal in cut.ordinals])
    if not ordinals:
        return
    replaced = rows.ordinals(Row.REPLACE)
    if not replaced:
        yield Part(job.address, place_of(job), _keys_at(job, ordinals), guard.estimate(job, ordinals).usd)
        return
    again = set(replaced)
    first = array("I", [ordinal for ordinal in ordinals if ordinal not in again])
    if first:
        yield Part(job.address, place_of(job), _keys_at(job, first), guard.estimate(job, first).usd)
    left = _keys_at(job, replaced)
    for retry in sorted(retries, key=lambda one: one.generation, reverse=True):
        rest = without(left, retry.keys) if retry.replaces else left
        if mine := without(left, rest):
            usd = guard.estimate(job, range(len(mine) // KEY_BYTES)).usd if job.seconds is None else None
            yield Part(job.address, place_of(job, retry.generation), mine, usd)
        left = rest


def _keys_at(job: Desired, ordinals: Sequence[int]) -> bytes:
    if len(ordinals) == job.rows:
        return distinct_of(job)[:]
    return keys_of(keys_at(job.keys, sorted(ordinals)))


def of_rest(job: Desired, entry: BatchRows) -> Part:
    """What is left to send of a batch of a job that was begun."""
    batch, keys = entry.batch, entry.unsent or entry.keys
    share = len(keys) // KEY_BYTES / max(batch.rows, 1)
    usd = None if batch.estimated_usd is None else batch.estimated_usd * share
    return Part(job.address, place_of(job)._replace(window_hours=batch.window_hours), keys[:], usd)


# --- what an apply is held to -------------------------------------------------------------------------------------


def outside(reviewed: Reviewed, parts: Sequence[Part]) -> int:
    """How many requests of these were not reviewed."""
    return sum(len(without(part.keys, reviewed.get(part.place, b""))) for part in parts) // KEY_BYTES


def not_reviewed(
    job: Desired, rows: JobRows, cuts: Sequence[Cut], retries: Sequence[RetryRows], reviewed: Reviewed
) -> Change | None:
    """A blocking change where only what was reviewed may be sent, and a job asks for something else."""
    number = outside(reviewed, [*parts_of(job, rows, cuts, retries)])
    return Change(Action.BLOCK, Reason.NOT_REVIEWED, rows=number, unblock=("runner plan",)) if number else None


def reviewed_under(
    digest: str, now: Review, desired: Sequence[Desired], history: Sequence[BatchRows]
) -> Reviewed | None:
    """What was reviewed under a digest; None where what would be sent now is not among it, or cannot be told to be.

    It is what would be sent now, if nothing went on since; else that together with what was sent since, of which the
    newest batches are tried first. Where nothing is to be sent and nothing fits, nothing was reviewed.
    """
    target = rows_in(digest)
    if target is None:
        return None
    start = now.reviewed
    if digest_of(now.project, start) == digest:
        return start
    since = [entry for entry in history if not entry.batch.is_read_back]
    for entries in (since, history) if len(since) < len(history) else (since,):
        if found := _with_those_sent(digest, target, now.project, start, desired, entries):
            return found
    return None if now.rows else {}


def _with_those_sent(
    digest: str,
    target: int,
    project: str,
    reviewed: Reviewed,
    desired: Sequence[Desired],
    history: Sequence[BatchRows],
) -> Reviewed | None:
    newest = sorted(history, key=lambda one: (one.batch.submitted_at or one.batch.intent_at, one.batch.sequence))
    for entry in newest[: -MOST_BATCHES - 1 : -1]:
        if _count(reviewed) > target:
            break
        placed = _placed(entry, desired)
        if placed is None:
            continue  # of specs that are not these any more: it was sent before
        reviewed = {
            place: union([reviewed.get(place, b""), placed.get(place, b"")])
            for place in reviewed.keys() | placed.keys()
        }
        if _count(reviewed) == target and digest_of(project, reviewed) == digest:
            return reviewed
    return None


def _placed(entry: BatchRows, desired: Sequence[Desired]) -> Reviewed | None:
    """Where the requests of a batch would go if they were to be sent now; None where some would not be."""
    left = entry.keys
    found: dict[Place, bytes] = {}
    for job in desired:
        if job.provider == entry.batch.origin.provider and left:
            rest = without(left, distinct_of(job))
            if mine := without(left, rest)[:]:
                place = place_of(job)
                found[place] = union([found.get(place, b""), mine])
            left = rest
    return None if left else found


class Differs(msgspec.Struct, frozen=True):
    """One job whose requests are others than were reviewed."""

    address: str
    more: int  # requests that were not reviewed
    less: int  # that were, and are not to be sent any more
    usd: float | None  # of all it sends now, at most
    usd_then: float | None


def differences(then: Review, now: Review) -> list[Differs]:
    """By job, what would be sent now and was not reviewed, and the other way round. Jobs that only send less, too."""
    found = []
    was, known = then.reviewed, now.reviewed
    for address in sorted({part.address for part in (*then.parts, *now.parts)}):
        mine, before = _of_job(now, address), _of_job(then, address)
        more, less = outside(was, mine), outside(known, before)
        if more or less:
            found.append(Differs(address, more, less, _usd(mine), _usd(before)))
    return found


def _of_job(review: Review, address: str) -> list[Part]:
    return [part for part in review.parts if part.address == address]


def _usd(parts: Sequence[Part]) -> float | None:
    return Review("", tuple(parts)).usd
