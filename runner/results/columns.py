"""The columns of results files: each has a name, a kind, and the way to take it from a line.

Every writer and the reader of outputs go by these names. What is worked out of a line beside them, a check or a score,
is a `Step`. Format 1 had columns by place and no `finish`; `readback` still reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw, Struct

from runner.errors import UsageError
from runner.mending import NOT_SO
from runner.remotes.reading.verdict import NULL
from runner.results import kinds
from runner.results.inputs import InputRow
from runner.results.kinds import Kind, Of
from runner.results.own import Cost
from runner.results.splice import Merged
from runner.results.transcript import Transcript, transcript_of

FORMAT = 2
ROW = "row"  # stands for all columns of the input

_MORE = Merged._fields.index("more")
Take = Callable[[Merged], bytes]
Part = Callable[[Merged], Sequence[Any]]


class Column(msgspec.Struct, frozen=True):
    """One column, and where its value stands: at `field` of the line, or of a part that is worked out of it."""

    name: str
    kind: Kind
    field: int
    part: Part | None = None  # None: the line itself. One part may hold several columns
    is_json: bool = True  # the value is JSON; else as Python has it
    is_safe: bool = False  # we wrote it: it begins no formula
    of_input: str | None = None  # what the input calls it; its part is an `InputRow`

    @property
    def is_text(self) -> bool:
        """Whether it is copied from a text of the line: many lines in a row mostly share it."""
        return self.part is None and not self.is_json

    def take(self) -> Take:
        """A function from a line to the value as JSON, `null` where there is none."""
        field, part, get = self.field, self.part, itemgetter(self.field)
        if part is None:
            return get if self.is_json else lambda line: _encode(line[field])
        return (lambda line: part(line)[field]) if self.is_json else lambda line: _encode(part(line)[field])


class Extra(Protocol):
    """What is worked out of each line after it is known and before it is written, in columns of its own."""

    @property
    def columns(self) -> Sequence[tuple[str, Kind]]: ...

    def value(self, line: Merged) -> Sequence[bytes]:
        """JSON under its columns, in their order. Called once a line, in the order of the rows."""
        ...


class Step(Extra, Protocol):
    """The same for a job: a check or a score. One is made for each writing of its results."""

    @property
    def made_of(self) -> str:
        """Changes whenever `value` may say something else: the results are written again then."""
        ...

    def summary(self) -> str:
        """What all lines come to, in one line of text; empty for nothing."""
        ...


class About(msgspec.Struct, frozen=True):
    """What a job says of each of its lines."""

    job: str = ""
    model: str = ""  # as the specs call it
    cell: Mapping[str, str] = {}  # of its matrix
    usd_per_million: tuple[float, float] | None = None  # input, output
    usd_per_minute: float | None = None
    answer: Kind | None = None  # of the JSON asked for, where a schema or the endpoint describes it


class Input(msgspec.Struct, frozen=True):
    """The columns of the input, in order of first appearance."""

    kinds: Mapping[str, Kind] = {}

    def named(self, ours: Iterable[str]) -> dict[str, str]:
        """Input column -> its name in a table: its own, `row_...` where a column of ours is called so.

        ours: those in the table. What readers of tables go by is ours in every one of them, there or not.
        """
        ours = {*ours, *READ_BACK}
        taken = ours | self.kinds.keys()
        names = {name: name for name in self.kinds}
        for name in names.keys() & ours:
            free = f"row_{name}"
            while free in taken:
                free = f"row_{free}"
            taken.add(free)
            names[name] = free
        return names


# What each format has where a job does not choose. The input's columns stand where `row` does.
JSONL = ("custom_id", ROW, "answer", "finish", "response", "error", "batch", "digest", "origin")
CSV = ("custom_id", ROW, "answer", "finish", "error", "batch", "digest", "origin", "response")
_COST = ("input_tokens", "cached_tokens", "output_tokens", "usd")
_WHOSE = ("batch", "digest", "origin")
_FATE = ("error_code", "error_message", "model", "job")
HEARD = ("duration", "language", "text", "words", "segments", "speakers")
RECORDINGS = ("custom_id", "file", *HEARD, "error", *_WHOSE, "response")
OF_ROWS = (*JSONL[:4], "answer_json", "status", "error", *_FATE, *_COST, *_WHOSE, "response")
OF_RECORDINGS = ("custom_id", "file", *HEARD, "status", "error", *_FATE, "usd", *_WHOSE, "response")
NEEDED = ("digest", "origin")  # to read answers back, beside `answer` or `response`
# Whoever reads a table goes by these.
READ_BACK = (*CSV[:1], *CSV[2:], "status", "error_code", "error_message")


def usual(suffix: str, about: About, *, is_of_recordings: bool) -> tuple[str, ...]:
    """The columns of a file where the job does not choose."""
    if suffix != ".parquet":
        return RECORDINGS if is_of_recordings else (CSV if suffix == ".csv" else JSONL)
    if is_of_recordings:
        return ("custom_id", "file", *HEARD, "status", *_named(_FATE, about), "usd", *_WHOSE, "response")
    typed = ("answer_json",) if about.answer and about.answer != kinds.VECTOR else ()
    fate = _named(_FATE, about)
    return ("custom_id", ROW, "answer", *typed, "status", "finish", *fate, *_COST, *_WHOSE, "response")


def _named(names: Sequence[str], about: About) -> tuple[str, ...]:
    """With a column for each axis of the matrix that has none yet."""
    return (*names, *(axis for axis in about.cell if axis not in names))


# --- taken from a line --------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode
_decode_cells = msgspec.json.Decoder(dict[str, Raw]).decode


def ours(about: About, *, is_of_recordings: bool) -> dict[str, Column]:
    """All columns that a job can have beside those of its input, by name."""
    fields = {name: number for number, name in enumerate(Merged._fields)}

    def copied(name: str, kind: Kind = kinds.JSON) -> Column:
        return Column(name, kind, fields[name])

    def said(name: str, *, is_safe: bool = False) -> Column:
        return Column(name, kinds.TEXT, fields[name], is_json=False, is_safe=is_safe)

    def fixed(name: str, value: str | int) -> Column:
        part = (value,)
        kind = kinds.WHOLE if isinstance(value, int) else kinds.TEXT
        return Column(name, kind, 0, lambda _: part, is_json=False, is_safe=True)

    error = _Memo(_error_of)
    cost = _Memo(Costing(about))
    found = [
        said("custom_id"),
        said("status", is_safe=True),
        said("finish"),
        copied("error"),
        Column("error_code", kinds.TEXT, 0, error, is_json=False),
        Column("error_message", kinds.TEXT, 1, error, is_json=False),
        fixed("job", about.job),
        fixed("model", about.model),
        *(fixed(axis, int(value) if axis == "replicate" else value) for axis, value in about.cell.items()),
        Column("usd", kinds.NUMBER, Cost._fields.index("usd"), cost, is_json=False),
        said("batch"),
        said("digest", is_safe=True),
        said("origin"),
        copied("response"),
    ]
    if is_of_recordings:
        found += _heard()
    else:
        tokens = [name for name in Cost._fields if name != "usd"]
        found += [
            copied(ROW),
            copied("answer", kinds.VECTOR if about.answer == kinds.VECTOR else kinds.TEXT),
            Column("answer_json", about.answer or kinds.JSON, fields["answer"]),
            *(Column(name, kinds.WHOLE, Cost._fields.index(name), cost, is_json=False) for name in tokens),
        ]
    columns = {column.name: column for column in found}
    return {**columns, **{axis: columns[axis] for axis in about.cell}}


def _heard() -> list[Column]:
    """What was heard in a recording."""
    heard = _Memo(transcript_of)
    word = {"start": kinds.NUMBER, "end": kinds.NUMBER, "speaker_id": kinds.TEXT}
    of = {
        "file": kinds.TEXT,
        "duration": kinds.NUMBER,
        "language": kinds.TEXT,
        "text": kinds.TEXT,
        "words": kinds.list_of(kinds.record_of(word=kinds.TEXT, probability=kinds.NUMBER, **word)),
        "segments": kinds.list_of(kinds.record_of(text=kinds.TEXT, **word)),
        "speakers": kinds.list_of(kinds.TEXT),
    }
    assert tuple(of) == Transcript._fields
    return [Column(name, kind, number, heard) for number, (name, kind) in enumerate(of.items())]


class _Memo:
    """A part of the line at hand, worked out once for all the columns that show it."""

    __slots__ = ("_found", "_line", "_work")

    def __init__(self, work: Callable[[Merged], Any]) -> None:
        self._work = work
        self._line: Merged | None = None

    def __call__(self, line: Merged) -> Any:
        if line is not self._line:
            self._found = self._work(line)
            self._line = line
        return self._found


class _Error(Struct):
    code: Any = None
    message: Any = None


class _Told(NamedTuple):
    code: str | None = None
    message: str | None = None


_NO_ERROR = _Told()
_decode_error = msgspec.json.Decoder(_Error).decode


def _error_of(line: Merged) -> _Told:
    if line.error == NULL:
        return _NO_ERROR
    found = _decode_error(line.error)
    return _Told(*(_text(value) for value in (found.code, found.message)))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _encode(value).decode()


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cached_tokens: int | None = None


class _Body(Struct):
    usage: _Usage | None = None
    duration: float | None = None


_decode_body = msgspec.json.Decoder(_Body | None).decode


_NO_USAGE, _NO_DETAILS = _Usage(), _Details()


class Counted(NamedTuple):
    """What the body of an answer says was used for it; None for what it does not say."""

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None  # of sound


_NOTHING_SAID = Counted()


def counted(body: bytes) -> Counted:
    """Tokens and seconds as the remote counted them."""
    try:
        found = _decode_body(body)
    except NOT_SO:
        return _NOTHING_SAID
    if found is None:
        return _NOTHING_SAID
    usage = found.usage or _NO_USAGE
    asked = usage.input_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    told = usage.output_tokens if usage.completion_tokens is None else usage.completion_tokens
    details = usage.prompt_tokens_details or usage.input_tokens_details or _NO_DETAILS
    cached = details.cached_tokens
    if cached is None:
        cached = usage.cached_tokens if usage.prompt_cache_hit_tokens is None else usage.prompt_cache_hit_tokens
    return Counted(asked, cached, told, found.duration)


class Costing:
    """Tokens, and what they cost at the price of the batch; None where nobody says."""

    def __init__(self, about: About) -> None:
        self._about = about

    def __call__(self, line: Merged) -> Cost:
        return self.of(line.response) if line.cost is None else self._kept(line.cost)

    def of(self, response: bytes) -> Cost:
        """response: the body, as JSON; `null` where there is none."""
        asked, cached, told, seconds = counted(response)
        return Cost(asked, cached, told, self._usd(seconds, asked, told))

    def of_line(self, response: bytes, cost: Cost, seconds: float | None) -> Cost:
        """What an answer cost at the price of today, by its response; where that is not there, by other columns.

        cost: as the columns say, with the price of the day they were written. seconds: of a recording, likewise.
        """
        if response != NULL:
            return self.of(response)
        usd = self._usd(seconds, cost.input_tokens, cost.output_tokens)
        return cost if usd is None else cost._replace(usd=usd)

    def _kept(self, cost: Cost) -> Cost:
        if cost.usd is not None or cost.output_tokens is None:
            return cost
        return cost._replace(usd=self._usd(None, cost.input_tokens, cost.output_tokens))

    def _usd(self, seconds: float | None, asked: int | None, told: int | None) -> float | None:
        about = self._about
        if about.usd_per_minute is not None and seconds is not None:
            return seconds / 60 * about.usd_per_minute
        if about.usd_per_million is None or asked is None:
            return None
        return (asked * about.usd_per_million[0] + (told or 0) * about.usd_per_million[1]) / 1e6


# --- a table ------------------------------------------------------------------------------------------------------


class Table(msgspec.Struct, frozen=True):
    """The columns of one file, in order, and what is worked out for them."""

    columns: tuple[Column, ...]
    steps: tuple[Extra, ...] = ()

    def stepped(self, line: Merged) -> Merged:
        """The line with what the steps made of it."""
        if not self.steps:
            return line
        if len(self.steps) == 1:
            more = tuple(self.steps[0].value(line))
        else:
            more = tuple([value for step in self.steps for value in step.value(line)])
        return tuple.__new__(Merged, (*line[:_MORE], more, *line[_MORE + 1 :]))  # `_replace` takes three times as long


def table(
    suffix: str,
    about: About,
    given: Input | None = None,
    *,
    chosen: Sequence[str] = (),
    steps: Sequence[Extra] = (),
    is_of_recordings: bool = False,
) -> Table:
    """The columns of a file. chosen: by a job, instead of the usual ones; names are ours or the input's.

    Raises UsageError for a name that means nothing.
    """
    known = ours(about, is_of_recordings=is_of_recordings)
    extra = {name: _of_step(name, kind, at) for at, (name, kind) in enumerate(_step_columns(steps))}
    known.update(extra)
    names = tuple(chosen) or _with_steps(usual(suffix, about, is_of_recordings=is_of_recordings), extra)
    if suffix == ".jsonl" and not set(names) - known.keys():
        return Table(tuple(known[name] for name in names), tuple(steps))
    given = given or Input()
    renamed = given.named(set(names) & known.keys())
    cells = InputRow(tuple(given.kinds), is_all=ROW in names)
    of_input = {
        shown: Column(shown, given.kinds[name], cells.names.index(name), cells, of_input=name)
        for name, shown in renamed.items()
    }
    found: dict[str, Column] = {}
    for name in names:
        if name == ROW and suffix != ".jsonl":  # in a table it stands for each column of the input that is not named
            found.update({shown: column for shown, column in of_input.items() if shown not in names})
        elif name in known:
            found[name] = known[name]
        elif name in of_input:
            found[name] = of_input[name]
        else:
            raise UsageError(
                f"`columns` names `{name}`, which is not a column of the results", hint=_hint(known, of_input)
            )
    return Table(tuple(found.values()), tuple(steps))


def _hint(known: Iterable[str], of_input: Iterable[str]) -> str:
    return "there are " + ", ".join(f"`{name}`" for name in (*known, *of_input))


def _step_columns(steps: Sequence[Extra]) -> list[tuple[str, Kind]]:
    return [column for step in steps for column in step.columns]


def _of_step(name: str, kind: Kind, at: int) -> Column:
    return Column(name, kind, at, attrgetter("more"))


def _with_steps(names: tuple[str, ...], extra: Iterable[str]) -> tuple[str, ...]:
    """Steps' columns stand before those that say whose the answer is."""
    at = names.index("batch")
    return (*names[:at], *extra, *names[at:])


def input_of(rows: Iterable[bytes], *, typed: bool) -> Input:
    """The columns of rows of JSON, in order of first appearance: what a table has to know before its first line.

    typed: also what kind of values each has; else nothing is decoded.
    """
    if not typed:
        seen: dict[str, Kind] = {}  # text is shown bare, all else as JSON
        for row in rows:
            seen.update(dict.fromkeys(_decode_cells(row), kinds.TEXT))
        return Input(seen)
    found: dict[str, Kind] = {}
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for row in rows:
        for name, value in decode(row).items():
            have = found.get(name)
            kind = kinds.of_value(value)
            found[name] = kind if have is None else have if have == kind else kinds.widest((have, kind))
    return Input({name: kinds.TEXT if kind.of is Of.NOTHING else kind for name, kind in found.items()})
