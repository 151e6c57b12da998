"""Was the promise kept? Read from the remote's own record and the files a user gets, by rules of its own."""

from __future__ import annotations

from collections.abc import Iterator

from runner.apply.collect import FILES_SETTLE
from runner.job.observed import Phase
from runner.job.recorded import JobRecord, Stop
from runner.plan.remaining import Row
from tests.simulation.history import Applier, Asked, History, Line, lines_in
from tests.simulation.memory import SimulatedRecords
from tests.simulation.remote import NEVER, RemoteBatch, Verdict

LOOK_BACK = 1200.0  # seconds before an intent that a list is read back to
CLOCKS_DIFFER = 300.0  # seconds, at most, that nobody can know of
PATIENCE = 10_000.0  # seconds in which a batch that takes too long is stopped, by somebody who looks now and then
A_SENDING = 60.0  # seconds from one create to the next of the same pass, at most


def check(history: History) -> None:
    """Blame the history for every broken promise. To be asked once everything has settled and before it is redeemed."""
    _check_duplicates(history)
    _check_twins(history)
    _check_stopped(history)
    _check_stragglers(history)
    _check_online(history)
    for applier in history.appliers:
        _check_outputs(history, applier)
    _check_attempts(history)


# -- nothing is asked twice


def twins_of(history: History) -> set[str]:
    """Duplicates that were found, cancelled and counted."""
    return {
        duplicate
        for applier in history.appliers
        for batch in SimulatedRecords(applier.store).batches()
        for duplicate in (*batch.duplicates, *batch.overlaps)
    }


def _check_duplicates(history: History) -> None:
    twins = twins_of(history)
    is_sure = not history.runs_late and not (history.forgotten and _may_hold_unnamed(history))
    if twins and history.is_tame and not history.is_hasty and is_sure:
        history.blame(f"duplicate: one applier, a list in time, and yet twins: {', '.join(sorted(twins))}")
    now = history.world.seconds
    by_key: dict[bytes, list[RemoteBatch]] = {}
    for batch in history.remote.batches:
        if batch.created_at > now or batch.was_deferred:
            continue
        for key in batch.keys:
            for earlier in by_key.setdefault(key, []):
                why = _why_not(history, key, earlier, batch)
                if why and not _is_excused(history, key, earlier, batch, twins):
                    history.blame(f"duplicate: {key.hex()[:4]} in {batch.id}, though {earlier.id} {why}")
            by_key[key].append(batch)


def _why_not(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch) -> str:
    """Why a request must not have been sent again; empty where it might."""
    if any(
        earlier.sent_at <= one.at <= later.sent_at and _is_lifted(history, key, earlier, later, one)
        for one in history.asked
    ):
        return ""
    if history.accepted(earlier, later) or _knew_of_no_decision(history, key, earlier, later):
        return ""
    lost = [one for one in history.forgotten if one.who == later.who and earlier.sent_at <= one.at <= later.sent_at]
    is_unknown = bool(lost) and key not in lost[-1].kept
    if is_unknown and has_lost_its_root(history, earlier, later.sent_at):
        return ""  # nothing at the remote says any more which requests it holds
    if is_unknown and _names_it_nowhere(history, key, earlier, later.sent_at):
        return ""
    if is_unknown and _is_taken_for_another(history, earlier):
        return ""
    if is_unknown and earlier.verdict(key) is not Verdict.OK and _was_pruned(history, earlier, later.sent_at):
        return ""
    if (
        lost
        and (history.is_hasty or not history.is_tame)
        and not _could_be_listed(history, earlier, later, lost[-1].at)
    ):
        return ""  # no list showed it yet when the state that knew of it was gone
    if is_unknown and _was_hidden_since(history, earlier, later, lost[-1].at):
        return ""  # nothing here knew of it any more, and the remote answered as if it were not there
    if earlier.created_at > later.sent_at or later.sent_at < earlier.over_at:
        return "held it"
    if earlier.failure is not None and not earlier.was_cancelled and not earlier.is_final_refusal:
        return ""  # of the remote's own trouble, or for money: nothing was asked
    if earlier.is_final_refusal and (
        _is_unheard(history, earlier, later.sent_at) or _is_known_by_nothing(history, earlier)
    ):
        return ""  # refused before anybody heard of it, and nothing shows that it was ours
    if earlier.is_final_refusal and history.remote.deleted_at.get(earlier.input_ref, NEVER) < earlier.over_at:
        return ""  # its input was taken away before it was refused: so a refusal says that nothing came of its create
    if earlier.failure is not None and not earlier.was_cancelled:
        is_forgotten = lost and not (history.remote.habits.is_named and later.sent_at < earlier.gone_at)
        return "" if is_forgotten else "was refused as a whole"
    if later.sent_at >= min(earlier.gone_at, earlier.files_gone_at) and is_unknown:
        return ""
    if later.sent_at >= earlier.gone_at and not _was_recorded(history, earlier):
        return ""  # the create was never answered, and it is not there any more
    match earlier.verdict(key):
        case Verdict.OK:
            return "had answered it"
        case Verdict.FINAL if _was_told_too_late(history, key, earlier, later):
            return ""
        case Verdict.FINAL:
            return "had refused it for good" if later.sent_at < earlier.gone_at or not lost else ""
        case Verdict.NONE if earlier.was_cancelled and _is_asked_anew(history, earlier):
            return ""
        case Verdict.NONE if earlier.was_cancelled:
            is_unknown = earlier.who != later.who or _is_unheard(history, earlier, later.sent_at)
            is_nowhere = is_unknown and _names_it_nowhere(history, key, earlier, later.sent_at)
            return "" if is_nowhere else "was stopped before it answered"
        case _:
            return ""


