"""A job made ready for its rows: templates parsed, the fixed bytes of its requests encoded, its ids chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from runner.compile import digest, requests
from runner.compile.compiled import KEY_BYTES, Line
from runner.compile.stream import Rendering, RowFailure
from runner.compile.template import Source, Template, parse, suggestion
from runner.data.rows import SourceRow
from runner.errors import DataError, Mark, Problem, SpecError
from runner.job.capabilities import LineFormat
from runner.spec.project import Dataset, Job, Prompt


class Request(msgspec.Struct, frozen=True, gc=False):
    """One row as a request. `characters` counts the text that differs from row to row."""

    row: SourceRow
    custom_id: str  # the user's own id, or `row-<n>`
    body: bytes
    characters: int


@dataclass(frozen=True, slots=True)
class Program:
    """Everything of a job that is the same for every row."""

    texts: tuple[Template, ...]  # of the messages that differ from row to row
    id_template: Template | None
    id_column: str | None
    where: Template | None
    body: requests.Body
    static_characters: int  # of the other messages
    digest: Callable[[bytes], bytes]
    envelope: tuple[bytes, bytes, bytes]

    def requests(self, rows: Iterable[SourceRow], filtered: bool = False) -> Iterator[Request | Problem]:
        """Each wanted row as a request, or what is wrong with it. filtered: `where` has been applied before."""
        templates = self.texts + ((self.id_template,) if self.id_template else ())
        splice = self.body.splice()
        id_of = self._id_of()
        where = None if filtered else self.where
        for row, texts in Rendering(templates, where).stream(rows):
            if type(texts) is RowFailure:
                yield texts.problem(row)
                continue
            assert not isinstance(texts, RowFailure)
            try:
                yield Request(row, id_of(row, texts), splice(texts), sum([len(text) for text in texts]))
            except (ValueError, UnicodeEncodeError) as error:
                yield Problem(row.mark, str(error))

    def line(self, request: Request | Problem) -> Line:
        """The request as it is sent. Raises DataError for a problem."""
        if isinstance(request, Problem):
            raise DataError(request.message, hint=request.hint, mark=request.mark)
        key = self.digest(request.body)[:KEY_BYTES]
        head, middle, tail = self.envelope
        custom_id = requests.custom_id_of(request.custom_id, key).encode()
        return Line(key, b"".join((head, custom_id, middle, request.body, tail)))

    def ids(self, rows: Iterable[SourceRow]) -> Iterator[tuple[SourceRow, str]]:
        """The ids of rows that were requests before, without rendering what is not needed for them."""
        id_of = self._id_of()
        if self.id_template is None:
            return ((row, id_of(row, ())) for row in rows)
        return ((row, texts[0]) for row, texts in _sound(Rendering((self.id_template,)), rows))

    def kept(self, rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
        """The rows that `where` keeps. Raises DataError for one on which it fails."""
        return (row for row, _ in _sound(Rendering((), self.where), rows))

    def _id_of(self) -> Callable[[SourceRow, Sequence[str]], str]:
        if self.id_template is not None:
            return lambda row, texts: _checked(texts[-1])
        if self.id_column is not None:
            column = self.id_column
            return lambda row, texts: _id_in(row, column)
        return lambda row, texts: f"row-{row.number + 1}"


def _sound(rendering: Rendering, rows: Iterable[SourceRow]) -> Iterator[tuple[SourceRow, Sequence[str]]]:
    for row, texts in rendering.stream(rows):
        if isinstance(texts, RowFailure):
            problem = texts.problem(row)
            raise DataError(problem.message, hint=problem.hint, mark=problem.mark)
        yield row, texts


def program_of(job: Job, line_format: LineFormat) -> Program:
    """Raises SpecError with every problem of the job's templates, or for params that cannot be sent."""
    parsed = templates_of(job.prompt)
    where, id_template = where_of(job.dataset), id_of(job.dataset)
    static = {i: t.renderer()({}) for i, t in enumerate(parsed) if t.is_static}
    try:
        body, left = requests.with_static(requests.body_of(job, line_format), static)
    except UnicodeEncodeError as error:
        words = f"prompt `{job.prompt.key}` holds half of a surrogate pair"
        raise SpecError([Problem(job.prompt.mark, words)]) from error
    model = job.model.name if line_format is LineFormat.FIREWORKS else ""
    return Program(
        texts=tuple(parsed[i] for i in left),
        id_template=id_template,
        id_column=None if id_template else job.dataset.id,
        where=where,
        body=body,
        static_characters=sum(len(text) for i, text in static.items() if i not in left),
        digest=digest.digester(job.model.provider, job.model.endpoint, job.replicate, model, body.pieces[0]),
        envelope=requests.envelope(job.model.endpoint, line_format),
    )


def templates_of(prompt: Prompt) -> list[Template]:
    """The prompt's messages, parsed. Raises SpecError with the problems of all of them."""
    parsed: list[Template] = []
    problems: list[Problem] = []
    for message in prompt.messages:
        try:
            parsed.append(
                parse(Source(message.content, message.mark, f"the {message.role} message of prompt `{prompt.key}`"))
            )
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return parsed


def where_of(dataset: Dataset) -> Template | None:
    if dataset.where is None:
        return None
    return parse(Source(dataset.where, _mark(dataset.where_mark, dataset), f"`where` of dataset `{dataset.key}`"))


def id_of(dataset: Dataset) -> Template | None:
    """The template of `id`, None where it is a column's name or not there."""
    if not id_is_template(dataset):
        return None
    assert dataset.id is not None
    return parse(Source(dataset.id, _mark(dataset.id_mark, dataset), f"`id` of dataset `{dataset.key}`"))


def id_is_template(dataset: Dataset) -> bool:
    return dataset.id is not None and ("{{" in dataset.id or "{%" in dataset.id)


def _mark(mark: Mark, dataset: Dataset) -> Mark:
    return mark if mark.file else dataset.mark


def _checked(text: str) -> str:
    if not text.strip():
        raise ValueError("the id of the row is empty")
    return text


def _id_in(row: SourceRow, column: str) -> str:
    value = row.row.get(column)
    if type(value) is str:
        return _checked(value)
    if type(value) is int or type(value) is float:
        return str(value)
    if column not in row.row:
        raise ValueError(
            f"the row has no column `{column}`, which is the dataset's `id`; {suggestion(column, row.row)}"
        )
    raise ValueError(f"the id of the row, `{column}`, is neither text nor a number")
