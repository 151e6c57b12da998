"""What checks look at: texts worked out of rows and their answers, chunk by chunk.

Text and names are put together here. Every other template, and every pattern, goes through the rendering process, where
processor time is bounded: an answer is somebody else's text, and a pattern that never ends on it must not hang us.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from runner.compile import frames
from runner.compile.frames import RenderFailure
from runner.compile.stream import RowFailure
from runner.compile.template import Template
from runner.compile.texts import Null, text_of
from runner.compile.through import CHUNK_BYTES, CHUNK_ROWS, Through
from runner.errors import Mark
from runner.job.checks import OF_ANSWER, Occurrence
from runner.job.pairs import Order, order_of
from runner.job.source import Source

ANSWER_NAME = OF_ANSWER[0]
_NULL = (b'{"answer":null', b'{"answer": null')
LONGEST = 20_000_000  # characters of one text: an answer is as long as it is

_decode_all = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Reading(msgspec.Struct, frozen=True):
    """One text that is worked out of every row. Where a value is null there is none, unless the template takes that."""

    template: Template | None = None
    column: str = ""  # instead of a template: the text of a column; none where a row is without it
    may_miss: bool = False  # what is not in a value gives no text; else the row fails
    extract: Source | None = None  # a pattern: the text is its first group
    occurrence: Occurrence = Occurrence.LAST
    search: Source | None = None  # a pattern: the text is what it finds

    @property
    def is_of_answer(self) -> bool:
        """Whether there is nothing to read without an answer."""
        return self.template is not None and not self.template.mentions.isdisjoint(OF_ANSWER)

    @property
    def looks_at_it(self) -> bool:
        """Whether an answer without a text, such as a refusal or a call of a tool, gives nothing to read either."""
        return self.template is not None and ANSWER_NAME in self.template.mentions

    @property
    def is_local(self) -> bool:
        return self.template is None or (self.template.is_simple and self.extract is None and self.search is None)

    @property
    def source(self) -> Source:
        """What is to blame where it takes too long."""
        assert self.template is not None
        return self.search or self.extract or self.template.source

    @property
    def frame(self) -> frames.Reading:
        """The same as it travels."""
        assert self.template is not None
        return frames.Reading(
            self.template.source.text,
            self.template.takes_null,
            self.may_miss,
            self.is_of_answer,
            self.looks_at_it,
            self.extract.text if self.extract else None,
            self.occurrence.value,
            self.search.text if self.search else None,
        )


class AnsweredRow(msgspec.Struct, gc=False):
    """A row, with what became of it. JSON both: `row` of its columns, joined ones among them, `names` of the answer."""

    custom_id: str
    json: bytes
    names: bytes | None  # an object: answer, finish_reason, usage; None where there is no answer
    digest: str = ""  # of its request

    @property
    def mark(self) -> Mark:
        return Mark(self.custom_id)

    @property
    def has_text(self) -> bool:
        """Whether there is an answer, and it is not null."""
        return self.names is not None and not self.names.startswith(_NULL)

    @property
    def row(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.json)
        return found


class Read(NamedTuple):
    """A chunk of rows and their texts: for each reading one a row, in the order of the rows. None: there is no text."""

    rows: list[AnsweredRow]
    texts: list[list[str | None]]
    values: Sequence[dict[str, Any]]  # the columns of each row; empty where nothing needs them
    failures: list[tuple[int, RowFailure]]  # which of the rows, and why


class Reader:
    """The readings of one job. Rows are pushed in, chunks come back in order."""

    def __init__(self, readings: Sequence[Reading], *, needs_values: bool = False, keeps_pairs: bool = False) -> None:
        """needs_values: `Read.values` is looked at. keeps_pairs: the two orders of a pair are in one chunk.

        Raises SpecError for what does not compile.
        """
        self._readings = tuple(readings)
        self._remote = [number for number, one in enumerate(readings) if not one.is_local]
        self._local = [number for number, one in enumerate(readings) if one.is_local]
        self._needs_values = needs_values
        self._keeps_pairs = keeps_pairs
        self._rows: list[AnsweredRow] = []
        self._size = 0

    @cached_property
    def _through(self) -> Through[AnsweredRow]:
        asked = [self._readings[number] for number in self._remote]

        def setup(number: int | None) -> frames.Readings:
            some = asked if number is None else [asked[number]]
            return frames.Readings([one.frame for one in some], LONGEST)

        return Through([one.source for one in asked], setup)

    def push(self, row: AnsweredRow) -> Iterable[Read]:
        """Take a row in; what is done by now. Raises DataError for a row that takes too much time or memory."""
        rows = self._rows
        rows.append(row)
        self._size += len(row.json) + len(row.names or b"")
        if len(rows) < CHUNK_ROWS and self._size <= CHUNK_BYTES:
            return ()
        if self._keeps_pairs and order_of(row.custom_id) is Order.AB:  # the other order is the next row
            return ()
        return self._flush()

    def rest(self) -> Iterator[Read]:
        """What is still under way."""
        if self._rows:
            yield from self._flush()
        if self._remote and "_through" in self.__dict__:
            for rows, results in self._through.rest():
                yield self._read(list(rows), results)

    def close(self) -> None:
        if "_through" in self.__dict__:
            self._through.close()

    def _flush(self) -> Iterator[Read]:
        rows, self._rows, self._size = self._rows, [], 0
        if not self._remote:
            yield self._read(rows, [])
            return
        pairs = [msgspec.Raw(b"[%b,%b]" % (row.json, row.names or b"null")) for row in rows]
        for done, results in self._through.push((rows, pairs)):
            yield self._read(list(done), results)

    def _read(self, rows: list[AnsweredRow], results: Sequence[list[str | None] | RenderFailure | None]) -> Read:
        texts: list[list[str | None]] = [[] for _ in self._readings]
        failures: list[tuple[int, RowFailure]] = []
        if self._remote:
            blank: list[str | None] = [None] * len(self._remote)
            found: list[list[str | None]] = []
            for at, result in enumerate(results):
                if isinstance(result, RenderFailure):
                    failures.append((at, self._failed(result)))
                found.append(result if isinstance(result, list) else blank)
            for number, column in zip(self._remote, zip(*found, strict=True), strict=True):
                texts[number] = list(column)
        views = _Views(rows)
        for number in self._local:
            texts[number] = _texts(self._readings[number], rows, views, failures)
        return Read(rows, texts, views.rows if self._needs_values else (), failures)

    def _failed(self, failure: RenderFailure) -> RowFailure:
        template = self._readings[self._remote[failure.template]].template
        assert template is not None
        return RowFailure(template, failure.line, failure.message, failure.name, failure.length, LONGEST)


class _Views:
    """What templates see of some rows, decoded once, and only what is looked at."""

    def __init__(self, rows: Sequence[AnsweredRow]) -> None:
        self._rows = rows

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Their columns."""
        return _decode_all(b"[%b]" % b",".join([row.json for row in self._rows]))

    @cached_property
    def answers(self) -> list[dict[str, Any]]:
        """The names of their answers."""
        return _decode_all(b"[%b]" % b",".join([row.names or b"{}" for row in self._rows]))

    @cached_property
    def both(self) -> list[dict[str, Any]]:
        """Their columns, the names of the answer over them."""
        return _decode_all(b"[%b]" % b",".join([over(row.json, row.names) for row in self._rows]))

    def of(self, mentions: frozenset[str]) -> list[dict[str, Any]]:
        if mentions.isdisjoint(OF_ANSWER):
            return self.rows
        return self.answers if mentions.issubset(OF_ANSWER) else self.both