def _is_unheard(history: History, batch: RemoteBatch, now: float) -> bool:
    """Whether nothing tells that a batch came of a create without an answer: by then it was on no record either."""
    return batch.is_unheard and not any(at <= now for at in history.world.recorded.get(batch.id, ()))


def _is_known_by_nothing(history: History, batch: RemoteBatch) -> bool:
    """Whether it may have been held for the batch of a create without an answer, and had no results to say so."""
    return batch.is_unheard and history.remote is not None and history.remote.habits.by_results


def _was_pruned(history: History, batch: RemoteBatch, now: float) -> bool:
    """Whether what said which rows it has not answered was deleted, as a person had asked: their lines, or its input.

    From then on nothing but the memory tells which were refused or stopped: outputs are read back for answers alone.
    """
    has_no_lines = not batch.says_silence or batch.failure is not None
    if batch.input_ref in history.remote.deleted_uploads and has_no_lines:
        return True
    return history.remote.deleted_files.get(f"{batch.id}/error", NEVER) <= now


def _is_taken_for_another(history: History, batch: RemoteBatch) -> bool:
    """Whether a memory that never knew of it holds it for the one batch of another create, of as many rows.

    It has one whose outcome it does not know, and nothing tells the two apart.
    """
    return any(
        batch.id in one.candidates and one.rows == len(batch.keys)
        for applier in history.appliers
        for one in SimulatedRecords(applier.store).batches()
    )


def _was_told_too_late(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch) -> bool:
    """Whether a request was asked again when a batch had been over for as long as files with refusals may take, and had
    not named its own: it is not looked into any more then."""
    late_seconds = history.appliers[0].provider.card.late_seconds
    since = (one.sent_at for one in history.remote.batches if key in one.keys and one is not earlier)
    return any(earlier.over_at + late_seconds < at < earlier.named_at for at in since if at <= later.sent_at)


def _is_lifted(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch, asked: Asked) -> bool:
    """Whether a decision to ask again is about what became of a request in this batch.

    What is in flight is not asked again, and what was answered only on purpose, or where the answer is gone. One that
    nothing shows is gone as long as that lasts: it is looked for by the decision, and again before anything is sent.
    When it is back by then and brought no answer, the decision stands, as it does for all that had none.
    """
    if key not in asked.keys:
        return False
    if asked.replaces or _is_unheard(history, earlier, asked.at):
        return True
    if not history.is_tame and earlier.verdict(key) is not Verdict.OK:
        return True
    began = _began_to_send(history, later)
    if earlier.is_hidden(asked.at - A_SENDING, asked.at):
        brought_nothing = earlier.over_at <= began and earlier.verdict(key) is not Verdict.OK
        if earlier.is_hidden(began - A_SENDING, later.sent_at) or brought_nothing:
            return True
    is_gone = min(earlier.gone_at, earlier.files_gone_at) <= asked.at or key in earlier.cut_keys
    return earlier.over_at <= asked.at and (is_gone or earlier.verdict(key) is not Verdict.OK)


