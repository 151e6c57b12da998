"""A job made ready for its rows: templates parsed, the fixed bytes of its requests encoded, its ids chosen."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from runner.compile import digest, ids
from runner.compile.compiled import KEY_BYTES
from runner.compile.parse import parse
from runner.compile.ready import ReadyLines
from runner.compile.stream import SHORTEN, Rendering, RowFailure, too_long
from runner.compile.template import Template, suggestion
from runner.data import sample
from runner.data.block import Bad, told
from runner.data.rows import Block, SourceRow, open_rows
from runner.errors import DataError, Mark, Problem, SpecError
from runner.job import wireid
from runner.job.body import BodyPlan
from runner.job.project import Dataset, Job
from runner.job.reading import Misfit
from runner.job.source import Form, Source
from runner.mending import NOT_SO
from runner.remotes.vendor import Envelope, Lines

if TYPE_CHECKING:
    from runner.compile.inlining import Files, Inlining
    from runner.data.inlined import InlinedFiles

_GROUPED = 256


class Requests(NamedTuple):
    """Some rows as requests, in order."""

    numbers: Sequence[int]  # positions in the dataset
    ids: Sequence[str]  # the user's own, or `row-<n>`
    bodies: Sequence[bytes]
    characters: int  # of the texts that differ from row to row
    each: Sequence[int] = ()  # the same row by row, of rows that were rendered by themselves
    grown: Sequence[int] | None = None  # bytes that each body is longer when it is sent, where there are files in it
    tokens: int = 0  # of these files
    untold: int = 0  # files of which nobody knows how many tokens they are
    files: Sequence[Files] | None = None  # of each row


class Program(msgspec.Struct, frozen=True):
    """Everything of a job that is the same for every row."""

    texts: tuple[Template, ...]  # of the messages that differ from row to row
    id_template: Template | None
    id_column: str | None
    where: Template | None
    body: BodyPlan
    static_characters: int  # of the other messages
    digester: digest.Digester
    envelope: Envelope
    message_chars: int  # of one text
    inlining: Inlining | None = None  # where files go into the bodies
    ready: ReadyLines | None = None  # where rows are requests already
    is_shown: bool = False  # lines are for people: words stand in the place of files

    def requests(self, blocks: Iterable[Block], filtered: bool = False) -> Iterator[Requests | Problem]:
        """The wanted rows as requests, and what is wrong with those that cannot be. filtered: `where` has been applied
        before."""
        if self.ready is not None:
            yield from chain.from_iterable(map(self._of_lines, blocks))
            return
        templates = self.texts + ((self.id_template,) if self.id_template else ())
        rendering = Rendering(templates, None if filtered else self.where, self.message_chars)
        for block, rendered in rendering.blocks(blocks):
            # A block in which anything may have failed is rendered again, row by row, to say which row it was
            if rendered is not None:
                kept, texts = rendered
                yield from self._made(kept, kept.numbers, kept.values, texts)
            else:
                yield from self._one_by_one(rendering, block)

    def _of_lines(self, block: Block) -> Sequence[Requests | Problem]:
        """Lines of a batch file, in one piece unless something is wrong with one of them."""
        assert self.ready is not None
        try:
            ids, bodies = self.ready.read(block)
        except NOT_SO:
            found: list[Requests | Problem] = []
            for line, number, alone in self.ready.each(block):
                if isinstance(alone, Misfit):
                    found.append(Problem(Mark(block.file, line), str(alone), alone.hint))
                else:
                    size = len(alone.body)
                    found.append(Requests((number,), (alone.custom_id,), (alone.body,), size, each=(size,)))
            return found
        return (Requests(block.numbers, ids, bodies, sum(map(len, bodies))),)

    def _one_by_one(self, rendering: Rendering, rows: Iterable[SourceRow]) -> Iterator[Requests | Problem]:
        """Together again, after each row was rendered for itself."""
        group: list[tuple[SourceRow, Sequence[str]]] = []
        try:
            for row, texts in rendering.stream(rows):
                if isinstance(texts, RowFailure):
                    yield from self._of_group(group)
                    yield texts.problem(row)
                    continue
                group.append((row, texts))
                if len(group) == _GROUPED:
                    yield from self._of_group(group)
        except DataError:
            yield from self._of_group(group)
            raise
        yield from self._of_group(group)

    def _of_group(self, group: list[tuple[SourceRow, Sequence[str]]]) -> Sequence[Requests | Problem]:
        """The requests of `group`, which is emptied."""
        rows, texts = [row for row, _ in group], [texts for _, texts in group]
        group.clear()
        made = self._made(rows, [row.number for row in rows], [row.row for row in rows], texts)
        if len(made) != 1 or isinstance(made[0], Problem):
            return made
        return (made[0]._replace(each=[sum(map(len, of_row)) for of_row in texts]),)

    def _made(
        self,
        rows: Iterable[SourceRow],
        numbers: Sequence[int],
        values: Sequence[dict[str, Any]],
        texts: Sequence[Sequence[str]],
    ) -> Sequence[Requests | Problem]:
        """Rendered rows as requests, in one piece unless something is wrong with one of them."""
        if not texts:
            return ()
        try:
            return (self._together(numbers, values, texts),)
        except ValueError:  # half a surrogate pair is one as well
            return [self._alone(row, of_row) for row, of_row in zip(rows, texts, strict=True)]

    def _alone(self, row: SourceRow, texts: Sequence[str]) -> Requests | Problem:
        try:
            return self._together((row.number,), (row.row,), (texts,))
        except ValueError as error:
            return Problem(row.mark, str(error), getattr(error, "hint", ""))

    def _together(
        self, numbers: Sequence[int], values: Sequence[dict[str, Any]], texts: Sequence[Sequence[str]]
    ) -> Requests:
        """Raises ValueError."""
        made_of = self._ids(numbers, values, texts)
        if self.inlining is None:
            characters = sum([len(text) for of_row in texts for text in of_row])
            return Requests(numbers, made_of, self.body.bodies(texts), characters)
        paths = self.inlining.numbers
        characters = sum([len(text) for of_row in texts for number, text in enumerate(of_row) if number not in paths])
        handed = self.inlining.rows(texts)
        bodies = self.body.bodies(handed.texts)
        return Requests(
            numbers,
            made_of,
            bodies,
            characters,
            grown=handed.grown,
            tokens=handed.tokens,
            untold=handed.untold,
            files=handed.files,
        )

    def lines(self, asked: Requests | Problem, end: bytes = b"") -> tuple[list[bytes], Iterator[Iterable[bytes]]]:
        """(keys, the requests as they are sent, each in parts and with `end`). Raises DataError for a problem."""
        if isinstance(asked, Problem):
            raise DataError(asked.message, hint=asked.hint, mark=asked.mark)
        keys = [digest[:KEY_BYTES] for digest in self.digester.each(asked.bodies)]
        return keys, self.sent(asked, keys, end)

    def sent(self, asked: Requests, keys: Sequence[bytes], end: bytes = b"") -> Iterator[Iterable[bytes]]:
        """The requests with these keys as they are sent, each in parts and with `end`."""
        # the fixed parts are not joined with the body here: writers take parts, and the body is most of the bytes
        head, middle, tail = self.envelope
        custom_ids = wireid.custom_ids(asked.ids, keys)
        if asked.files is not None and self.inlining is not None:
            written, is_shown = self.inlining.written, self.is_shown
            made = zip(custom_ids, asked.bodies, asked.files, strict=True)
            around = tail + end
            return (
                chain((head, name, middle), written(body, files, shown=is_shown), (around,))
                for name, body, files in made
            )
        return zip(repeat(head), custom_ids, repeat(middle), asked.bodies, repeat(tail + end))

    def template_ids(self, rows: Iterable[SourceRow]) -> Iterator[str]:
        """The ids that a template gives to rows which were requests before."""
        assert self.id_template is not None
        return (texts[0] for _, texts in rendered(Rendering((self.id_template,)), rows))

    def sampled(self, dataset: Dataset, root: Path, bad: Bad) -> array[int] | None:
        """Positions of the sample's rows, None without one."""
        return sampled(dataset, self.where, root, bad)

    def _ids(self, numbers: Iterable[int], rows: Iterable[dict[str, Any]], texts: Iterable[Sequence[str]]) -> list[str]:
        """The ids of some rows. Raises ValueError."""
        if self.id_template is not None:
            return [_checked(of_row[-1]) for of_row in texts]
        if self.id_column is not None:
            return [_id_in(row, self.id_column) for row in rows]
        return ids.numbered(numbers)


