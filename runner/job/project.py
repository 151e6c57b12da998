"""A checked project: every name resolved, every matrix opened into cells. What the rest of runner reads."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import Mark, Problem, SpecError
from runner.job.address import matches, renamed
from runner.job.capabilities import MESSAGE_CHARS, Content, Transport
from runner.job.checks import Check, Slice
from runner.job.content import ContentPart, PartLimits
from runner.job.expect import Expectation
from runner.job.pairs import FIRST, SECOND, Orders
from runner.job.source import Value
from runner.job.stored import Kept

ENDPOINTS = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
)
CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS, MODERATIONS = ENDPOINTS


class Price(msgspec.Struct, frozen=True):
    """USD per 1M tokens, or per minute of sound."""

    input: float = 0.0
    output: float = 0.0
    per_minute: float | None = None


class Retention(msgspec.Struct, frozen=True):
    """How long after its end a provider keeps what it has of a batch, in hours; None: nothing is said."""

    uploads: int | None = None
    results: int | None = None  # result files, and the record of the batch

    def or_else(self, wider: Retention) -> Retention:
        """With what a wider one says where this one says nothing."""
        uploads = wider.uploads if self.uploads is None else self.uploads
        return Retention(uploads, wider.results if self.results is None else self.results)

    def of(self, kind: Kept) -> timedelta | None:
        hours = self.uploads if kind is Kept.UPLOAD else self.results
        return None if hours is None else timedelta(hours=hours)


_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


class Then(StrEnum):
    """What becomes of the rows that a batch which takes too long has not answered."""

    ONLINE = "online"  # they are asked again, on the online side of their provider
    GIVE_UP = "give_up"  # they end as errors, until a person has them asked again


class Stragglers(msgspec.Struct, frozen=True):
    """How long a job waits for one of its batches, and what then."""

    after_seconds: int  # since its create, by the remote's clock
    then: Then

    @property
    def words(self) -> str:
        """How long, as specs say it: `6h`."""
        number, unit = next(
            (self.after_seconds // size, unit) for size, unit in _UNITS if not self.after_seconds % size
        )
        return f"{number}{unit}"


class Place(msgspec.Struct, frozen=True):
    """A text inside of a value of the specs that is a template: how to get there, and where it is written."""

    path: tuple[str | int, ...]
    mark: Mark
    reads: tuple[str, ...] = ()  # what a row's text is read as where its field takes no text: `number`, `integer`, ...
    words: str = ""  # what it should be


class Model(msgspec.Struct, frozen=True):
    key: str
    provider: str
    name: str
    endpoint: str = ENDPOINTS[0]
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)
    options: Mapping[str, Any] = msgspec.field(default_factory=dict)
    price: Price | None = None
    mark: Mark = Mark("")
    places: tuple[Place, ...] = ()  # of params that are templates


class Chain(msgspec.Struct, frozen=True):
    """Rows that are what other jobs have answered."""

    parents: tuple[str, ...]  # their addresses; of pairs two, the baseline first
    column: str = "answer"  # what an answer is called in a row; pairs have `first` and `second`
    mark: Mark = Mark("")
    orders: Orders | None = None  # in which the two answers of a pair are shown; None where these are no pairs
    is_judged: bool = False  # it is what the judge of a check sees: no dataset of the specs says so

    @property
    def columns(self) -> tuple[str, ...]:
        """What is in a row beside what was asked about."""
        return (self.column,) if self.orders is None else (FIRST, SECOND)

    @property
    def source(self) -> str:
        """What messages call the file of its rows, which is ours and may be gone when somebody looks for it."""
        return f"answers of {' and '.join(self.parents)}"

    @property
    def way_out(self) -> str:
        """What to do where rows have such a column of their own."""
        if self.orders is None and not self.is_judged:
            return "rename the answer with `as`"
        return "rename it in the files of the dataset"


class Dataset(msgspec.Struct, frozen=True):
    key: str
    files: tuple[str, ...]  # globs or paths, relative to the project root; of a chain none, or the one we wrote
    id: str | None = None  # a column, or a template
    where: str | None = None  # a template; a row stays if it renders to something true
    sample_rows: int | None = None
    sample_seed: int = 0
    delimiter: str | None = None  # of a .csv, None: the usual one of its suffix
    skip_bad: bool = False  # rows that cannot become requests are left out and counted
    mark: Mark = Mark("")
    id_mark: Mark = Mark("")
    where_mark: Mark = Mark("")
    chain: Chain | None = None
    are_paths: bool = False  # its rows are the files themselves, by their paths, and not what is in them
    is_ready: bool = False  # the lines of a batch file

    @property
    def is_ours(self) -> bool:
        """Whether we wrote its files, so that they may lie where no spec may read."""
        return self.chain is not None


class Join(msgspec.Struct, frozen=True):
    """Columns of another dataset beside a row's own, where both keys are the same. No prompt of the job sees them."""

    dataset: Dataset
    row: Value  # the key in a row of the job
    reference: Value  # the key in a row of `dataset`
    mark: Mark = Mark("")