def _knew_of_no_decision(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch) -> bool:
    """Whether another clone asked it in an older generation than the one in which a person wants it answered anew.

    He said so in the clone that asks it now, and no answer of an older generation settles it there, however late it
    came: what is wanted anew is no mistake.
    """
    if earlier.who == later.who or earlier.over_at > later.sent_at:
        return False
    return any(
        one.replaces
        and key in one.keys
        and one.who == later.who
        and _generation_of(earlier) < one.generation <= _generation_of(later)
        and not history.forgotten_since(one.at, one.who)
        for one in history.asked
    )


def _generation_of(batch: RemoteBatch) -> int:
    return int(batch.label.get("runner_generation", "0"))


def _could_be_listed(history: History, earlier: RemoteBatch, later: RemoteBatch, since: float) -> bool:
    """Whether a search since a state was lost could find the earlier one; so it is where none was made."""
    searches = [
        one.began
        for one in history.remote.lists
        if one.who == later.who and since <= one.began and one.ended <= later.sent_at
    ]
    return not searches or earlier.listed_at <= searches[-1]


def _was_hidden_since(history: History, earlier: RemoteBatch, later: RemoteBatch, since: float) -> bool:
    """Whether the remote hid the earlier one in every list that was asked for since a state was lost, or put back."""
    lists = [
        one
        for one in history.remote.lists
        if one.who == later.who and since <= one.began and one.ended <= later.sent_at
    ]
    return bool(lists) and all(earlier.is_hidden(one.began, one.ended) for one in lists)


def _was_recorded(history: History, batch: RemoteBatch) -> bool:
    """Whether somebody had its id on record while it was there."""
    return any(batch.created_at <= at < batch.gone_at for at in history.world.recorded.get(batch.id, ()))


def has_lost_its_root(history: History, batch: RemoteBatch, now: float) -> bool:
    """Whether a batch that continues others cannot be told apart from them any more.

    It has no input of its own: what it holds is what its parents left. Where one is gone from the remote, and from our
    records, or says nowhere what it held, an apply says that it leaves the batch alone, and asks anew.
    """
    while batch.continued_from:
        then = [one for one in history.remote.batches if one.id == batch.continued_from and one.is_there(batch.sent_at)]
        if not then or not then[0].is_there(now) or then[0].was_cancelled or then[0].files_gone_at <= now:
            return True  # one that was made again under its name is another
        if any(_names_it_nowhere(history, key, then[0], now) for key in batch.keys):
            return True  # neither an input nor a result of it names what it left, as where it failed as a whole
        batch = then[0]
    return False


def _names_it_nowhere(history: History, key: bytes, batch: RemoteBatch, now: float) -> bool:
    """Whether a batch whose input cannot be read had ended, and none of its result lines was about this request."""
    if not _may_hold_unnamed(history) or batch.continued_from or now < batch.over_at:
        return False
    is_silent = batch.verdict(key) is Verdict.NONE and not batch.says_silence
    has_waited = now - batch.over_at > FILES_SETTLE.total_seconds() - CLOCKS_DIFFER
    is_cut = batch.is_cut(key, now - A_SENDING) and has_waited
    return is_silent or is_cut or batch.failure is not None


def _may_hold_unnamed(history: History) -> bool:
    """Whether what a batch holds is only known by what its results name."""
    return history.remote.habits.is_inline and not history.remote.habits.keeps_input


def _is_excused(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch, twins: set[str]) -> bool:
    if history.is_hasty and {earlier.id, later.id} & history.world.duplicates.keys():
        return True  # nobody could see it; then it was found, stopped, counted and shown
    if history.runs_late and _is_late(history, earlier):
        is_paid_once = earlier.failure is not None or later.verdict(key) is Verdict.NONE
        if history.remote.habits.by_results and Verdict.FINAL in (earlier.verdict(key), later.verdict(key)):
            is_paid_once = True  # nothing said whose it is while it ran, and what one refused the other may answer
        return is_paid_once or bool({earlier.id, later.id} & twins) or _says_nothing_yet(history, earlier)
    if history.is_tame:
        return False
    if earlier.failure is not None or (later.failure is not None and not later.was_cancelled):
        return True  # one holds nothing, and may not have been seen; of the other nothing was asked
    if history.forgotten_since(later.sent_at, later.who):
        return True  # what was found then is forgotten
    if {earlier.id, later.id} & twins:
        return True
    if earlier.who != later.who and _names_it_nowhere(history, key, earlier, later.sent_at):
        return True  # to another clone it is as to one that has lost its state
    if _can_be_counted(history, key, earlier, later):
        return False
    if later.is_unwanted and later.was_cancelled:
        return True  # a person stopped it, so the other one goes on
    if earlier.created_at < later.sent_at - LOOK_BACK:
        return True  # made before the younger one's time, and older than what is looked at
    if not _was_listed_with(history, earlier, later):
        return True  # nobody could see both
    return _did_not_meet(history, earlier, later)


