"""What will be done (Action) and why (Reason).

What is done about a batch follows from the action alone; its reason is shown. The reason of a block says how much waits
for a person: the rows it names, or all of the job (`HOLDS_BACK`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from runner.errors import Mark
from runner.job.capabilities import Content, Transport
from runner.job.recorded import Batch

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")  # a remote chooses its ids, and they are to be pasted


class Action(StrEnum):
    """What to do. Only SUBMIT costs money."""

    SUBMIT = "submit"
    WAIT = "wait"
    FETCH = "fetch"
    DEFER = "defer"
    LOSE = "lose"  # the remote no longer has it: record that its rows need a decision
    CONFIRM = "confirm"  # the person who is asked is told of it; blocks nothing
    STOP = "stop"  # it takes too long: tell the remote to stop it
    DROP = "drop"  # nothing came of it, and its rows are free
    BLOCK = "block"
    KEEP = "keep"
    LEAVE = "leave"
    MAY = "may"  # what may be sent later, at worst: a yes to the plan is one to it
    AFTER = "after"  # another job comes first; the rest of the plan stands


class Reason(StrEnum):
    """Why, in the words a user reads."""

    NEVER_ASKED = "never asked"
    ROWS_ADDED = "rows added or edited"
    REST = "the rest, not sent before"
    ALL_CHANGED = "every request changed"
    CONTINUED = "left by an earlier batch, which is continued"
    ASKED_AGAIN = "unsettled after an earlier batch"
    RETRIED = "asked again on purpose"
    STRAGGLED = "left by a batch that took too long"
    MAY_STRAGGLE = "what a batch has not answered in time"
    INVALID = "answered, and the answer is not what its schema wants"
    RUNNING = "running"
    OVERDUE = "overdue: its window is over, and it has not ended"
    CANCELLING = "being cancelled"
    STRAGGLES = "takes longer than its job waits for"
    CANNOT_SEE = "the remote cannot be seen now"
    STATE_UNKNOWN = "in a state this version does not know"
    RESULTS_LATE = "completed; the remote has not named its result files yet"
    QUOTA = "the remote's queue is full; the same upload is submitted again later"
    FILE_NOT_VISIBLE = "the remote does not see the upload yet; it is submitted again soon"
    OPEN_INTENT = "a create whose outcome is not known yet"
    COMPLETED = "completed"
    EXPIRED = "window expired"
    CANCELLED = "cancelled"
    REVOKED = "its input was taken away before it ran"
    REFUSED = "the remote refused the batch"
    NOT_SHOWN = "the remote answers that it has no such batch; it is asked again before that is believed"
    GONE = "the remote no longer has it"
    OTHER_ORIGIN = "answered or asked at another origin"
    NEEDS_RETRY = "stopped or lost before it answered"
    NOTHING_FINISHED = "nothing at all finished in the last attempt"
    OVER_BUDGET = "over budget"
    REPAY = "asks again for what was already paid for"
    PROTECTED = "the job is protected"
    FIRST_RUN = "nothing is known of earlier requests"
    OUTCOME_UNKNOWN = "no answer came, and asking again may pay twice"
    NOT_ALLOWED = "nobody allowed it on this machine"
    NOT_LOCKED = "runner.lock does not know these requests"
    NOT_REVIEWED = "not among what was reviewed"
    IN_SYNC = "in sync"
    SHARED = "asked by another job"
    IN_THE_WAY = "what is there is not ours to write over"
    NEED_UNSETTLED = "needs a job that is not settled yet"
    NEED_UNSCORED = "needs a job that is not scored yet"
    NEED_UNMET = "needs a job that is not as good as expected"
    KNOWN_AFTER = "known after"
    SAMPLED = "kept for later, beside the sample"
    NOBODY_WANTS = "in flight, and no spec wants it any more"
    LEFT_ELSEWHERE = "in flight at another origin than its job names now"


HOLDS_BACK = frozenset(
    (
        Reason.IN_THE_WAY,
        Reason.OTHER_ORIGIN,
        Reason.NOTHING_FINISHED,
        Reason.OVER_BUDGET,
        Reason.REPAY,
        Reason.PROTECTED,
        Reason.FIRST_RUN,
        Reason.NOT_ALLOWED,
        Reason.NOT_LOCKED,
        Reason.NOT_REVIEWED,
    )
)


MOST_NAMED = 3  # rows of a change that are shown by their ids


class Cut(msgspec.Struct, frozen=True):
    """Rows of one job to be sent as one batch: ordinals into its rows, ascending."""

    address: str
    ordinals: Sequence[int]
    size_bytes: int
    parents: tuple[str, ...] = ()
    continues: str = ""  # key of the batch whose remainder these rows are, where the remote goes on with it
    reason: str = ""  # in the words of `Reason`; it steers nothing
    is_online: bool = False  # on the online side of its provider, though its job asks by batches


class Change(msgspec.Struct, frozen=True):
    """One line of a plan."""

    action: Action
    reason: Reason
    rows: int = 0
    batches: int = 0
    size_bytes: int = 0
    tokens: int = 0
    untold: int = 0  # files of which nobody knows how many tokens they are
    most_tokens: int | None = None  # in and out; None: not known
    usd: float | None = None  # at most; None: not known
    least_usd: float | None = None  # where it is a range
    seconds: float | None = None  # of sound; None: not known, or there is none
    done: int | None = None  # rows answered so far; None: not known
    batch: str = ""  # the batch it is about
    detail: str = ""
    unblock: tuple[str, ...] = ()  # exact commands
    first: tuple[int, ...] = ()  # the rows it is about, the first few by ordinal
    discount: float = 0.0  # of a batch off the listed price, which `usd` has taken off
    replaces: int = 0  # answered requests that are no longer wanted

    @property
    def costs(self) -> bool:
        """Whether its `usd` is to be paid: now, once the jobs that it comes after are settled, or at worst."""
        return self.action in (Action.SUBMIT, Action.MAY) or (self.reason is Reason.KNOWN_AFTER and self.rows > 0)

    @property
    def why(self) -> str:
        """The reason, and what it is about."""
        between = " " if self.reason is Reason.KNOWN_AFTER else ": "
        return f"{self.reason.value}{between}{self.about}" if self.about else self.reason.value

    @property
    def about(self) -> str:
        """What the reason is about, in words; empty where there is nothing more to say."""
        if self.reason is Reason.REPAY:
            return _paid_again(self.replaces, self.rows - self.replaces, self.usd) + self.detail
        return self.detail or _paid_before(self.replaces)

    @property
    def glyph(self) -> str:
        match self.action, self.reason:
            case Action.SUBMIT, Reason.NEVER_ASKED:
                return "+"
            case Action.SUBMIT, (Reason.ROWS_ADDED | Reason.REST):
                return "±"
            case Action.SUBMIT, Reason.ALL_CHANGED:
                return "-/+"
            case Action.SUBMIT, _:
                return "»"
            case ((Action.AFTER | Action.MAY), _):
                return "?"
            case ((Action.WAIT | Action.DEFER | Action.DROP), _):
                return "."
            case Action.FETCH, _:
                return "↓"
            case Action.STOP, _:
                return "x"
            case ((Action.BLOCK | Action.CONFIRM | Action.LOSE), _):
                return "!"
            case _:
                return "="


def _paid_before(replaced: int) -> str:
    if replaced == 1:
        return "1 answered request is no longer wanted"
    return f"{replaced:,} answered requests are no longer wanted" if replaced else ""


def _paid_again(answered: int, in_flight: int, usd: float | None) -> str:
    words = [f"{answered:,} that {'was' if answered == 1 else 'were'} answered"] if answered else []
    words += [f"{in_flight:,} in flight"] if in_flight else []
    cost = "at a cost that is not known" if usd is None else f"estimated at {usd_of(usd)}"
    return f"{' and '.join(words)}, {cost}"


def usd_of(amount: float) -> str:
    """`$1.25`, and `$0.0012` where two digits would say nothing: three that count, six at most."""
    if amount == 0 or amount >= 0.1:
        return f"${amount:.2f}"
    return f"${amount:.{min(2 - math.floor(math.log10(amount)), 6)}f}".rstrip("0")


def at_most_usd(amount: float) -> str:
    """The same, rounded up: it is never more than is said."""
    if amount <= 0:
        return usd_of(amount)
    step = 0.01 if amount >= 0.1 else 10.0 ** max(math.floor(math.log10(amount)) - 2, -6)
    return usd_of(math.ceil(amount / step - 1e-6) * step)


def cancelling(batch: Batch) -> str:
    """The command that stops one batch and nothing else of its job."""
    name = batch.remote_id if _PLAIN.fullmatch(batch.remote_id) else batch.key
    return f"runner cancel {batch.owner} --batch {name}"


class RowCounts(msgspec.Struct, frozen=True):
    """Where the wanted requests of one job stand. Equal requests of one job count once each row."""

    wanted: int = 0
    distinct: int = 0
    ok: int = 0
    error: int = 0
    in_flight: int = 0
    unknown: int = 0  # the remote may have them or not
    needs_decision: int = 0  # a person decides whether they are asked again
    to_submit: int = 0
    shared: int = 0  # another job asks them
    bad: int = 0  # among `error`: rows that cannot become requests

    @property
    def not_sent(self) -> int:
        """Those to be sent by this job or by another, and those equal to one of them."""
        return self.wanted - self.ok - self.error - self.in_flight - self.unknown - self.needs_decision


class JobPlan(msgspec.Struct, frozen=True):
    """One job's part of the plan."""

    address: str
    declared_at: Mark
    counts: RowCounts
    changes: tuple[Change, ...]
    submissions: tuple[Cut, ...] = ()
    shared_with: tuple[str, ...] = ()
    content: Content = Content.TEXT
    transport: Transport = Transport.BATCH

    @property
    def is_blocked(self) -> bool:
        """Something waits for a person; the rest of the job may go on."""
        return any(change.action is Action.BLOCK for change in self.changes)

    @property
    def waits(self) -> bool:
        """Another job comes first: nothing of this one is sent yet, and no person has to decide anything."""
        return any(change.action is Action.AFTER for change in self.changes)

    @property
    def is_held_back(self) -> bool:
        """Nothing of the job may be sent, nor its results be written anew, before a person has decided."""
        return any(change.action is Action.BLOCK and change.reason in HOLDS_BACK for change in self.changes)
