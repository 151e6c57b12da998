"""What a vendor is: what specs may say about it, and the seams of its API.

Observing changes nothing, every verb can be repeated, none waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from runner.errors import BlockedError, RunnerError
from runner.job.body import BodyPlan
from runner.job.calls import Journal
from runner.job.capabilities import Capabilities, Content
from runner.job.observed import Found, Observed, Origin, ResultFile
from runner.job.project import Job, ProviderBlock
from runner.job.recorded import Batch
from runner.job.stored import Inventory, Stored
from runner.remotes.params import Params
from runner.remotes.reading.verdict import TEXT, Answer, Expected, Parsed, Plain, Shape

if TYPE_CHECKING:
    from runner.clock import Clock
    from runner.fields import Fields  # pydantic takes a while to import: what is checked already does without
    from runner.remotes.audio import Recording
    from runner.remotes.online import Request
    from runner.remotes.overrides import Overrides
    from runner.remotes.transport.gate import UrlGate
    from runner.remotes.transport.http import Http

UNSEEN = "file_not_visible"  # the code of a create that was refused since its upload is not to be seen
NO_LIST = (404, 405, 501)  # a remote that answers so to a list has none


class Complaint(NamedTuple):
    """A fault of one field: which, what is wrong as a predicate, and what to do."""

    field: str
    words: str
    hint: str


class RecordingForm(msgspec.Struct, frozen=True):
    """The form that goes with a recording."""

    params: type[Fields]  # the fields a user may write
    faults: Callable[[Mapping[str, Any], str | None], Iterable[Complaint]]  # of fields that need others, for a task
    paths: Mapping[str, str]  # of the API, by task
    endpoint_ids: Mapping[str, str]  # where the remote runs it, by model


WRITTEN = ("model", "messages", "input", "prompt", "stream")


class Declared(msgspec.Struct, frozen=True):
    """What specs may say about providers of one kind, about their models, and about what these are asked with."""

    content: frozenset[Content]
    has_online: bool = False  # whether it answers a call a request as well
    is_configurable: bool = True  # False: a block says nothing but its kind
    overrides: Overrides | None = None
    profiles: tuple[str, ...] = ()  # look-alikes with a name, for `profile`
    url_has_path: bool = True  # `base_url` ends with the path of the API; False: it has none
    example_urls: Mapping[str, str] = {}  # by profile (empty: of one's own): `base_url` is needed, such as this one
    example_models: Mapping[str, str] = {}  # by built-in provider: one that is cheap and takes rows
    models: tuple[str, ...] = ()  # that it has; empty: its remote knows
    params: type[Fields] | None = None  # of models: those with rules of their own
    known_params: Callable[[ProviderBlock, str], Params] = lambda block, endpoint: {}  # empty: nothing is known of it
    needs_schema_name: Callable[[ProviderBlock], bool] = lambda block: False  # in a `response_format`
    options: type[Fields] | None = None  # of models; None: there are none
    options_of: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] = lambda name, options: options  # of a model
    form: RecordingForm | None = None  # where it takes recordings
    written: tuple[str, ...] = WRITTEN  # params that runner itself writes
    endpoints: tuple[str, ...] = ()  # that a model may name; empty: every one we know
    roles: tuple[str, ...] = ()  # of messages; empty: every one we know


class Envelope(NamedTuple):
    """The bytes of a request line before the custom_id, between it and the body, and after the body."""

    head: bytes
    middle: bytes
    tail: bytes


class Lines(Protocol):
    """What a line of a remote is. Pure. Every byte of it is part of a request's identity: golden digests hold it."""

    @property
    def name(self) -> str:
        """What compiled jobs remember it by."""
        ...

    def body(self, job: Job) -> BodyPlan:
        """How the bodies of a job are put together. Raises SpecError for what the vendor cannot be asked."""
        ...

    def envelope(self, endpoint: str) -> Envelope: ...

    def identity(self, job: Job) -> tuple[str, ...]:
        """What enters a request's digest beside its body, in order: the model where no body names it, options."""
        ...


class Reader(Protocol):
    """What the lines of a raw result file are. Pure.

    Every line is read by `parse`, and what stands in it by `parts` and `answer`. `shapes` and `plains` are the fast way
    for what nearly all lines are; they may be left empty, and give None.
    """

    @property
    def shapes(self) -> Sequence[Shape]:
        """How successes are written, the most frequent first."""
        ...

    def plains(self, lines: Sequence[bytes]) -> Sequence[Plain | None]:
        """For each line the text answer that ended by itself; None for everything else, for broken UTF-8 too."""
        ...

    def parse(self, line: bytes) -> Parsed:
        """Whose a line is (without its newline), and what became of it. Raises Unreadable."""
        ...

    def parts(self, line: bytes) -> tuple[str, bytes]:
        """The custom_id of a line and the body of the answer in it, byte for byte; of a request line `null`.

        Raises one of `mending.NOT_SO`.
        """
        ...

    def answer(self, body: bytes | msgspec.Raw, wanted: Expected = TEXT) -> Answer:
        """The answer in a body, in the remote's own bytes, and how it ended.

        wanted: what was asked for; of several texts the one that is that is taken.
        """
        ...


