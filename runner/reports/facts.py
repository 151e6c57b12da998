"""What a report says, as data: the one thing that all forms of it are drawn from.

`-o json` prints it, and `schema()` describes it. A field that is added has a default; a field that changes its meaning
is a new `VERSION`. Rates and scores are shares from 0 to 1. A limit that is None has no end on that side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

VERSION = 1

# What becomes of a row under a check, as `checks.score.Status` has it, in the order in which it is told.
StatusWord = Literal["right", "wrong", "partly", "measured", "unreadable", "unanswered", "no_reference", "skipped"]
STATUSES: tuple[StatusWord, ...] = (
    "right",
    "wrong",
    "partly",
    "measured",
    "unreadable",
    "unanswered",
    "no_reference",
    "skipped",
)
Form = Literal["rate", "score", "ratio", "number"]
Verdict = Literal["met", "unmet", "undecided", "not_yet"]


class Number(Struct, frozen=True):
    """A metric and its 95 % interval. Without any counted row it has no value."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0  # rows counted
    clusters: int = 0  # of which; rows, where there are no clusters


class Confused(Struct, frozen=True):
    """Rows of one class that were given another. got: None where nothing could be read."""

    expected: str
    got: str | None
    rows: int


class Agreement(Struct, frozen=True):
    """A judge against a person, on the rows that both judged."""

    raw: float
    kappa: Number
    confusion: tuple[Confused, ...] = ()  # expected: the person's


class Duel(Struct, frozen=True):
    """Two jobs' answers in pairs, as a judge prefers them. Counts are of items, and `wins` are those of `second`."""

    first: str  # the address of the baseline
    second: str
    wins: int
    ties: int  # those of `inconsistent` and `equal` among them
    losses: int
    inconsistent: int  # one verdict in one order, another in the other
    equal: int  # both answers are the same, and nobody was asked
    place: Number  # the share won by the place shown first: 0.5 is fair
    consistency: Number | None = None  # of the items that were asked in both orders; None for one order
    p: float | None = None  # that neither is better
    only_first: int = 0  # items that the other job has no answer for; counted nowhere else
    only_second: int = 0


class Check(Struct, frozen=True):
    """What one check found in one job. The statuses add up to the rows that were wanted; of a preference to the items,
    those with equal answers among them.
    """

    name: str
    kind: str  # choice, contains, ...
    form: Form
    number: Number
    statuses: Mapping[StatusWord, int]
    counts_wrong: tuple[StatusWord, ...] = ("wrong",)  # what else the metric takes for wrong
    better: Literal["higher", "lower"] = "higher"
    signature: str = ""  # how it was counted
    macro_f1: Number | None = None
    confusion: tuple[Confused, ...] = ()  # mistakes only, the commonest first
    agreement: Agreement | None = None
    corrected: Number | None = None  # the judge's mean, put right by the rows that a person judged too
    duel: Duel | None = None  # of a preference
    waits_for: str = ""  # what has to come first, in words; then there is no number yet


class Gate(Struct, frozen=True):
    """An expectation of the spec. sentence: what is there instead, with its numbers."""

    metric: str  # answered, a check, check.macro_f1, ...
    expected: str  # `>= 85 %`
    verdict: Verdict
    sentence: str = ""
    number: Number | None = None
    bound: float | None = None  # of `expected`, where it is a number to be drawn at
    slice: Mapping[str, str] = {}
    way_out: str = ""  # of one that is undecided: what decides it


class Accounting(Struct, frozen=True):
    """ok + error + not_sent + in_flight + unknown + needs_decision + missing = wanted, always."""

    wanted: int
    ok: int
    error: int = 0
    not_sent: int = 0
    in_flight: int = 0
    unknown: int = 0
    needs_decision: int = 0
    missing: int = 0


class Failure(Struct, frozen=True):
    """Rows without an answer, by the code of their error."""

    code: str
    message: str  # of the first
    rows: int
    example: str = ""  # its id


class Ending(Struct, frozen=True):
    """Answers that are none, or cut: by how they ended."""

    finish: str  # length, refusal, ...
    words: str  # `cut at the token limit`
    rows: int


class Usage(Struct, frozen=True):
    """As the remote counted; None where nobody says."""

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None  # of sound
    usd: float | None = None
    untold: int = 0  # answers of which the results do not say what they used: they are in none of these