def _can_be_counted(history: History, key: bytes, earlier: RemoteBatch, later: RemoteBatch) -> bool:
    """Whether two clones have each an answer, and whoever sent the later one met both when nothing went wrong any more.

    However they came to be sent, it is known then that they are paid for twice, and has to be counted.
    """
    if history.shares_a_state or earlier.who == later.who or earlier.id == later.id:
        return False
    if earlier.continued_from or later.continued_from:
        return False
    if any(_says_nowhere_whose(history, one) for one in (earlier, later)):
        return False
    if any(one.verdict(key) is not Verdict.OK or key in one.cut_keys for one in (earlier, later)):
        return False
    readable = max(earlier.over_at, earlier.named_at) + earlier.files_after
    return any(
        one.who == later.who and one.is_calm and {earlier.id, later.id} <= one.ids and one.began >= readable
        for one in history.remote.lists
    )


def _says_nowhere_whose(history: History, batch: RemoteBatch) -> bool:
    """Whether a batch that shows no label of ours was known by its upload, and that was taken away: it is a stranger's.

    Whoever gives up a create takes its input away, and knows of it; another clone, or a memory that is new, does not.
    """
    return history.remote.habits.label != "ours" and batch.input_ref in history.remote.deleted_uploads


def _is_late(history: History, batch: RemoteBatch) -> bool:
    """Whether a create took effect, or was listed, when nobody had to wait for it any more."""
    return batch.listed_at - batch.sent_at > history.appliers[0].provider.card.consistency_seconds


def _says_nothing_yet(history: History, batch: RemoteBatch) -> bool:
    """Whether only its results say whose a batch is, and no list showed it since there are any: it is counted then."""
    lists = history.remote.lists
    return history.remote.habits.by_results and not any(
        batch.id in one.ids and one.began >= batch.named_at for one in lists
    )


def _was_listed_with(history: History, earlier: RemoteBatch, later: RemoteBatch) -> bool:
    """Whether somebody who sent the later one asked for a list while both were in it."""
    since, until = max(earlier.listed_at, later.listed_at), min(earlier.gone_at, later.gone_at)
    mine = [one for one in history.remote.lists if one.who == later.who]
    if any(one.began > later.sent_at and one.oldest <= earlier.created_at for one in mine):
        # a command reads back once, as far as what it gave up; what is listed after that, the next command sees
        mine = [one for one in mine if one.oldest <= earlier.created_at]
    return any(
        since <= one.began < until and not any(batch.is_hidden(one.began, one.ended) for batch in (earlier, later))
        for one in mine
    )


def _did_not_meet(history: History, earlier: RemoteBatch, later: RemoteBatch) -> bool:
    """Whether whoever sent the later one could not see the earlier before, and it is none of its twins.

    Two that share a state and hold no lock go on with plans of their own, and with what came of them.
    """
    if history.shares_a_state:
        return True
    if earlier.who == later.who and _mark(earlier) == _mark(later):
        return False  # it is known by its label, whenever it is seen
    began = _began_to_send(history, later)
    polls = [one for one in history.remote.lists if one.who == later.who and one.ended <= began]
    if not polls or earlier.listed_at > polls[-1].began or earlier.is_hidden(polls[-1].began, polls[-1].ended):
        return earlier.who != later.who or _was_recorded(history, earlier)
    if earlier.who == later.who:
        return False
    is_gone = min(earlier.gone_at, earlier.files_gone_at) <= later.sent_at
    is_hidden = history.remote.habits.is_named and earlier.was_cancelled  # in all but the first list
    return is_gone or is_hidden or not _is_whole_in_list(history, earlier, began)


def _is_whole_in_list(history: History, batch: RemoteBatch, now: float) -> bool:
    """Whether a list showed all that tells what a batch holds: itself, and the ones it continues."""
    if has_lost_its_root(history, batch, now):
        return False
    by_id = {one.id: one for one in history.remote.batches}
    while batch.continued_from:
        batch = by_id[batch.continued_from]
        if batch.listed_at > now:
            return False
    return True


