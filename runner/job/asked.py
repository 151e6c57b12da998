"""How jobs were declared when their requests were sent: what a later plan tells its changes against.

It is for people to read: nothing is sent, kept back or believed for it. So what cannot be read counts as not there.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from runner.errors import Mark
from runner.job.project import AnyJob, AudioJob, Evals, Job

VERSION = 1
_MOST_BYTES = 64 << 20  # of all jobs of a project


class AskedJob(msgspec.Struct, frozen=True):
    job: Job | AudioJob
    content: str = ""  # SHA-256 (hex) of what the files of its dataset held; empty where it has none, or nobody knows
    files_sha256: str = ""  # the same of the files that its requests hold


class _Asked(msgspec.Struct, frozen=True):
    version: int
    jobs: dict[str, AskedJob]


def encode(jobs: Mapping[str, tuple[AnyJob, str, str]]) -> bytes:
    """Jobs by address, each with the SHA-256 of what its dataset holds, and of the files that its requests hold. The
    same jobs are the same bytes."""
    kept = {address: AskedJob(_bare(job), *contents) for address, (job, *contents) in sorted(jobs.items())}
    return zlib.compress(msgspec.json.encode(_Asked(VERSION, kept), enc_hook=str), 6)


def decode(data: bytes) -> dict[str, AskedJob]:
    """By address; empty for what this version cannot read."""
    try:
        asked = msgspec.json.decode(zlib.decompressobj().decompress(data, _MOST_BYTES), type=_Asked, dec_hook=_made)
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return asked.jobs if asked.version == VERSION else {}


def _made(kind: type, value: object) -> object:
    return kind(value)


def _bare(job: AnyJob) -> AnyJob:
    """A job without what is no part of a request and may be long. Answers that it asks about lie in files of ours."""
    job = replace(job, evals=Evals(), output_mark=Mark(""), window_mark=Mark(""))
    if isinstance(job, Job) and job.chain is not None:
        job = replace(job, dataset=replace(job.dataset, files=()))
    return job
