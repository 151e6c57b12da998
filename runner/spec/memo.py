"""A checked project read back without reading the specs, while no file it was made of has changed.

Parsing and checking import pydantic and PyYAML, which cost more than everything else a run without work does.
It is a cache: whatever does not match exactly counts as not there.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from runner import __version__, files
from runner.job.project import Job, Project
from runner.schemas import is_installed
from runner.spec.chosen import NOTHING, Chosen
from runner.spec.files import find_files
from runner.spec.places import Root, files_of

# with our version: another one may check more, and what it would refuse must not come out of a cache
SCHEME = f"runner-project/8 {__version__}"
_RACY_NS = 50_000_000  # a file changed this shortly before the cache was written may have changed again unnoticed


class _Kept(msgspec.Struct):
    scheme: str
    specs: list[str]
    skipped: list[str]  # linked folders with specs that are not read
    stamps: dict[str, str]
    written_ns: int
    project: Project


def load(paths: Sequence[str], root: Path, folder: Path, chosen: Chosen = NOTHING, *, keeps: bool) -> Project:
    """`spec.load.load`, or what it gave last time. keeps: whether the result is kept in `folder` for the next time.

    Raises what `spec.load.load` raises; a project with problems is never kept.
    """
    real_root = Path(os.path.realpath(root))
    try:
        said = chosen.identity
    except OSError:  # whoever reads the file says so
        said, keeps, folder = "", False, folder / "none"
    name = hashlib.sha256(msgspec.json.encode([list(paths), str(real_root), said])).hexdigest()[:32]
    skipped: list[str] = []
    specs = find_files(paths, real_root, lambda link, words: skipped.append(f"{link} {words}"))
    kept = _read(folder / name, specs, skipped, real_root)
    if kept is not None:
        return kept
    from runner.spec.load import load as load_specs

    project = load_specs(paths, root, chosen)
    if keeps:
        _write(folder / name, project, skipped)
    return project


def _read(path: Path, specs: Sequence[str], skipped: Sequence[str], root: Path) -> Project | None:
    """What is kept in `path`, if it was made of these spec files and none of them, nor a prompt file, changed."""
    try:
        kept = _decode(path.read_bytes())
        if kept.scheme != SCHEME or kept.specs != list(specs) or kept.skipped != list(skipped):
            return None
        for file, stamp in kept.stamps.items():
            about = (root / file).stat()
            if _stamp(about) != stamp or kept.written_ns - about.st_mtime_ns < _RACY_NS:
                return None
        # what lies at the places of outputs may have changed though no spec did
        there = Root(root)
        if not all(there.is_as_checked(path) for job in kept.project.jobs for path in files_of(job)):
            return None
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return kept.project


def _write(path: Path, project: Project, skipped: list[str]) -> None:
    checks = any(check.schema for job in project.jobs for check in job.evals.checks)
    answers = any(isinstance(job, Job) and job.prompt.answer is not None for job in project.jobs)
    if (checks or answers) and not is_installed():
        return  # nobody has looked at them
    try:
        stamps = {file: _stamp((project.root / file).stat()) for file in read_of(project)}
    except OSError:
        return
    kept = msgspec.json.encode(
        _Kept(SCHEME, list(project.files), skipped, stamps, time.time_ns(), project), enc_hook=str
    )
    # written, then read and compared: what a cache gives back must be what was checked
    if _decode(kept).project != project:
        return  # a value that JSON does not carry
    files.write(path, kept, is_durable=False)


def read_of(project: Project) -> set[str]:
    """The files that were read for a project: specs, and what they name of prompts and schemas."""
    row_jobs = [job for job in project.jobs if isinstance(job, Job)]
    prompts = {message.mark.file for job in row_jobs for message in job.prompt.messages}
    checks = [check.schema_file for job in project.jobs for check in job.evals.checks if check.schema]
    bodies = [job.prompt.body for job in row_jobs]
    heads = [body.head.file for body in bodies if body is not None and body.head is not None]  # they name a model
    answers = [job.prompt.answer.file for job in row_jobs if job.prompt.answer is not None]
    return {*project.files, *prompts, *filter(None, checks), *filter(None, answers), *heads}


def _decode(data: bytes) -> _Kept:
    return msgspec.json.decode(data, type=_Kept, dec_hook=lambda kind, value: kind(value))


def _stamp(about: os.stat_result) -> str:
    return f"{about.st_mtime_ns} {about.st_ctime_ns} {about.st_size} {about.st_ino} {about.st_dev}"