def _began_to_send(history: History, batch: RemoteBatch) -> float:
    """When its applier began to send, this one and others before it: it searches before that, and then no more."""
    began = batch.sent_at
    for other in sorted(history.remote.batches, key=lambda one: -one.sent_at):
        if other.who == batch.who and began - A_SENDING < other.sent_at < began:
            began = other.sent_at
    return began


def _check_twins(history: History) -> None:
    """What was counted as a duplicate is stopped, and of several that are the same, one goes on."""
    for batch in history.remote.batches:
        counted_at = history.world.duplicates.get(batch.id, NEVER)
        if batch.is_hidden(counted_at - A_SENDING, counted_at):
            continue  # it was given up, and another of its like had the answers: what nothing shows nobody stops
        if min(batch.over_at, batch.cancelling_at) > counted_at:
            history.blame(f"twins: {batch.id} was counted as a duplicate, and goes on")
    same: dict[tuple[str, str], list[RemoteBatch]] = {}
    for batch in history.remote.batches:
        same.setdefault(_mark(batch), []).append(batch)
    for batches in same.values():
        if _is_answered_elsewhere(history, batches[0]) or _came_late(history, batches):
            continue
        is_late = any(batch.id in history.world.told_to_stop for batch in batches)
        if not is_late and all(batch.was_cancelled and not batch.is_unwanted for batch in batches):
            names = ", ".join(batch.id for batch in batches)
            history.blame(f"twins: all of {names} were cancelled, and by no person")


def _came_late(history: History, same: list[RemoteBatch]) -> bool:
    """Whether all of them were stopped since their requests had been sent in others meanwhile.

    Of two that share a state and hold no lock, one may stop it, hear nothing, and the other take it for its own.
    """
    stopped, counted = {batch.id for batch in same}, history.world.duplicates.keys()
    habits = history.remote.habits
    if not history.is_tame and habits.is_inline and habits.is_named and stopped <= counted:
        return True  # two clones send the same under one name, and no upload tells whose it was: one wants it no more
    if stopped <= counted and all(history.forgotten_since(batch.over_at, batch.who) for batch in same):
        return True  # what had been put off to be sent in its place is forgotten, and a person decides
    others = [batch for batch in history.remote.batches if batch.id not in counted and batch.id not in stopped]
    return (stopped <= counted or history.shares_a_state) and any(
        set(batch.keys) & set(one.keys) for batch in others for one in same
    )


def _check_stopped(history: History) -> None:
    """What a person cancelled before it was sent, stays so until somebody asks again."""
    for one in history.stopped if history.is_tame else ():
        for batch in history.remote.batches:
            for key in one.keys.intersection(batch.keys) if batch.sent_at > one.at else ():
                again = history.asked_since(key, one.at) or history.forgotten_since(one.at, batch.who)
                if not again:
                    history.blame(f"stopped: {key.hex()[:4]} was cancelled, and {batch.id} asks it")


def _is_answered_elsewhere(history: History, one: RemoteBatch) -> bool:
    """Whether a batch of another attempt has answered all of it: to another applier its like is a duplicate of that."""
    others = [batch for batch in history.remote.batches if batch.label["runner_set"] == one.label["runner_set"]]
    answers = [[batch.verdict(key) for key in batch.keys] for batch in others]
    return not history.is_tame and any(set(verdicts) == {Verdict.OK} for verdicts in answers)


def _mark(batch: RemoteBatch) -> tuple[str, str]:
    return batch.label["runner_set"], batch.label["runner_attempt"]


def _check_attempts(history: History) -> None:
    """No request is asked more often than it may be, unless somebody decided so; duplicates are counted as such."""
    if not history.is_tame:
        return
    asked: dict[bytes, list[RemoteBatch]] = {}
    for batch in history.remote.batches:
        if batch.is_final_refusal or batch.was_deferred or batch.was_unpaid:
            continue
        if batch.created_at > history.world.seconds:
            continue
        if batch.id in history.world.duplicates:
            continue
        for key in batch.keys:
            if batch.verdict(key) is Verdict.UNPAID:
                continue  # it was not asked
            known = asked.setdefault(key, [])
            known.append(batch)
            counted = [one for one in known if _counts_for(history, key, one, batch)]
            if len(counted) > history.max_attempts:
                history.blame(f"attempts: {key.hex()[:4]} was asked {len(counted)} times, last in {batch.id}")