class Place(msgspec.Struct, frozen=True):
    """Where a remote is when nothing else is said, and which variables of the environment say more."""

    base_url: str = ""  # empty: somebody has to give one
    base_url_env: str = ""
    key_env: str = ""  # empty: the key's variable is named after the provider
    hosts: tuple[str, ...] = ()  # its own: a vendor's key goes to these by itself
    url_has_path: bool = True
    sends_key: bool = True
    account_env: str = ""
    needs_account: bool = False
    is_ours: bool = False  # a server that we start ourselves: no address, no key


class Net(Protocol):
    """What a client is given of this machine: an address, its keys in headers, connections, time."""

    url: str
    account: str  # the block's, else the environment's; may be empty
    origin: Origin
    clock: Clock

    def http(
        self,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        optional: Mapping[str, str] = {},  # never written to
        query: Mapping[str, str] = {},
    ) -> Http:
        """Connections that send the key in a header. optional: header -> variable, sent where it is set."""
        ...

    def gate(self, http: Http, hosts: Sequence[str]) -> UrlGate:
        """What lets signed URLs of these hosts pass."""
        ...


class Vendor(Protocol):
    """One kind of remote. Pure: httpx is imported when a client is opened. All raise SpecError at the block's place.

    What has an answer here may be left to it by a vendor that inherits it.
    """

    @property
    def kind(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]:
        """The providers that a spec can name without declaring them: the kind itself, and its look-alikes."""
        ...

    def place(self, block: ProviderBlock) -> Place: ...

    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """Every variable that belongs to this vendor, and the hosts its value goes to by itself."""
        ...

    def card(self, block: ProviderBlock, content: Content) -> Capabilities:
        """What the remote can do with such requests, from data alone."""
        ...

    def lines(self, block: ProviderBlock) -> Lines: ...

    @property
    def reader(self) -> Reader:
        """What the lines of its result files are."""
        ...

    def floors(self) -> Mapping[str, tuple[float, float]]:
        """By model, USD per 1M tokens of input and output, below which no price of a spec is believed."""
        return {}

    def check_account(self, block: ProviderBlock, account: str) -> None:
        """Whether this can be an account, where one is needed."""
        return

    def open(self, block: ProviderBlock, net: Net, content: Content) -> Provider: ...

    def online(self, block: ProviderBlock, content: Content) -> Capabilities | None:
        """The same of its online side, which takes each request in a call of its own; None where it has none."""
        return None

    def open_online(self, block: ProviderBlock, net: Net, content: Content) -> Provider:
        """A client of the online side. Only asked where `online` says that there is one."""
        raise AssertionError(f"`{self.kind}` has no online side")

    def acted_out(self, block: ProviderBlock, content: Content) -> tuple[ProviderBlock, str]:
        """How a stand-in for it is spoken to: as what, and the path of its API there."""
        return block, ""


def takes_rows_only(block: ProviderBlock, content: Content) -> None:
    """Raises SpecError for recordings."""
    if content is Content.RECORDING:
        raise block.problem("takes no recordings", "`audio` jobs need a provider that takes them")


class Uploaded(msgspec.Struct, frozen=True):
    """An input file the remote holds, by its `ref`."""

    ref: str
    size_bytes: int


class Inline(msgspec.Struct, frozen=True):
    """The request lines of a batch in a file of ours, each with its newline: for a create that carries them itself.

    They are there for this one call. A create that is made again is given its lines anew.
    """

    path: Path
    size_bytes: int


Input = Uploaded | Inline


class Submission(msgspec.Struct, frozen=True):
    """One batch to be created. `label` is written on it where the remote lets us (at most 16 short strings)."""

    name: str  # deterministic: the uploaded file's name without suffix, the job id where we may choose one
    model: str
    endpoint: str
    window_hours: int
    label: Mapping[str, str]
    rows: int
    params: Mapping[str, object] = msgspec.field(default_factory=dict)  # of the model, as they stand in every row
    options: Mapping[str, object] = msgspec.field(default_factory=dict)  # of the model, for the batch as a whole
    system_prompt: str = ""  # the one every row starts with, where it is the same in all of them
    continued_from: str = ""  # remote id of the batch whose remainder this is; it then needs no upload


class LineageFile(msgspec.Struct, frozen=True):
    """A result file of one link of a chain: whose it is and which batch it came of."""

    file: ResultFile
    dataset: str  # where the remote keeps it; empty where it has no such thing
    batch: str  # remote id
    parent: str = ""  # remote id of the batch that this one continued


class Work(Protocol):
    """One batch that was begun, with all that carrying it on takes where its requests are calls of their own.

    Requests are numbered by the place of their keys among the sorted keys of the batch. Safe to share between threads.
    """

    @property
    def batch(self) -> Batch: ...

    @property
    def journal(self) -> Journal:
        """What became of each request; opened when it is first asked for. Raises StateError."""
        ...

    def why_not(self, number: int) -> str:
        """Why a request is not to be sent any more, in words; empty where it is."""
        ...

    def request(self, number: int) -> Recording | Request:
        """What the remote is to be sent. Raises DataError when it changed since it was planned."""
        ...

    def tokens(self, number: int) -> int:
        """About how many a request takes, its answer included; 0 where it is not counted so."""
        ...

    def fields(self, number: int) -> Mapping[str, str]:
        """The form a recording is asked with; empty where no job wants it any more: its answer is kept all the same."""
        ...

    def custom_id(self, number: int) -> str: ...