def sampled(dataset: Dataset, where: Template | None, root: Path, bad: Bad | None = None) -> array[int] | None:
    """Positions of the sample's rows, None without one. Takes a pass of its own."""
    if dataset.sample_rows is None:
        return None
    rows: Iterable[SourceRow] = open_rows(dataset, root, bad=bad)
    if where is not None:
        rows = kept(rows, where, bad if dataset.skip_bad else None)
    return sample.positions(rows, dataset.sample_rows, dataset.sample_seed)


def kept(rows: Iterable[SourceRow], where: Template | None, bad: Bad | None = None) -> Iterator[SourceRow]:
    """The rows that `where` keeps. Raises DataError for one on which it fails, where `bad` is not told of it."""
    return (row for row, _ in rendered(Rendering((), where), rows, bad))


def rendered(
    rendering: Rendering, rows: Iterable[SourceRow], bad: Bad | None = None
) -> Iterator[tuple[SourceRow, Sequence[str]]]:
    """Kept rows with their texts. Raises DataError for one that fails, where `bad` is not told of it."""
    for row, texts in rendering.stream(rows):
        if isinstance(texts, RowFailure):
            problem = texts.problem(row)
            told(bad, DataError(problem.message, hint=problem.hint, mark=problem.mark))
        else:
            yield row, texts


