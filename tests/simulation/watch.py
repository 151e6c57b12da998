"""What every apply leaves, compared with what the one before left: an outcome once recorded stays."""

from __future__ import annotations

from collections.abc import Sequence

from runner.apply.errors import jobs_in
from runner.apply.result import Result
from runner.apply.session import Session
from runner.job.packed import unpack
from runner.plan.remaining import UNDER_WAY, Row
from tests.simulation.history import Applier, History, lines_in
from tests.simulation.memory import SimulatedRecords
from tests.simulation.remote import Verdict
from tests.simulation.rows import JobSpec

_SETTLED = (Row.OK, Row.ERROR)


def note_outcomes(
    history: History, applier: Applier, specs: Sequence[JobSpec], session: Session, result: Result
) -> None:
    """An outcome changes only where somebody asked again, or the memory was lost."""
    for job, rows in zip(session.desired, result.plan.rows, strict=True):
        if job.address in jobs_in(result.errors):
            continue  # all is not known yet, and it says so
        for ordinal, state in enumerate(rows.states):
            _note(history, applier, bytes(job.keys[16 * ordinal : 16 * ordinal + 16]), state)
    for address in result.written:
        spec = next(spec for spec in specs if spec.address == address)
        # what a job that follows another had written in this apply may be of answers that were asked anew since
        if not spec.after or [line.key for line in lines_in(applier.root / spec.output)] == spec.row_keys():
            _note_answers(history, applier, spec)


def check_files(history: History, applier: Applier, specs: Sequence[JobSpec]) -> None:
    """However an apply ended, each job that has an outcome has its file: every wanted row, and what is known of it."""
    for spec in specs if not history.shares_a_state else ():  # two without a lock may write what neither can read
        known = [_known(history, applier, key) for key in spec.row_keys()]
        answered = known.count(Row.OK)
        if not any(state in _SETTLED for state in known):
            continue
        lines = lines_in(applier.root / spec.output)
        if [line.key for line in lines] != spec.row_keys():
            # What was edited and could not be sent yet: the file shows the answers to what it was before
            if sum(line.answer is not None for line in lines) <= answered:
                history.blame(f"files: {applier.name}: {spec.address} has outcomes, and its file is not of its rows")
            continue
        for line, state in zip(lines, known, strict=True):
            if (state == Row.OK and line.answer is None) or (state == Row.ERROR and line.is_unsettled):
                history.blame(f"files: {applier.name}: {spec.address}: {line.key.hex()[:4]} is settled, and not there")


def _note(history: History, applier: Applier, key: bytes, state: int) -> None:
    before = history.outcomes.get((applier.name, key))
    if before is not None and state in UNDER_WAY and history.may_reopen:
        return  # others of its wave were decided about; it comes back with the same
    if before is not None and before[1] != state and history.is_tame:
        since, was = before
        is_asked = history.asked_since(key, since, replaces=was == Row.OK)
        is_late = was == Row.ERROR and _could_not_be_had(history, key, since, opens=state not in _SETTLED)
        if not is_asked and not is_late and not history.forgotten_since(since, applier.name):
            history.blame(f"changed: {key.hex()[:4]} was {Row(was).name}, is {Row(state).name}")
    if state in _SETTLED:
        history.outcomes[applier.name, key] = history.world.seconds, state
    elif before is not None:
        del history.outcomes[applier.name, key]


def _could_not_be_had(history: History, key: bytes, since: float, *, opens: bool = False) -> bool:
    """Whether a batch says otherwise that was given up or cut before then, as nothing showed it, or not its line yet.

    What was asked instead may be refused; the answer comes home all the same when it can be had. And one that was not
    paid for used up no attempt. opens: while what it says is waited for, it may say anything.
    """
    made = history.remote.batches if history.remote else ()
    otherwise = (Verdict.OK, Verdict.UNPAID)
    asked = [one for one in made if key in one.keys and one.created_at <= since]
    says = [one for one in asked if opens or one.verdict(key) in otherwise]
    return any(key in one.cut_keys or one.named_at > since or one.is_hidden(one.created_at, since) for one in says)


def _known(history: History, applier: Applier, key: bytes) -> int:
    """The outcome that an applier knows of: it was not asked again since, nor forgotten; -1 where there is none."""
    since, state = history.outcomes.get((applier.name, key), (0.0, -1))
    is_asked = state != Row.OK and (history.asked_since(key, since) or _is_asked_elsewhere(history, applier, key))
    is_open = is_asked or (state == Row.ERROR and _may_be_otherwise(history, applier, key, since))
    return -1 if is_open or history.forgotten_since(since, applier.name) else state


def _may_be_otherwise(history: History, applier: Applier, key: bytes, since: float) -> bool:
    """Whether another batch may say more of a request that failed: it could not be had, or has been opened again."""
    return _could_not_be_had(history, key, since) or (
        history.may_reopen
        and any(
            batch.is_active and key in unpack(applier.objects.read(f"{batch.key}/keys", batch.keys_sha256))
            for batch in SimulatedRecords(applier.store).batches()
        )
    )


def _is_asked_elsewhere(history: History, applier: Applier, key: bytes) -> bool:
    """Whether another clone asked it, which knew of no outcome, and this one has taken up its batch."""
    adopted = {batch.remote_id for batch in SimulatedRecords(applier.store).batches() if batch.is_active}
    made = history.remote.batches if history.remote else ()  # no batches are made of single calls
    return any(one.id in adopted and one.who != applier.name and key in one.keys for one in made)


def _was_asked_unseen(history: History, key: bytes, was: str, now: str | None) -> bool:
    """Whether somebody had asked it again while the batch that gave an answer was not shown, or its file was cut.

    There are two then, and of those the newest is shown: the one that was asked for since.
    """
    made = history.remote.batches if history.remote else ()
    gave = [one for one in made if was == one.answer(key)]
    newer = [one.sent_at for one in made if now == one.answer(key)]
    asked = [one.at for one in history.asked if key in one.keys]
    if any(one.is_hidden(at, at) for one in gave for at in asked):
        return True
    return any(key in one.cut_keys and one.over_at <= at <= sent for one in gave for at in asked for sent in newer)


def _note_answers(history: History, applier: Applier, spec: JobSpec) -> None:
    for key, line in zip(spec.row_keys(), lines_in(applier.root / spec.output), strict=True):
        before = history.shown.get((applier.name, key))
        if before is not None and before[1] != line.answer and history.is_tame:
            since, was = before
            is_replaced = any(key in one.keys and one.replaces for one in history.asked)  # the newest answer is shown
            is_known = is_replaced or _was_asked_unseen(history, key, was, line.answer)
            if not is_known and not history.forgotten_since(since, applier.name):
                history.blame(f"changed: the answer to {key.hex()[:4]} was {was}, is {line.answer}")
        if line.answer is not None:
            history.shown[applier.name, key] = history.world.seconds, line.answer
