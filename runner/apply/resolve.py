"""Requests and batches of which nobody knows whether the remote took them: found for a person, and decided about."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from runner.apply import calls
from runner.apply.session import Session
from runner.apply.work import Work
from runner.compile.audio import CompiledAudio
from runner.errors import UsageError
from runner.job import lifecycle
from runner.job.address import matches, unknown
from runner.job.calls import CallEntry, CallStep, States
from runner.job.capabilities import Content
from runner.job.packed import KEY_BYTES, common, union, unpack, without
from runner.job.recorded import Batch, Stage
from runner.plan.remaining import RetryRows

LONGEST_NAME = 512  # characters of a remote's name


class HeldCall(msgspec.Struct, frozen=True):
    """One call that waits for a decision. `name` is what a user calls it: a path, a row's id, else its key as hex."""

    batch: Batch
    number: int  # in its batch
    key: bytes
    name: str
    remote_id: str  # where the remote had taken it; empty where that is what nobody knows


class Decision(msgspec.Struct, frozen=True):
    """What a person says: RECEIPT (the remote has it under this id), CLEARED (it has not) or REPEATED (ask again)."""

    step: CallStep
    remote_id: str = ""  # of a receipt; empty: each under the id that is on record for it
    account: str = ""  # of a receipt; empty: as the other receipts say


def held_batches(session: Session, address: str) -> list[Batch]:
    """Batches of which nobody knows whether the remote took them, that hold requests of the jobs meant."""
    meant = [session.keys_of(job) for job in session.desired if matches(job.address, address)]
    asked = union([session.objects.read_set(retry.keys_object) for retry in session.records.retries()])
    return [
        batch
        for batch in session.records.batches()
        if batch.stage is Stage.HELD
        and _waits(session, batch, asked)
        and (matches(batch.owner, address) or any(common(_keys_of(session, batch), keys) for keys in meant))
    ]


def _keys_of(session: Session, batch: Batch) -> bytes:
    return session.objects.read(f"{batch.key}/keys", batch.keys_sha256)


def _waits(session: Session, batch: Batch, asked: bytes) -> bool:
    """Whether not all of it was asked again by `retry` since."""
    later = [retry for retry in session.records.retries() if retry.generation > batch.generation]
    return not later or bool(without(_keys_of(session, batch), asked))


def resolve_batches(
    session: Session, found: Sequence[Batch], names: Collection[str], decision: Decision
) -> list[Batch]:
    """Decide about these batches, or about those of these names; as recorded afterwards.

    Under the project's lock. Raises UsageError for a receipt that cannot be.
    """
    meant = [batch for batch in found if not names or batch.key in names]
    remote_id = decision.remote_id if decision.step is CallStep.RECEIPT else ""
    if decision.step is CallStep.RECEIPT:
        if not remote_id:
            raise UsageError(
                "no id is on record for it", hint="give it with `--adopt REMOTE_ID`; each apply looks again"
            )
        if len(meant) != 1:
            raise UsageError(f"`--adopt` is about one batch; {len(meant):,} are held: name one with `--row`")
        if not remote_id.isprintable() or not remote_id.strip() or len(remote_id) > LONGEST_NAME:
            raise UsageError("`--adopt` takes the id that the remote gave the batch")
        if remote_id in session.known_ids():
            raise UsageError(f"`{remote_id}` is on record as another batch")
    is_again = decision.step is CallStep.REPEATED
    decided = [
        lifecycle.decided(batch, remote_id=remote_id, is_sent_again=is_again, now=session.clock.now())
        for batch in meant
    ]
    session.records.save(*decided)
    return decided


def held(session: Session, address: str) -> list[HeldCall]:
    """What waits for a decision, of the jobs that `address` means; by batch and name. Changes nothing.

    Raises UsageError when there is no such job, neither in the specs nor on record; StateError for a damaged journal.
    """
    retries = session.recorded().retries
    found = [
        one
        for batch in _batches_of_calls(session, address)
        for one in sorted(_held_of(session, batch, retries), key=lambda one: one.name)
    ]
    wanted = union([session.keys_of(job) for job in session.desired if matches(job.address, address)])
    strangers = set(unpack(without(b"".join(sorted({one.key for one in found})), wanted)))
    return [one for one in found if matches(one.batch.owner, address) or one.key not in strangers]


def resolve(session: Session, address: str, rows: Collection[str], decision: Decision) -> list[HeldCall]:
    """Decide about what `held` finds, or about those of these names; the calls decided about.

    Under the project's lock. The next apply sends them or looks at them, and asks nothing more.
    Raises UsageError for a name that is not held, and for a receipt that cannot be.
    """
    meant = _named(session, address, held(session, address), rows)
    if decision.step is CallStep.RECEIPT and any(one.batch.content is not Content.RECORDING for one in meant):
        raise UsageError(
            "a request that is answered at once has no id at the remote", hint="say `--clear` or `--resubmit`"
        )
    if decision.step is CallStep.RECEIPT and not decision.remote_id:
        meant = _with_ids(meant, rows)
    elif decision.step is CallStep.RECEIPT and len(meant) != 1:
        few = f"{len(meant):,} are held: name one with `--row`" if meant else f"nothing of `{address}` is held"
        raise UsageError(f"`--adopt` is about one recording; {few}")
    by_batch: dict[str, list[HeldCall]] = {}
    for one in meant:
        by_batch.setdefault(one.batch.key, []).append(one)
    for mine in by_batch.values():
        _decide(session, mine, decision)
    return meant


