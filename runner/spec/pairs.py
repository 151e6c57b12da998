"""Datasets that are pairs, and the jobs over them: who may be compared, and what their checks have from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from runner.job.checks import Check, Kind
from runner.job.project import AnyJob, AudioJob
from runner.spec.chains import Following, followed
from runner.spec.declared import Declared
from runner.spec.problems import Problems


def check_pairs(declared: Declared, following: Following, jobs: Mapping[str, AnyJob], problems: Problems) -> None:
    """The two sides of a pair are two jobs, and about the same rows. jobs: those that are right, by address."""
    for entry in declared.entries["datasets"].values():
        if entry.value("pairs") is None:
            continue
        sides = [(following.address_of(text), node) for text, node in followed(entry)]
        if len(sides) != 2:
            continue
        (one, _), (other, node) = sides
        if one == other:
            words = f"{entry.subject} pairs `{one}` with itself"
            problems.error(node.mark, words, "name two jobs, or two cells of a matrix")
        elif one in jobs and other in jobs and _rows_of(jobs[one]) != _rows_of(jobs[other]):
            words = f"{entry.subject} pairs {_about(jobs[one])} with {_about(jobs[other])}"
            problems.error(node.mark, words, "pairs are answers to the same rows")


def _rows_of(job: AnyJob) -> object:
    if isinstance(job, AudioJob):
        return job.patterns, job.exclude
    return job.dataset.key, job.chain.parents if job.chain else ()


def _about(job: AnyJob) -> str:
    of = "recordings" if isinstance(job, AudioJob) else f"dataset `{job.dataset.key}`"
    return f"`{job.address}` (of {of})"


def with_orders(job: AnyJob) -> AnyJob:
    """The job, its preferences as its dataset shows the pairs."""
    orders = job.chain.orders if job.chain is not None else None
    if orders is None or not any(map(_is_preference, job.evals.checks)):
        return job
    checks = tuple(replace(one, orders=orders) if _is_preference(one) else one for one in job.evals.checks)
    return replace(job, evals=replace(job.evals, checks=checks))


def check_preferences(jobs: Iterable[AnyJob], problems: Problems) -> None:
    """A preference is between the two answers of a pair."""
    told = set()
    for job in jobs:
        for check in job.evals.checks:
            is_of_pairs = job.chain is not None and job.chain.orders is not None
            if _is_preference(check) and not is_of_pairs and check.mark not in told:
                told.add(check.mark)
                words = f"check `{check.name}` of job `{job.name}` is a preference, and the dataset of the job has no"
                hint = "give the job a dataset such as `{pairs: [one, other]}`"
                problems.error(check.mark, f"{words} `pairs`", hint)


def _is_preference(check: Check) -> bool:
    return check.kind is Kind.PREFERENCE
