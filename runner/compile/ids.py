"""The ids of rows as users see them. Apart from `program`: writing results wants ids, and must not wait for Jinja2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.job.project import AnyJob, AudioJob, Dataset


def is_template(dataset: Dataset) -> bool:
    """Whether `id` is a template and not a column's name."""
    return dataset.id is not None and ("{{" in dataset.id or "{%" in dataset.id)


def has_no_id_column(job: AnyJob) -> bool:
    """Whether no column of a job's rows tells them apart: they are numbered, or named by a template."""
    return not isinstance(job, AudioJob) and (job.dataset.id is None or is_template(job.dataset))


def numbered(numbers: Iterable[int]) -> list[str]:
    """Ids of the rows at these positions of a dataset without `id`."""
    return [f"row-{number + 1}" for number in numbers]


def of_column(values: Iterable[Any]) -> list[str]:
    """Ids that are texts or numbers of a column, in rows that were requests before."""
    return [value if type(value) is str else str(value) for value in values]