def _counts_for(history: History, key: bytes, one: RemoteBatch, last: RemoteBatch) -> bool:
    """Whether an attempt was one in the same generation, and something still says that it was made."""
    if any(key in asked.keys and one.sent_at <= asked.at <= last.sent_at for asked in history.asked):
        return False
    if was_given_up(history, key, one) and _is_asked_anew(history, one):
        return False  # that was no attempt
    if history.accepted(one, last):
        return False
    if one.gone_at <= last.sent_at and not _was_recorded(history, one):
        return False  # the create was never answered, and it is not there any more
    if one.is_unheard and {*one.verdicts.values()} <= {Verdict.NONE}:
        return False  # nothing of it was asked, so that nothing shows that it was ours
    is_forgotten = any(one.sent_at <= lost.at <= last.sent_at for lost in history.forgotten)
    is_gone = min(one.gone_at, one.files_gone_at) <= last.sent_at
    if one.failure is not None and not one.was_cancelled and not history.remote.habits.is_named:
        is_gone = True  # it was refused as a whole: it holds nothing, so that a search passes it by
    is_gone = is_gone or _names_it_nowhere(history, key, one, last.sent_at)
    is_gone = is_gone or _was_pruned(history, one, last.sent_at)
    return not (is_forgotten and (is_gone or has_lost_its_root(history, one, last.sent_at)))


# -- nothing is lost


def _check_outputs(history: History, applier: Applier) -> None:
    records = SimulatedRecords(applier.store)
    known = {batch.remote_id for batch in records.batches()}
    twins = {duplicate for batch in records.batches() for duplicate in batch.duplicates}
    for where, line, state in settled_lines(history, applier):
        _check_line(history, applier, where, line.answer, line.key, state, known, twins)


def _is_beyond_help(history: History, key: bytes) -> bool:
    """Whether a request was refused, or asked as often as it may be."""
    asked = [one for one in history.remote.batches if key in one.keys and not (one.was_deferred or one.was_unpaid)]
    asked = [one for one in asked if one.verdict(key) is not Verdict.UNPAID]
    unseen = [one.input_ref for one in history.remote.batches if key in one.keys and one.is_unseen]
    if len(set(unseen)) > 1:
        return True  # not even a second upload of it was found
    if any(one.is_final_refusal or one.verdict(key) is Verdict.FINAL for one in asked):
        return True
    if any(was_given_up(history, key, one) for one in asked):
        return True
    stopped = sum(key in one.keys for one in history.stopped)  # before it was sent: that is an attempt as well
    if history.online is None:
        return len(asked) + stopped >= history.max_attempts
    failed = [one for one in history.online.calls if one.key == key and one.verdict is not Verdict.OK]
    unheard = [one for _, one in history.online.unsure if one == key]
    if key in history.online.refused or len(unheard) >= history.max_attempts:
        return True
    return len(asked) + stopped + len(failed) + len(unheard) >= history.max_attempts


def was_given_up(history: History, key: bytes, batch: RemoteBatch) -> bool:
    """Whether a batch was stopped since it took too long, and ended before it had answered a request."""
    is_late = batch.id in history.world.told_to_stop and (batch.was_cancelled or batch.end is Phase.EXPIRED)
    return is_late and batch.verdict(key) is not Verdict.OK


def _is_asked_anew(history: History, batch: RemoteBatch) -> bool:
    """Whether a batch was stopped since it took too long, and its job has what it left asked online."""
    return any(stop is Stop.ONLINE for _, _, stop in history.world.told_to_stop.get(batch.id, ()))


def _calls_of(history: History) -> list[RemoteBatch]:
    """Every row that was asked online and taken, as a batch of one."""
    now, calls = history.world.seconds, history.online.calls if history.online else []
    return [
        RemoteBatch(
            id=one.id, sent_at=one.sent_at, created_at=one.taken_at, listed_at=NEVER, keys=[one.key], custom_ids=[""],
            label={}, model="", endpoint="", window_hours=0, who=history.appliers[0].name, ends_at=one.taken_at,
            verdicts={one.key: one.verdict}, finished_at={one.key: one.taken_at}, named_at=one.told_at,
        )
        for one in calls if one.taken_at <= now
    ]  # fmt: skip


def _check_online(history: History) -> None:
    """Nothing is asked online that a batch holds or has answered, nor the other way round."""
    for call in _calls_of(history):
        key = call.keys[0]
        for batch in history.remote.batches:
            if key not in batch.keys or batch.created_at > history.world.seconds or batch.was_deferred:
                continue
            is_first = batch.sent_at <= call.sent_at
            why = _why_not(history, key, batch, call) if is_first else _why_not_by_batch(history, key, call, batch)
            if why:
                history.blame(f"duplicate: {key.hex()[:4]} in {call.id}, and {batch.id} {why}")