class Evals(msgspec.Struct, frozen=True):
    """What the answers of one cell are held to, and what is told of them. Nothing of it enters a request."""

    checks: tuple[Check, ...] = ()  # in the order in which they are written: the first is the headline
    slices: tuple[Slice, ...] = ()
    cluster: Value | None = None  # whose row it is: rows of one cluster are not independent
    references: Join | None = None
    expect: tuple[Expectation, ...] = ()

    def without(self, names: Collection[str]) -> Evals:
        """The same without some of its checks, and what is expected of those."""
        if not names:
            return self
        checks = tuple(check for check in self.checks if check.name not in names)
        return msgspec.structs.replace(
            self, checks=checks, expect=tuple(one for one in self.expect if one.check not in names)
        )


class Message(msgspec.Struct, frozen=True):
    """One chat message: `content` is a template, or parts; `mark` the place where its text starts.

    One with a `column` stands for all messages that a row has there, and has nothing else.
    """

    role: str
    content: str | tuple[ContentPart, ...]  # empty where nothing is said, and a tool is called instead
    mark: Mark = Mark("")
    role_mark: Mark = Mark("")  # where the role is written, if it is
    fields: Mapping[str, Any] = {}  # beside them, in the order they are sent: name, tool_call_id, tool_calls
    places: tuple[Place, ...] = ()  # of `fields` that are templates
    column: str = ""

    @property
    def parts(self) -> tuple[ContentPart, ...]:
        """None where its content is one text."""
        return () if isinstance(self.content, str) else self.content

    def shown(self) -> str:
        """Its content as a person reads it in the specs."""
        return self.content if isinstance(self.content, str) else "\n".join(part.shown() for part in self.content)


class Answer(msgspec.Struct, frozen=True):
    """What answers have to be: JSON that a schema describes. The `response_format` that asks for it is made of it."""

    schema: Mapping[str, Any]
    file: str = ""  # where the schema was read, relative to the project root; empty where it stands in the specs
    mark: Mark = Mark("")


class Body(msgspec.Struct, frozen=True):
    """A request as a whole: of a column, or a mapping with templates in it."""

    column: str = ""
    tree: Mapping[str, Any] = {}
    places: tuple[Place, ...] = ()
    mark: Mark = Mark("")
    is_ready: bool = False  # lines of a batch file, sent byte for byte
    head: Mark | None = None  # the first of them, where it told the model


class Prompt(msgspec.Struct, frozen=True):
    key: str
    messages: tuple[Message, ...]
    response_format: Mapping[str, Any] | None = None  # the author's key order is sent and counts
    tools: tuple[Any, ...] | None = None
    mark: Mark = Mark("")
    answer: Answer | None = None
    tools_column: str = ""  # instead of `tools`: each row has its own
    tools_mark: Mark = Mark("")
    body: Body | None = None  # instead of everything else

    @property
    def beside_texts(self) -> dict[str, Any]:
        """What is asked beside texts; empty where there is nothing of the kind, as there was none before."""
        turns = [[n, turn.column, turn.fields] for n, turn in enumerate(self.messages) if turn.column or turn.fields]
        body = self.body and [self.body.column, self.body.tree, *(["as it stands"] if self.body.is_ready else [])]
        return {name: of for name, of in (("turns", turns), ("tools", self.tools_column), ("body", body)) if of}

    @property
    def called(self) -> str:
        """What it is in messages."""
        return f"job `{self.key}`" if self.body else f"prompt `{self.key}`"

    @property
    def inlines_files(self) -> bool:
        """Whether requests are made of files that rows name."""
        return any(part.kind.is_inlined for message in self.messages for part in message.parts)


