"""What we remember: one record per batch, per job, per retry. Never one per row; rows are in packed objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from runner.job.capabilities import Content, Delivery, Shown, Transport
from runner.job.cost import Price, Used
from runner.job.observed import Counts, Failure, FailureKind, Origin, Phase
from runner.job.scored import Scores
from runner.job.stored import Kept
from runner.job.written import Written

SCHEMA = 1
PACKED = 2  # of a project's own record, from when raw files are packed: up to release 0.1.0 they are read plain only
NEWEST = PACKED
GONE = "gone"  # in Batch.raw_status: the remote did not have it any more
TRIED = "tried"  # in Batch.reason: it holds a few rows that a person asked before any others
REMOTE = "remote"  # in Batch.found_in: found on the remote by its label


class Stage(StrEnum):
    """How far one batch of ours has come, as durably written."""

    INTENT = "intent"  # we may have asked the remote to create it; not, where no try is counted
    SUBMITTED = "submitted"  # the remote gave us its id
    DEFERRED = "deferred"  # the remote refused it for now (quota); the same input again at `not_before`
    COLLECTED = "collected"  # its outcomes are on our disk, verified
    DROPPED = "dropped"  # nothing of it exists remotely, as far as we can see; its rows are free again
    HELD = "held"  # unknown outcome: its index says LOST for every request, a person decides


class Stop(StrEnum):
    """For whom a batch is told to stop, and so what becomes of the rows that it has not answered."""

    PERSON = "person"  # who decides about them
    ONLINE = (
        "online"  # as its job says of batches that take too long: they are asked again, online where it still says so
    )
    GIVE_UP = "give_up"  # as its job says of batches that take too long: they are errors


class ResultObject(msgspec.Struct, frozen=True):
    """A raw result file as downloaded: the object `<batch>/<name>`."""

    name: str
    size_bytes: int
    sha256: str = ""  # as hex; up to release 0.1.0 it was not kept


class Tally(msgspec.Struct, frozen=True):
    """Outcomes of one collected batch, by count."""

    ok: int = 0
    final: int = 0
    retry: int = 0
    lost: int = 0
    rejected: int = 0
    unpaid: int = 0
    duplicates: int = 0
    foreign: int = 0
    unreadable: int = 0

    @property
    def finished(self) -> int:
        return self.ok + self.final


class Batch(msgspec.Struct, frozen=True):
    """One remote submission of some of a job's requests.

    `key` names it everywhere on our side: 16 hex of the digest of its request set, then its attempt number.
    `owner` is the address of the job that asked; answers belong to the project all the same.
    """

    key: str
    project: str
    owner: str
    origin: Origin
    endpoint: str
    model: str
    window_hours: int
    rows: int
    size_bytes: int
    keys_sha256: str  # of the packed, sorted key set in `objects/<key>/keys`
    attempt: int
    generation: int
    sequence: int  # order of submission within the project
    intent_at: datetime  # of the last try of its create, by the remote's clock; before the first one, by ours
    stage: Stage = Stage.INTENT
    params: Mapping[str, object] = {}  # of the model at the time, for a create that is sent again
    options: Mapping[str, object] = {}
    system_prompt: str = ""
    parents: tuple[str, ...] = ()
    continued_from: str = ""  # remote id of the batch whose remainder this is
    content: Content = Content.TEXT
    delivery: Delivery = Delivery.UPLOAD
    transport: Transport = Transport.BATCH
    possible_duplicates: int = 0  # calls of unknown outcome that were made again all the same
    owed: int = 0  # answers that the remote counts and never gave: asked again, they may be paid for twice
    can_be_continued: bool = True  # False once the remote refused to
    upload_ref: str = ""
    uploaded_at: datetime | None = None
    uploads: int = 1  # of these requests, with this one: a remote that does not see the first may see another
    may_hold_upload: bool = False  # the remote may have this input from an earlier try
    create_tries: int = 0
    is_revoked: bool = False  # its upload is deleted, or was about to be: nothing is ever created of it again
    is_given_up: bool = False  # nothing came of an unanswered create of this name; it may take effect yet
    given_up_from: datetime | None = None  # the intent of the first such create, by the remote's clock
    remote_id: str = ""
    submitted_at: datetime | None = None  # by our clock; of one that was found, when it was created, by the remote's
    not_before: datetime | None = None
    pause_seconds: float = 900.0  # that `not_before` was at most away when it was written
    stop: Stop | None = None  # written before its remote is told to stop it
    stop_at: datetime | None = None  # when that was tried last, by the remote's clock
    not_stopped: str = ""  # why it goes on all the same
    phase: Phase = Phase.UNKNOWN
    raw_status: str = ""
    counts: Counts = Counts()
    seen_at: datetime | None = None
    missed_at: datetime | None = None  # when the remote first answered 404 for it, or for a file it had named
    misses: int = 0  # such answers since it was last seen whole
    end_seen_at: datetime | None = None  # when it was first seen to have ended, by the remote's clock as far as known
    why: str = msgspec.field(default="", name="trouble")  # why the last look or step did not succeed
    failure: Failure | None = None
    is_written_off: bool = False  # a person goes on without it: what cannot be told of it stops nothing any more
    short_since: datetime | None = None  # when its files were first seen to hold less than was counted
    ended_at: datetime | None = None
    results: tuple[ResultObject, ...] = ()
    index_sha256: str = ""
    tally: Tally = Tally()
    # REMOTE, or the path of the output file its answers were read back from
    found_in: str = msgspec.field(default="", name="adopted_from")
    declared_in: str = ""  # the spec file of its owner
    # Remote ids of duplicates that were found and cancelled; and by such an id, requests that may be paid for twice:
    # all of them where nothing is said. Records of every version have them under these names.
    duplicates: tuple[str, ...] = msgspec.field(default=(), name="twins")
    duplicate_rows: dict[str, int] = msgspec.field(default_factory=dict, name="twin_rows")
    refused: tuple[str, ...] = ()  # remote ids of earlier creates that the remote's queue turned away
    reason: str = ""  # why it was sent, as the plan said it
    estimated_usd: float | None = None
    price: Price = Price()  # when it was sent
    used: Used | None = None  # by its answers, once they are here; up to release 0.1.0 it was not kept
    input_tokens: int | None = None
    output_tokens: int | None = None
    # By remote id, requests that another batch holds too, or answered: paid twice. A batch that was in flight when it
    # was written has all that it holds in it until it is brought home.
    overlaps: dict[str, int] = {}
    is_unproven: bool = False  # found by time and number alone: its results will say whose it is
    deleted: tuple[Kept, ...] = ()  # of what its remote kept, what was deleted there
    candidates: tuple[str, ...] = ()  # remote ids that may have come of it: nothing at the remote says whose they are
    asked: str = ""  # name of the object that says how its owner was declared (`job.asked`); empty where nobody knows
    schema: int = SCHEMA

    @property
    def is_active(self) -> bool:
        """In flight: its rows are neither free nor settled."""
        return self.stage in (Stage.INTENT, Stage.SUBMITTED, Stage.DEFERRED)

    @property
    def has_journal(self) -> bool:
        """Whether each request is a call with a receipt of its own: what became of it stands in a journal of ours.

        The remote knows nothing of the batch as a whole, neither a name nor a state, and cannot be told to stop it.
        """
        return self.delivery is Delivery.CALLS

    @property
    def is_run_here(self) -> bool:
        """Whether its calls are made from here: nothing of it goes on while no command carries it on."""
        return self.has_journal and self.stage is Stage.SUBMITTED

    @property
    def own_status(self) -> str:
        """How far it has come, in words of ours; empty where its remote has a word for that."""
        return self.raw_status if self.has_journal else ""

    @property
    def lost_is_unknown(self) -> bool:
        """What LOST in its index means: nobody knows whether the remote took it; else it did, and has no answer."""
        return self.has_journal or self.stage is Stage.HELD

    @property
    def is_name_taken(self) -> bool:
        """Whether something may go by its name at the remote, or on record: then no other batch is called the same."""
        is_in_use = self.duplicates or self.candidates or self.possible_duplicates or self.is_revoked or self.is_unseen
        return self.stage is not Stage.DROPPED or bool(is_in_use)

    @property
    def is_unseen(self) -> bool:
        """The remote took the upload, and says that it cannot find it."""
        return self.failure is not None and self.failure.kind is FailureKind.FILE_NOT_VISIBLE

    @property
    def is_adopted(self) -> bool:
        """Found at its remote: this memory did not send it."""
        return self.found_in == REMOTE

    @property
    def is_sent_from_here(self) -> bool:
        """This memory sent it: also a create that was given up, and was found when it had taken effect late."""
        return not self.found_in or (self.is_adopted and self.given_up_from is not None)

    @property
    def is_read_back(self) -> bool:
        """Its answers were found in an output: no remote is asked about it."""
        return self.found_in not in ("", REMOTE)

    @property
    def is_lost(self) -> bool:
        """Given up since the remote did not show it, or a file of it, any more. It may come back."""
        was_gone = self.raw_status == GONE and not self.results  # as it was written up to release 0.1.0
        is_missed = self.missed_at is not None or was_gone
        return self.stage is Stage.COLLECTED and is_missed and bool(self.remote_id)

    @property
    def is_out_of_reach(self) -> bool:
        """In flight, and the last look at it or the last step did not succeed: a person may go on without it."""
        return self.stage is Stage.SUBMITTED and bool(self.why and self.remote_id) and not self.has_journal

    @property
    def rows_of_duplicates(self) -> int:
        """Requests of its duplicates, each of which may be paid for twice."""
        return sum(self.duplicate_rows.get(duplicate, self.rows) for duplicate in self.duplicates)

    def but(self, **changes: object) -> Batch:
        """This record with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class JobRecord(msgspec.Struct, frozen=True):
    """What we last did for a job: enough to see a rename, a removal, a changed output."""

    address: str
    declared_in: str
    provider: str
    keys_object: str  # name of the object that holds its sorted key set
    rows: int
    output: str = ""
    output_sha256: str = ""  # of a table as we wrote it
    output_pieces: str = ""  # of a large one instead: name of the object that holds the digests of its pieces
    # Of a folder as we wrote it; up to release 0.1.0 stats, of a table too.
    output_fingerprint: str = msgspec.field(default="", name="output_stamp")
    written_sha256: str = ""  # what the output was made of: wanted rows and the indexes shown
    ok: int = 0
    error: int = 0
    not_sent: int = 0
    in_flight: int = 0
    unknown: int = 0
    needs_decision: int = 0
    missing: int = 0
    flaws: dict[str, int] = {}  # answers that are none (cut, refused, ...), by how they ended
    flawed_object: str = ""  # of a job whose answers have to be good: the object that holds the keys of those
    written_at: datetime | None = None
    scores: Scores | None = None
    asked: str = ""  # name of the object that says how it was declared; up to release 0.1.0 it was not kept
    schema: int = SCHEMA

    @property
    def written(self) -> Written | None:
        """The output; None before anything was written."""
        if not self.written_sha256:
            return None
        return Written(
            self.output, self.written_sha256, self.output_sha256, self.output_fingerprint, self.output_pieces
        )