def _why_not_by_batch(history: History, key: bytes, call: RemoteBatch, batch: RemoteBatch) -> str:
    """Why a batch must not ask what was asked online before; empty where it might, or where nobody heard the reply."""
    is_asked = any(
        key in one.keys and one.replaces and call.sent_at <= one.at <= batch.sent_at for one in history.asked
    )
    lost = [one for one in history.forgotten if call.sent_at <= one.at <= batch.sent_at]
    if is_asked or (lost and key not in lost[-1].kept) or call.named_at > batch.sent_at:
        return ""
    return "asks what was answered" if call.verdict(key) is Verdict.OK else ""


def _check_stragglers(history: History) -> None:
    """What took too long by its job's word, and nothing else, is stopped for it."""
    end = history.world.seconds
    for batch in history.remote.batches:
        stops = history.world.told_to_stop.get(batch.id, ())
        told = [(at, owner) for at, owner, _ in stops if at >= batch.created_at]
        for at, owner in told:
            limit = _limit_of(history, owner, at)
            if limit is None or at - batch.created_at < limit - CLOCKS_DIFFER:
                words = f"{batch.id} of {owner} was stopped after {at - batch.created_at:.0f} s"
                history.blame(f"stragglers: {words}, and its job waits for {limit}")
    for applier in history.appliers if len(history.appliers) == 1 else ():  # else one may see it when it has ended
        for record in SimulatedRecords(applier.store).batches():
            batch = history.remote.batch(record.remote_id)
            limit = _limit_of(history, record.owner, end)
            if batch is None or limit is None or record.is_unproven or record.stop is not None:
                continue
            seen_at = history.world.recorded[batch.id][0]
            due = max(batch.created_at + limit, history.world.calm_at, seen_at) + PATIENCE
            is_told = batch.id in history.world.told_to_stop or batch.id in history.world.duplicates
            if not is_told and due < min(batch.over_at, end, batch.cancelling_at, batch.gone_at):
                history.blame(f"stragglers: {batch.id} of {record.owner} runs on, and its job waits for {limit} s")


def _limit_of(history: History, owner: str, now: float) -> int | None:
    """How long a job waited for a batch then, in seconds."""
    known = [by_job for at, by_job in history.limits if at <= now]
    return known[-1].get(owner) if known else None


def _was_in_doubt(history: History, key: bytes) -> bool:
    """Whether something that was asked may never have been answered: it was stopped, or it vanished."""
    asked = [one for one in history.remote.batches if key in one.keys]
    if key in history.remote.unheard or (history.online and key in {one for _, one in history.online.unsure}):
        return True
    return any(key in one.keys for one in history.stopped) or any(
        one.cancelled_at < NEVER
        or min(one.gone_at, one.files_gone_at) < NEVER
        or one.cut_keys
        or one.is_hidden(history.world.seconds, history.world.seconds)  # to the end, and for longer than is waited
        or _was_pruned(history, one, history.world.seconds)
        for one in asked
    )


_SETTLED = (Row.OK, Row.ERROR, Row.EQUAL)


def settled_lines(history: History, applier: Applier) -> Iterator[tuple[str, Line, int]]:
    """(job, line, state of its row) of all outputs that have to be there; blame for any that are not, or not whole.

    A job that waits for a person because nothing at all was finished sends nothing. Rows that it shares with others are
    as unsettled for those; what was edited and could not be sent leaves the output as it was.
    """
    jobs = SimulatedRecords(applier.store).jobs()
    jobs_left = history.states.get(applier.name, ())
    is_any_held_back = any(Row.STALLED in states for _, states in jobs_left)
    open_jobs = {spec.address for spec, states in jobs_left if any(Row(one) not in _SETTLED for one in states)}
    while more := {spec.address for spec, _ in jobs_left if not open_jobs.isdisjoint(spec.after)} - open_jobs:
        open_jobs |= more  # what they are to ask may not be known yet
    for spec, states in jobs_left:
        where = f"{applier.name}: {spec.address}"
        record = jobs.get(spec.address)
        waits = not open_jobs.isdisjoint((*spec.needs, *spec.after))
        is_held_back = Row.STALLED in states or waits or (is_any_held_back and Row.SHARED in states)
        if record is None:
            if not is_held_back or (Row.STALLED in states and not waits and not lines_in(applier.root / spec.output)):
                history.blame(f"accounting: {where} has no results")
            continue
        if is_held_back and [line.key for line in lines_in(applier.root / spec.output)] != spec.row_keys():
            continue
        is_open = record.missing or record.in_flight or (record.not_sent and not is_held_back)
        if _sum(record) != len(spec.rows) or is_open:
            history.blame(f"accounting: {where}: {record} of {len(spec.rows)}")
        lines = lines_in(applier.root / spec.output)
        if [line.key for line in lines] != spec.row_keys():
            history.blame(f"outputs: {where}: lines are not the wanted rows")
            continue
        for line, state in zip(lines, states, strict=True):
            yield where, line, state