class Pick(msgspec.Struct, frozen=True):
    """A column of results that shows a value out of the answer."""

    name: str
    path: tuple[str | int, ...]  # names of fields, and places in lists from 0; empty for the answer itself
    source: str  # the same as it is written
    type: str = ""  # of JSON; empty: what the schema of the answer says
    mark: Mark = Mark("")


class ProviderBlock(msgspec.Struct, frozen=True):
    """A provider block of the specs, or a built-in one with nothing overridden."""

    name: str
    kind: str  # embedded, openai, fireworks, fireworks-audio
    base_url: str | None = None
    account: str | None = None
    api_key_env: str | None = None
    profile: str | None = None  # a built-in look-alike: groq, deepinfra, azure, ...
    overrides: Mapping[str, Any] = msgspec.field(default_factory=dict)  # fields of the profile
    mark: Mark = Mark("")
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)  # sent with every request as they are
    headers_env: Mapping[str, str] = msgspec.field(default_factory=dict)  # header -> the variable that holds its value
    insecure_http: bool = False  # plain http to a private host is wanted
    retention: Retention = Retention()
    batch: bool = True  # False: it has no batch API
    parallelism: int | None = None  # calls at once on its online side; None: as its vendor says
    rpm: int | None = None  # requests that may be sent to its online side in a minute; None: no limit is known
    tpm: int | None = None  # the same for tokens, those of answers included

    @property
    def transport(self) -> Transport:
        """Which side of it is asked where a job does not say."""
        return Transport.BATCH if self.batch else Transport.ONLINE

    def problem(self, message: str, hint: str = "") -> SpecError:
        """An error about it, at its place."""
        colon = "" if message.startswith("has ") else ":"
        return SpecError([Problem(self.mark, f"provider `{self.name}`{colon} {message}", hint)])


