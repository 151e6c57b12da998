"""Where answers go: the template of a path, kept inside the project, and no two jobs to one file."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from runner.errors import Mark
from runner.spec.fields import OUTPUT_SUFFIXES
from runner.spec.problems import Problems
from runner.spec.project import Dataset, Job

STATE_FOLDER = ".runner"
NAMES = ("model", "prompt", "dataset", "replicate", "window", "job")

_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_GLOB = re.compile(r"[*?\[]")


def names_in(template: str) -> set[str]:
    return set(_NAME.findall(template))


def check_template(template: str, subject: str, mark: Mark, problems: Problems) -> bool:
    """Whether only plain names that have a value are used; False after a problem."""
    rest = _NAME.sub("", template)
    if re.search(r"\{\{|\}\}|\{%|\{#", rest):
        message = f"`output` of {subject} may use plain names only, such as `{{{{ model }}}}`"
        problems.error(mark, message)
        return False
    unknown = sorted(names_in(template) - set(NAMES))
    for name in unknown:
        near = problems.nearest(name, NAMES)
        listed = "use one of " + ", ".join(f"`{known}`" for known in NAMES)
        hint = f"did you mean `{near}`?" if near else listed
        problems.error(mark, f"`output` of {subject} uses the unknown name `{name}`", hint)
    return not unknown


def rendered(template: str, values: Mapping[str, str]) -> str:
    """The path for one cell, normalised; `template` was checked."""
    return posixpath.normpath(_NAME.sub(lambda found: values[found.group(1)], template))


def complaint_about(template: str, output: str, root: Path) -> tuple[str, str] | None:
    """Why `output` (rendered from `template`) cannot be written, and what to do; None if it can.

    root: with its own symlinks resolved.
    """
    suffixes = " ".join(OUTPUT_SUFFIXES)
    if "\\" in template or not template.isprintable():
        return "must not hold backslashes or control characters", "separate folders with `/`"
    if output.startswith(("/", "~")) or re.match(r"[A-Za-z]:", output) or ".." in template.split("/"):
        return "must stay inside the project root", "give a path without `..`, relative to the root"
    if template.endswith("/") or not output.endswith(OUTPUT_SUFFIXES) or output.split("/")[-1] in OUTPUT_SUFFIXES:
        return f"must end in one of {suffixes}", "such as `results/answers.jsonl`"
    if any(len(part.encode()) > 255 for part in output.split("/")) or len(output.encode()) > 4_000:
        return "is too long for a file name", ""
    if output.split("/")[0].casefold() == STATE_FOLDER:
        return f"must not be inside `{STATE_FOLDER}/`", "that is where runner keeps its state"
    if not _is_inside(str(root), output):
        return "leaves the project root through a symlink", "outputs must stay inside the root"
    if os.path.isdir(root / output):  # noqa: PTH112  # never raises: a name may be too long to ask for
        return "is a folder", "give a file name"
    return None


def _is_inside(root: str, output: str) -> bool:
    """root: with its own symlinks resolved."""
    return os.path.realpath(f"{root}/{output}").startswith(root.rstrip("/") + "/")


def check_collisions(jobs: Sequence[Job], inputs: Mapping[str, str], problems: Problems) -> None:
    """No two jobs write one file, and none writes what another reads.

    inputs: paths of files the specs read -> what they are.
    """
    owners: dict[str, Job] = {}
    for job in jobs:
        folded = job.output.casefold()
        other = owners.setdefault(folded, job)
        if other is not job:
            _refuse_shared(job, other, problems)
        elif folded in inputs:
            _refuse_input(job, inputs[folded], problems)
    for job in jobs:
        for folder in _parents(job.output.casefold()):
            if folder in owners:
                other = owners[folder]
                message = f"job `{job.address}` writes below `{other.output}`, the output of `{other.address}`"
                problems.error(job.output_mark, f"{message} at {other.output_mark}", "rename one of the two")


def check_globs(jobs: Iterable[Job], datasets: Iterable[Dataset], problems: Problems) -> None:
    """An output that a dataset's glob matches would be read as input by the next run."""
    globs = [
        (pattern[: found.start()], pattern, dataset)
        for dataset in datasets
        for pattern in map(posixpath.normpath, dataset.files)
        if (found := _GLOB.search(pattern))
    ]
    for job in jobs:
        for prefix, pattern, dataset in globs:
            if job.output.startswith(prefix) and glob_matches(pattern, job.output):
                _refuse_input(job, f"matched by the files of dataset `{dataset.key}` at {dataset.mark}", problems)
                break


def glob_matches(glob: str, path: str) -> bool:
    """Whether a glob matches a path: `*` and `?` within one folder, `**` across folders.

    Walks the set of places reached, so that no pattern takes more than folders times parts.
    """
    folders = path.split("/")
    reached = {0}
    for part in glob.split("/"):
        if not reached:
            return False
        if part == "**":
            reached = set(range(min(reached), len(folders) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(folders) and fnmatchcase(folders[at], part)}
    return len(folders) in reached


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _refuse_shared(job: Job, other: Job, problems: Problems) -> None:
    message = f"job `{job.address}` writes `{job.output}`, and so does `{other.address}` at {other.output_mark}"
    if job.output != other.output:
        message += f" as `{other.output}`: they differ only in case"
    problems.error(job.output_mark, message, "give each job a file of its own")


def _refuse_input(job: Job, what: str, problems: Problems) -> None:
    message = f"`output` of job `{job.address}` would overwrite `{job.output}`, {what}"
    problems.error(job.output_mark, message, "write to another file")