def _sum(record: JobRecord) -> int:
    """The rows that a results file says something about."""
    unsettled = record.not_sent + record.in_flight + record.unknown + record.needs_decision
    return record.ok + record.error + unsettled + record.missing


def _is_missed(history: History, key: bytes, batch: RemoteBatch, state: int) -> bool:
    """Whether nobody saw this answer in files that were cut: until they are whole, or a person asked again."""
    is_asked_again = state == Row.ERROR and history.asked_since(key, batch.over_at)
    return state == Row.LOST or is_asked_again or batch.is_cut(key, history.world.seconds)


def _is_seen_late(history: History, applier: Applier, batch: RemoteBatch, known: set[str]) -> bool:
    """Whether a create of an applier that is by itself was in a list that it read, and it kept no record of it.

    Where nothing tells whose it is, a person has to say so.
    """
    if batch.id in known or batch.who != applier.name or len(history.appliers) > 1 or history.forgotten:
        return False
    if history.remote.habits.leaves_doubt:
        return False
    there = [one for one in history.remote.lists if batch.id in one.ids and one.is_calm]
    return bool(there) and history.world.seconds < min(batch.gone_at, batch.files_gone_at)


def _check_line(
    history: History,
    applier: Applier,
    where: str,
    answer: str | None,
    key: bytes,
    state: int,
    known: set[str],
    twins: set[str],
) -> None:
    now = history.world.seconds
    answered = [b for b in history.remote.batches if key in b.verdicts and b.verdict(key) is Verdict.OK]
    heard = [b for b in _calls_of(history) if key in b.verdicts and b.verdict(key) is Verdict.OK and b.named_at < NEVER]
    answered += heard
    if state == Row.ERROR and not _is_beyond_help(history, key):
        history.blame(f"given up: {where}: {key.hex()[:4]} may be asked again, and is not")
    if state in (Row.LOST, Row.UNKNOWN) and not _was_in_doubt(history, key):
        history.blame(f"held: {where}: {key.hex()[:4]} waits for a person, and nothing about it was ever unsure")
    if answer is not None and answer not in [batch.answer(key) for batch in answered]:
        history.blame(f"outputs: {where}: {key.hex()[:4]} shows {answer}, which nobody answered")
    if state == Row.OK and answer is None:
        history.blame(f"outputs: {where}: {key.hex()[:4]} is answered, and its line has no answer")
    if answer is None:
        there = [b for b in answered if b.id in known - twins and now < min(b.gone_at, b.files_gone_at)]
        there = [b for b in there if not b.is_hidden(now, now)]
        there = [b for b in there if history.is_tame or b.who == applier.name]
        there = [b for b in there if not (key in b.cut_keys and _is_missed(history, key, b, state))]
        if there:
            history.blame(f"lost: {where}: {there[0].id} has answered {key.hex()[:4]}, and the output does not show it")
        if late := [b for b in answered if _is_seen_late(history, applier, b, known | twins)]:
            words = f"{late[0].id} took effect late, and has answered {key.hex()[:4]}"
            history.blame(f"lost: {where}: {words}, and the output does not show it")
        is_replaced = any(one.replaces and key in one.keys for one in history.asked)
        told = [b for b in heard if not is_replaced and not history.forgotten_since(b.named_at, applier.name)]
        if told:
            history.blame(f"lost: {where}: {told[0].id} has answered {key.hex()[:4]}, and the output does not show it")
        if any(seen[0] >= 0 and who == applier.name and k == key for (who, k), seen in history.shown.items()):
            since = history.shown[applier.name, key][0]
            if not history.forgotten_since(since, applier.name):
                history.blame(f"lost: {where}: the answer to {key.hex()[:4]} was there, and is not")