def program_of(
    job: Job, lines: Lines, root: Path, files: InlinedFiles | None = None, *, is_shown: bool = False
) -> Program:
    """files: those below `root` that go into requests. is_shown: lines are for people.

    Raises SpecError with every problem of the job's templates, or for params that cannot be sent.
    """
    plan = lines.body(job)
    parsed = templates_of(plan.sources)
    where, id_template = where_of(job.dataset), id_of(job.dataset)
    static = {i: t.renderer()({}) for i, t in enumerate(parsed) if t.is_static and t.source.form is Form.TEXT}
    long = [(parsed[i].source, len(text)) for i, text in static.items() if len(text) > job.message_chars]
    if long:
        told_of = [(source.mark, f"{source.what} {too_long(length, job.message_chars)}") for source, length in long]
        raise SpecError([Problem(mark, said, SHORTEN) for mark, said in told_of])
    try:
        body, left = plan.with_static(static)
    except UnicodeEncodeError as error:
        words = f"{job.prompt.called} holds half of a character (a lone surrogate)"
        raise SpecError([Problem(job.prompt.mark, words)]) from error
    return Program(
        texts=tuple(parsed[i] for i in left),
        id_template=id_template,
        id_column=None if id_template else job.dataset.id,
        where=where,
        body=body,
        static_characters=sum(len(text) for i, text in static.items() if i not in left),
        digester=digest.digester(
            job.model.provider, job.model.endpoint, job.replicate, *lines.identity(job), prefix=body.pieces[0]
        ),
        envelope=lines.envelope(job.model.endpoint),
        message_chars=job.message_chars,
        inlining=_inlining(job, body, root, files),
        ready=ReadyLines(job, body) if job.dataset.is_ready else None,
        is_shown=is_shown,
    )


def _inlining(job: Job, body: BodyPlan, root: Path, files: InlinedFiles | None) -> Inlining | None:
    if not any(slot.inline is not None for slot in body.slots):
        return None
    from runner.compile.inlining import Inlining  # few jobs send files
    from runner.data.inlined import InlinedFiles

    return Inlining(body.slots, job.part_limits, files or InlinedFiles(root), root)


def templates_of(sources: Iterable[Source]) -> list[Template]:
    """What is asked, parsed. Raises SpecError with the problems of all of it."""
    parsed: list[Template] = []
    problems: list[Problem] = []
    for source in sources:
        try:
            parsed.append(parse(source))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return parsed


def where_of(dataset: Dataset) -> Template | None:
    if dataset.where is None:
        return None
    source = Source(dataset.where, _mark(dataset.where_mark, dataset), f"`where` of dataset `{dataset.key}`")
    return replace(parse(source), takes_null=True)


def id_of(dataset: Dataset) -> Template | None:
    """The template of `id`, None where it is a column's name or not there."""
    if not ids.is_template(dataset):
        return None
    assert dataset.id is not None
    return parse(Source(dataset.id, _mark(dataset.id_mark, dataset), f"`id` of dataset `{dataset.key}`"))


def _mark(mark: Mark, dataset: Dataset) -> Mark:
    return mark if mark.file else dataset.mark


def _checked(text: str) -> str:
    if not text.strip():
        raise ValueError("the id of the row is empty")
    return text


def _id_in(row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    if type(value) is str:
        return _checked(value)
    if type(value) is int or type(value) is float:
        return str(value)
    if column not in row:
        raise ValueError(f"the row has no column `{column}`, which is the dataset's `id`; {suggestion(column, row)}")
    raise ValueError(f"the id of the row, `{column}`, is neither text nor a number")
