"""Ways to break the promise in one place of the product, each with what the checker has to say about it.

A simulation that finds nothing proves something only if it would find a fault. So each of these is put into a copy
of the product, and some of the same histories are played with it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import runner
from tests.simulation.running import Kind, summary_of


@dataclass(frozen=True, slots=True)
class Mutant:
    """One replacement in one file of the product."""

    file: str  # below the package
    old: str  # stands there once
    new: str
    blame: str  # the kind of fault, one of those that are found
    kind: Kind = Kind.BATCHES  # of the histories that are played
    first: int = 0  # of them

    def put_into(self, package: Path) -> None:
        """Break a copy of the package. Raises ValueError where the product is not what it was."""
        path = package / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"`{self.file}` has changed: find the place of this mutant again")
        path.write_text(text.replace(self.old, self.new))


_SAVE_INTENT = "    session.records.save(batch)\n    try:\n        is_blind"
_NO_INTENT = "    try:\n        is_blind"
_INDEX_FIRST = 'sha256 = session.objects.write(f"{batch.key}/index", entries)'
_NO_INDEX = 'sha256 = __import__("hashlib").sha256(entries).hexdigest()'
_UNSEEN = "self.observations[batch.key] = CannotSee(error.message)"
_EXPIRED = 'self.observations[batch.key] = Observed(batch.remote_id, Phase.EXPIRED, "")'
_LOST = "elif outcome == Outcome.LOST:\n                known[key] = state & _FLAGS | _LOST | at"
_IN_FLIGHT = "            elif entry.batch.is_active:\n                self.overlaps |= _mark("
_NEVER = "            elif False:\n                self.overlaps |= _mark("
_SHARED = "                states[ordinal] = Row.SHARED\n"
_ALL_PAGES = "listed = provider.identified(list(provider.batches(since)))"
_NOBODY_KNOWS = "    if found.doubtful or session.search_of(provider) is Search.NONE:\n        return _hold"
_FIRST_PAGE = "listed = provider.identified(list(provider.batches(since))[:4])"
_SEARCH_FIRST = "    polled, unsearched, is_limited = _after_search(session, guards, refusal, result, polled)\n"
_INTENT_FIRST = "        self._journal.append(CallEntry(number, CallStep.INTENT))\n        try:\n"
_OPEN_CALL = "(again if can_repeat else held).append(number)"
_IS_HOME = "states.count(CallStep.ANSWERED) + states.count(CallStep.HELD) == states.rows"
_IS_SENT = (
    "states.count(CallStep.ANSWERED) + states.count(CallStep.HELD) + states.count(CallStep.RECEIPT) == states.rows"
)
_GONE_FOR_GOOD = 'self._hold(number, "the remote no longer knows it")'
_PUT_OFF = "    if batch.upload_ref:\n        return create(session, provider, batch, vendor.Uploaded"
_RESUBMITS = "resubmits=job is not None and resubmits(job.on_unknown, batch.content)"

MUTANTS = {
    "a create without an intent on record": Mutant("apply/submit.py", _SAVE_INTENT, _NO_INTENT, "duplicate", first=900),
    "nothing is searched before it is paid for": Mutant(
        "apply/pay.py", _SEARCH_FIRST, "    unsearched, is_limited = [], set()\n", "duplicate"
    ),
    "the first page of a list is all of it": Mutant("apply/recover.py", _ALL_PAGES, _FIRST_PAGE, "duplicate"),
    "what nobody wanted when it was found is never looked for again": Mutant(
        "apply/recover.py",
        "looking.left.add(name)",
        "pass",
        "duplicate",
        Kind.STRAGGLERS,
        460,  # one in 1,000 histories meets it
    ),
    "what had ended before its like was sent is not paid for twice": Mutant(
        "apply/overlaps.py",
        "    answers = _answers(session, theirs)\n",
        "    answers = None\n",
        "duplicate",
        Kind.BRIEF_BATCHES,
        219_440,  # three in 2,000 histories of two clones and a remote that hides meet it
    ),
    "what cannot be seen has expired": Mutant("apply/refresh.py", _UNSEEN, _EXPIRED, "lost"),
    "what nobody can search for is sent again": Mutant(
        "apply/settle.py",
        _NOBODY_KNOWS,
        "    if found.doubtful:\n        return _hold",
        "duplicate",
        Kind.BRIEF_BATCHES,
        700,  # one in 900 histories meets it
    ),
    "what was given up is never looked for again": Mutant(
        "apply/lost.py", "    if not lost:\n", "    if True:\n", "lost", first=0
    ),
    "a record before the index it speaks of": Mutant("apply/collect.py", _INDEX_FIRST, _NO_INDEX, "exception"),
    "the results of an expired batch are left": Mutant(
        "apply/collect.py",
        "    if seen.is_refusal:\n        return _refused",
        "    if seen.is_refusal or seen.phase is Phase.EXPIRED:\n        return _refused",
        "lost",
        first=42,
    ),
    "a final error is asked again": Mutant(
        "plan/remaining.py",
        "if outcome == Outcome.RETRY:",
        "if outcome in (Outcome.RETRY, Outcome.FINAL):",
        "duplicate",
    ),
    "what was stopped is asked again": Mutant("plan/remaining.py", _LOST, _LOST.replace(" | _LOST", ""), "duplicate"),
    "what is in flight is asked again": Mutant("plan/remaining.py", _IN_FLIGHT, _NEVER, "duplicate"),
    "what nobody reviewed is sent": Mutant(
        "plan/plan.py", "    if guards.reviewed is None:\n", "    if True:\n", "review", Kind.BRIEF_BATCHES
    ),
    "two jobs ask the same": Mutant("plan/remaining.py", _SHARED, "", "duplicate"),
    "what is needed does not come first": Mutant(
        "plan/plan.py", " if not job.waits for s", " for s", "order", Kind.BRIEF_BATCHES
    ),
    "who waits asks what another wants too": Mutant(
        "plan/plan.py", "key=waiting.__getitem__", "key=int", "accounting", Kind.BRIEF_BATCHES, 150
    ),
    "who asks about answers does not wait for them": Mutant(
        "plan/chains.py", "and not rows.pending", "and rows is not None", "order", Kind.BRIEF_CHAINS, first=60
    ),
    "answers that came since are not asked about": Mutant(
        "apply/chains.py",
        "if known is not None and not self._is_last and not all(map(self._chains.is_quiet, chain.parents)):",
        "if known is not None:",
        "chain",
        Kind.BRIEF_CHAINS,
    ),
    "a pair of the same answers is asked about": Mutant(
        "compile/pairs.py", "is_same = _is_same(mine, other)", "is_same = False", "chain", Kind.BRIEF_CHAINS
    ),
    "a batch takes too long at once": Mutant(
        "plan/stragglers.py", ">= limit.after", ">= timedelta()", "stragglers", Kind.STRAGGLERS
    ),
    "every batch may take as long as it does": Mutant(
        "plan/stragglers.py",
        "    return seen.seen_at - since(",
        "    return False and seen.seen_at - since(",
        "stragglers",
        Kind.STRAGGLERS,
    ),
    "what was told to stop has ended": Mutant(
        "plan/decide.py",
        "return Action.WAIT, Reason.CANCELLING, observation.stall",
        "return Action.DROP, Reason.CANCELLING, observation.stall",
        "duplicate",
        Kind.STRAGGLERS,
    ),
    "what a person has stopped took too long": Mutant(
        "apply/cancel.py",
        "_stop(session, batch, Stop.PERSON,",
        "_stop(session, batch, Stop.GIVE_UP,",
        "stragglers",
        Kind.STRAGGLERS,
    ),
    "what a late batch has answered is asked online": Mutant(
        "job/outcomes.py",
        "_LEFT = frozenset((Outcome.RETRY, Outcome.LOST))",
        "_LEFT = frozenset((Outcome.RETRY, Outcome.LOST, Outcome.OK))",
        "duplicate",
        Kind.LATE,
    ),
    "what is told to stop is asked online": Mutant(
        "plan/decide.py",
        "return Action.WAIT, Reason.CANCELLING, observation.stall",
        "return Action.FETCH, Reason.CANCELLED, observation.stall",
        "exception",
        Kind.LATE,
    ),
    "what a cut file does not hold is asked online": Mutant(
        "apply/collect.py", "    if not (gives_up or is_short):", "    if True:", "duplicate", Kind.LATE, 1_000
    ),
    "what completes while it is stopped is given up": Mutant(
        "plan/stragglers.py",
        "_LEFT_BY = frozenset((Phase.CANCELLED,",
        "_LEFT_BY = frozenset((Phase.COMPLETED,",
        "given up",
        Kind.STRAGGLERS,
    ),
    "new outcomes are not written out": Mutant(
        "apply/outputs.py", "        return Drift.ANSWERS\n", "        return None\n", "files"
    ),
    "a recording before its intent": Mutant(
        "remotes/transport/loop.py", _INTENT_FIRST, "        try:\n", "duplicate", Kind.RECORDINGS
    ),
    "a receipt in another row": Mutant(
        "remotes/transport/receipts.py",
        "CallEntry(number, CallStep.RECEIPT, taken",
        "CallEntry(max(number - 1, 0), CallStep.RECEIPT, taken",
        "held",
        Kind.RECORDINGS,
    ),
    "a receipt that is not known is no receipt": Mutant(
        "remotes/transport/receipts.py",
        _GONE_FOR_GOOD,
        "self._journal.append(CallEntry(number, CallStep.CLEARED))",
        "duplicate",
        Kind.RECORDINGS,
    ),
    "a call that was cut off was never made": Mutant(
        "remotes/transport/calls.py",
        _OPEN_CALL,
        "work.journal.append(CallEntry(number, CallStep.CLEARED))",
        "duplicate",
        Kind.RECORDINGS,
    ),
    "a wave is brought home too early": Mutant(
        "remotes/transport/shown.py", _IS_HOME, _IS_SENT, "stuck", Kind.RECORDINGS
    ),
    "`hold` is `resubmit`": Mutant("apply/work.py", _RESUBMITS, "resubmits=True", "duplicate", Kind.RECORDINGS),
    "what carried its rows is put off like an upload": Mutant(
        "apply/submit.py", _PUT_OFF, _PUT_OFF.replace("batch.upload_ref", "True"), "exception", Kind.INLINE, 20
    ),
    "what may have come of a create did not": Mutant(
        "apply/settle.py",
        "        return take(session, provider, batch, found.doubtful[0])\n" + _NOBODY_KNOWS.partition("\n")[0],
        "        pass\n    if session.search_of(provider) is Search.NONE:",
        "duplicate",
        Kind.RESULTS,
    ),
    "a reply that was lost may be asked for once more": Mutant(
        "remotes/transport/loop.py",
        "CallEntry(number, CallStep.REPEATED)",
        "CallEntry(number, CallStep.CLEARED)",
        "duplicate",
        Kind.ONLINE,
    ),
    "a row before its intent": Mutant(
        "remotes/transport/loop.py", _INTENT_FIRST, "        try:\n", "duplicate", Kind.ONLINE
    ),
    "what is in no reply is asked again uncounted": Mutant(
        "apply/retry.py",
        "gone, _unheard(session, _of(job, states, Row.ERROR))",
        "gone",
        "duplicate",
        Kind.ONLINE,
        1_033,
    ),
    "what may be twice is not counted": Mutant(
        "job/calls.py", "            self.repeated += 1", "            pass", "duplicate", Kind.RECORDINGS
    ),
}


def main() -> None:
    """`mutants PACKAGE KIND FIRST HISTORIES`: play until one is blamed, with that product, and print the faults."""
    package, kind, first, histories = Path(sys.argv[1]), Kind[sys.argv[2]], int(sys.argv[3]), int(sys.argv[4])
    if not runner.__file__ or not Path(runner.__file__).is_relative_to(package):
        raise SystemExit(f"{runner.__file__} is not in {package}")
    for number in range(first, first + histories):
        if faults := summary_of(kind.seed(number)).faults:
            print(*(fault.partition("\n")[0] for fault in faults), sep="\n")
            return


if __name__ == "__main__":
    main()
