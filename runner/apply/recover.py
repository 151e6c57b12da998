"""What the remote remembers of this project, when we do not: found before anything is paid for.

Every batch of ours carries a label, or its input file does. So a lost `.runner/`, or a fresh clone, costs nothing where
a remote lists what it has: what is found is read for the requests it holds, and adopted if one of them is needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec
from msgspec.structs import replace

from runner.apply import late, met, named, overlaps, partly, wants
from runner.apply.collect import FILES_SETTLE
from runner.apply.refresh import CLOCK_SLACK, Polls, sweep_duplicates
from runner.apply.session import Session
from runner.errors import BlockedError, RemoteError
from runner.job import lifecycle
from runner.job.capabilities import Search
from runner.job.infile import Run
from runner.job.observed import Observed, Origin
from runner.job.packed import KEY_BYTES, common, union
from runner.job.recorded import REMOTE, Batch, Left, Stage
from runner.plan import adoption
from runner.plan.change import Reason
from runner.plan.plan import Plan
from runner.remotes.vendor import NO_LIST, Provider


class Fate(Enum):
    """What becomes of a remote batch that is ours and not on record."""

    ADOPTED = "adopted"
    NOT_YET = "not yet"  # a batch on record holds the same requests; it may leave them unanswered
    LEFT = "left"


def search_remotes(session: Session, providers: Iterable[str]) -> int:
    """Adopt batches of this project that we do not know and that hold requests we still need; how many.

    Raises RemoteError where a remote cannot be searched: then nothing may be sent to it.
    """
    return sum(_search(session, name) for name in sorted(set(providers)))


_BY_WHAT_IS_SENT = frozenset(
    (Reason.FIRST_RUN, Reason.OVER_BUDGET, Reason.REPAY, Reason.NOT_LOCKED, Reason.NOT_REVIEWED)
)


def to_search(session: Session, plan: Plan) -> set[str]:
    """The providers that are looked through before something is sent.

    Also where a job is blocked by what it would send, or since its remote said too little or refused its list: there
    may be less to send than it looks from here, and the remote may say more by now. And where one was seen to have what
    nobody has answered.
    """
    providers = {job.address: job.provider for job in session.desired if job.card.search.can_list}
    unsure = {job.address for job in plan.jobs if any(change.reason in _BY_WHAT_IS_SENT for change in job.changes)}
    wanted = unsure.union(one.address for one in plan.submissions)
    return {providers[address] for address in wanted if address in providers} | late_at(session)


def late_at(session: Session) -> set[str]:
    """The providers that have a create which was given up, and is to be adopted."""
    known = wants.known_in(session.records.batches()) | session.left_alone
    return {name for remote_id, name in session.late.items() if remote_id not in known}


def is_half_searched(session: Session, name: str) -> bool:
    """Whether a first search of a remote adopted something and did not come to its end: more of ours may lie there."""
    record, origin = session.records.project(), session.remotes.origin(name)
    if record is None or str(origin) in record.recovered_from:
        return False
    return any(batch.is_adopted and batch.origin == origin for batch in session.records.batches())


def half_searched(session: Session) -> set[str]:
    """The providers of jobs whose outcomes may not all be known yet: an earlier search for them was cut off."""
    names = {job.provider for job in session.desired if job.card.search.can_list}
    return {name for name in names if is_half_searched(session, name)}


class _Looking(msgspec.Struct):
    """One search of one remote: how far back it goes, what is still needed, and what came of it."""

    provider: Provider
    began: datetime
    since: datetime | None
    wanted: Run  # not answered, and not in flight
    in_flight: Run
    left: set[str]  # the key sets of batches of ours that nobody wants
    whose: dict[str, Left]
    adopted: int = 0
    is_all: bool = True  # nothing is left that a later search may need
    unread: list[Observed] = msgspec.field(default_factory=list)  # what is in it, the remote does not show yet


def _search(session: Session, name: str) -> int:
    """Look through one remote and adopt what is needed of it; how many batches.

    A batch that holds what another in flight holds too is left for the next search: if that one leaves it unanswered,
    this one may have the answer. Where a batch of ours cannot be read and runs, nothing may be sent, as nobody knows
    what is in it.
    """
    provider = session.remotes.open(name)
    if not provider.card.search.can_list:
        return 0
    taken = 0
    for batch, seen, keys in partly.that_say_more(session, provider):
        _take_all(session, provider, batch, seen, keys)
        taken += 1
    looking = _begun(session, provider)
    looking.adopted = taken
    everything = _listed(session, provider, looking.since)
    if everything is None:
        return looking.adopted
    batches = session.records.batches()
    listed = [
        seen
        for seen in everything
        if provider.is_of(session.project.namespace, seen)
        or late.given_up(session, batches, provider, seen) is not None
    ]
    known = wants.known_in(batches)
    for seen in sorted(listed, key=lambda s: (s.created_at.timestamp() if s.created_at else 0.0, s.remote_id)):
        if seen.remote_id not in known:
            _meet(session, looking, seen)
    _count(session, provider, listed)
    if looking.unread:
        first = looking.unread[0]
        words = f"`{first.remote_id}` is ours, and the remote does not show what it holds"
        if first.phase.has_ended:  # files may come late; where they were deleted, they do not
            minutes = FILES_SETTLE.total_seconds() / 60
            ends = [seen.ended_at for seen in looking.unread if seen.phase.has_ended and seen.ended_at is not None]
            until = max(ends, default=provider.skew + session.clock.now()) - provider.skew + FILES_SETTLE
            until += timedelta(seconds=59)  # in whole minutes it is over then
            raise BlockedError(
                f"{words}: nothing that may be in it is sent before it has ended for {minutes:.0f} minutes, "
                f"at {until.astimezone(UTC):%H:%M} UTC",
                hint="run `runner apply` again then: its files may only come late; were they deleted, as by "
                "`runner prune`, they are taken for gone by that time",
            )
        raise BlockedError(
            f"{words} yet: nothing that may be in it is sent",
            hint="run `runner apply` again when it has ended, or stop it at the remote",
        )
    if looking.is_all:  # else the next search begins where this one did
        _note_search(session, looking)
    return looking.adopted


def _count(session: Session, provider: Provider, listed: Iterable[Observed]) -> None:
    """What of a list is paid for twice is stopped where it runs, and counted."""
    polls = Polls(listed=[(provider, seen) for seen in listed])
    sweep_duplicates(session, session.records.batches(), polls)
    late.stop(session, polls)
    overlaps.count(session, polls)


def _begun(session: Session, provider: Provider) -> _Looking:
    """A search that is about to be made.

    The first one of a remote reads its whole list; a later one goes back to the search before it, less what two clocks
    may differ by, since only others can have sent anything in between. Two things send it back to the beginning:
    requests that nobody wanted when their batch was met, and that are wanted now; and a search that was cut off, since
    it is not noted before its end.
    """
    record, origin = session.records.project(), str(provider.origin)
    assert record is not None
    began, since = session.clock.now(), None
    if origin in record.recovered_from and origin in record.searched_at:
        since = record.searched_at[origin] - CLOCK_SLACK  # others may have sent since then, and before we did
        since = _back_to_doubt(session, provider, since)
    if since is not None and provider.origin.provider in late_at(session):
        since = min([since, *(late.since(one) for one in session.records.batches() if one.is_given_up)])
    wanted, in_flight = wants.unsettled(session)
    left = set(record.left.get(origin, ()))
    if any(common(wanted, session.objects.read_set(name)) for name in left):
        since = None  # it is wanted again
    if since is None:
        left.clear()  # all of them are met again
    return _Looking(provider, began, since, wanted, in_flight, left, dict(record.left_by))


def _meet(session: Session, looking: _Looking, seen: Observed) -> None:
    """Adopt one batch of ours that is not on record, if it is needed; else keep what it holds, or that nobody knows."""
    provider = looking.provider
    if seen.is_refusal and provider.card.search is not Search.BY_NAME:
        return  # it holds nothing; a named one still holds its name
    keys, size = met.keys_held(session, provider, seen)
    if met.may_say_more(session, provider, seen, keys, size):
        looking.unread.append(seen)
        return
    if keys is None:
        session.warn_once(f"contents of {seen.remote_id}", f"`{seen.remote_id}` is ours, but {_what_is_gone(seen)}")
        _note_taken(session, seen)
        return
    match adopt(session, provider, seen, keys, size, looking.wanted, looking.in_flight):
        case Fate.ADOPTED:
            looking.adopted += 1
        case Fate.NOT_YET:
            looking.is_all = False
        case Fate.LEFT:
            session.left_alone.add(seen.remote_id)
            name = session.objects.write_set(keys)
            looking.left.add(name)
            if address := session.project.called_now(seen.label.get("runner_job", "")):
                done = seen.counts.completed if seen.phase.has_ended else len(keys) // KEY_BYTES
                looking.whose[name] = Left(address, done)


def _note_taken(session: Session, seen: Observed) -> None:
    """Another batch of the same requests gets a name of its own."""
    record, (name, attempt) = session.records.project(), adoption.mark_in(seen)
    number = adoption.number(attempt, 0)
    if record is not None and name and number > record.taken.get(name, 0):
        session.records.save(replace(record, taken={**record.taken, name: number}))


def _what_is_gone(seen: Observed) -> str:
    """Why nothing says what a batch of ours holds."""
    if seen.continued_from:
        return f"`{seen.continued_from}`, which it continues, is gone: it is left alone"
    if not seen.result_files:
        return "its input is gone: it is left alone"
    answers = f"the {seen.counts.completed:,} answers it had" if seen.counts.completed else "what it had"
    paid = "can only be asked, and paid for, again, where no results file has them"
    return f"its files were deleted there: {answers} {paid}"


def _note_search(session: Session, looking: _Looking) -> None:
    """A search came to its end: the next one goes back to it."""
    record, origin = session.records.project(), str(looking.provider.origin)
    assert record is not None
    if origin not in record.recovered_from:
        record = replace(record, recovered_from=(*record.recovered_from, origin))
    searched_at = {**record.searched_at, origin: looking.began + looking.provider.skew}  # by the clock of its batches
    lefts = {**record.left, origin: sorted(looking.left)}
    session.records.save(replace(record, searched_at=searched_at, left=lefts, left_by=looking.whose))


def _back_to_doubt(session: Session, provider: Provider, since: datetime) -> datetime | None:
    """A list is read at least as far back as something in it may be in doubt; None: to its end."""
    if provider.card.search is Search.BY_NAME or session.shown(provider.origin).label:
        return since  # what is ours says so
    accounted = session.accounted(provider.origin)
    return min(since, accounted.until - CLOCK_SLACK) if accounted else None


class Elsewhere(msgspec.Struct, frozen=True):
    """What a remote holds that is not on record."""

    keys: bytes = b""  # of what is ours
    is_in_doubt: bool = False  # something may be ours and does not say so, or is and does not say yet what it holds

    def may_hold(self, keys: bytes) -> bool:
        """Whether some of these requests may be paid for there already."""
        return self.is_in_doubt or bool(common(keys, self.keys))


def not_on_record(session: Session, provider: Provider, batches: Sequence[Batch]) -> Elsewhere:
    """What a remote holds that is not on record, as far back as the creates of these that were put off.

    Another clone, or a state that was lost, may have sent it. What this command's own search has looked into and left
    alone is known: the plan asks for those requests again on purpose. Raises RemoteError where the remote cannot be
    searched.
    """
    if not provider.card.search.can_list or session.shown(provider.origin).lists is False:
        return Elsewhere()
    known = wants.known_in(session.records.batches()).union(session.left_alone, *(batch.refused for batch in batches))
    projects = {batch.project for batch in batches}
    record = session.records.project()
    searched = record.searched_at.get(str(provider.origin)) if record else None
    since = min([*(batch.intent_at for batch in batches), *filter(None, [searched])]) - CLOCK_SLACK
    listed = provider.identified(list(provider.batches(_back_to_doubt(session, provider, since))))
    ours = [seen for seen in listed if any(provider.is_of(name, seen) for name in projects)]
    held, is_in_doubt = [], False
    for seen in ours:
        if seen.remote_id in known or seen.is_refusal:
            continue
        keys, is_more = met.told_of(session, provider, seen)
        is_in_doubt |= is_more  # as in a search: what nobody can read yet may be what is to be sent
        if keys is not None and met.is_as_labelled(seen, keys):  # else a search would leave it alone
            held.append(keys)
    _count(session, provider, ours)  # a poll's list may not go back so far
    return Elsewhere(union(held), is_in_doubt or bool(_doubtful(session, provider, listed)))


def _listed(session: Session, provider: Provider, since: datetime | None) -> list[Observed] | None:
    """What the remote lists, and whose it is as far as it says; None where it refuses to list anything.

    What the list shows of batches on record is kept: how far the remote can be searched follows from that.
    """
    try:
        listed = provider.identified(list(provider.batches(since)))
    except RemoteError as error:
        if error.status not in NO_LIST or provider.card.search is Search.BY_NAME:
            raise
        session.note_shown(provider.origin, replace(session.shown(provider.origin), lists=False))
        name = provider.origin.provider
        session.warn_once(f"list of {name}", f"`{name}` refuses to list its batches: {error.message}")
        return None
    if provider.card.search is not Search.BY_NAME:
        by_id = {batch.remote_id: batch for batch in session.records.batches() if _has_receipt(batch)}
        ours = [(by_id[seen.remote_id], seen) for seen in listed if seen.remote_id in by_id]
        session.note_shown(provider.origin, adoption.learned_of_list(session.shown(provider.origin), ours))
        _note_doubt(session, provider, listed)
    return listed


def _note_doubt(session: Session, provider: Provider, listed: Sequence[Observed]) -> None:
    """Keep how many of these may be ours and are not on record, and where there is none that all is accounted for."""
    origin = provider.origin
    shown, number = session.shown(origin), len(_doubtful(session, provider, listed))
    session.note_shown(origin, replace(shown, nameless=number))
    session.to_account[origin] = adoption.accounting(listed, shown, session.accounted(origin), CLOCK_SLACK)
    if not number:
        session.account(origin)


def accept(session: Session, origins: Iterable[Origin]) -> None:
    """A person said that what is in doubt at these remotes is somebody else's: it is not asked about again.

    Nor is what appears there while this command goes on: on a busy account there is something at each look.
    """
    for origin in origins:
        if session.shown(origin).nameless:
            session.note_shown(origin, replace(session.shown(origin), nameless=0))
            session.account(origin)
            session.accepted.add(origin)


def _doubtful(session: Session, provider: Provider, listed: Sequence[Observed]) -> tuple[str, ...]:
    """What may be ours of a list, was made since all there was accounted for, and is not on record."""
    origin = provider.origin
    if provider.card.search is Search.BY_NAME or origin in session.accepted:
        return ()
    known = _met(session, listed)
    found = adoption.doubtful(listed, session.shown(origin), known, session.accounted(origin), CLOCK_SLACK)
    if provider.card.search is not Search.BY_RESULTS:
        return found
    by_id = {seen.remote_id: seen for seen in listed}  # what names others in its results is a stranger's
    return tuple(one for one in found if named.proven(session, provider, by_id[one]) != b"")


def _met(session: Session, listed: Sequence[Observed]) -> set[str]:
    """The remote ids of all that is on record in any way; what may be of a batch that is held is asked about there.

    Only one can be, of as many rows as it has: whatever else was like it then may be of another create of ours.
    """
    batches = session.records.batches()
    known = session.known_ids().union(*((*batch.refused, *batch.overlaps) for batch in batches))
    for batch in batches:
        if batch.stage is Stage.HELD:
            alike = (seen for seen in listed if seen.counts.total in (0, batch.rows))
            ids = (seen.remote_id for seen in alike if seen.remote_id in batch.candidates)
            known.update([one for one in ids if one not in known][:1])
    return known


def _has_receipt(batch: Batch) -> bool:
    """Whether the remote's own answer said that this is ours."""
    return bool(batch.remote_id) and not batch.found_in


