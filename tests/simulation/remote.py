"""A modelled remote: what it was asked, and how each batch lives. Only it decides; `provider` lets others speak to it.

A batch's whole life is drawn when it is created, so looking changes nothing. The record of it (`batches`) is what the
checker reads: every create with its requests, and every answer there ever was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

from runner.job.observed import Counts, Failure, FailureKind, Observed, Phase, ResultFile
from runner.job.wireid import key_of
from tests.simulation.world import World

NEVER = float("inf")
STRANGER = "a stranger"


class Verdict(Enum):
    """What the remote says about one request."""

    OK = "ok"
    FINAL = "final"
    RETRY = "retry"
    NONE = "none"
    UNPAID = "unpaid"  # the account could not pay


class Listing(NamedTuple):
    """A list that was read to its end: by whom, from when to when, what was in it, and how far back it was read."""

    who: str
    began: float
    ended: float
    ids: frozenset[str]
    is_calm: bool
    oldest: float = 0.0


@dataclass(slots=True)
class Habits:
    """How often things go wrong at this remote, for batches created while the world is not calm."""

    is_named: bool = False
    label: str = "ours"  # what a batch shows as its label: ours, none, or one of a gateway's own
    blind: str = ""  # "lists": it refuses them; "marks": they show neither a label nor an upload
    list_lag: float = 0.0  # at most, seconds from a create to its place in a list
    lateness: float = 0.0  # at most, seconds that an unanswered create takes effect after its call ended
    whole_failures: float = 0.0
    quota: float = 0.0
    expiries: float = 0.0
    final_rows: float = 0.0
    retry_rows: float = 0.0
    late_results: float = 0.0
    very_late_results: float = 0.0
    losses: float = 0.0  # batches that vanish some time after they ended
    file_losses: float = 0.0
    slow_files: float = 0.0  # files that are named some time before they can be had
    unknown_states: float = 0.0
    refuses_to_continue: float = 0.0
    cuts: float = 0.0  # downloads that end early
    tells_time: bool = True  # in every answer
    hides: float = 0.0  # batches that answer 404 for a while, after their receipt or in mid-run
    short_files: float = 0.0  # of batches: a cache holds their files cut at the end of a line, some lines twice instead
    silent_rows: float = 0.0  # of completed batches: rows that are in no file and in no count
    unpaid: float = 0.0  # of batches: the account cannot pay, for all of it or from some row on
    full_until: float = 0.0  # the queue is full so long, calm or not
    is_inline: bool = False  # a create carries its rows, and there are no uploads
    keeps_input: bool = True  # of such a create: what it carried can be read back
    by_results: bool = False  # nothing but its results says whose a batch is
    may_prune: bool = False  # what it keeps may be deleted, and sometimes is
    stuck: float = 0.0  # of batches: the last of their rows are answered many hours after the others
    stubborn: float = 0.0  # of cancels: refused
    slow_cancels: float = 0.0  # at most, seconds from a cancel to the end that it brings
    strangers: float = 0.0  # of creates: somebody else's batch of as many rows is made at about that time

    @property
    def leaves_doubt(self) -> bool:
        """Whether no search can tell for certain what came of a create that had no answer."""
        return bool(self.blind) or self.by_results


@dataclass(slots=True)
class RemoteBatch:
    """One batch, with its life as it was drawn. Times are seconds of the world."""

    id: str
    sent_at: float
    created_at: float
    listed_at: float
    keys: list[bytes]
    custom_ids: list[str]
    label: dict[str, str]
    model: str
    endpoint: str
    window_hours: int
    input_ref: str = ""
    continued_from: str = ""
    who: str = ""  # the applier that sent it; STRANGER
    content: bytes = b""  # what its create carried
    is_unheard: bool = False  # its create had no answer, at a remote where no search can tell for certain
    starts_at: float = 0.0
    ends_at: float = 0.0
    named_at: float = 0.0  # result files have names from here on
    gone_at: float = NEVER
    files_gone_at: float = NEVER
    files_after: float = 0.0  # seconds after its end until its files can be had
    unknown_until: float = 0.0
    hidden: list[tuple[float, float]] = field(default_factory=list)  # from when to when nothing shows it
    cancelling_at: float = NEVER  # when it was told to stop
    cancelled_at: float = NEVER  # when it obeys, unless it has ended by then
    is_unwanted: bool = False  # a person had it cancelled
    end: Phase = Phase.COMPLETED
    failure: Failure | None = None
    verdicts: dict[bytes, Verdict] = field(default_factory=dict)
    finished_at: dict[bytes, float] = field(default_factory=dict)
    says_silence: bool = True  # requests without an answer have an error line
    short_until: float = 0.0  # its files lack lines until then
    cut_keys: set[bytes] = field(default_factory=set)  # whose lines those are
    last_seen: Observed | None = None  # once nothing of it changes any more

    @property
    def over_at(self) -> float:
        """When nothing more comes of it."""
        return min(self.ends_at, self.cancelled_at)

    @property
    def was_cancelled(self) -> bool:
        return self.cancelled_at < self.ends_at

    @property
    def was_deferred(self) -> bool:
        """Refused as a whole, to be created again from the same upload."""
        kinds = (FailureKind.QUOTA, FailureKind.FILE_NOT_VISIBLE)
        return not self.was_cancelled and self.failure is not None and self.failure.kind in kinds

    @property
    def is_unseen(self) -> bool:
        """Refused since its upload could not be found."""
        return self.was_deferred and self.failure is not None and self.failure.kind is FailureKind.FILE_NOT_VISIBLE

    @property
    def is_final_refusal(self) -> bool:
        """Refused for its input: asking the same again is of no use."""
        return self.failure is not None and self.failure.kind is FailureKind.BAD_INPUT and not self.was_cancelled

    @property
    def was_unpaid(self) -> bool:
        """Refused as a whole since the account could not pay: that is no attempt."""
        return self.failure is not None and self.failure.kind is FailureKind.OUT_OF_MONEY and not self.was_cancelled

    def is_cut(self, key: bytes, now: float) -> bool:
        """Whether its line is in no file that can be had."""
        return key in self.cut_keys and now < self.short_until

    def verdict(self, key: bytes) -> Verdict:
        """What the remote says about a request in the end."""
        verdict = self.verdicts.get(key, Verdict.NONE)
        if self.was_cancelled and self.finished_at.get(key, NEVER) > self.cancelled_at:
            return Verdict.NONE
        return verdict

    def answer(self, key: bytes) -> str:
        return f"{self.id}/{key.hex()[:8]}"

    def is_hidden(self, since: float, until: float) -> bool:
        """Whether nothing showed it at some time in between."""
        return any(begin <= until and since < end for begin, end in self.hidden)

    def is_there(self, now: float) -> bool:
        return self.created_at <= now < self.gone_at


class Remote:
    """The remote's side of everything: uploads, batches, their lives."""

    def __init__(self, world: World, habits: Habits) -> None:
        self.world = world
        self.habits = habits
        self.uploads: dict[str, tuple[str, bytes]] = {}  # ref -> (name, content)
        self.deleted_uploads: dict[str, tuple[str, bytes]] = {}
        self.deleted_at: dict[str, float] = {}  # of uploads
        self.deleted_files: dict[str, float] = {}  # of results, and since when
        self.batches: list[RemoteBatch] = []  # in the order they were sent
        self.unheard: set[bytes] = set()  # of creates that had no answer, where nobody can search for them
        self.lists: list[Listing] = []
        self._numbers = 0

    def delete_upload(self, ref: str) -> None:
        """From now on nothing can be made of it: a create that takes effect later is refused for want of its input."""
        now = self.world.seconds
        if ref not in self.uploads:
            return
        self.deleted_uploads[ref] = self.uploads.pop(ref)
        self.deleted_at[ref] = now
        self.world.note("remote", f"{ref} is deleted")
        for batch in [one for one in self.batches if one.input_ref == ref and one.created_at > now]:
            if self.habits.is_named:
                self.batches.remove(batch)  # it is answered 404, and nobody is there to hear it
            else:
                _fail_for_want_of_input(batch)

    def delete_results(self, ref: str) -> None:
        """One of the files of a batch is gone."""
        self.deleted_files.setdefault(ref, self.world.seconds)
        batch = self.batch(ref.partition("/")[0])
        if batch is not None and ref.endswith("/output"):
            batch.files_gone_at = min(batch.files_gone_at, self.world.seconds)
        self.world.note("remote", f"{ref} is deleted")

    def has_lost(self, ref: str) -> bool:
        """Whether a result file is not there any more, by whatever happened."""
        batch = self.batch(ref.partition("/")[0])
        is_gone = batch is None or self.world.seconds >= min(batch.gone_at, batch.files_gone_at)
        return is_gone or ref in self.deleted_files

    # -- creates

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def batch(self, remote_id: str) -> RemoteBatch | None:
        """The batch that has this id now, if there is one or will be what is left of one."""
        now = self.world.seconds
        made = [b for b in self.batches if b.id == remote_id and b.created_at <= now]
        return next((b for b in made if b.is_there(now)), made[-1] if made else None)

    def admit(self, batch: RemoteBatch) -> None:
        """A create takes effect at its `created_at`; under a name that is taken by then it has none."""
        if self.habits.is_named:
            for other in [b for b in self.batches if b.id == batch.id and b.gone_at > batch.created_at]:
                if other.created_at <= batch.created_at:
                    return
                self.batches.remove(other)
        self._draw_life(batch)
        if batch.input_ref in self.deleted_uploads and batch.input_ref not in self.uploads:
            if self.habits.is_named:
                return
            _fail_for_want_of_input(batch)
        self.batches.append(batch)
        self.world.note(
            "remote", f"{batch.id} is made of {_names(batch.keys)} at {batch.created_at:.1f}, {_life(batch)}"
        )

    def may_meet_a_stranger(self, batch: RemoteBatch) -> None:
        """Somebody else on the same account may make a batch that looks like this one until it ends."""
        world = self.world
        if not world.happens(self.habits.strangers):
            return
        number = self.number()
        names = [f"theirs-{number}-{row}" for row in range(len(batch.keys))]
        at = max(world.seconds + 60.0 * (world.rng.random() - 0.5), 0.0)
        theirs = RemoteBatch(
            id=f"batch-{number}",
            sent_at=at,
            created_at=at,
            listed_at=at + world.rng.random() * self.habits.list_lag,
            keys=[sha256(name.encode()).digest()[:16] for name in names],
            custom_ids=names,
            label={"runner_set": f"theirs-{number}", "runner_attempt": ""},
            model="theirs",
            endpoint=batch.endpoint,
            window_hours=batch.window_hours,
            who=STRANGER,
        )
        self.admit(theirs)

    def cancel(self, batch: RemoteBatch, *, is_unwanted: bool) -> None:
        """It is told to stop: at once, or after a while, in which it may as well complete."""
        now, slow = self.world.seconds, self.habits.slow_cancels
        if now < batch.cancelling_at:
            batch.cancelling_at, batch.is_unwanted = now, is_unwanted
            batch.cancelled_at = now + (slow * self.world.rng.random() if slow else 0.0)
            self.world.note("remote", f"{batch.id} is cancelled, at {batch.cancelled_at:.1f}")

    def _draw_life(self, batch: RemoteBatch) -> None:
        world, habits, rng = self.world, self.habits, self.world.rng
        span = rng.choice((5.0, 60.0, 900.0, 1800.0 if world.is_calm else 7200.0)) * (0.5 + rng.random())
        batch.starts_at = batch.created_at + span * 0.2
        batch.ends_at = batch.named_at = batch.created_at + span
        if world.happens(habits.unknown_states):
            batch.unknown_until = batch.created_at + span * 0.9
        batch.says_silence = rng.random() < 0.7
        is_full = batch.created_at < habits.full_until
        if is_full or world.happens(habits.quota):
            kinds = (FailureKind.QUOTA, FailureKind.QUOTA if habits.is_inline else FailureKind.FILE_NOT_VISIBLE)
            kind = FailureKind.QUOTA if is_full else rng.choice(kinds)
            batch.end, batch.failure = Phase.FAILED, Failure(kind, "token_limit_exceeded", "later")
            return
        if world.happens(habits.whole_failures):
            kind = rng.choice((FailureKind.BAD_INPUT, FailureKind.OTHER, FailureKind.OUT_OF_MONEY))
            batch.end, batch.failure = Phase.FAILED, Failure(kind, "bad", "no")
            return
        expires = world.happens(habits.expiries)
        if expires:
            batch.end = Phase.EXPIRED
        reached = rng.randrange(len(batch.keys) + 1) if expires else len(batch.keys)
        paid = rng.randrange(len(batch.keys) + 1) if world.happens(habits.unpaid) else len(batch.keys)
        silent = not expires and world.happens(habits.silent_rows)
        batch.says_silence = batch.says_silence and not silent
        order = list(batch.keys)
        rng.shuffle(order)
        for number, key in enumerate(order):
            batch.finished_at[key] = batch.starts_at + (batch.ends_at - batch.starts_at) * (number + 1) / len(order)
            if number >= reached or (silent and rng.random() < 0.3):
                batch.verdicts[key] = Verdict.NONE
            elif number >= paid:
                batch.verdicts[key] = Verdict.UNPAID
            elif world.happens(habits.final_rows):
                batch.verdicts[key] = Verdict.FINAL
            elif world.happens(habits.retry_rows):
                batch.verdicts[key] = Verdict.RETRY
            else:
                batch.verdicts[key] = Verdict.OK
        if world.happens(habits.stuck):
            batch.ends_at = batch.named_at = batch.created_at + rng.choice((20_000.0, 100_000.0, 300_000.0))
            for key in order[rng.randrange(len(order)) :]:
                batch.finished_at[key] = batch.ends_at
        if world.happens(habits.short_files):
            batch.short_until = batch.ends_at + rng.choice((10.0, 600.0, 5000.0, NEVER))
            batch.cut_keys = {key for key in batch.keys if rng.random() < 0.5}
        if world.happens(habits.late_results):
            batch.named_at += 100 * rng.random()
        elif world.happens(habits.very_late_results):
            batch.named_at += 240 + 240 * rng.random()
        if world.happens(habits.slow_files):
            batch.files_after = 150 * rng.random()
        if world.happens(habits.losses):
            batch.gone_at = batch.ends_at + 7200 * rng.random()
        elif world.happens(habits.file_losses):
            batch.files_gone_at = batch.ends_at + 7200 * rng.random()

    def may_hide(self, batch: RemoteBatch) -> None:
        """Draw when a batch that we have a receipt for is not shown."""
        more, habits = self.world.more, self.habits
        if self.world.is_calm or more.random() >= habits.hides:
            return
        if more.random() < 0.5:  # on and off, right after its create
            starts = [batch.created_at + 120 * more.random() for _ in range(3)]
            batch.hidden += [(start, start + 40 * more.random()) for start in starts]
        else:
            start = batch.created_at + 1.3 * (batch.ends_at - batch.created_at) * more.random()
            batch.hidden.append((start, start + more.choice((60, 600, 6000, 60_000)) * more.random()))
        self.world.note("remote", f"{batch.id} is not shown", *[f"{a:.0f} to {b:.0f}" for a, b in batch.hidden])

    def is_shown(self, batch: RemoteBatch) -> bool:
        """Whether a look, a list and its files say that it is there."""
        now = self.world.seconds
        return batch.is_there(now) and (self.world.is_calm or not batch.is_hidden(now, now))

    # -- looks

    def phase(self, batch: RemoteBatch, now: float) -> Phase:
        if now < min(batch.unknown_until, batch.over_at):
            return Phase.UNKNOWN
        if now >= batch.over_at:
            return Phase.CANCELLED if batch.was_cancelled else batch.end
        if now >= batch.cancelling_at:
            return Phase.CANCELLING
        return Phase.RUNNING if now >= batch.starts_at else Phase.VALIDATING

    def observed(self, batch: RemoteBatch) -> Observed:
        if batch.last_seen is not None:
            return batch.last_seen
        now, world = self.world.seconds, self.world
        phase = self.phase(batch, now)
        done = [batch.verdict(key) for key in batch.keys if batch.finished_at.get(key, NEVER) <= now]
        ok = done.count(Verdict.OK)
        bad = sum(done.count(one) for one in (Verdict.FINAL, Verdict.RETRY, Verdict.UNPAID))
        has_results = phase.has_ended and batch.failure is None and (ok or bad or batch.says_silence)
        is_final = not has_results or now >= batch.named_at or batch.was_cancelled or batch.files_gone_at <= now
        files: tuple[ResultFile, ...] = ()
        if has_results and is_final:
            output, error = self._lines(batch)
            files = tuple(
                ResultFile(f"{batch.id}/{kind}", kind)
                for kind, lines in (("output", output), ("error", error))
                if lines
            )
        seen = Observed(
            remote_id=batch.id,
            phase=phase,
            raw_status=phase.value,
            counts=Counts(len(batch.keys), ok, bad),
            created_at=world.at(batch.created_at),
            ended_at=world.at(batch.over_at) if phase.has_ended else None,
            window_hours=batch.window_hours,
            endpoint=batch.endpoint,
            label=self._label_of(batch),
            input_ref="" if self.habits.blind == "marks" else batch.input_ref,
            continued_from=batch.continued_from,
            result_files=files,
            results_are_final=is_final,
            failure=batch.failure if phase is Phase.FAILED else None,
        )
        if phase.has_ended and is_final:
            batch.last_seen = seen
        return seen

    def _label_of(self, batch: RemoteBatch) -> dict[str, str]:
        match self.habits.label:
            case "ours":
                return batch.label
            case "none":
                return {}
            case word:
                return {"team": word}

    def name_of(self, ref: str) -> str:
        """The name of an uploaded file; empty for one that is gone."""
        return f"{self.uploads[ref][0]}.jsonl" if ref in self.uploads else ""

    def listed(self) -> list[RemoteBatch]:
        """What a list shows now, newest first."""
        now = self.world.seconds
        hidden = self.habits.is_named  # when cancelled
        shown = [
            b
            for b in self.batches
            if b.listed_at <= now and self.is_shown(b) and not (hidden and b.cancelled_at <= now and b.was_cancelled)
        ]
        return sorted(shown, key=lambda b: (b.created_at, b.id), reverse=True)

    def deleted(self) -> list[RemoteBatch]:
        """Cancelled batches of a remote that can only delete: their results are there, they are not."""
        now = self.world.seconds
        return [b for b in self.batches if b.is_there(now) and self._is_deleted(b)]

    def _is_deleted(self, batch: RemoteBatch) -> bool:
        return self.habits.is_named and batch.was_cancelled and batch.cancelled_at <= self.world.seconds

    # -- results

    def _lines(self, batch: RemoteBatch) -> tuple[list[bytes], list[bytes]]:
        output, error = [], []
        for key, custom_id in zip(batch.keys, batch.custom_ids, strict=True):
            match batch.verdict(key):
                case Verdict.OK:
                    output.append(self._answer_line(batch, key, custom_id))
                case Verdict.FINAL:
                    error.append(_error_line(custom_id, "invalid_request_error", 400))
                case Verdict.RETRY:
                    error.append(_error_line(custom_id, "server_error", 500))
                case Verdict.UNPAID:
                    error.append(_error_line(custom_id, "insufficient_quota", 429))
                case Verdict.NONE if batch.says_silence:
                    code = "batch_cancelled" if batch.was_cancelled else "batch_expired"
                    error.append(_error_line(custom_id, code, None))
                case Verdict.NONE:
                    pass
        return output, error

    def _answer_line(self, batch: RemoteBatch, key: bytes, custom_id: str) -> bytes:
        body = f'{{"choices":[{{"message":{{"content":"{batch.answer(key)}"}}}}]}}'
        if self.habits.is_named:
            return f'{{"custom_id":"{custom_id}","response":{body}}}\n'.encode()
        return f'{{"custom_id":"{custom_id}","response":{{"status_code":200,"body":{body}}},"error":null}}\n'.encode()

    def content(self, ref: str) -> bytes | None:
        """The bytes of a result file; None when it is not there any more."""
        remote_id, _, kind = ref.partition("/")
        batch = self.batch(remote_id)
        now = self.world.seconds
        if batch is None or not batch.over_at + batch.files_after <= now < min(batch.gone_at, batch.files_gone_at):
            return None
        if not self.is_shown(batch) or ref in self.deleted_files:
            return None
        output, error = self._lines(batch)
        lines = output if kind == "output" else error
        if now < batch.short_until:
            hidden = [custom_id.encode() for key, custom_id in zip(batch.keys, batch.custom_ids, strict=True)
                      if key in batch.cut_keys]  # fmt: skip
            left = [line for line in lines if not any(b'"' + one + b'"' in line for one in hidden)]
            lines = left + (left[:1] * (len(lines) - len(left)) if batch.says_silence else [])
        return b"".join(lines)

    def input_of(self, batch: RemoteBatch) -> bytes | None:
        """What a batch was made of, as far as it can be read back."""
        if self.habits.is_inline:
            return batch.content if self.habits.keeps_input and not batch.continued_from else None
        return self.uploads[batch.input_ref][1] if batch.input_ref in self.uploads else None

    # -- a chain

    def left_by(self, batch: RemoteBatch) -> tuple[list[bytes], list[str]]:
        """What neither a batch nor any before it in its chain has answered."""
        chain = [batch]
        while chain[-1].continued_from and (parent := self.batch(chain[-1].continued_from)) is not None:
            chain.append(parent)
        answered = {key for link in chain for key in link.keys if link.verdict(key) is Verdict.OK}
        root = chain[-1]
        left = [(key, one) for key, one in zip(root.keys, root.custom_ids, strict=True) if key not in answered]
        return [key for key, _ in left], [one for _, one in left]

    def requests_in(self, content: bytes) -> tuple[list[bytes], list[str]]:
        """Keys and ids of an uploaded file."""
        custom_ids = [line.split(b'"', 4)[3].decode() for line in content.splitlines()]
        keys = [key_of(custom_id) for custom_id in custom_ids]
        assert None not in keys, "a line that names no request was uploaded"
        return [key for key in keys if key is not None], custom_ids


