"""Whether what answers are held to can be worked out here: said before anything is paid for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from runner import __version__, files, schemas
from runner.checks.choice import Classes
from runner.checks.number import number_in
from runner.compile.parse import static_text
from runner.compile.render import check_evals
from runner.data.files import signature
from runner.errors import DataError, Problem
from runner.job.checks import Check, Ignore, Kind, Normalize
from runner.job.project import AnyJob, Evals, Job, Project

_INSTALL = "run `pip install 'runner-batch[evals]'`"


def problems_in_evals(project: Project) -> list[Problem]:
    """Everything: templates, packages that are not installed, schemas that are none, references no check can use."""
    found = [problem for job in project.jobs for check in job.evals.checks for problem in _problems(check, job)]
    return _without_validator(project) + list(dict.fromkeys(found)) + check_evals(project)


def new_problems(project: Project, memo: Path, *, keeps: bool) -> list[Problem]:
    """The same, unless these specs over these files had none the last time: stats tell. memo: where that is kept.

    All references are read as well: raises DataError for keys that are there twice.
    """
    lacking = _without_validator(project)
    jobs = [job for job in project.jobs if job.evals != Evals()]
    if not jobs or lacking:
        return lacking
    path, now = memo / "evals", _fingerprint(jobs, project.root)
    with suppress(OSError):
        if now and path.read_bytes() == now:
            return []
    found = problems_in_evals(project)
    joins = {join.mark: join for job in jobs if (join := job.evals.references) is not None and not found}
    if joins:
        from runner.compile.references import index_of  # and with it Jinja2

        for join in joins.values():
            index_of(join, project.root)
    if keeps and now and not found:
        memo.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write(path, now, is_durable=False)
    return found


def _without_validator(project: Project) -> list[Problem]:
    """Answers are held to a schema when they come, paid for by then: what that takes has to be there before."""
    answers = [job.prompt.answer for job in project.jobs if isinstance(job, Job) and job.prompt.answer is not None]
    if not answers or schemas.is_installed():
        return []
    words = "`answer.schema` needs the jsonschema-rs package, which holds answers to it"
    return list(dict.fromkeys(Problem(answer.mark, words, hint=schemas.INSTALL) for answer in answers))


def _fingerprint(jobs: list[AnyJob], root: Path) -> bytes:
    """Of all that they depend on; empty where that cannot be told."""
    read = [job.dataset for job in jobs if isinstance(job, Job)]
    read += [job.evals.references.dataset for job in jobs if job.evals.references is not None]
    try:
        stats = {(*dataset.files, dataset.are_paths): signature(dataset, root) for dataset in read}
    except DataError:
        return b""
    installed = [name for name in ("jsonschema_rs", "rapidfuzz", "whisper_normalizer") if find_spec(name)]
    parts = [__version__, [job.evals for job in jobs], list(stats.items()), installed]
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=str)).hexdigest().encode()


def _problems(check: Check, job: AnyJob) -> Iterator[Problem]:
    what = f"check `{check.name}` of job `{job.name}`"
    needed = _needed(check)
    if needed and find_spec(needed) is None:
        yield Problem(check.mark, f"{what} needs the {needed.replace('_', '-')} package", hint=_INSTALL)
        return
    if check.kind is Kind.CHOICE and check.classes:
        yield from _of_classes(check, "classes", check.classes, what)
    if check.judge is not None:
        yield from _of_classes(check, "verdicts", list(check.judge.verdicts), what)
    if check.kind is Kind.PREFERENCE:
        yield from _told_apart(check, "words", list(check.words.values()), what)
    if check.kind is Kind.NUMBER:
        for source in check.reference.templates:
            text = static_text(source.text)
            if text is not None and number_in(text) is None:
                yield Problem(source.mark, f"the reference `{text[:60]}` of {what} is not a number")


def _needed(check: Check) -> str:
    """The package without which a check cannot be made; empty where our own will do."""
    if check.kind in (Kind.WER, Kind.CER):
        if check.normalize is Normalize.ENGLISH and find_spec("whisper_normalizer") is None:
            return "whisper_normalizer"
        return "rapidfuzz"
    return "jsonschema_rs" if check.schema is not None else ""


def _told_apart(check: Check, noun: str, texts: Sequence[str], what: str) -> Iterator[Problem]:
    """Texts that an answer may name, and that nothing tells apart."""
    classes = Classes(texts, check.ignore)
    for one in texts:
        other = classes.called(one)
        if other != one:
            words = f"the {noun} `{one}` and `{other}` of {what} differ only in what is ignored"
            hint = "change one, or say what matters: `ignore: []`" if Ignore.CASE in check.ignore else "change one"
            yield Problem(check.mark, words, hint=hint)
        elif texts.count(one) > 1:
            yield Problem(check.mark, f"two {noun} of {what} are `{one}`", hint="change one")
            return


def _of_classes(check: Check, noun: str, texts: Sequence[str], what: str) -> Iterator[Problem]:
    """Classes, or verdicts, that nothing tells apart, and references that are none of them."""
    yield from _told_apart(check, noun, texts, what)
    classes = Classes(texts, check.ignore)
    for source in check.references:
        text = static_text(source.text)
        if text is not None and classes.called(text) is None:
            listed = ", ".join(f"`{one}`" for one in texts)
            yield Problem(source.mark, f"the reference `{text[:60]}` of {what} is not one of its {noun}: {listed}")
