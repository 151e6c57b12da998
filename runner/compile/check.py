"""What is wrong with a project's templates, found before any dataset is read beyond its first rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from runner.compile import ids
from runner.compile.audio import selection_of
from runner.compile.faults import RecordingsFailed
from runner.compile.program import id_of, templates_of, where_of
from runner.compile.template import Template, suggestion, unknown_names
from runner.data.audio import find
from runner.data.rows import open_rows
from runner.errors import DataError, Mark, Problem, SpecError
from runner.job.project import AudioJob, Dataset, Project, Prompt

MAX_PROBLEMS = 500  # nobody reads the next one before these are put right
FIRST_ROWS = 64  # JSONL rows need not all have the same columns


def problems_of(project: Project, prompts: Iterable[Prompt] = ()) -> list[Problem]:
    """Problems of all templates, sorted by place: syntax, forbidden things, names that are no column.

    prompts: to be looked at without any columns, beside those of the project's jobs. A dataset that cannot be read is
    not reported here: compiling says what is wrong with it.
    """
    found: dict[Problem, None] = {}
    # thousands of jobs may read one dataset, and its first rows are the same for all of them
    columns: dict[tuple[tuple[str, ...], str | None], frozenset[str] | None] = {}
    for job in project.jobs:
        if isinstance(job, AudioJob):
            continue
        read = (job.dataset.files, job.dataset.delimiter)
        if read not in columns:
            columns[read] = _columns(job.dataset, project)
        # a dict, not a set: jobs that share a prompt find the same problem, and the first order is kept
        found.update(dict.fromkeys(_of_dataset(job.dataset, columns[read])))
        found.update(dict.fromkeys(_of_prompt(job.prompt, columns[read])))
        if len(found) >= MAX_PROBLEMS:
            break
    for prompt in prompts:
        found.update(dict.fromkeys(_of_prompt(prompt, None)))
    return sorted(found, key=lambda problem: (problem.mark, problem.message))


def problems_of_inputs(project: Project) -> list[Problem]:
    """What is wrong with files that jobs read: missing, hidden, unreadable, of another format; in their first rows."""
    found: dict[Problem, None] = {}
    for job in project.jobs:
        try:
            if isinstance(job, AudioJob):
                listing = find(selection_of(job), project.root)
                if listing.faults and not job.skip_bad:
                    faults = [Problem(Mark(fault.path), fault.reason) for fault in listing.faults]
                    raise RecordingsFailed(faults, job.address, job.patterns_mark, offers=len(listing) > 0)
            else:
                for _ in islice(open_rows(job.dataset, project.root), FIRST_ROWS):
                    pass
        except DataError as error:
            found[Problem(error.mark or job.mark, error.message, error.hint)] = None
    return sorted(found, key=lambda problem: (problem.mark, problem.message))


def _columns(dataset: Dataset, project: Project) -> frozenset[str] | None:
    """The columns of the first rows, None where there is no row."""
    try:
        rows = list(islice(open_rows(dataset, project.root), FIRST_ROWS))
    except DataError:
        return None
    return frozenset().union(*(row.row for row in rows)) if rows else None


def _of_dataset(dataset: Dataset, columns: frozenset[str] | None) -> Iterator[Problem]:
    for parse in (where_of, id_of):
        try:
            template = parse(dataset)
        except SpecError as error:
            yield from error.problems
            continue
        if template is not None:
            yield from _unknown([template], columns)
    if dataset.id is not None and not ids.is_template(dataset) and columns is not None and dataset.id not in columns:
        yield Problem(
            dataset.id_mark if dataset.id_mark.file else dataset.mark,
            f"the `id` of dataset `{dataset.key}`, `{dataset.id}`, is no column",
            hint=suggestion(dataset.id, columns),
        )


def _of_prompt(prompt: Prompt, columns: frozenset[str] | None) -> Iterator[Problem]:
    try:
        templates = templates_of(prompt)
    except SpecError as error:
        yield from error.problems
        return
    yield from _unknown(templates, columns)


def _unknown(templates: list[Template], columns: frozenset[str] | None) -> Iterator[Problem]:
    for template in templates:
        if columns is not None and (problem := unknown_names(template, columns)) is not None:
            yield problem
