"""What was spent, by the answers' own `usage`, and what is in flight, at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from runner.job.cost import Price, Used
from runner.job.desired import Desired
from runner.job.outcomes import paid
from runner.job.packed import KEY_BYTES, union, without
from runner.job.recorded import REMOTE, Batch, Stage
from runner.plan.remaining import BatchRows
from runner.plan.stragglers import price_online


class Spent(msgspec.Struct, frozen=True):
    """What some batches cost, in USD."""

    usd: float = 0.0  # answers, as they say themselves
    unknown: int = 0  # answers whose cost is not known
    at_most_usd: float = 0.0  # what ended of which only an estimate is known, or that may have been answered
    in_flight_usd: float = 0.0  # at most
    in_flight_unknown: int = 0  # requests in flight at a cost that is not known

    def plus(self, other: Spent) -> Spent:
        return Spent(
            self.usd + other.usd,
            self.unknown + other.unknown,
            self.at_most_usd + other.at_most_usd,
            self.in_flight_usd + other.in_flight_usd,
            self.in_flight_unknown + other.in_flight_unknown,
        )

    @property
    def most_usd(self) -> float:
        """All that is known to cost something, at most."""
        return self.usd + self.at_most_usd + self.in_flight_usd


NOTHING = Spent()


def spent_by(desired: Sequence[Desired], history: Sequence[BatchRows]) -> dict[str, Spent]:
    """By job that asked, of these specs or not."""
    found: dict[str, Spent] = {}
    for batch, spent in spent_on(desired, history):
        found[batch.owner] = found.get(batch.owner, NOTHING).plus(spent)
    return found


def spent_on(desired: Sequence[Desired], history: Sequence[BatchRows]) -> Iterator[tuple[Batch, Spent]]:
    """What each batch cost.

    What a model costs now is what its answers cost, as in the results; of a model that is in the specs no more, what it
    did cost.
    """
    by_model = {(job.provider, job.model, job.card.transport): job.price for job in desired}
    by_job = {job.address: job for job in desired}
    for entry in history:
        batch = entry.batch
        owner = by_job.get(batch.owner)
        is_owners = owner is not None and owner.provider == batch.origin.provider and _is_asked_so(owner, batch)
        now = (
            owner.price if owner and is_owners else by_model.get((batch.origin.provider, batch.model, batch.transport))
        )
        price = now if now is not None and now.is_known else batch.price
        yield batch, _of(entry, price, history, owner)


def _is_asked_so(job: Desired, batch: Batch) -> bool:
    """Whether a job pays now by what a batch was paid by; what was read back from an output does not say."""
    return not batch.model or (batch.model == job.model and batch.transport is job.card.transport)


def _of(entry: BatchRows, price: Price, history: Sequence[BatchRows], owner: Desired | None) -> Spent:
    batch = entry.batch
    usd = batch.estimated_usd
    at_worst = None if usd is None else usd + _once_more(batch, owner) * usd
    match batch.stage:
        case Stage.COLLECTED if batch.used is not None:
            known, unknown = price.of(_not_told_twice(entry, batch.used, history))
            may_be = (usd or 0.0) * batch.tally.lost / max(batch.rows, 1)
            return Spent(known, unknown, at_most_usd=may_be)
        case Stage.COLLECTED if not batch.submitted_at:
            return NOTHING  # read back from an output by an earlier release
        case Stage.COLLECTED | Stage.HELD:
            return Spent(unknown=batch.rows) if usd is None else Spent(at_most_usd=usd)
        case Stage.SUBMITTED:
            return Spent(in_flight_unknown=batch.rows) if at_worst is None else Spent(in_flight_usd=at_worst)
        case Stage.INTENT if batch.create_tries:
            return Spent(in_flight_unknown=batch.rows) if at_worst is None else Spent(in_flight_usd=at_worst)
        case _:
            return NOTHING


def _once_more(batch: Batch, owner: Desired | None) -> float:
    """What is paid beside a batch in flight over what it costs itself, if all of it has to be asked online."""
    may_straggle = owner is not None and owner.online is not None and not batch.has_journal
    return price_online(owner) if owner is not None and may_straggle else 0.0


def _not_told_twice(entry: BatchRows, used: Used, history: Sequence[BatchRows]) -> Used:
    """What was read back from an output is of batches, some of which may be on record themselves: the others' share."""
    batch = entry.batch
    if batch.found_in in ("", REMOTE) or not used.answers:
        return used
    others = [one for one in history if one.batch.found_in in ("", REMOTE) and one.batch.origin == batch.origin]
    mine = paid(entry.index)
    left = without(mine, union([paid(one.index) for one in others if one.index]))
    share = len(left) / max(len(mine), KEY_BYTES)
    return Used(
        round(used.answers * share),
        round(used.untold * share),
        round(used.input_tokens * share),
        round(used.output_tokens * share),
        used.seconds * share,
        round(used.cached_tokens * share),
    )


def by_all(spent: Mapping[str, Spent]) -> Spent:
    """All jobs together."""
    total = NOTHING
    for one in spent.values():
        total = total.plus(one)
    return total