class Retry(msgspec.Struct, frozen=True):
    """A decision to ask again: outcomes of older generations no longer settle these requests."""

    generation: int
    address: str
    keys_object: str
    rows: int
    replaces: bool  # answered requests too
    decided_at: datetime
    possible_duplicates: int = 0  # of them nobody knew whether the remote had accepted them
    schema: int = SCHEMA


class Deletion(msgspec.Struct, frozen=True):
    """An object at a remote that is about to be deleted: written before the call, since nobody may know after it."""

    kind: Kept
    ref: str
    name: str = ""
    batches: tuple[str, ...] = ()  # remote ids of those it belongs to
    key: str = ""  # as of `Stored`


class Left(msgspec.Struct, frozen=True):
    """Whose a batch of ours was that a search found and that nobody wanted."""

    address: str
    answered: int  # requests it answered; all of them while it runs


class Accounted(msgspec.Struct, frozen=True):
    """A list of a remote in which nothing was in doubt: this memory knew all that was ours, or a person said so.

    A batch that says nothing of whose it is and was made since may be ours, of a memory that is gone.
    """

    until: datetime  # when the newest batch in it was made, by the remote's clock
    nameless: tuple[str, ...] = ()  # of that time: remote ids of those that say nothing of whose they are


class ProjectRecord(msgspec.Struct, frozen=True):
    """The project's own record: its name, and counters that only grow."""

    name: str
    created_at: datetime
    recovered_from: tuple[str, ...] = ()  # origins whose history was searched
    searched_at: dict[str, datetime] = {}  # when each was searched last
    left: dict[str, list[str]] = {}  # by origin, key sets of batches of ours that nobody wanted when they were found
    left_by: dict[str, Left] = {}  # by key set, as far as a batch said whose it was
    shown: dict[str, Shown] = {}  # by origin, what its batches were seen to show
    accounted: dict[str, Accounted] = {}  # by origin, the last list in which nothing was in doubt
    taken: dict[str, int] = {}  # by request set, the last attempt that a batch goes by whose contents are gone
    met: dict[str, str] = {}  # by remote id, the key set of a batch of ours that is not on record
    met_answers: dict[str, str] = {}  # the same of what such a batch answered, where that had to be known
    strangers: tuple[str, ...] = ()  # remote ids of batches that might have been ours, and whose results say otherwise
    deleting: dict[str, tuple[Deletion, ...]] = {}  # by origin: told to go, and not known yet to be gone
    pooled: dict[str, str] = {}  # outputs of other environments whose answers count, by path, as they were read
    accepted_origins: dict[str, list[str]] = {}  # provider -> origins whose answers count
    generation: int = 0
    next_sequence: int = 1
    schema: int = SCHEMA
