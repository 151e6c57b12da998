"""What is wrong with a project's templates, found before any dataset is read beyond its first rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from runner.compile import audio, ids
from runner.compile.audio import selection_of
from runner.compile.faults import RecordingsFailed
from runner.compile.ids import has_no_id_column
from runner.compile.parse import parse
from runner.compile.program import id_of, templates_of, where_of
from runner.compile.template import Template, suggestion, unknown_names
from runner.data.audio import find
from runner.data.block import RowsUnread
from runner.data.rows import open_rows
from runner.errors import DataError, Mark, Problem, SpecError
from runner.job.asking import sources_of, sources_of_params
from runner.job.checks import OF_ANSWER
from runner.job.pairs import FIRST, ID_COLUMN, SECOND
from runner.job.project import AnyJob, AudioJob, Chain, Dataset, Job, Project, Prompt
from runner.job.source import Source, Value
from runner.spec.problems import LINE_BREAK
from runner.spec.within import place_of

MAX_PROBLEMS = 500  # nobody reads the next one before these are put right
FIRST_ROWS = 64  # JSONL rows need not all have the same columns


def problems_of(project: Project, prompts: Iterable[Prompt] = ()) -> list[Problem]:
    """Problems of all templates, sorted by place: syntax, forbidden things, names that are no column.

    prompts: to be looked at without any columns, beside those of the project's jobs. A dataset that cannot be read is
    not reported here: compiling says what is wrong with it.
    """
    found: dict[Problem, None] = {}
    heads = _Heads(project)
    for job in project.jobs:
        # a dict, not a set: jobs that share a prompt find the same problem, and the first order is kept
        if isinstance(job, Job):
            columns = heads.columns(job.dataset)
            found.update(dict.fromkeys(_of_chain(job.dataset, heads)))
            found.update(dict.fromkeys(_of_dataset(job.dataset, columns)))
            found.update(dict.fromkeys(_of_prompt(job.prompt, columns)))
            found.update(dict.fromkeys(_of_sources(sources_of_params(job.model), columns)))
        if len(found) >= MAX_PROBLEMS:
            break
    for prompt in prompts:
        found.update(dict.fromkeys(_of_prompt(prompt, None)))
    return sorted(_placed(found, project.root), key=lambda problem: (problem.mark, problem.message))


def _placed(problems: Iterable[Problem], root: Path) -> Iterator[Problem]:
    """With line and column in the file, for what is only known by its place in a text of it."""
    lines: dict[str, list[str]] = {}
    for problem in problems:
        inside, file = problem.inside, problem.mark.file
        if inside is None:
            yield problem
            continue
        if file not in lines:
            lines[file] = _lines_of(root / file)
        place = place_of(lines[file], inside.start, inside.text, inside.offset)
        yield replace(problem, mark=place or problem.mark, inside=None)


def _lines_of(path: Path) -> list[str]:
    try:
        return LINE_BREAK.split(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # then the line has to do
        return []


def problems_of_evals(project: Project) -> list[Problem]:
    """The same of what jobs hold their answers to, and of nothing else."""
    heads = _Heads(project)
    found = dict.fromkeys(problem for job in project.jobs for problem in _of_evals(job, heads))
    return sorted(_placed(found, project.root), key=lambda problem: (problem.mark, problem.message))


def warnings_of_evals(project: Project) -> list[str]:
    """Columns that checks do not see under their own name."""
    heads = _Heads(project)
    return list(dict.fromkeys(chain.from_iterable(_hidden_columns(job, heads) for job in project.jobs)))


def _hidden_columns(job: AnyJob, heads: _Heads) -> Iterator[str]:
    own, join, where = heads.of(job) or frozenset(), job.evals.references, f"job `{job.name}` at {job.mark}"
    for name in OF_ANSWER if job.evals.checks else ():
        if name in own:
            yield f"{where}: `{name}` in its checks is of the answer; the column of that name is `row.{name}` there"
    if join is not None:
        both = own & (heads.columns(join.dataset) or frozenset())
        for name in sorted(both - ({join.row.column} & {join.reference.column})):
            yield f"{where}: its checks see the column `{name}` of its own rows, and not that of `{join.dataset.key}`"


def problems_of_inputs(project: Project) -> list[Problem]:
    """What is wrong with files that jobs read: missing, hidden, unreadable, of another format; in their first rows."""
    found: dict[Problem, None] = {}
    for job in project.jobs:
        named = job.mark
        try:
            if isinstance(job, AudioJob):
                named = job.patterns_mark if job.patterns_mark.file else named
                listing = find(selection_of(job), project.root)
                if listing.faults and not job.skip_bad:
                    faults = [Problem(Mark(fault.path), fault.reason) for fault in listing.faults]
                    raise RecordingsFailed(faults, job.address, job.patterns_mark, offers=len(listing) > 0)
            for dataset in _read_by(job):
                named = dataset.mark if dataset.mark.file else named
                for _ in islice(open_rows(dataset, project.root), FIRST_ROWS):
                    pass
        except DataError as error:
            found[_of_file(error, named)] = None
            found.update(dict.fromkeys(error.others if isinstance(error, RowsUnread) else ()))
    return sorted(found, key=lambda problem: (problem.mark, problem.message))


def _of_file(error: DataError, named: Mark) -> Problem:
    """A problem of a file as a whole stands where the specs name it."""
    mark = error.mark
    if mark is not None and mark.line:
        return Problem(mark, error.message, error.hint)
    file = f"`{mark.file}`: " if mark is not None and mark.file and mark.file not in error.message else ""
    return Problem(named, f"{file}{error.message}", error.hint)


def _read_by(job: AnyJob) -> Iterator[Dataset]:
    if isinstance(job, Job):
        yield job.dataset
    if job.evals.references is not None:
        yield job.evals.references.dataset


class _Heads:
    """The columns of datasets, as their first rows show them. Thousands of jobs may read one: it is opened once."""

    def __init__(self, project: Project) -> None:
        self._root = project.root
        self._jobs = {job.address: job for job in project.jobs}
        self._columns: dict[tuple[tuple[str, ...], str | None, bool], frozenset[str] | None] = {}

    def columns(self, dataset: Dataset) -> frozenset[str] | None:
        """None where there is no row, or it cannot be read."""
        if dataset.chain is not None:
            found = self.before(dataset.chain)
            return None if found is None else found | {*dataset.chain.columns, *_ids_of(dataset.chain)}
        read = (dataset.files, dataset.delimiter, dataset.are_paths)
        if read not in self._columns:
            self._columns[read] = self._read(dataset)
        return self._columns[read]

    def _read(self, dataset: Dataset) -> frozenset[str] | None:
        try:
            rows = list(islice(open_rows(dataset, self._root), FIRST_ROWS))
        except DataError:
            return None
        return frozenset().union(*(row.row for row in rows)) if rows else None

    def before(self, chain: Chain) -> frozenset[str] | None:
        """The columns of rows of answers beside the answer: those of the job, and what is joined to them."""
        found: frozenset[str] = frozenset()
        for address in chain.parents:
            job = self._jobs.get(address)
            own = self.of(job) if job is not None else None
            join = job.evals.references if job is not None else None
            joined = self.columns(join.dataset) if join is not None else frozenset()
            if job is None or own is None or joined is None:
                return None
            found |= own | joined | ({ID_COLUMN} if has_no_id_column(job) else frozenset())
        return found

    def of(self, job: AnyJob) -> frozenset[str] | None:
        """The columns of what a job asks about."""
        return audio.COLUMNS if isinstance(job, AudioJob) else self.columns(job.dataset)


def _ids_of(chain: Chain) -> tuple[str, ...]:
    return () if chain.orders is None else (ID_COLUMN,)


def _of_chain(dataset: Dataset, heads: _Heads) -> Iterator[Problem]:
    """A column of the rows that were answered has the name of the answer."""
    chain = dataset.chain
    if chain is None:
        return
    for name in chain.columns:
        if name in (heads.before(chain) or ()):
            words = f"the rows of `{chain.parents[0]}` have a column `{name}` already"
            yield Problem(chain.mark, words, hint=chain.way_out)
    if chain.orders is not None and dataset.where is not None:
        yield from _of_where(dataset)


def _of_where(dataset: Dataset) -> Iterator[Problem]:
    """The two orders of an item are both kept, or neither is."""
    with suppress(SpecError):  # whoever looks at every template says so
        where = where_of(dataset)
        for name in sorted(where.mentions & {FIRST, SECOND, ID_COLUMN}) if where is not None else ():
            words = f"`where` of dataset `{dataset.key}` looks at `{name}`, which is another one in the other order"
            yield Problem(dataset.where_mark, words, hint="choose items by their own columns")


def _of_dataset(dataset: Dataset, columns: frozenset[str] | None) -> Iterator[Problem]:
    for template_in in (where_of, id_of):
        try:
            template = template_in(dataset)
        except SpecError as error:
            yield from error.problems
            continue
        if template is not None:
            yield from _unknown([template], columns)
    if dataset.id is not None and not ids.is_template(dataset) and columns is not None and dataset.id not in columns:
        yield Problem(
            dataset.id_mark if dataset.id_mark.file else dataset.mark,
            f"the `id` of dataset `{dataset.key}`, `{dataset.id}`, is not a column",
            hint=suggestion(dataset.id, columns),
        )


def _of_evals(job: AnyJob, heads: _Heads) -> Iterator[Problem]:
    """Of checks, slices and the like: templates that do not parse, names that are no column of the row or beside it."""
    evals, own = job.evals, heads.of(job)
    join = evals.references
    if join is not None:
        yield from _of_value(join.row, own)
        yield from _of_value(join.reference, heads.columns(join.dataset))
    joined = heads.columns(join.dataset) if join is not None else frozenset()
    known = None if own is None or joined is None else own | joined
    for value in [one.of for one in evals.slices] + ([evals.cluster] if evals.cluster else []):
        yield from _of_value(value, known)
    for check in evals.checks:
        for source, of_answer in check.templates():
            yield from _of_source(source, None if known is None else known | set(of_answer))
        if check.reference.column:
            what = f"`{check.kind}` of check `{check.name}` of job `{job.name}`"
            yield from _of_value(Value(check.reference.column, mark=check.reference.mark, what=what), known)


def _of_value(value: Value, columns: frozenset[str] | None) -> Iterator[Problem]:
    if value.template is not None:
        yield from _of_source(value.template, columns)
    elif columns is not None and value.column not in columns:
        words = f"{value.what} names `{value.column}`, which is not a column"
        yield Problem(value.mark, words, hint=suggestion(value.column, columns))


def _of_source(source: Source, columns: frozenset[str] | None) -> Iterator[Problem]:
    try:
        template = parse(source)
    except SpecError as error:
        yield from error.problems
        return
    yield from _unknown([template], columns)


def _of_prompt(prompt: Prompt, columns: frozenset[str] | None) -> Iterator[Problem]:
    yield from _of_sources(sources_of(prompt), columns)


def _of_sources(sources: Iterable[Source], columns: frozenset[str] | None) -> Iterator[Problem]:
    try:
        templates = templates_of(sources)
    except SpecError as error:
        yield from error.problems
        return
    yield from _unknown(templates, columns)


def _unknown(templates: list[Template], columns: frozenset[str] | None) -> Iterator[Problem]:
    for template in templates:
        if columns is not None and (problem := unknown_names(template, columns)) is not None:
            yield problem
