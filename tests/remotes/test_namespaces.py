"""Batches of two environments of a project, and of the project itself, are told apart by every name that we write."""

from __future__ import annotations

import itertools

from runner.job.observed import Observed, Phase
from runner.job.project import namespace_of
from runner.remotes import naming
from runner.remotes.fireworks import names
from runner.remotes.openai.labels import is_of_project, named

KEY = "0123456789abcdef-1"
PROJECTS = ["capitals", "capitals-dev", "dev", "p" * 60, "p" * 59 + "q", "Über.Projekt"]
SPACES = [namespace_of(project, env) for project in PROJECTS for env in ("", "dev", "prod", "e" * 30)]


def test_no_name_of_one_is_a_name_of_another() -> None:
    assert len(set(SPACES)) == len(SPACES)
    for one, other in itertools.permutations(SPACES, 2):
        hold_apart(one, other)


def hold_apart(one: str, other: str) -> None:
    if len(one) > naming.PROJECT_CHARS and one[: naming.PROJECT_CHARS] == other[: naming.PROJECT_CHARS]:
        return  # of projects without environments, whose names are too long to be told apart: the label tells
    name = naming.name_of(one, KEY)
    found = naming.read(name)
    assert found is not None and found.is_of(one) and not found.is_of(other)
    job_id = names.ids_of(name).job_id
    assert names.is_legal(job_id) and names.is_project_of(one, job_id) and not names.is_project_of(other, job_id)
    seen = Observed("batch_1", Phase.RUNNING, "in_progress", label={"runner_project": one})
    assert is_of_project(one, seen) and not is_of_project(other, seen)
    nameless = named(
        Observed("batch_1", Phase.RUNNING, "in_progress"), f"{name}.jsonl"
    )  # the label is gone, the name of its file is not
    assert is_of_project(one, nameless) and not is_of_project(other, nameless)