class BaseJob(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: of whom to ask, and where the answers go. What is asked, each kind of job adds."""

    address: str
    name: str  # the job's key in the specs
    cell: Mapping[str, str]  # empty without a matrix
    model: Model
    window_hours: int
    output: str  # relative to the project root, always inside it
    pooled: tuple[str, ...] = ()  # outputs of the same job in other environments, whose answers count here
    replicate: int = 1
    max_attempts: int = 3
    on_unknown: str = ""  # hold or resubmit; empty: as `calls.resubmits` has it
    transport: Transport = Transport.BATCH
    stragglers: Stragglers | None = None  # None: its batches may take as long as they do
    allow_empty: bool = False
    skip_bad: bool = False  # of recordings; a dataset says so itself
    budget: float | None = None  # USD
    protect: bool = False
    columns: tuple[str, ...] = ()  # of the results file, in order, picks among them; empty for the usual ones
    picks: tuple[Pick, ...] = ()  # values out of answers, in columns of their own
    strict_answers: bool = False  # an answer that is none (cut, refused, not the JSON asked for) is an error
    retries_invalid: bool = False  # answers that are none are asked for again, up to `max_attempts`
    evals: Evals = Evals()
    needs: tuple[str, ...] = ()  # names of jobs, all cells of which come first
    retention: Retention = Retention()  # with what its provider and the project say
    csv_guard: bool = True  # an apostrophe before what a spreadsheet would run as a formula
    tags: tuple[str, ...] = ()  # words of the user's to select it by
    mark: Mark = Mark("")
    output_mark: Mark = Mark("")
    window_mark: Mark = Mark("")


class Job(BaseJob, frozen=True, kw_only=True, tag="rows"):
    """The rows of a dataset through a prompt."""

    dataset: Dataset
    prompt: Prompt
    message_chars: int = MESSAGE_CHARS  # what its provider takes of one message
    part_limits: PartLimits = PartLimits()  # what it takes of files inside of a request
    roles: tuple[str, ...] = ()  # that its provider takes of a message; empty: every one we know

    @property
    def content(self) -> Content:
        return Content.TEXT

    @property
    def chain(self) -> Chain | None:
        """The jobs whose answers it asks about; None for one whose rows lie in files."""
        return self.dataset.chain


class AudioJob(BaseJob, frozen=True, kw_only=True, tag="audio"):
    """Recordings, one request each. `output` is a folder if it ends in `/`."""

    patterns: tuple[str, ...]  # globs or paths, relative to the project root
    exclude: tuple[str, ...] = ()
    task: str = "transcribe"  # or translate
    path: str  # of the API, with a slash before it
    endpoint_id: str = ""  # where the remote runs it; empty where it has no such thing
    fields: tuple[tuple[str, str], ...] = ()  # of the form, sorted; without the file and the model
    patterns_mark: Mark = Mark("")

    @property
    def content(self) -> Content:
        return Content.RECORDING

    @property
    def chain(self) -> None:
        return None


AnyJob = Job | AudioJob


class Scope(msgspec.Struct, frozen=True):
    """What a command is about: it leaves alone what is of other specs, or was not selected."""

    paths: tuple[str, ...] = ()  # the specs that were read; none: all there are
    selected: frozenset[str] | None = None  # addresses; None: all that these specs declare, or declared once

    def covers(self, owner: str, declared_in: str) -> bool:
        """Whether a batch is this command's business. owner: the address of the job that asked it. declared_in: the
        spec file of that job, existing or gone.
        """
        return (self.selected is None or owner in self.selected) and is_below(declared_in, self.paths)


EVERYTHING = Scope()


def is_below(file: str, paths: Sequence[str]) -> bool:
    """Whether a spec file, existing or gone, lies under the paths that were read."""
    trimmed = [path.removeprefix("./").rstrip("/") for path in paths]
    return not file or not paths or any(path in ("", ".", file) or file.startswith(path + "/") for path in trimmed)


NAMESPACE_CHARS = 40  # of which remotes keep all


def namespace_of(project: str, environment: str) -> str:
    """`capitals@dev`: no project can be called so. A long name gives way to a digest of itself."""
    if not environment:
        return project
    room = NAMESPACE_CHARS - len(environment) - 1
    if len(project) > room:
        digest = hashlib.sha256(project.encode()).hexdigest()[:8]
        project = f"{project[: max(room - 9, 0)]}~{digest}"
    return f"{project}@{environment}"


class Project(msgspec.Struct, frozen=True):
    name: str
    root: Path
    jobs: tuple[AnyJob, ...]  # sorted by address
    providers: Mapping[str, ProviderBlock]  # those the jobs use, and those declared
    files: tuple[str, ...]  # spec files read, relative to the root
    paths: tuple[str, ...] = ()  # what was given on the command line
    budget: float | None = None
    repay_usd: float | None = None  # what may be paid for again without a yes; None: the default
    retention: Retention = Retention()
    warnings: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()  # addresses of jobs, the old one and the one it has now
    environment: str = ""  # the one that was chosen; empty for the specs as they stand
    environments: tuple[str, ...] = ()  # that the specs declare
    vars: Mapping[str, str] = {}  # the value of each, as text
    left_out: tuple[AnyJob, ...] = ()  # declared in these files, and not selected: nothing is done about them

    def keeping(self, addresses: Collection[str]) -> Project:
        """The project as a command sees it that is about these jobs alone."""
        kept = tuple(job for job in self.jobs if job.address in addresses)
        left = tuple(job for job in self.jobs if job.address not in addresses)
        return msgspec.structs.replace(self, jobs=kept, left_out=(*self.left_out, *left))

    def called_now(self, address: str) -> str:
        """The address that a job of this one goes by now."""
        for old, new in self.moved:
            if matches(address, old):
                return renamed(address, old, new)
        return address

    @property
    def scope(self) -> Scope:
        return Scope(self.paths, frozenset(job.address for job in self.jobs) if self.left_out else None)

    @property
    def namespace(self) -> str:
        """Whose a batch is, as remotes and records say it: no environment is taken for another, or for the project."""
        return namespace_of(self.name, self.environment)

    @property
    def lock_name(self) -> str:
        """The file that says what its results were made of and came to: each environment has its own."""
        return f"runner.{self.environment}.lock" if self.environment else "runner.lock"

    @property
    def shown(self) -> str:
        """Its name, in words."""
        return f"{self.name}, {self.environment}" if self.environment else self.name