def _fail_for_want_of_input(batch: RemoteBatch) -> None:
    batch.end, batch.failure = Phase.FAILED, Failure(FailureKind.FILE_NOT_VISIBLE, "invalid_request", "no file")
    batch.verdicts, batch.finished_at = {}, {}
    batch.starts_at = batch.ends_at = batch.named_at = batch.created_at
    batch.gone_at = batch.files_gone_at = NEVER


def _error_line(custom_id: str, code: str, status: int | None) -> bytes:
    response = f'{{"status_code":{status},"body":{{"error":{{"code":"{code}","message":"no"}}}}}}' if status else "null"
    error = "null" if status else f'{{"code":"{code}","message":"no"}}'
    return f'{{"custom_id":"{custom_id}","response":{response},"error":{error}}}\n'.encode()


def _names(keys: list[bytes]) -> str:
    return ",".join(key.hex()[:4] for key in keys)


def _life(batch: RemoteBatch) -> str:
    verdicts = ",".join(f"{key.hex()[:4]}={verdict.value}" for key, verdict in batch.verdicts.items())
    failure = f" ({batch.failure.kind.value})" if batch.failure else ""
    gone = "".join(
        f" {what} {at:.0f}" for what, at in (("gone", batch.gone_at), ("files gone", batch.files_gone_at)) if at < NEVER
    )
    return f"{batch.end.value}{failure} at {batch.ends_at:.1f}, named at {batch.named_at:.1f}{gone}: {verdicts}"