def over(row: bytes, names: bytes | None) -> bytes:
    """One JSON object of two: of a name that is in both that of `names` counts."""
    if names is None or not (inside := names.strip()[1:-1].strip()):
        return row
    before = row.strip()[1:-1].strip()
    return b"{%b,%b}" % (before, inside) if before else names


def _texts(
    reading: Reading,
    rows: Sequence[AnsweredRow],
    views: _Views,
    failures: list[tuple[int, RowFailure]],
) -> list[str | None]:
    """The texts of a template that is text and names, or of a column."""
    if reading.template is None:
        name = reading.column
        found = [row.get(name) for row in views.rows]
        return [one if one is None or one.__class__ is str else text_of(one) for one in found]
    some: Sequence[int] = range(len(rows))
    if reading.is_of_answer:
        is_there = [row.has_text if reading.looks_at_it else row.names is not None for row in rows]
        some = some if all(is_there) else [at for at in some if is_there[at]]
    whole = len(some) == len(rows)
    values = views.of(reading.template.mentions)
    texts: list[str | None] = []
    try:
        texts += reading.template.texts(values if whole else [values[at] for at in some])
        if whole:
            return texts
    except (KeyError, ValueError):
        texts = [_text_or_failure(reading.template, values[at], at, failures) for at in some]
    filled: list[str | None] = [None] * len(rows)
    for at, text in zip(some, texts, strict=True):
        filled[at] = text
    return filled


def _text_or_failure(
    template: Template, values: dict[str, Any], at: int, failures: list[tuple[int, RowFailure]]
) -> str | None:
    try:
        return template.renderer()(values)
    except KeyError as error:
        name = str(error.args[0])
        failures.append((at, RowFailure(template, template.needed.get(name, 1), f"`{name}` is undefined", name)))
    except Null:
        pass
    except ValueError as error:  # an integer of more digits than Python prints
        failures.append((at, RowFailure(template, 1, str(error))))
    return None