class Provenance(Struct, frozen=True):
    """Enough to make it again. Digests are SHA-256, in hex."""

    provider: str = ""
    model: str = ""  # as written
    answered_as: Mapping[str, int] = {}  # what responses name -> how many
    params: Mapping[str, Any] = {}
    data: tuple[str, ...] = ()  # files or globs
    requests_sha256: str = ""  # of all request digests, in input order
    prompt: str = ""
    prompt_sha256: str = ""
    output: str = ""
    output_sha256: str = ""
    scores: str = ""
    scores_sha256: str = ""
    batches: tuple[str, ...] = ()


class Cell(Struct, frozen=True):
    """One job, or one cell of its matrix."""

    address: str
    label: str  # its axes' values; the job's name where there are none
    axes: Mapping[str, str]
    accounting: Accounting
    checks: tuple[Check, ...] = ()  # the first is the headline
    gates: tuple[Gate, ...] = ()
    failures: tuple[Failure, ...] = ()
    endings: tuple[Ending, ...] = ()
    usage: Usage = Usage()
    provenance: Provenance = Provenance()


class OnSameRows(Struct, frozen=True, kw_only=True):
    """How far one check differs between two cells, on the rows that count in both."""

    difference: Number
    p: float | None = None
    both: int | None = None  # right; None where an answer is not simply right or wrong
    only_first: int | None = None
    only_second: int | None = None
    neither: int | None = None
    detectable: float | None = None  # the smallest true difference that four of five such runs would show


class Comparison(OnSameRows, frozen=True):
    """The same of two cells of a report. The difference is that of the metric, `first` minus `second`."""

    check: str
    first: str  # addresses
    second: str


class Slice(Struct, frozen=True):
    """One check on a part of one cell's rows."""

    name: str  # of the slice
    value: str
    check: str
    address: str
    rows: int
    number: Number
    p: float | None = None  # against the cell's other rows, corrected for all slices of the report
    direction: Literal["", "better", "worse"] = ""  # where that is significant


class Pooled(Struct, frozen=True):
    """Cells that differ in `replicate` alone, as one: the same rows asked several times, so that a row is a cluster."""

    label: str
    addresses: tuple[str, ...]
    checks: tuple[Check, ...]


class Group(Struct, frozen=True):
    """The cells of one job of the specs, the best first: they are compared with each other, and with no other job's."""

    name: str
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...] = ()  # the best cell against each other one
    slices: tuple[Slice, ...] = ()
    cluster: str = ""  # what makes rows dependent, as written
    pooled: tuple[Pooled, ...] = ()
    judges: str = ""  # `JOB.CHECK`, where its answers are the verdicts of that check and are counted there


class Facts(Struct, frozen=True):
    """All that a report says but the rows."""

    project: str
    when: str  # when the newest answer was made, as its remote says: ISO 8601 in UTC; empty where nobody knows
    made_by: str  # `runner 0.1.0`
    groups: tuple[Group, ...]
    budget_usd: float | None = None
    commit: str = ""  # of the specs
    notes: tuple[str, ...] = ()  # what a reader has to know, in sentences
    version: int = VERSION


def schema() -> dict[str, Any]:
    """The JSON Schema of the facts."""
    found = msgspec.json.schema(Facts)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "runner report", **found}


def encode(facts: Facts) -> bytes:
    """As JSON, indented, with a newline at its end: the same facts are the same bytes."""
    return msgspec.json.format(msgspec.json.encode(facts, order="deterministic"), indent=2) + b"\n"


def decode(data: bytes) -> Facts:
    """Raises msgspec.ValidationError."""
    return msgspec.json.decode(data, type=Facts)


# --- rows: there may be hundreds of thousands, so they come by themselves, and pass by ------------------------------


class Held(NamedTuple):
    """One answer held to one check."""

    status: StatusWord
    score: float | None = None
    got: str | None = None  # what was read
    expected: str | None = None
    reason: str | None = None  # a judge's


class Answer(NamedTuple):
    """What one cell has for one row."""

    text: str | None  # None: there is no answer
    error: str | None = None
    finish: str | None = None
    digest: str = ""
    batch: str | None = None
    checks: Sequence[Held] = ()  # in the order of the cell's checks


class Row(NamedTuple):
    """One row of a group, with an answer of each of its cells; None where the row is not wanted there."""

    custom_id: str
    columns: Mapping[str, str]  # of the input, as text
    answers: Sequence[Answer | None]
    slices: Mapping[str, str] = {}


# A group's name -> its rows, from the first, as often as it is called.
Rows = Callable[[str], Iterator[Row]]


def no_rows(_: str) -> Iterator[Row]:
    return iter(())
