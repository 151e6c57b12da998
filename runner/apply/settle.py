"""Open intents: did the create happen? Look for it, wait until it must be visible, look again, then decide."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from runner.apply import named
from runner.apply.errors import StepError
from runner.apply.refresh import CLOCK_SLACK, cancel_second
from runner.apply.session import Session
from runner.apply.submission import CONFLICT, as_met, submission_of
from runner.clock import is_over, slept
from runner.errors import OF_OUR_MEMORY, NotSent, Refused, RemoteError, RunnerError
from runner.job import lifecycle
from runner.job.capabilities import Search
from runner.job.observed import Observed
from runner.job.packed import common
from runner.job.recorded import Batch, Stage
from runner.plan import adoption, duplicates
from runner.plan.adoption import Sorted
from runner.remotes.vendor import NO_LIST, Provider
from runner.results import index

CANNOT_SEARCH = "the remote cannot be searched for it"


def settle(session: Session, batch: Batch) -> Batch:
    """The batch as it is known afterwards: SUBMITTED when found, DROPPED when it is not there, as far as can be seen.

    It stays INTENT when the remote cannot be searched now, and becomes HELD where nobody can know: the remote shows
    nothing by which a batch could be told to be ours, or one is there that may be. One that continues another has no
    input that could be taken away: it is created again under its own name, which nothing else can have (DEFERRED).

    A create may still be on its way when it is given up. So its input is taken away first, and then it is looked for
    once more: what was accepted before is found, and what arrives later finds nothing to run.
    Raises BlockedError where other work stands under its name: it is DROPPED then.
    """
    # Whatever frees the rows may pay for them twice. So they are freed only where a search could have shown the batch,
    # and did not. Where a search could not, its silence says nothing, and the batch is held. An error on the way is no
    # answer either: it leaves the intent open.
    if batch.create_tries == 0:  # counted durably before each call
        return _save(session, lifecycle.dropped(batch, "stopped before it was sent"))
    try:
        provider = session.remote_of(batch)
        found = _search_twice(session, provider, batch) if provider.card.search.can_list else Sorted()
        if not found.ours and not found.doubtful and session.search_of(provider) is not Search.NONE:
            if batch.continued_from and provider.card.search is Search.BY_NAME:
                return _save(session, lifecycle.rolled_forward(batch, session.clock.now()))
            batch, found = _revoked(session, provider, batch)
    except Refused as refused:
        if refused.code != CONFLICT:
            return _save(session, batch.but(why=refused.message))
        _save(session, lifecycle.dropped(batch, refused.message))
        raise as_met(refused) from refused
    except OF_OUR_MEMORY:
        raise
    except RunnerError as error:
        current = session.records.batch(batch.key) or batch  # it may say that its input was being taken away
        return _save(session, current.but(why=error.message))
    if found.ours:
        return identify(session, provider, batch, found.ours)
    if _is_to_follow(session, provider, batch, found.doubtful):
        return take(session, provider, batch, found.doubtful[0])
    if found.doubtful or session.search_of(provider) is Search.NONE:
        return _hold(session, batch, found.doubtful)
    session.drops[batch.keys_sha256] = session.drops.get(batch.keys_sha256, 0) + 1
    return _save(session, lifecycle.dropped(batch, "the create did not take effect", is_given_up=True))


def _revoked(session: Session, provider: Provider, batch: Batch) -> tuple[Batch, Sorted]:
    """Take away what the create would run, where the remote lets us; what is found of it after that.

    A batch that was refused meanwhile found no input: nothing came of it.
    """
    if not provider.card.can_revoke or not batch.upload_ref or batch.upload_ref in _in_use(session, batch):
        return batch, Sorted()
    batch = _save(session, batch.but(is_revoked=True))  # before the call: nobody may know whether it was made
    is_gone = provider.revoke(batch.upload_ref)
    if is_gone:
        _wait_listed(session, provider, provider.card.consistency_seconds)
    else:  # it is still there: a late create may run on it, and is told by it
        batch = _save(session, batch.but(is_revoked=False))
    found = _search(session, provider, batch)
    return batch, Sorted(tuple(seen for seen in found.ours if not seen.is_refusal), found.doubtful)


def _in_use(session: Session, batch: Batch) -> set[str]:
    """Uploads that other batches on record were made of, or are to be."""
    return {other.upload_ref for other in session.records.batches() if other.key != batch.key}


def _hold(session: Session, batch: Batch, doubtful: Sequence[Observed]) -> Batch:
    """Whether these requests were asked stays unknown until a person decides, or the remote shows it after all."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    entries = index.lost_index(keys)
    sha256 = session.objects.write(f"{batch.key}/index", entries)
    names = ", ".join(f"`{seen.remote_id}`" for seen in doubtful[:3])
    why = f"{names} may have come from it, and shows no sign of whose it is" if names else CANNOT_SEARCH
    held = lifecycle.unknown(batch, sha256, why, tuple(seen.remote_id for seen in doubtful))
    session.reporter.warn(
        f"{batch.owner}: it is not known whether {batch.rows:,} requests were submitted ({why}); they are held: "
        f"see `runner state resolve {batch.owner}`"
    )
    return _save(session, held)


def take(session: Session, provider: Provider, batch: Batch, seen: Observed) -> Batch:
    """Follow the one batch that may have come of a create, until its results say whether it did.

    Until then its rows count as asked, and nothing is sent again. It may be a stranger's: it is not stopped.
    """
    taken = _save(session, lifecycle.taken_for(batch, seen, seen.created_at or session.time_at(provider)))
    session.reporter.step(
        f"{batch.owner}: `{seen.remote_id}` may be the batch of an unanswered create; its results will say"
    )
    return taken


