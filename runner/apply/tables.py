"""What a job's specs mean for its results: the columns they have, and the form its answers were asked for in.

Names of columns are checked before anything is paid for: what cannot be written at the end is said at the beginning.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from runner.compile.compiled import RowView
from runner.data.rows import columns_of, open_rows
from runner.errors import Problem, RunnerError
from runner.job.cost import Price
from runner.job.desired import Desired
from runner.job.project import EMBEDDINGS, MODERATIONS, Answer, AnyJob, AudioJob, Job, Project
from runner.remotes.reading.verdict import TEXT, Expected
from runner.results import columns, kinds
from runner.results.columns import Step
from runner.results.parquet import kind_of
from runner.results.picked import NotThere, Picked, column_of
from runner.schemas import AnswerSchema

_LOOKED_AT = 100  # rows of a dataset, to tell the names of its columns

Rows = Callable[[], Iterable[RowView]]
Steps = Callable[[AnyJob], Sequence[Step]]  # what is worked out for the results of a job, made anew at each call


def no_steps(_: AnyJob) -> Sequence[Step]:
    return ()


def picks_of(spec: AnyJob) -> Sequence[Step]:
    """What a job says is picked out of its answers."""
    if not spec.picks or any(_problems_of_picks(spec)):  # which `problems_in` tells
        return ()
    return [Picked(spec.picks, about_of(spec).answer)]


def with_picks(more: Steps) -> Steps:
    """That, and what else is worked out."""
    return picks_of if more is no_steps else lambda spec: [*picks_of(spec), *more(spec)]


def table_of(
    spec: AnyJob, rows: Rows, root: Path, job: Desired | None = None, steps: Sequence[Step] = ()
) -> columns.Table:
    """The columns of a job's results. A table of rows has to know those of the input before its first line.

    root: of the project. job: the same as it is wanted, for what its answers cost.
    """
    suffix = _suffix_of(spec)
    needs_input = isinstance(spec, Job) and (suffix != ".jsonl" or bool(_of_input(spec)))
    given = _input_of(spec, rows, root, typed=suffix == ".parquet") if needs_input else columns.Input()
    return columns.table(
        suffix,
        about_of(spec, job),
        given,
        chosen=spec.columns,
        steps=steps,
        is_of_recordings=isinstance(spec, AudioJob),
    )


def _input_of(spec: AnyJob, rows: Rows, root: Path, *, typed: bool) -> columns.Input:
    """The columns of the input, with the types its files give them; where those do not tell, as its rows show them."""
    told = columns_of(spec.dataset, root) if isinstance(spec, Job) else None
    if told is None:
        return columns.input_of((row.row_json for row in rows()), typed=typed)
    return columns.Input(
        {name: kind_of(source) if typed and source is not None else kinds.TEXT for name, source in told.items()}
    )


def problems_in(spec: AnyJob, rows: Rows, steps: Sequence[Step] = ()) -> list[Problem]:
    """What is wrong with the `columns` of a job. rows: read as far as it takes to find the names of the input."""
    if not spec.columns and not spec.picks:
        return []
    if spec.output.endswith("/"):
        return [_problem(spec, "`columns` are for a table, and the output is a folder", "remove them")]
    twice = [name for name in dict.fromkeys(spec.columns) if spec.columns.count(name) > 1]
    if twice:
        return [_problem(spec, f"`columns` name `{twice[0]}` twice", "remove one of the two")]
    if found := list(_problems_of_picks(spec)):
        return found
    worked_out = {name for step in steps for name, _ in step.columns}
    missing = _of_input(spec) - worked_out
    seen: dict[str, None] = {}
    for row in rows() if missing and isinstance(spec, Job) else ():
        seen.update(dict.fromkeys(columns.input_of([row.row_json], typed=False).kinds))
        if not missing - _names_of(spec, seen):
            return []
    known = [*_ours(spec), *sorted(worked_out), *_names_of(spec, seen)]
    found = []
    for name in [name for name in spec.columns if name in missing]:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean `{near[0]}`?" if near else "there are " + ", ".join(f"`{one}`" for one in known)
        found.append(_problem(spec, f"`columns` name `{name}`, which is not a column of its results", hint))
    return found


def _problems_of_picks(spec: AnyJob) -> Iterator[Problem]:
    """Values that no answer can have, and columns that are called like others."""
    taken = {*_ours_but_picks(spec), *columns.READ_BACK}
    for pick in spec.picks:
        where = f"job `{spec.name}`"
        if isinstance(spec, AudioJob):
            yield Problem(pick.mark, f"{where}: `{pick.source}` is picked out of an answer, and recordings have none")
        elif pick.name in taken:
            words = f"{where}: the column `{pick.name}` has the name of one of ours"
            yield Problem(pick.mark, words, hint="give it another name")
        elif sum(one.name == pick.name for one in spec.picks) > 1:
            yield Problem(pick.mark, f"{where}: two values are picked as `{pick.name}`", hint="rename one of them")
        else:
            try:
                column_of(pick, about_of(spec).answer)
            except NotThere as error:
                hint = "put it right, or give a `type` where answers have such a field all the same"
                yield Problem(pick.mark, f"{where}: {error}", hint=hint)


def check_columns(project: Project) -> list[Problem]:
    """The same for all jobs, as far as the first rows tell. A dataset that cannot be read is for others to tell."""
    found: list[Problem] = []
    for job in project.jobs:
        rows: list[RowView] = []
        if (job.columns or job.picks) and isinstance(job, Job):
            with suppress(RunnerError, OSError):
                first = islice(open_rows(job.dataset, project.root), _LOOKED_AT)
                rows = [RowView("", msgspec.json.encode(dict.fromkeys(row.row)), b"") for row in first]
            if not rows:
                found += _problems_of_picks(job)
                continue
        found += problems_in(job, rows.copy, picks_of(job))
    return found


def warnings_in(spec: AnyJob, root: Path) -> Iterator[str]:
    """What a user should know of the columns of a job. A dataset that cannot be read is for others to tell."""
    if spec.columns and not spec.output.endswith("/"):
        lacks = [name for name in columns.NEEDED if name not in spec.columns]
        if lacks or {"answer", "response"}.isdisjoint(spec.columns):
            what = " and ".join(f"`{name}`" for name in lacks) or "`answer` or `response`"
            yield (
                f"job `{spec.name}` at {spec.mark}: without {what} among its `columns` "
                "no answer can be read back from its results when `.runner/` is lost"
            )
    if not isinstance(spec, Job) or _suffix_of(spec) == ".jsonl":
        return
    seen: dict[str, None] = {}
    with suppress(RunnerError, OSError):
        for row in islice(open_rows(spec.dataset, root), _LOOKED_AT):
            seen.update(dict.fromkeys(row.row))
    names = set(spec.columns or columns.usual(_suffix_of(spec), about_of(spec), is_of_recordings=False))
    names.update(pick.name for pick in spec.picks)
    given = columns.Input(dict.fromkeys(seen, kinds.TEXT))
    for name, shown in given.named(names & _ours(spec)).items():
        if name != shown:
            yield f"job `{spec.name}` at {spec.mark}: the column `{name}` of its dataset is `{shown}` in its results"


def _problem(spec: AnyJob, message: str, hint: str) -> Problem:
    return Problem(spec.mark, f"job `{spec.name}`: {message}", hint=hint)


def _suffix_of(spec: AnyJob) -> str:
    return posixpath.splitext(spec.output)[1].lower()


def _ours(spec: AnyJob) -> set[str]:
    """Columns that a job can have beside those of its input."""
    return {*_ours_but_picks(spec), *(pick.name for pick in spec.picks)}


def _ours_but_picks(spec: AnyJob) -> dict[str, columns.Column]:
    return columns.ours(about_of(spec), is_of_recordings=isinstance(spec, AudioJob))


def _of_input(spec: AnyJob) -> set[str]:
    """The chosen columns that are none of ours."""
    return set(spec.columns) - _ours(spec)


def _names_of(spec: AnyJob, seen: Iterable[str]) -> set[str]:
    """What columns of the input are called in the results."""
    given = columns.Input(dict.fromkeys(seen, kinds.TEXT))
    return set(given.named(set(spec.columns) & _ours(spec)).values())


def about_of(spec: AnyJob, job: Desired | None = None) -> columns.About:
    """What a job says of each of its lines. job: the same as it is wanted, with the price a batch is counted with."""
    is_priced = job is not None and (job.usd_per_million is not None or job.usd_per_minute is not None)
    price = job.price if job and is_priced else Price()
    return columns.About(
        job=spec.name,
        model=spec.model.key,
        cell=spec.cell,
        usd_per_million=price.per_million,
        usd_per_minute=price.per_minute,
        answer=_kind_of_answers(spec),
    )


# What a moderation says: which categories there are differs from model to model.
_VERDICT = kinds.record_of(flagged=kinds.FLAG, categories=kinds.JSON, category_scores=kinds.JSON)


def _kind_of_answers(spec: AnyJob) -> kinds.Kind | None:
    if _has_vectors(spec):
        return kinds.VECTOR
    if _has_verdicts(spec):
        return _VERDICT
    schema = _format_of(spec).get("schema")
    return None if schema is None else kinds.of_schema(schema)


def _has_vectors(spec: AnyJob) -> bool:
    """Whether answers are lists of numbers; packed ones are text."""
    is_embedding = isinstance(spec, Job) and spec.model.endpoint == EMBEDDINGS
    return is_embedding and _params_of(spec).get("encoding_format", "float") == "float"


def _has_verdicts(spec: AnyJob) -> bool:
    return isinstance(spec, Job) and spec.model.endpoint == MODERATIONS


def wanted_of(spec: AnyJob) -> Expected:
    """Whether a job asks for JSON, whether for an object, and the schema that answers are held to."""
    if _has_vectors(spec) or _has_verdicts(spec):
        return Expected(is_json=True, is_object=_has_verdicts(spec))  # as a table has it, it is the text of one
    asked = _format_of(spec)
    if asked.get("type") not in ("json_object", "json_schema"):
        return TEXT
    schema = asked.get("schema")
    is_object = asked["type"] == "json_object" or (isinstance(schema, Mapping) and schema.get("type") == "object")
    answer = spec.prompt.answer if isinstance(spec, Job) else None
    return Expected(is_json=True, is_object=is_object, schema=None if answer is None else schema_of(answer))


def schema_of(answer: Answer) -> AnswerSchema:
    """What answers are held to, made ready when the first one comes; one for all that want the same."""
    return _known_schema(msgspec.json.encode(answer.schema))


@lru_cache(maxsize=64)
def _known_schema(written: bytes) -> AnswerSchema:
    return AnswerSchema(msgspec.json.decode(written))


def _params_of(spec: AnyJob) -> Mapping[str, Any]:
    """Those of the model, and over them what a body says that is given as a mapping."""
    body = spec.prompt.body if isinstance(spec, Job) else None
    return spec.model.params if body is None else {**spec.model.params, **body.tree}


def _format_of(spec: AnyJob) -> Mapping[str, Any]:
    """What a job says of the form of its answers: `type`, and `schema` where it gives one.

    It stands in the prompt, in its body, or in the params of the model: under `response_format`, or inside of `text`,
    where the responses endpoint has it without the wrapper around the schema.
    """
    if not isinstance(spec, Job):
        return {}
    params = _params_of(spec)
    text = params.get("text")
    inside = text.get("format") if isinstance(text, Mapping) else None
    asked = spec.prompt.response_format or params.get("response_format") or inside
    if not isinstance(asked, Mapping):
        return {}
    wrapper = asked.get("json_schema")
    schema = wrapper.get("schema") if isinstance(wrapper, Mapping) else asked.get("schema")
    return {"type": asked.get("type"), "schema": schema}
