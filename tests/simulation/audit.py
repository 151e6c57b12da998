"""Was the promise kept to recordings? Of a remote that cannot be asked what it took, so what is unsure is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.job.calls import JOURNAL, CallStep
from runner.job.outcomes import Outcome
from runner.plan.remaining import Row
from runner.state.journal import read_states
from tests.simulation.calls import Call, CallRemote
from tests.simulation.checker import settled_lines
from tests.simulation.history import Applier, History, Line
from tests.simulation.memory import SimulatedRecords
from tests.simulation.remote import NEVER, Verdict


@dataclass(slots=True)
class CallHistory(History):
    """The same for recordings. `remote` is unused: what was taken is in `calls`."""

    calls: CallRemote = None  # type: ignore[assignment]  # always given
    policies: list[tuple[float, str]] = field(default_factory=list)  # `on_unknown` of all jobs, from when on
    decided: list[tuple[float, bytes, CallStep, str]] = field(default_factory=list)  # by `runner state resolve`
    cut: set[bytes] = field(default_factory=set)  # open when a process died
    cancelled: set[bytes] = field(default_factory=set)
    counted: int = 0  # possible duplicates in states that were lost
    died_at: list[float] = field(default_factory=list)


def check(history: CallHistory) -> None:
    """Blame the history for every broken promise. To be asked once everything has settled and before it is redeemed."""
    check_duplicates(history)
    _check_attempts(history)
    _check_doubts(history)
    for applier in history.appliers:
        for where, line, state in settled_lines(history, applier):
            _check_line(history, where, line, state)
    for _, states in (one for left in history.states.values() for one in left):
        for state in states:
            if state in (Row.NEW, Row.AGAIN, Row.IN_FLIGHT, Row.OPEN, Row.SHARED):
                history.blame(f"stuck: a recording is {Row(state).name} after everything has settled")


# -- nothing is asked twice without being counted


def check_duplicates(history: CallHistory) -> None:
    unsure = 0
    by_key: dict[bytes, list[Call]] = {}
    for call in history.calls.calls:
        earlier = by_key.setdefault(call.key, [])
        whys = [_why(history, one, call) for one in earlier]
        for one, why in zip(earlier, whys, strict=True):
            if not why:
                history.blame(f"duplicate: {call.key.hex()[:4]} in {call.id}, though {one.id} took it")
        unsure += "unsure" in whys and not _follows_a_failure(earlier, call)
        earlier.append(call)
    counted = history.counted + sum(counted_in(applier) for applier in history.appliers)
    if unsure > counted:
        history.blame(f"duplicate: {unsure} may be twice, and {counted} are counted")


def _follows_a_failure(earlier: list[Call], later: Call) -> bool:
    """Whether what was heard since the last call is why this one was made, and not that nobody knows of that one."""
    since = earlier[-1].sent_at
    return any(one.verdict is not Verdict.OK and since <= one.told_at <= later.sent_at for one in earlier)


def counted_in(applier: Applier) -> int:
    """Possible duplicates as a state tells of them: its records, and the journals of waves that are still open."""
    records, counted = SimulatedRecords(applier.store), 0
    for batch in records.batches():
        path = applier.objects.path(batch.key) / JOURNAL
        counted += read_states(path).repeated if batch.is_active and path.exists() else batch.possible_duplicates
    return counted + sum(one.possible_duplicates for one in records.retries())


def _why(history: CallHistory, earlier: Call, later: Call) -> str:
    """Why a recording might be sent again; `unsure` where that has to be counted, empty where it must not be."""
    key, since, until = earlier.key, earlier.sent_at, later.sent_at
    lost = [one for one in history.forgotten if since <= one.at <= until]
    if lost and key not in lost[-1].kept:
        return "forgotten"
    has_failed = earlier.verdict in (Verdict.FINAL, Verdict.RETRY) and earlier.ends_at <= until
    asked = [one for one in history.asked if key in one.keys and since <= one.at <= until]
    if any(one.replaces for one in asked) or (has_failed and (asked or earlier.verdict is Verdict.RETRY)):
        return "failed"
    decided = [(step, said) for at, one, step, said in history.decided if one == key and since <= at <= until]
    steps = {step for step, _ in decided}
    if CallStep.CLEARED in steps or any(step is CallStep.RECEIPT and said != earlier.id for step, said in decided):
        return "a person was wrong"
    if asked or CallStep.REPEATED in steps or _was_lenient(history, since, until):
        return "unsure"
    return ""


def _was_lenient(history: CallHistory, since: float, until: float) -> bool:
    """Whether the specs allowed to send again what is unsure, at any time in between."""
    ends = [at for at, _ in history.policies[1:]] + [NEVER]
    return any(
        policy == "resubmit" and at <= until and end >= since
        for (at, policy), end in zip(history.policies, ends, strict=True)
    )


def _check_attempts(history: CallHistory) -> None:
    """No recording that failed is sent more often than it may be, unless somebody decided so."""
    failed: dict[bytes, list[Call]] = {}
    for call in history.calls.calls:
        known = failed.setdefault(call.key, [])
        borders = [one.at for one in history.asked if call.key in one.keys] + [one.at for one in history.forgotten]
        counted = [one for one in known if not any(one.sent_at <= at <= call.sent_at for at in borders)]
        if len(counted) >= history.max_attempts:
            history.blame(f"attempts: {call.key.hex()[:4]} had failed {len(counted)} times before {call.id}")
        if call.verdict is Verdict.RETRY and call.told_at < NEVER:
            known.append(call)


def _check_doubts(history: CallHistory) -> None:
    """No recording is sent more often in a row than it may be while nobody knows whether it was taken."""
    for key in {key for _, key in history.calls.unsure}:
        borders = [one.at for one in history.asked if key in one.keys] + [one.at for one in history.forgotten]
        borders += [at for at, one, *_ in history.decided if one == key]
        borders += [call.told_at for call in history.calls.calls if call.key == key and call.told_at < NEVER]
        doubts = [at for at, one in history.calls.unsure if one == key]
        for first in doubts:
            until = min((at for at in borders if at >= first), default=NEVER)
            run = [at for at in doubts if first <= at < until]
            if len(run) > history.max_attempts:
                history.blame(f"attempts: {key.hex()[:4]} was sent {len(run)} times in a row without an answer")
                break


# -- nothing is lost, and nothing is held without a cause


def _check_line(history: CallHistory, where: str, line: Line, state: int) -> None:
    key, name, now = line.key, line.key.hex()[:4], history.world.seconds
    calls = [call for call in history.calls.calls if call.key == key]
    if line.answer is not None and line.answer not in [one.answer for one in calls if one.verdict is Verdict.OK]:
        history.blame(f"outputs: {where}: {name} shows {line.answer}, which nobody answered")
    is_replaced = any(one.replaces and key in one.keys for one in history.asked)  # an older answer is shown meanwhile
    if (state == Row.OK) != (line.answer is not None) and not is_replaced:
        history.blame(f"outputs: {where}: {name} is {Row(state).name}, and its line says {line.answer}")
    if line.is_held != (state == Row.UNKNOWN) and line.answer is None:
        history.blame(f"outputs: {where}: {name} is {Row(state).name}, and its line says otherwise")
    if line.answer is None and not is_replaced:
        for call in calls:
            if call.told_at < NEVER and call.verdict is Verdict.OK and not _may_be_lost(history, call, now):
                history.blame(f"lost: {where}: {call.id} answered {name}, and the output does not show it")
    if state == Row.ERROR and not _is_beyond_help(history, key):
        history.blame(f"given up: {where}: {name} may be asked again, and is not")
    unsure = {one for _, one in history.calls.unsure}
    is_gone = any(call.gone_at <= now or call.known_at > call.taken_at for call in calls)
    unsure |= {one for lost in history.forgotten for one in lost.kept}  # an output said that it was in flight
    if state == Row.UNKNOWN and not (key in unsure | history.cut | history.cancelled or is_gone):
        history.blame(f"held: {where}: {name} is held, and nothing about it was ever unsure")


def _is_beyond_help(history: CallHistory, key: bytes) -> bool:
    """Whether a recording was refused, or has failed as often as it may."""
    told = [call for call in history.calls.calls if call.key == key and call.told_at < NEVER]
    failed = [call for call in told if call.verdict is Verdict.RETRY]
    is_refused = key in history.calls.refused or any(call.verdict is Verdict.FINAL for call in told)
    unheard = [one for _, one in history.calls.unsure if one == key]
    if history.calls.answers_at_once and len(unheard) >= history.max_attempts:
        return True  # so often it was sent, and no reply came
    return is_refused or max(len(failed), _tries_of(history.appliers[0], key)) >= history.max_attempts


def _tries_of(applier: Applier, key: bytes) -> int:
    """In how many waves a recording was to be sent and has no answer: one that is stopped before counts as well."""
    waves = [b for b in SimulatedRecords(applier.store).batches() if b.has_journal and b.index_sha256]
    indexes = [applier.objects.read(f"{wave.key}/index", wave.index_sha256) for wave in waves]
    return sum(
        key + bytes((Outcome.RETRY << 4,)) in {_head(index, at) for at in range(0, len(index), 24)} for index in indexes
    )


def _head(index: bytes, at: int) -> bytes:
    """A key and its outcome, without the file and the place of the line."""
    return index[at : at + 16] + bytes((index[at + 16] & 0xF0,))


def _may_be_lost(history: CallHistory, call: Call, now: float) -> bool:
    """Whether an answer that was handed out may be gone: the state with it, or before it was written down."""
    if any(one.at >= call.told_at for one in history.forgotten) or call.key in history.cancelled:
        return True
    return call.gone_at <= now and any(at >= call.told_at for at in history.died_at)