def _is_to_follow(session: Session, provider: Provider, batch: Batch, doubtful: Sequence[Observed]) -> bool:
    """Whether one may have come of a create, whose results will say so, and that no other create waits for."""
    if len(doubtful) != 1 or session.search_of(provider) is not Search.BY_RESULTS:
        return False
    return doubtful[0].remote_id not in _followed(session, batch)


def settle_held(session: Session, batch: Batch) -> Batch:
    """A batch that waits for a person, looked for once more: where it is found for certain, nobody has to decide."""
    try:
        provider = session.remote_of(batch)
        if not provider.card.search.can_list:
            return batch
        found = _search(session, provider, batch)
    except OF_OUR_MEMORY:
        raise
    except RunnerError:
        return batch  # it is as unknown as before
    if found.ours:
        return identify(session, provider, batch, found.ours)
    if session.search_of(provider) is not Search.BY_RESULTS:
        return batch
    if _is_to_follow(session, provider, batch, found.doubtful):
        return take(session, provider, batch, found.doubtful[0])
    if not found.doubtful and session.known_ids().issuperset(batch.candidates):
        return _save(session, lifecycle.disproven(batch))
    return batch


def identify(session: Session, provider: Provider, batch: Batch, found: Sequence[Observed]) -> Batch:
    """Record one of `found` as this batch; the others are duplicates, and are cancelled."""
    first, others = duplicates.preferred(found)
    known = _save(session, lifecycle.submitted(batch, first, first.created_at or session.clock.now()))
    session.reporter.step(f"{batch.owner}: found the batch of an unanswered create, `{first.remote_id}`")
    for other in others:
        cancel_second(session, provider, known, other)
    return known


def _search_twice(session: Session, provider: Provider, batch: Batch) -> Sorted:
    """What came of an intent, as a list shows it now, or after the time a remote takes to list what it accepted.

    A list that does not show it proves nothing while the create may be younger than that time; so a search that finds
    nothing is made again after it, and only the second one counts. One that was found needs no second.
    """
    found = _search(session, provider, batch)
    if all(seen.is_refusal for seen in found.ours):  # or there is none of ours at all
        # The call ended just now, or in a command that died: nobody knows when. Only what is older than any call has
        # had its time, and even then a request may still be on its way in.
        is_old = session.time_at(provider) - batch.intent_at > CLOCK_SLACK
        seconds = provider.card.consistency_seconds
        _wait_listed(session, provider, min(1.0, seconds) if is_old else seconds)
        found = _search(session, provider, batch)
    return found


def _wait_listed(session: Session, provider: Provider, seconds: float) -> None:
    """Until what was accepted must be listed. Raises NotSent when that was cut short: a search would prove nothing."""
    if not slept(session.clock, seconds):
        raise NotSent(
            f"`{provider.origin.provider}` may take {seconds:g} s to list what it accepted, "
            "and this command did not wait for that",
            is_out_of_time=is_over(session.clock),
        )


def _search(session: Session, provider: Provider, batch: Batch) -> Sorted:
    """Every remote batch that came of this intent, or may have."""
    since = batch.intent_at - CLOCK_SLACK
    try:
        found = provider.find(submission_of(batch), batch.upload_ref, since)
    except RemoteError as error:
        if error.status not in NO_LIST or provider.card.search is Search.BY_NAME:
            raise
        session.note_shown(provider.origin, replace(session.shown(provider.origin), lists=False))
        return Sorted()
    known = session.known_ids() - _followed(session, batch)
    sorted_ = adoption.sort(batch, found, session.shown(provider.origin), known, since)
    if session.search_of(provider) is not Search.BY_RESULTS:
        return sorted_
    return _proven(session, provider, batch, sorted_.doubtful)


def _followed(session: Session, batch: Batch) -> set[str]:
    """What another create is taken to have made, until the results say so: it may be of this one."""
    return {one.remote_id for one in session.records.batches() if one.is_unproven and one.key != batch.key}


def _proven(session: Session, provider: Provider, batch: Batch, doubtful: Sequence[Observed]) -> Sorted:
    """What the results of those that have ended say: one is ours, others are not, and of some nobody knows yet."""
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    told = [(seen, named.proven(session, provider, seen)) for seen in doubtful]
    ours = tuple(seen for seen, names in told if names and common(names, keys))
    return Sorted(ours, tuple(seen for seen, names in told if names is None))


def _save(session: Session, batch: Batch) -> Batch:
    session.records.save(batch)
    return batch


def settle_all(session: Session, batches: Sequence[Batch]) -> list[StepError]:
    """Settle every open intent before anything is planned; those that stay open, and why."""
    errors = []
    for batch in batches:
        if batch.stage is Stage.HELD:
            settle_held(session, batch)
        elif batch.stage is Stage.INTENT:
            try:
                settled = settle(session, batch)
                if settled.stage is Stage.INTENT:
                    raise RemoteError(
                        f"{batch.owner}: it is not known whether an earlier create took effect: {settled.why}",
                        hint="run `runner apply` again when the remote can be reached; nothing is sent until then",
                        is_out_of_time=is_over(session.clock),
                    )
            except OF_OUR_MEMORY:
                raise
            except RunnerError as error:
                errors.append(StepError(error, batch.owner, batch.key))
    return errors
