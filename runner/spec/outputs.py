"""Where answers go: the template of a path, kept inside the project, and no two jobs to one file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from runner import private
from runner.errors import Mark
from runner.fields import OUTPUT_SUFFIXES
from runner.files import LONGEST_FOLDER, LONGEST_NAME
from runner.globs import Globs, is_magic
from runner.job.project import AnyJob, AudioJob, Dataset
from runner.job.scored import judge_of, scores_path
from runner.spec.paths import is_too_long, parents
from runner.spec.places import Root, files_of
from runner.spec.problems import Problems

STATE_FOLDER = ".runner"
ENV = "env"
NAMES = ("model", "prompt", "dataset", "replicate", "window", "job", ENV)
_RESULTS = "_results.jsonl"  # in a folder, one line for each recording
AUDIO_NAMES = ("model", "replicate", "window", "job", ENV)

_FROM = "rows of a job's answers are a dataset `{from: JOB}`"

_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def names_in(template: str) -> set[str]:
    return set(_NAME.findall(template))


def check_template(template: str, subject: str, mark: Mark, problems: Problems, names: Sequence[str] = NAMES) -> bool:
    """Whether only plain names that have a value are used; False after a problem."""
    rest = _NAME.sub("", template)
    if re.search(r"\{\{|\}\}|\{%|\{#", rest):
        message = f"`output` of {subject} may use plain names only, such as `{{{{ model }}}}`"
        problems.error(mark, message)
        return False
    unknown = sorted(names_in(template) - set(names))
    for name in unknown:
        near = problems.nearest(name, names)
        listed = "use one of " + ", ".join(f"`{known}`" for known in names)
        hint = f"did you mean `{near}`?" if near else listed
        problems.error(mark, f"`output` of {subject} uses the unknown name `{name}`", hint)
    return not unknown


def in_environment(template: str, name: str) -> str:
    """The template of a path below a folder of an environment: `results/dev/a.jsonl`, and `dev/a.jsonl` of `a.jsonl`.

    Nothing lies in a folder that is an output itself without an environment: `calls/` is `dev/calls/`.
    """
    if not name or ENV in names_in(template):
        return template
    first, slash, rest = template.partition("/")
    return f"{first}/{name}/{rest}" if slash and rest and first not in ("", ".") else f"{name}/{template}"


def rendered(template: str, values: Mapping[str, str]) -> str:
    """The path for one cell, normalised, but for the slash that ends a folder; `template` was checked."""
    path = posixpath.normpath(_NAME.sub(lambda found: values[found.group(1)], template))
    return f"{path}/" if template.endswith("/") else path


def complaint_about(template: str, output: str, root: Root, *, may_be_folder: bool = False) -> tuple[str, str] | None:
    """Why `output` (rendered from `template`) cannot be written, and what to do; None if it can."""
    suffixes = " ".join(OUTPUT_SUFFIXES)
    if "\\" in template or not template.isprintable():
        return "must not hold backslashes or control characters", "separate folders with `/`"
    if output.startswith(("/", "~")) or re.match(r"[A-Za-z]:", output) or ".." in template.split("/"):
        return "must stay inside the project root", "give a path without `..`, relative to the root"
    if output.endswith("/"):
        if not may_be_folder:
            return f"must end in one of {suffixes}", "such as `results/answers.jsonl`"
        if output == "./":
            return "must be a folder of its own", "such as `transcripts/`"
    elif not output.endswith(OUTPUT_SUFFIXES) or output.split("/")[-1] in OUTPUT_SUFFIXES:
        if may_be_folder:
            return f"must end in `/` or in one of {suffixes}", "such as `transcripts/` or `results/calls.jsonl`"
        return f"must end in one of {suffixes}", "such as `results/answers.jsonl`"
    if is_too_long(output) or not _has_room(output):
        return "is too long for a file name", f"a name has at most {LONGEST_NAME} bytes"
    if output.split("/")[0].casefold() == STATE_FOLDER:
        return f"must not be inside `{STATE_FOLDER}/`", "that is where runner keeps its state"
    if private.is_hidden(output):
        return "must not be hidden, or in a hidden folder such as `.git/`", "other programs obey what lies in there"
    if not root.holds(output):
        return "leaves the project root through a symlink", "outputs must stay inside the root"
    if root.leads_into_hidden(output):
        return "leads into a hidden folder through a symlink", "remove the link"
    if file := root.file_above(output):
        return f"needs the folder `{file}/`, and `{file}` is a file", "move the file away, or write into another folder"
    if output.endswith("/"):
        if root.has_file(output.rstrip("/")):
            return "is a file", "give the name of a folder"
    elif root.has_folder(output):
        return "is a folder", "give a file name" + (", or end it with `/`" if may_be_folder else "")
    return None


def _has_room(output: str) -> bool:
    """Whether each part can be the name of a folder, and the last one that of a file that is written beside first."""
    *folders, name = output.encode().split(b"/")  # of a folder, nothing comes after its slash
    return len(name) <= LONGEST_NAME and all(len(folder) <= LONGEST_FOLDER for folder in folders)


def check_collisions(jobs: Sequence[AnyJob], inputs: Mapping[str, str], problems: Problems) -> None:
    """No two jobs write one file or folder, none writes into another's folder or over what another reads.

    inputs: paths of files the specs read -> what they are.
    """
    owners: dict[str, tuple[AnyJob, str]] = {}
    holding = {folder: (path, what) for path, what in inputs.items() for folder in parents(path)}
    for job in jobs:
        # two names that differ in case are one file on a Mac, and a project is made to be cloned
        for written in files_of(job):
            folded = written.rstrip("/").casefold()
            other, as_written = owners.setdefault(folded, (job, written))
            if other is not job:
                _refuse_shared(job, written, other, as_written, problems)
            elif folded in inputs:
                _refuse_input(job, inputs[folded], problems, written=written)
        folded = job.output.rstrip("/").casefold()
        if job.output.endswith("/") and owners[folded][0] is job and folded in holding:
            path, what = holding[folded]
            message = f"`output` of job `{job.address}` would write into `{job.output}`, where `{path}` is, {what}"
            problems.error(job.output_mark, message, "write into a folder of its own")
    for job in jobs:
        for folder in parents(job.output.rstrip("/").casefold()):
            if folder in owners:
                other, _ = owners[folder]
                message = f"job `{job.address}` writes below `{other.output}`, the output of `{other.address}`"
                problems.error(job.output_mark, f"{message} at {other.output_mark}", "rename one of the two")


class _Glob(msgspec.Struct, frozen=True):
    """A pattern by which a job reads files, and what it belongs to."""

    pattern: str
    what: str
    exclude: tuple[str, ...] = ()
    hint: str = "write into another folder"

    def takes_out(self, path: str) -> bool:
        """Whether `exclude` does: the file, or a folder above it; without a slash a pattern counts in every folder."""
        everywhere = (one if "/" in one.strip("/") else f"**/{one}" for one in self.exclude)
        excluded = _globs(everywhere)
        return any(excluded.matching(above) for above in [*parents(path), path])


def check_globs(jobs: Iterable[AnyJob], datasets: Iterable[Dataset], problems: Problems) -> None:
    """An output that a glob of a dataset or of recordings matches would be read as input by the next run."""
    jobs = list(jobs)
    globs = [
        _Glob(
            posixpath.normpath(pattern),
            f"matched by the files of dataset `{dataset.key}` at {dataset.mark}",
            hint=f"write into another folder; {_FROM}",
        )
        for dataset in datasets
        for pattern in dataset.files
    ]
    globs += [
        _Glob(
            posixpath.normpath(pattern),
            f"matched by `audio` of job `{job.name}` at {job.patterns_mark}",
            job.exclude,
            "write into another folder, or take it out with `exclude`",
        )
        for job in {job.name: job for job in jobs if isinstance(job, AudioJob)}.values()
        for pattern in job.patterns
    ]
    # a path without a star is an input by its name, which `check_collisions` has seen
    globs = [glob for glob in globs if is_magic(glob.pattern)]
    index = _globs(glob.pattern for glob in globs)
    for job in jobs:
        matching = sorted({(number, path) for path in _written_by(job) for number in index.matching(path)})
        found = next(((globs[number], path) for number, path in matching if not globs[number].takes_out(path)), None)
        if found:
            glob, path = found
            _refuse_input(job, glob.what, problems, glob.hint, written=path)


def _written_by(job: AnyJob) -> list[str]:
    """The files a job writes; for a folder, what files in it may be called."""
    if not job.output.endswith("/"):
        return files_of(job)
    suffixes = (".json", ".txt", ".srt", ".vtt")
    named = [f"{job.output}{name}{suffix}" for suffix in suffixes for name in ("recording", "folder/recording")]
    return [*named, f"{job.output}{_RESULTS}", *([scores_path(job.output)] if job.evals.checks else [])]


def _globs(patterns: Iterable[str]) -> Globs:
    """What may be written is refused by every reading of a pattern but that of another case."""
    return Globs(patterns, takes_hidden=True, any_case=False)


def _refuse_shared(job: AnyJob, written: str, other: AnyJob, as_written: str, problems: Problems) -> None:
    """written, as_written: the same file, as either of the two calls it."""
    has_scores, others_scores = written != job.output, as_written != other.output
    mine = f"job `{job.address}` writes " + ("its scores to " if has_scores else "")
    theirs = f"the scores of `{other.address}`" if others_scores else f"`{other.address}`"
    message = f"{mine}`{written}`, and so {'do' if others_scores else 'does'} {theirs} at {other.output_mark}"
    if written.rstrip("/") != as_written.rstrip("/"):
        message += f" as `{as_written}`: they differ only in case"
    what = "folder" if job.output.endswith("/") else "file"
    is_of_scores = has_scores or others_scores
    names = {job.name, other.name}
    if is_of_scores and any(judge_of(name, "scores") in names for name in names):
        hint = "rename check `scores`: what its judge says goes to a file of that name"
    elif is_of_scores:
        hint = "give their outputs names that differ before the suffix"
    else:
        hint = f"give each job a {what} of its own"
    problems.error(job.output_mark, message, hint)


def _refuse_input(job: AnyJob, what: str, problems: Problems, hint: str = "", *, written: str) -> None:
    if job.output.endswith("/"):
        message = f"what job `{job.address}` writes into `{job.output}` would be {what}"
        problems.error(job.output_mark, message, hint)
        return
    of = "`output`" if written == job.output else "the scores"
    message = f"{of} of job `{job.address}` would overwrite `{written}`, {what}"
    is_data = what.startswith("a file of dataset")
    problems.error(job.output_mark, message, f"write to another file; {_FROM}" if is_data else "write to another file")