def _only_looked_at(unsent: int) -> RunnerError:
    return BlockedError(f"{unsent:,} requests are not sent yet; they are only looked at")


class Budget(msgspec.Struct, frozen=True):
    """How far a batch may be carried on by one `advance`. As it is by itself, nothing is sent."""

    refusal: Callable[[int], RunnerError | None] = (
        _only_looked_at  # why so many requests that are not sent yet may not be
    )
    tell: Callable[[Observed], None] = lambda seen: None  # now and then, how far it has come
    heard: Callable[[], None] = lambda: None  # the remote answered something about it just now
    is_stopped: Callable[[], bool] = lambda: False
    pool: Callable[[int], Executor] = ThreadPoolExecutor  # so many threads
    parallelism: int | None = None  # calls at once; None: as the remote likes it
    poll_seconds: float | None = None  # between two looks at a request; None: as the card says
    answered: Callable[[int, bytes, float], None] = lambda number, line, ms: None  # a request has its line of results
    resubmits: bool = False  # a call of unknown outcome is made again
    max_attempts: int = 1


class Advanced(msgspec.Struct, frozen=True):
    """A batch after it was carried on."""

    seen: Observed
    error: RunnerError | None = None  # what a person has to put right before the rest of it can be sent
    unknown: tuple[int, ...] = ()  # requests of which it turned out that nobody knows whether they were taken
    refused: str = ""  # why nothing of it was ever taken, and nothing more is sent


LARGEST_FILE = 64 * 1024**3  # bytes: no batch result comes near; a disk is fuller sooner


class Provider(Protocol):
    """One remote API. Raises the RemoteError family only; keys appear in no message."""

    card: Capabilities

    @property
    def origin(self) -> Origin: ...

    @property
    def skew(self) -> timedelta:
        """How far the remote's clock is ahead of ours, by the last `Date` it sent; nothing where it sent none yet."""
        ...

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        """Send the input file at `source`, streamed. Not retried here; repeating it costs an orphan file."""
        ...

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        """An upload of this very submission that the remote still holds (by name and size), or None."""
        ...

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        """Create the batch: one request, never retried here.

        content: what was uploaded, or the lines themselves, as the card says; None when it continues another batch.

        Raises NotSent or Refused when nothing was created, OutcomeUnknown when it may have been.
        """
        ...

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        """What an earlier create of this very submission made, since then, and what it may have made.

        By its id where we chose one, else by its label or its upload. Raises Refused (`conflict`) when other work
        stands under its id.
        """
        ...

    def is_of(self, project: str, seen: Observed) -> bool:
        """Whether a batch carries the name of a project of ours."""
        ...

    def revoke(self, upload_ref: str) -> bool:
        """Delete an upload, so that no create on its way finds anything to run; whether it is seen to be gone.

        False where uploads cannot be deleted. Safe to repeat. A batch that runs on it goes on.
        """
        ...

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        """The same batches, with what else the remote can say about whose those are that show no label.

        `runner_file` of a label is the name of the input file; one that is gone has none.
        """
        ...

    def advance(self, work: Work, budget: Budget) -> Advanced:
        """Carry a batch on as far as can be done now: a look, where its remote runs it by itself. Raises as `look`."""
        ...

    def look(self, remote_id: str) -> Observed:
        """One batch. Raises NotFound on 404 only; everything else that fails is not an absence."""
        ...

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        """What the remote lists, newest first, page by page, back to `since` (all of it when None).

        since: by the remote's clock.
        """
        ...

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        """Stream a result file to `to` (written beside, renamed when whole); its size in bytes.

        Cut downloads are resumed or begun again; raises OutcomeUnknown when it stays incomplete, and RemoteError when
        it grows above `cap_bytes`. in_one_go: they are begun again from the first byte, since the remote may write the
        file anew between two requests.
        """
        ...

    def lineage(self, remote_id: str) -> list[LineageFile]:
        """The result files of a batch and of all it continued, oldest first. Raises NotFound without any."""
        ...

    def download_input(self, observed: Observed, to: Path) -> int:
        """The input file of a batch, for reading back which requests it holds. Raises NotFound."""
        ...

    def cancel(self, remote_id: str) -> Observed:
        """Make sure it stops: any terminal state counts as done."""
        ...

    def stored(self, project: str) -> Inventory:
        """What the remote keeps of a project and its card says that it deletes: every list is read to its end.

        Raises RemoteError where a list cannot be had: half of one would show uploads as if nobody used them.
        """
        ...

    def delete(self, stored: Stored) -> bool:
        """Delete one object; whether it is gone. One that is not there is; one in use is refused, and stays.

        Safe to repeat. Raises Refused where this key may not delete, OutcomeUnknown where nobody knows.
        """
        ...

    def close(self) -> None: ...
