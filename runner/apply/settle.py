"""Open intents: did the create happen? Look for our stamp, wait until it must be visible, look again, then decide."""

from __future__ import annotations

from collections.abc import Sequence

from runner.apply.refresh import CLOCK_SLACK, age_of, cancel_twin
from runner.apply.session import Session
from runner.apply.submission import CONFLICT, as_met, submission_of
from runner.errors import Refused, RemoteError, RunnerError
from runner.job import lifecycle
from runner.job.capabilities import EffectClass
from runner.job.observed import Observed
from runner.job.recorded import Batch, Stage
from runner.remotes.vendor import Provider
from runner.results import index


def settle(session: Session, batch: Batch) -> Batch:
    """The batch as it is known afterwards: SUBMITTED when found, DROPPED when it certainly is not there.

    It stays INTENT when the remote cannot be searched now, and becomes HELD where it never can be.
    """
    if batch.create_tries == 0:
        return _save(session, lifecycle.dropped(batch, "stopped before it was sent"))
    try:
        provider = session.remote_of(batch)
        if provider.card.effect is EffectClass.BLIND:
            return _hold(session, batch)
        found = _search_twice(session, provider, batch)
    except Refused as refused:
        if refused.code != CONFLICT:
            return _save(session, batch.but(trouble=refused.message))
        session.troubles[batch.owner] = as_met(refused)
        return _save(session, lifecycle.dropped(batch, refused.message))
    except RunnerError as error:
        return _save(session, batch.but(trouble=error.message))
    if not found:
        session.drops[batch.key] = session.drops.get(batch.key, 0) + 1
        return _save(session, lifecycle.dropped(batch, "the create did not take effect", is_given_up=True))
    return adopt(session, provider, batch, found)


def _hold(session: Session, batch: Batch) -> Batch:
    """The remote cannot be searched: whether these requests were asked stays unknown until a person decides."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    entries = index.lost_index(keys)
    sha256 = session.objects.write(f"{batch.key}/index", entries)
    held = lifecycle.unknown(batch, sha256, "the remote cannot be searched for it")
    session.reporter.warn(f"{batch.owner}: it is not known whether {batch.rows:,} requests were asked; they are held")
    return _save(session, held)


def adopt(session: Session, provider: Provider, batch: Batch, found: Sequence[Observed]) -> Batch:
    """Record the oldest of `found` as this batch; the others are twins and are cancelled.

    One that goes on comes before one that was refused, and what will not change before what was only put off: that one
    may be of a state that is lost.
    """
    first, *twins = sorted(found, key=_preference)
    adopted = _save(session, lifecycle.submitted(batch, first, first.created_at or session.clock.now()))
    session.reporter.step(f"{batch.owner}: found the batch of an unanswered create, `{first.remote_id}`")
    for twin in (twin for twin in twins if not twin.is_refusal):
        cancel_twin(session, provider, adopted, twin)
    return adopted


def _preference(seen: Observed) -> tuple[bool, bool, tuple[bool, float, str]]:
    is_put_off = seen.failure is not None and seen.failure.is_put_off
    return seen.is_refusal, is_put_off, age_of(seen)


def _search_twice(session: Session, provider: Provider, batch: Batch) -> list[Observed]:
    found = _search(provider, batch)
    if all(seen.is_refusal for seen in found):
        # The call ended just now, or in a command that died: nobody knows when. Only what is older than any call has
        # had its time, and even then a request may still be on its way in.
        is_old = session.clock.now() - batch.intent_at > CLOCK_SLACK
        session.clock.sleep(min(1.0, provider.card.settle_seconds) if is_old else provider.card.settle_seconds)
        found = _search(provider, batch)
    return found


def _search(provider: Provider, batch: Batch) -> list[Observed]:
    """Every remote batch that came of this intent."""
    found = provider.find(submission_of(batch), batch.upload_ref, batch.intent_at - CLOCK_SLACK)
    return [seen for seen in found if seen.remote_id not in batch.refused]


def _save(session: Session, batch: Batch) -> Batch:
    session.records.save(batch)
    return batch


def settle_all(session: Session, batches: Sequence[Batch]) -> None:
    """Settle every open intent before anything is planned."""
    for batch in batches:
        if batch.stage is Stage.INTENT:
            session.troubles.pop(batch.owner, None)
            settled = settle(session, batch)
            if settled.stage is Stage.INTENT:
                session.troubles[batch.owner] = RemoteError(
                    f"{batch.owner}: it is not known whether an earlier create took effect: {settled.trouble}",
                    hint="Run `runner apply` again when the remote can be reached; nothing is sent until then",
                )
