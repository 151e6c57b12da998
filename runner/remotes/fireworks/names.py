"""The ids we choose, and what they say when they are found again.

Fireworks keeps no metadata, but it lets us name things, so the name is the label: `runner-<project>-<set>-<attempt>`.
A project that cannot be spelled in an id is shortened and gets a digest, so that two projects never share a name.
Source: contract of the control plane, "resource names and ids", read 2026-11-21.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from runner.errors import NotFound
from runner.job.stored import Kept
from runner.remotes import naming
from runner.remotes.naming import PREFIX, OurName
from runner.remotes.transport.replies import plain

LONGEST = 63
_LEGAL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_INPUT, _OUTPUT = "-in", "-out"
_PLAIN_SLUG = re.compile(r"[a-z0-9](?:-?[a-z0-9])*\Z")  # no `--`: that marks a shortened one
_DIGEST_CHARS = 10


class Ids(NamedTuple):
    input_dataset_id: str
    job_id: str
    output_dataset_id: str


def ids_of(name: str) -> Ids:
    """The ids of a submission: the same for the same name, legal, different for different names.

    The digest of the request set and the attempt are kept whole; the project gives way.
    """
    mark = naming.read(name) or OurName(name, hashlib.sha256(name.encode()).hexdigest()[:16], "0")
    room = LONGEST - len(PREFIX) - len(mark.key) - 1 - len(_OUTPUT)
    job_id = f"{PREFIX}{_slug(mark.project, room)}-{mark.key}"
    return Ids(job_id + _INPUT, job_id, job_id + _OUTPUT)


def _slug(project: str, room: int) -> str:
    if _PLAIN_SLUG.match(project) and len(project) <= room:
        return project
    digest = hashlib.sha256(project.encode()).hexdigest()[:_DIGEST_CHARS]
    words = re.sub(r"[^a-z0-9]+", "-", project.lower())[: room - _DIGEST_CHARS - 2].strip("-")
    return f"{words or 'p'}--{digest}"


def read(job_id: str) -> OurName | None:
    """What a job id of ours says; None for an id of somebody else. `project` is empty where it was shortened."""
    mark = naming.read(job_id) if is_legal(job_id) else None
    return mark if mark is None or _PLAIN_SLUG.match(mark.project) else mark._replace(project="")


def is_project_of(project: str, job_id: str) -> bool:
    """Whether a job id is what a submission of `project` would get."""
    mark = read(job_id)
    return mark is not None and ids_of(naming.name_of(project, mark.key)).job_id == job_id


def output_of(job_id: str) -> str | None:
    """The output dataset that a job of ours was given; None for a job of somebody else."""
    return job_id + _OUTPUT if read(job_id) else None


def input_of(job_id: str) -> str:
    """The input dataset that a job of ours was made from, unless it continued another."""
    return job_id + _INPUT


def job_of(dataset_id: str) -> str | None:
    """The job of ours whose output dataset this is; None for every other dataset."""
    job_id = dataset_id.removesuffix(_OUTPUT)
    return job_id if job_id != dataset_id and read(job_id) else None


def of_dataset(dataset_id: str) -> tuple[Kept | None, str]:
    """What a dataset of ours is, and the job whose input or output it is; None for every other dataset."""
    for ending, kind in ((_INPUT, Kept.UPLOAD), (_OUTPUT, Kept.RESULTS)):
        job_id = dataset_id.removesuffix(ending)
        if job_id != dataset_id and read(job_id):
            return kind, job_id
    return None, ""


def is_legal(resource_id: str) -> bool:
    return _LEGAL.match(resource_id) is not None


def segment(resource_id: str) -> str:
    """An id fit for a path. A remote's id is data: it never becomes more than one segment. Raises NotFound."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", resource_id) is None:
        raise NotFound(f"`{plain(resource_id)}` is not the id of a dataset or job")
    return resource_id


def last(name: str) -> str:
    """`jobs-1` of `accounts/acme/batchInferenceJobs/jobs-1`, and of `jobs-1`."""
    return name.rstrip("/").rpartition("/")[2]