def _with_ids(meant: Sequence[HeldCall], rows: Collection[str]) -> list[HeldCall]:
    """Those that the remote gave an id. Raises UsageError where that is none, or not all that were named."""
    known = [one for one in meant if one.remote_id]
    if meant and (not known or (rows and len(known) < len(meant))):
        nameless = ", ".join(f"`{one.name}`" for one in meant[:5] if not one.remote_id)
        raise UsageError(f"no id is on record for {nameless}", hint="give it with `--row ID --adopt REMOTE_ID`")
    return known


def _decide(session: Session, meant: Sequence[HeldCall], decision: Decision) -> None:
    batch = meant[0].batch
    with Work(session, batch) as work:
        if decision.step is CallStep.RECEIPT and not decision.remote_id:
            accounts = {one.number: work.journal.states[one.number].account for one in meant}
            entries = [CallEntry(one.number, CallStep.RECEIPT, one.remote_id, accounts[one.number]) for one in meant]
        elif decision.step is CallStep.RECEIPT:
            _check_free(session, work, decision.remote_id)
            account = decision.account or _account(session, work)
            entries = [CallEntry(meant[0].number, CallStep.RECEIPT, decision.remote_id, account)]
        else:
            entries = [CallEntry(one.number, decision.step) for one in meant]
        if batch.stage is Stage.COLLECTED:
            calls.reopen(session, batch)  # first: an open batch with held ones is brought home again, a home one is not
        work.journal.append(*entries)


def _check_free(session: Session, work: Work, remote_id: str) -> None:
    """One answer is of one recording. Raises UsageError."""
    if not remote_id.isprintable() or not remote_id.strip() or len(remote_id) > LONGEST_NAME:
        raise UsageError("`--adopt` takes the id that the remote gave the recording")
    for number in _known_as(work.journal.states, remote_id):
        raise UsageError(f"`{remote_id}` is `{work.name(number)}`, which is not held")
    for other, states in _other_batches(session, work):
        for _ in _known_as(states, remote_id):
            raise UsageError(f"`{remote_id}` is a recording of the calls batch `{other.key}`, which is not held")


def _known_as(states: States, remote_id: str) -> Iterator[int]:
    numbers = (number for step in (CallStep.RECEIPT, CallStep.ANSWERED) for number in states.at(step))
    return (number for number in numbers if states[number].remote_id == remote_id)


def _other_batches(session: Session, work: Work) -> Iterator[tuple[Batch, States]]:
    """The other calls batches of its origin that were begun, and what is known of them."""
    for other in session.records.batches():
        is_other = other.has_journal and other.key != work.batch.key and other.origin == work.batch.origin
        if is_other and (states := session.memory.states(other.key)) is not None:
            yield other, states


def _account(session: Session, work: Work) -> str:
    """Whose recordings the others of the batch are, or of other batches of its origin.

    Raises UsageError where nobody says, or not all the same.
    """
    known = _accounts(work.journal.states)
    if not known:
        known = known.union(*(_accounts(states) for _, states in _other_batches(session, work)))
    if len(known) != 1:
        raise UsageError("it is not known whose recording that is", hint="give the remote's account with `--account`")
    return known.pop()


def _accounts(states: States) -> set[str]:
    taken = (states[number].account for step in _TAKEN for number in states.at(step))
    return {account for account in taken if account}


_TAKEN = (CallStep.RECEIPT, CallStep.ANSWERED, CallStep.HELD)  # the remote gave an id, or may have given one


def _batches_of_calls(session: Session, address: str) -> list[Batch]:
    """Calls batches that may hold something of the jobs meant. Raises UsageError when no job is meant."""
    batches = session.records.batches()
    known = [job.address for job in session.desired] + [batch.owner for batch in batches]
    if not any(matches(one, address) for one in known):
        raise unknown(address, known)
    return [batch for batch in batches if batch.has_journal and batch.stage in (Stage.SUBMITTED, Stage.COLLECTED)]


def _held_of(session: Session, batch: Batch, retries: Sequence[RetryRows]) -> Iterator[HeldCall]:
    states = session.memory.states(batch.key)
    if states is None or not states.count(CallStep.HELD):
        return
    keys = session.objects.read(f"{batch.key}/keys", batch.keys_sha256)
    later = [set(unpack(retry.keys)) for retry in retries if retry.generation > batch.generation]
    with Work(session, batch) as work:
        for number in states.at(CallStep.HELD):
            key = keys[number * KEY_BYTES : (number + 1) * KEY_BYTES]
            if not any(key in asked for asked in later):  # else it was decided by `retry`
                yield HeldCall(batch, number, key, work.name(number), states[number].remote_id)


def _jobs(session: Session, address: str) -> list[tuple[str, CompiledAudio]]:
    return [
        (one, compiled)
        for one, compiled in session.compiled.items()
        if isinstance(compiled, CompiledAudio) and matches(one, address)
    ]


def _named(session: Session, address: str, found: Sequence[HeldCall], rows: Collection[str]) -> list[HeldCall]:
    """Those of these names; all without one. Equal recordings are one, by either name. Raises UsageError."""
    if not rows:
        return list(found)
    names: dict[str, set[bytes]] = {row: {one.key for one in found if one.name == row} for row in rows}
    for _, compiled in _jobs(session, address):
        for ordinal, key in enumerate(unpack(compiled.wanted.keys[:])):
            if (path := compiled.files[ordinal].path) in names:
                names[path].add(key)
    held_keys = {one.key for one in found}
    if unknown := [f"`{row}`" for row, keys in names.items() if not keys & held_keys]:
        raise UsageError(
            f"{', '.join(unknown)} of `{address}` {'is' if len(unknown) == 1 else 'are'} not held",
            hint=f"`runner state resolve {address}` lists what is",
        )
    meant = set[bytes]().union(*names.values())
    return [one for one in found if one.key in meant]