def adopt(
    session: Session, provider: Provider, seen: Observed, keys: bytes, size: int, wanted: Run, in_flight: Run
) -> Fate:
    """Record one remote batch of ours that holds these keys, if it is needed."""
    if not common(wanted, keys):
        return Fate.NOT_YET if common(in_flight, keys) else Fate.LEFT
    if size and not met.is_as_labelled(seen, keys):  # results may name fewer
        session.reporter.warn(f"`{seen.remote_id}` carries our label, but holds other requests: it is left alone")
        return Fate.LEFT
    _take(session, provider, seen, keys, size)
    return Fate.ADOPTED


def _take_all(session: Session, provider: Provider, batch: Batch, seen: Observed, keys: bytes) -> None:
    """Record all the requests of one that was adopted with fewer, in its place: at once, and whatever a list shows."""
    there = lifecycle.found_again(batch, seen, session.time_at(provider)).but(remote_id="")
    dropped = lifecycle.dropped(there, f"`{seen.remote_id}` holds more than it was adopted with")
    _take(session, provider, seen, keys, 0, dropped)


def _take(session: Session, provider: Provider, seen: Observed, keys: bytes, size: int, *beside: Batch) -> None:
    """Record one remote batch of ours that holds these keys, and in the same write what else changes."""
    card, origin = provider.card, provider.origin
    sha256 = hashlib.sha256(keys).hexdigest()
    project = session.records.project()
    assert project is not None
    generation = adoption.epoch_of(seen)
    attempt = _free_attempt(session, sha256, adoption.number(seen.label.get("runner_attempt", ""), 1), seen.remote_id)
    created = seen.created_at or session.clock.now()
    key = f"{sha256[:16]}-{attempt}"
    batch = Batch(
        key=key,
        project=project.name,
        owner=session.project.called_now(seen.label.get("runner_job", "")) or wants.who_wants(session, origin, keys),
        origin=origin,
        endpoint=seen.endpoint,
        model="",
        window_hours=seen.window_hours or 24,
        rows=len(keys) // 16,
        size_bytes=size,
        keys_sha256=sha256,
        attempt=attempt,
        generation=generation,
        sequence=project.next_sequence,
        intent_at=created,
        continued_from=seen.continued_from,
        parents=tuple(p for p in seen.label.get("runner_parent", "").split(",") if p),
        upload_ref=seen.input_ref,
        uploaded_at=created,
        create_tries=1,
        content=card.content,
        delivery=card.delivery,
        found_in=REMOTE,
        # else it holds more than is known, and all of that would be asked again
        can_be_continued=met.is_as_labelled(seen, keys),
    )
    if (dropped := session.records.batch(key)) is not None:
        batch = _with_sums_of(dropped, batch)
    batch = lifecycle.submitted(batch, seen, created)
    session.objects.write(f"{batch.key}/keys", keys)
    session.records.save(
        *beside,
        batch,
        replace(project, next_sequence=project.next_sequence + 1, generation=max(project.generation, generation)),
    )
    session.reporter.step(
        f"{batch.owner}: adopted `{seen.remote_id}` ({batch.rows:,} request{'s' * (batch.rows != 1)}, {seen.phase})"
    )


def _with_sums_of(dropped: Batch, batch: Batch) -> Batch:
    """A batch that is recorded over a create of its name which was given up: what was counted with that one counts on.

    Another create of the name may take effect late as well.
    """
    return batch.but(
        possible_duplicates=dropped.possible_duplicates,
        duplicates=tuple(one for one in dropped.duplicates if one != batch.remote_id),
        duplicate_rows=dropped.duplicate_rows,
        refused=dropped.refused,
        overlaps=dropped.overlaps,
        is_given_up=dropped.is_given_up,
        given_up_from=dropped.given_up_from,
    )


def _free_attempt(session: Session, sha256: str, attempt: int, remote_id: str) -> int:
    """The attempt that its label says, or the next free one where another remote batch already goes by it."""
    while (taken := session.records.batch(f"{sha256[:16]}-{attempt}")) and (
        taken.stage is not Stage.DROPPED and taken.remote_id != remote_id
    ):
        attempt += 1
    return attempt
