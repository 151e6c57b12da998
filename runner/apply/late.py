"""Creates that were given up and took effect all the same: found in what a remote lists, stopped, and counted.

A remote may list what it accepted long after anybody waits for it, and then nothing of ours need be in flight there.
So a list is asked for on their account alone, until they could not run any more. One that holds what nobody has
answered is adopted by `recover`, under its old key where that is free: over the record of the create that was given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache

from runner.apply import named, wants
from runner.apply.refresh import CLOCK_SLACK, Polls, cancel_duplicate
from runner.apply.session import Session
from runner.errors import OF_OUR_MEMORY, RemoteError, RunnerError
from runner.job.capabilities import Search
from runner.job.observed import Observed, Origin
from runner.job.outcomes import answered
from runner.job.packed import common
from runner.job.recorded import Batch, Stage
from runner.plan import adoption
from runner.remotes.vendor import Provider


def list_anew(session: Session, polls: Polls) -> None:
    """Once a command, list what each remote was asked to create and was given up there; nothing else may ask it.

    A list that is made when its window is over is the last one: what is not in it by then will not run. One that
    cannot be had keeps nothing from going on, since nothing is sent for what is missing in it.
    """
    waiting: dict[Origin, list[Batch]] = {}
    for batch in session.records.batches():
        if _may_be_late(session, batch):
            waiting.setdefault(batch.origin, []).append(batch)
    for origin, mine in waiting.items():
        if origin in session.listed_anew or not _can_be_asked(session, origin):
            continue
        # Noted before it is asked: a remote whose list fails is not asked once more by every pass of a command that
        # waits for hours. The next command asks again.
        session.listed_anew.add(origin)
        try:
            provider = session.remote_of(mine[0])
            listed = list(provider.batches(min(map(since, mine))))
        except OF_OUR_MEMORY:
            raise
        except RunnerError as error:
            session.reporter.warn(
                f"{mine[0].owner}: a create that had no answer, and may have taken effect since, cannot be looked for "
                f"now: {error.message}"
            )
            continue
        known = {seen.remote_id for _, seen in polls.listed}
        polls.listed += [(provider, seen) for seen in listed if seen.remote_id not in known]
        for batch in mine:
            if _is_over(session, provider, batch) and not _is_in(session, provider, batch, listed):
                session.records.save(batch.but(is_given_up=False))


def _is_over(session: Session, provider: Provider, batch: Batch) -> bool:
    """Whether what came of a create cannot run any more."""
    return session.time_at(provider) - batch.intent_at > timedelta(hours=batch.window_hours) + CLOCK_SLACK


def _is_in(session: Session, provider: Provider, batch: Batch, listed: Iterable[Observed]) -> bool:
    """Whether something in a list came of a create that was given up, or may have, and nobody knows of it yet."""
    known = wants.known_in(session.records.batches()).union(batch.refused)
    unknown = (seen for seen in listed if seen.remote_id not in known and not seen.is_refusal)
    try:
        return any(given_up(session, [batch], provider, seen) is not None for seen in unknown)
    except RemoteError:
        return True


def since(batch: Batch) -> datetime:
    """How far back what came of a create that was given up may stand in a list, by the remote's clock."""
    return (batch.given_up_from or batch.intent_at) - CLOCK_SLACK


def _may_be_late(session: Session, batch: Batch) -> bool:
    """Whether a create of its name was given up, and the name is free at the remote or means nothing there."""
    if not batch.is_given_up or batch.origin.provider not in session.project.providers:
        return False
    is_named = session.remotes.card(batch.origin.provider).search is Search.BY_NAME
    return batch.stage is Stage.DROPPED or not is_named


def _can_be_asked(session: Session, origin: Origin) -> bool:
    """Whether the specs still name this remote, it lists what it has, and something was paid for there."""
    if session.remotes.origin(origin.provider) != origin:
        return False  # a person has decided so
    card = session.remotes.card(origin.provider)
    return card.search.can_list and not card.is_free and session.shown(origin).lists is not False


def stop(session: Session, polls: Polls) -> None:
    """Stop and count creates that took effect after they were given up, when their requests had been sent in others.

    They are known by label or upload. One that holds something which nobody has answered goes on, and is noted to be
    adopted (`Session.late`), also where another was refused that for good, or a person is to decide about it; what it
    holds beside is paid for twice, and counted with whoever holds it too. One that nobody wants any more is stopped,
    unless it is of specs that were not read.
    """
    batches = session.records.batches()
    mine = [one for one in batches if one.is_given_up]
    if not mine:
        return
    known = wants.known_in(batches)
    unanswered = cache(lambda: wants.unsettled(session)[0])
    held = cache(lambda: wants.held(session))  # what is stopped or counted below changes neither
    for provider, seen in polls.listed:
        try:
            batch = given_up(session, mine, provider, seen)
        except RemoteError:
            continue  # the next pass looks again
        if batch is None or seen.remote_id in known or seen.is_refusal or seen.remote_id in batch.refused:
            continue
        if batch.stage is Stage.INTENT:
            continue  # it is being sent again: what this is of is found out first
        # What it holds decides. Nothing that anybody wants, or only what was sent in others since: it can do no more
        # than cost, and is stopped. Something that nobody has answered: it is worth its price, and stopping it would
        # mean to pay for that once more. So it runs on, and what it holds beside is said once, with the batch that
        # holds it too.
        keys = keys_of(session, batch)
        free, overlap = unanswered(), common(keys, held())
        if common(free, keys):
            session.late[seen.remote_id] = provider.origin.provider
        is_counted = any(seen.remote_id in one.overlaps for one in session.records.batches())
        if is_counted and seen.phase.has_ended:
            continue
        if not overlap:
            if not common(free, keys) and session.is_about(batch):
                what = "from a create that was given up, and nobody wants its requests any more"
                cancel_duplicate(session, provider, batch, seen, what, 0)
        elif not common(free, keys):
            what = "from a create that was given up, and its requests were sent since"
            cancel_duplicate(session, provider, batch, seen, what, overlap)
        elif not is_counted:
            _count(session, batch, seen, keys)


def _count(session: Session, late: Batch, seen: Observed, keys: bytes) -> None:
    for entry in session.recorded().batches:
        held = entry.keys if entry.batch.is_active else answered(entry.index)
        if entry.batch.origin != late.origin or not (overlap := common(held, keys)):
            continue
        session.records.save(entry.batch.but(overlaps={**entry.batch.overlaps, seen.remote_id: overlap}))
        session.reporter.warn(
            f"{entry.batch.owner}: `{seen.remote_id}` is from a create that was given up, and holds {overlap:,} of the "
            f"requests of `{entry.batch.remote_id}` too: they are paid for twice"
        )


def given_up(session: Session, batches: Iterable[Batch], provider: Provider, seen: Observed) -> Batch | None:
    """The record of a create that was given up, if `seen` came of it.

    Where only results say whose a batch is, one that looks like it is read when it has ended. Raises RemoteError then.
    """
    mine = [one for one in batches if one.is_given_up and one.origin == provider.origin]
    if provider.card.search is not Search.BY_RESULTS:
        return next((one for one in mine if adoption.is_of(one, seen)), None)
    alike = [one for one in mine if adoption.is_like(one, seen, CLOCK_SLACK)]
    if not alike or seen.remote_id in session.known_ids():
        return None
    told = named.proven(session, provider, seen) or b""
    return next((one for one in alike if common(told, keys_of(session, one))), None)


def keys_of(session: Session, batch: Batch) -> bytes:
    """The requests of a batch on record."""
    return session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
